/* Two scenes of one video, side by side in one picture: what only A keeps, only B, both, neither. No DOM. */

import { isKept } from "./choices.js";
import { Dropped } from "./dropped.js";
import { standsFor } from "./notes.js";
import { topPIn } from "./packed.js";

/** @import { Cells, Compared, Cube, Query, Side } from "./types.js" */
/** @import { SceneData } from "./scene.js" */

/** What both runs do somewhere. @typedef {{ a: boolean, b: boolean }} Both */
/** @typedef {Cells & Both} Region */
/** What decides: whose choices, by which threshold (null: each layer's own).
    @typedef {{ compared: Compared, query: Query, fixed: number | null }} Asked */
/** @typedef {(slice: number, row: number, column: number) => Both} CellTest */

export class Difference {
  /** @type {Map<string, Uint32Array>} */
  #cells = new Map();

  /**
   * @param {SceneData} a
   * @param {SceneData} b
   * @param {string} labelA
   * @param {string} labelB
   */
  constructor(a, b, labelA, labelB) {
    this.a = a;
    this.b = b;
    /** @type {[string, string]} */
    this.labels = [labelA, labelB];
    this.comparable = shapeOf(a) === shapeOf(b);
    this.sameCubes = this.comparable && !b.pruned && JSON.stringify(a.cubes) === JSON.stringify(b.cubes);
    /** What A dropped of B's attention, which is dense; null: B drops cubes too, or has others. */
    this.dropped = this.sameCubes && keepsAll(b) && !keepsAll(a) ? new Dropped(a) : null;
  }

  /**
   * The same words of B as a query of A's asks about: a word goes by its kind where B has another.
   * @param {Query} query
   * @returns {Query}
   */
  queryOfB(query) {
    const head = query.head != null && query.head < this.b.scene.heads ? query.head : null;
    if (query.cube !== undefined) return this.sameCubes ? query : { kind: "video", head: null };
    if (query.word === undefined || this.#sameWord(query.word)) return { ...query, head };
    return { kind: this.a.words[query.word].kind, head };
  }

  /** @param {number} position */
  #sameWord(position) {
    const [mine, other] = [this.a.words[position], this.b.words[position]];
    return Boolean(other) && mine.text === other.text && mine.kind === other.kind;
  }

  /**
   * Rectangles of a slice with what A and B do there; cubes or tokens.
   * @param {Asked} asked
   * @param {number} layer
   * @param {number} slice
   * @returns {Region[]}
   */
  regions(asked, layer, slice) {
    if (asked.compared !== "ffn" && this.sameCubes) {
      const test = this.#keeps(asked, layer);
      return this.a.cubesFromSlice[slice].map((cube) => ({ ...cube, ...test.cube(cube.index) }));
    }
    return this.#cellRegions(slice, asked.compared === "ffn" ? this.#passes(layer) : this.#keeps(asked, layer).cell);
  }

