/* What is picked: which query is left when a word is let go, which cube is next. No DOM. */

/** @import { Query, Selected } from "./types.js" */
/** @import { SceneData } from "./scene.js" */
/** @import { View } from "./view.js" */

/**
 * What is asked about without the word that is held: its kind.
 * @param {Query} query
 * @param {SceneData | null} data
 * @returns {Query}
 */
export function withoutWord(query, data) {
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
