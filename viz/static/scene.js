/* The scene, decoded: what each layer keeps of its cubes, and which tokens pass its FFN. No DOM. */

import { Choices } from "./choices.js";
import { Geometry } from "./geometry.js";
import { unpack, unpackExcess } from "./packed.js";

/** @import { Cube, Query, Scene } from "./types.js" */
/** @import { Excess } from "./packed.js" */

export class SceneData extends Geometry {
  /** Peaks of cubes, by the importance of a layer that they are of. @type {WeakMap<Excess, Float32Array>} */
  #peaks = new WeakMap();

  /** @param {Scene} scene */
  constructor(scene) {
    super(scene);
    this.layers = scene.layers;
    this.kinds = scene.kinds;
    this.words = scene.words;
    this.pruned = scene.pruned && { grid: scene.pruned.grid, left: unpack(scene.pruned.kept).values };
    this.choices = new Choices(scene, this.cubes.length);
    this.ffnShares = unpack(scene.ffn_share);
    this.sinks = unpack(scene.sinks);
    this.ffnPeaks = unpackExcess(scene.ffn_peak);
  }

  /**
   * Share of a query's attention decisions that kept a cube; null where it is not known.
   * @param {Query} query
   * @param {number} layer
   * @param {number} cube
   */
  share(query, layer, cube) {
    if (this.choices.knows(query, layer)) return this.choices.row(query, layer)[cube];
    const heads = query.word === undefined || query.said ? null : this.choices.headsByLayer(query.word, cube)[layer];
    if (!heads) return null;
    return query.head == null ? heads.length / this.scene.heads : Number(heads.includes(query.head));
  }

  /**
   * From which share a cube counts as kept unless someone says: the layer's mean, at most half.
   * @param {Query} query
   * @param {number} layer
   */
  usualThreshold(query, layer) {
    const shares = this.choices.row(query, layer);
    return Math.min(shares.reduce((a, b) => a + b, 0) / Math.max(shares.length, 1), 0.5);
  }

  /**
   * The largest share of a layer's cubes.
   * @param {Query} query
   * @param {number} layer
   */
  largestIn(query, layer) {
    return this.choices.row(query, layer).reduce((a, b) => Math.max(a, b), 0) || 1;
  }

  /**
   * Area-weighted mean shares over the cubes of each slice, layer by layer; NaN where they are not known. At other
   * settings only where every layer can be told at them, so that layers compare.
   * @param {Query} query
   * @param {boolean} [apart] without the sinks
   */
  sliceShares(query, apart = false) {
    const { choices } = this;
    const table = new Float32Array(this.layers * this.slices).fill(NaN);
    const previewed = choices.previewsAll(query);
    for (let layer = 0; layer < this.layers; layer++) {
      if (!choices.knows(query, layer)) continue;
      const row = previewed ? choices.row(query, layer) : choices.recorded(query, layer);
      for (let slice = 0; slice < this.slices; slice++) {
        let sum = 0;
        let area = 0;
        for (const { index, r0, r1, c0, c1 } of this.cubesFromSlice[slice]) {
          const weight = (r1 - r0) * (c1 - c0);
          if (apart && this.isSink(layer, index)) continue;
          sum += weight * row[index];
          area += weight;
        }
        table[layer * this.slices + slice] = area ? sum / area : 0;
      }
    }
    return table;
  }

  /**
   * The cube nearest to one, in number, whose own tokens' choices are recorded; null: none is.
   * @param {number} cube
   */
  nearestQueryCube(cube) {
    const recorded = this.scene.query_cubes;
    if (!recorded) return cube;
    return recorded.reduce(
      (/** @type {number | null} */ best, each) =>
        best === null || Math.abs(each - cube) < Math.abs(best - cube) ? each : best,
      null,
    );
  }

  /**
   * Whether nearly every query keeps a cube in a layer, whatever it asks.
   * @param {number} layer
   * @param {number} cube
   */
  isSink(layer, cube) {
    return this.sinks.values[layer * this.cubes.length + cube] === 1;
  }

  /**
   * The cubes of a layer that nearly every query keeps.
   * @param {number} layer
   */
  sinksOf(layer) {
    return this.cubes.flatMap(({ index }) => (this.isSink(layer, index) ? [index] : []));
  }

  /**
   * Share of a slice's tokens that pass through the FFN.
   * @param {number} layer
   * @param {number} slice
   */
  ffnSliceShare(layer, slice) {
    const mask = this.choices.previewsAllFfn ? this.choices.ffnRow(layer) : null;
    if (!mask) return this.ffnShares.values[layer * this.slices + slice] / this.ffnShares.top;
    const [, rows, columns] = this.gridOf(slice);
    const first = this.token(slice, 0, 0);
    let passing = 0;
    for (const bit of mask.subarray(first, first + rows * columns)) passing += bit;
    return passing / (rows * columns);
  }

  /**
   * How far the most important token of a slice lies above its cube's mean: 0 there, 1 at the end of the range; 0 where
   * it was not recorded.
   * @param {number} layer
   * @param {number} slice
   */
  ffnPeak(layer, slice) {
    return this.ffnPeaks ? this.ffnPeaks.values[layer * this.slices + slice] / this.ffnPeaks.top : 0;
  }

  /**
   * Share of a layer's video tokens that pass through the FFN.
   * @param {number} layer
   */
  ffnShare(layer) {
    let passing = 0;
    let tokens = 0;
    for (let slice = 0; slice < this.slices; slice++) {
      const [, rows, columns] = this.gridOf(slice);
      passing += this.ffnSliceShare(layer, slice) * rows * columns;
      tokens += rows * columns;
    }
    return tokens ? passing / tokens : 0;
  }

  /**
   * How far the most important token of each cube lies above the cube's mean: 0 there, 1 at the end of the range; null
   * where that is not known.
   * @param {number} layer
   */
  ffnCubePeaks(layer) {
    const excess = this.choices.details.importance(layer);
    if (!excess) return null;
    const known = this.#peaks.get(excess) ?? Float32Array.from(this.cubes, (cube) => this.#peakOf(excess, cube));
    this.#peaks.set(excess, known);
    return known;
  }

  /**
   * @param {Excess} excess
   * @param {Cube} cube
   */
  #peakOf({ values, top }, cube) {
    const peak = this.tokensOf(cube).reduce((most, token) => Math.max(most, values[token]), 0);
    return peak / top;
  }
}
