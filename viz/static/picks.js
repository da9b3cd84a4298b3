/* What is picked: cubes under the pointer and held, and which query is left when a word is let go. No DOM. */

import { isKept } from "./choices.js";
import { rowOf } from "./view.js";

/** @import { Query, Selected } from "./types.js" */
/** @import { SceneData } from "./scene.js" */
/** @import { DrawnView, View } from "./view.js" */
/** @import { Viewer } from "./viewer.js" */

/**
 * What is asked about without the word that is held: its kind.
 * @param {Query} query
 * @param {SceneData | null} data
 * @returns {Query}
 */
export function withoutWord(query, data) {
  if (query.cube !== undefined) return { kind: data?.kinds.includes("question") ? "question" : data?.kinds[0] };
  return query.word === undefined ? query : { kind: data?.words[query.word].kind };
}

/**
 * The change of a view that a selection asks for, but for its slice.
 * @param {Omit<Selected, "slice">} selected
 * @param {View} view
 * @param {SceneData} data
 * @returns {Partial<View>}
 */
export function changeOf({ word, cube, ...others }, view, data) {
  /** @type {Partial<View>} */
  const change = { ...others };
  const position = word == null ? -1 : data.words.findIndex((item) => item.index === word);
  if (position >= 0) change.query = { word: position };
  else if (word === null) change.query = withoutWord(view.query, data);
  if (cube !== undefined) change.pinned = cube;
  return change;
}

/**
 * The cube of the slice after the one that is held (step 1), or before it (-1); null: it has none.
 * @param {View} view
 * @param {SceneData | null} data
 * @param {1 | -1} step
 */
export function nextCube({ slice, pinned }, data, step) {
  const cubes = data?.cubesFromSlice[slice] ?? [];
  if (!cubes.length) return null;
  const at = cubes.findIndex((cube) => cube.index === pinned);
  const first = step > 0 ? 0 : cubes.length - 1;
  return cubes[at < 0 ? first : (at + step + cubes.length) % cubes.length].index;
}

/**
 * Cubes with one more, or without it if it was among them.
 * @param {number[]} region
 * @param {number} cube
 */
export function toggled(region, cube) {
  return region.includes(cube) ? region.filter((each) => each !== cube) : [...region, cube].sort((a, b) => a - b);
}

/**
 * The cubes that the query in view keeps in the layer in view, as they are drawn.
 * @param {DrawnView} view
 */
export function keptCubes(view) {
  const row = rowOf(view);
  return view.data.cubes.flatMap(({ index }) => (isKept(row[index], view.threshold) ? [index] : []));
}

/** The viewer's cubes: the one under the pointer, and the one that is held. */
export class CubePicks {
  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
  }

  /** @param {number | null} cube null: the pointer has left */
  hover(cube) {
    if (cube === this.viewer.view.hovered) return;
    this.viewer.view.hovered = cube;
    this.viewer.draw();
  }

  /**
   * Take a cube to the others of the region, or out of it.
   * @param {number | null} cube
   */
  join(cube) {
    if (cube !== null) this.viewer.set({ region: toggled(this.viewer.view.region, cube) });
  }

  /**
   * Hold a cube, or let go of the one that is held.
   * @param {number | null} cube
   */
  hold(cube) {
    const { data, view } = this.viewer;
    if (data) this.viewer.set({ pinned: cube === view.pinned ? null : cube });
  }

  /**
   * A cube picked in the stack may lie in another slice.
   * @param {number | null} cube
   */
  holdAndGo(cube) {
    const { data, view } = this.viewer;
    if (cube === null || !data) return;
    const [first, end] = [data.firstSlice(data.cubes[cube]), data.endSlice(data.cubes[cube])];
    this.hold(cube);
    if (view.slice < first || view.slice >= end) this.viewer.goTo(first);
  }

  /**
   * Hold the next cube of the slice (step 1) or the one before (-1).
   * @param {1 | -1} step
   */
  holdNext(step) {
    const pinned = nextCube(this.viewer.view, this.viewer.data, step);
    if (pinned !== null) this.viewer.set({ pinned });
  }
}