  /**
   * @param {number} slice
   * @param {CellTest} test
   */
  #cellRegions(slice, test) {
    const [, rows, columns] = this.a.gridOf(slice);
    /** @type {Region[]} */
    const cells = [];
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) cells.push({ r0: r, r1: r + 1, c0: c, c1: c + 1, ...test(slice, r, c) });
    }
    return cells;
  }

  /**
   * Share of a slice's picture where the two differ.
   * @param {Asked} asked
   * @param {number} layer
   * @param {number} slice
   */
  share(asked, layer, slice) {
    let differs = 0;
    let area = 0;
    for (const region of this.regions(asked, layer, slice)) {
      const size = (region.r1 - region.r0) * (region.c1 - region.c0);
      area += size;
      if (region.a !== region.b) differs += size;
    }
    return area ? differs / area : 0;
  }

  /**
   * How many regions of a slice are on each side.
   * @param {Asked} asked
   * @param {number} layer
   * @param {number} slice
   */
  counts(asked, layer, slice) {
    return counted(this.regions(asked, layer, slice));
  }

  /**
   * What most of a cube of A's is.
   * @param {Asked} asked
   * @param {number} layer
   * @param {Cube} cube
   */
  sideOfCube(asked, layer, cube) {
    const regions = this.regions(asked, layer, this.a.firstSlice(cube)).filter(
      ({ r0, c0 }) => cube.r0 <= r0 && r0 < cube.r1 && cube.c0 <= c0 && c0 < cube.c1,
    );
    const counts = counted(regions);
    const sides = /** @type {Side[]} */ (Object.keys(counts));
    return sides.reduce((best, side) => (counts[side] > counts[best] ? side : best));
  }

  /**
   * @param {Asked} asked
   * @param {number} layer
   * @returns {{ cube: (index: number) => Both, cell: CellTest }}
   */
  #keeps({ query, fixed }, layer) {
    const lensed = [this.a, this.b].every(({ scene }) => scene.drawn_top_p != null);
    const one = keptBy(this.a, query, layer, fixed, lensed);
    const other = keptBy(this.b, this.queryOfB(query), layer, fixed, lensed);
    return {
      cube: (index) => ({ a: one(index), b: other(index) }),
      cell: (slice, r, c) => ({
        a: one(this.#cubeAt(this.a, slice, r, c)),
        b: this.b.pruned ? this.#isLeft(slice, r, c) : other(this.#cubeAt(this.b, slice, r, c)),
      }),
    };
  }

  /**
   * @param {number} layer
   * @returns {CellTest}
   */
  #passes(layer) {
    const [one, other] = [this.a, this.b].map((data) => data.choices.ffnRow(layer));
    return (slice, r, c) => {
      const token = this.a.token(slice, r, c);
      return { a: Boolean(one?.[token]), b: this.b.pruned ? this.#isLeft(slice, r, c) : Boolean(other?.[token]) };
    };
  }

  /**
   * Whether B, whose tokens were pruned before its first layer, still has a token: then all of it reads that token, and
   * it passes through every FFN.
   * @param {number} slice
   * @param {number} row
   * @param {number} column
   */
  #isLeft(slice, row, column) {
    return Boolean(this.b.pruned?.left[this.a.token(slice, row, column)]);
  }

  /**
   * Index of the cube that holds a cell of a slice.
   * @param {SceneData} data
   * @param {number} slice
   * @param {number} row
   * @param {number} column
   */
  #cubeAt(data, slice, row, column) {
    const key = `${data === this.a}/${slice}`;
    const map = this.#cells.get(key) ?? cubeMap(data, slice);
    this.#cells.set(key, map);
    return map[row * data.gridOf(slice)[2] + column];
  }
}

/**
 * Whether every query of a run attends to every cube.
 * @param {SceneData} data
 */
function keepsAll({ layers, scene: { config } }) {
  if (!config || config.attn_rule) return false;
  const all = [config.attn_top_p, config.text_top_p ?? config.attn_top_p];
  return Array.from({ length: layers }).every((_, layer) => all.every((given) => topPIn(layer, given) === 1));
}

/**
 * Layers and grids, as they were encoded: runs are compared where these are the same.
 * @param {SceneData} data
 */
function shapeOf(data) {
  return JSON.stringify([data.layers, data.pruned ? [data.pruned.grid] : data.videos.map((video) => video.grid)]);
}

/**
 * @param {SceneData} data
 * @param {Query} query
 * @param {number} layer
 * @param {number | null} fixed
 * @param {boolean} lensed whether words that read everything, in both runs, are compared by where they look
 */
function keptBy(data, query, layer, fixed, lensed) {
  if (!lensed && standsFor({ data, query, layer }) !== null) return () => true;
  const threshold = fixed ?? data.usualThreshold(query, layer);
  const row = data.choices.row(query, layer);
  return (/** @type {number} */ cube) => isKept(row[cube], threshold);
}

/**
 * @param {SceneData} data
 * @param {number} slice
 */
function cubeMap(data, slice) {
  const [, rows, columns] = data.gridOf(slice);
  const map = new Uint32Array(rows * columns);
  for (const cube of data.cubesFromSlice[slice]) {
    for (let row = cube.r0; row < cube.r1; row++) {
      map.fill(cube.index, row * columns + cube.c0, row * columns + cube.c1);
    }
  }
  return map;
}

/** @param {Region[]} regions */
function counted(regions) {
  /** @type {Record<Side, number>} */
  const counts = { both: 0, a: 0, b: 0, none: 0 };
  for (const region of regions) counts[sideOf(region)] += 1;
  return counts;
}

/**
 * @param {Both} region
 * @returns {Side}
 */
export function sideOf({ a, b }) {
  if (a && b) return "both";
  if (a) return "a";
  return b ? "b" : "none";
}
