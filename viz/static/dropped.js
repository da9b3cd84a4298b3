/* What a run dropped of dense attention (viz/data/dropped.py): by query, in every layer and cube. No DOM. */

import { unpack } from "./packed.js";

/** @import { Ask, PackedDropped } from "./types.js" */
/** @import { SceneData } from "./scene.js" */
/** A query as the server knows it. @typedef {Ask["of"] | null} Named */
/** A query's shares: `rows` by layer and cube.
    @typedef {Omit<PackedDropped, "table"> & { rows: Float32Array[] }} Shares */

export class Dropped {
  /** @type {Map<string, Shares | null>} */
  #known = new Map();
  version = 0;

  /** @param {SceneData} data of the run that dropped it */
  constructor(data) {
    this.data = data;
  }

  /**
   * What drawing a query needs and does not have.
   * @param {Named} of
   * @returns {Ask[]}
   */
  asks(of) {
    return of && !this.#known.has(keyOf(of)) ? [{ name: "dropped.json", of }] : [];
  }

  /**
   * @param {Ask} ask
   * @param {PackedDropped | null} answer
   */
  take({ of }, answer) {
    this.#known.set(keyOf(of), answer && unpackShares(answer));
    this.version += 1;
  }

  /**
   * A query's shares; null: the dense run does not say, undefined: nobody has asked.
   * @param {Named} of
   */
  shares(of) {
    return of && this.#known.get(keyOf(of));
  }

  /**
   * What was dropped in each slice, layer by layer; NaN where that is not known. A cube's share is spread evenly over
   * its slices.
   * @param {Named} of
   */
  bySlice(of) {
    const { layers, slices, cubes } = this.data;
    const shares = this.shares(of);
    const table = new Float32Array(layers * slices).fill(shares ? 0 : NaN);
    shares?.rows.forEach((row, layer) => {
      if (shares.held[layer] === null) table.fill(NaN, layer * slices, (layer + 1) * slices);
      for (const cube of cubes) {
        const [first, end] = [this.data.firstSlice(cube), this.data.endSlice(cube)];
        const share = row[cube.index] / (end - first);
        for (let slice = first; slice < end; slice++) table[layer * slices + slice] += share;
      }
    });
    return table;
  }
}

/**
 * @param {PackedDropped} packed
 * @returns {Shares}
 */
function unpackShares({ table, ...others }) {
  const { values, shape, top } = unpack(table);
  const row = (/** @type {number} */ highest, /** @type {number} */ layer) =>
    Float32Array.from(values.subarray(layer * shape[1], (layer + 1) * shape[1]), (code) => (code / top) * highest);
  return { ...others, rows: others.tops.map(row) };
}

/** @param {Ask["of"]} of */
function keyOf({ kind, row, head }) {
  return [kind, row, head].join("/");
}
