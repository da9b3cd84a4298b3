/* What is looked at, as names and texts of an address; and back. No DOM. */

/** @import { Kind, Mode } from "../../viz/static/types.js" */
/** @import { Viewer } from "../../viz/static/viewer.js" */

const MODES = ["spotlight", "outline", "heat", "ffn"];

/**
 * @param {Viewer} viewer
 * @returns {Record<string, string>}
 */
export function viewOf({ view, data }) {
  if (!data) return {};
  const { layer, slice, mode, head, pinned, threshold, query, spatial } = view;
  const word = query.word === undefined ? null : data.words[query.word].index;
  const kept = threshold === null ? null : Math.round(100 * threshold);
  const by = query.word === undefined ? query.kind : null;
  const all = { layer, slice, mode, by, head, word, cube: pinned, kept, stack: Number(spatial) };
  const known = Object.entries(all).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(known.map(([name, value]) => [name, String(value)]));
}

/**
 * Look at what an address names, as far as this run has it.
 * @param {Viewer} viewer
 * @param {URLSearchParams} query
 */
export function apply(viewer, query) {
  const { data } = viewer;
  if (!data?.slices) return;
  const number = (/** @type {string} */ name, /** @type {number} */ end) => {
    const text = query.get(name);
    const value = text === null || text === "" ? NaN : Number(text);
    return Number.isInteger(value) && value >= 0 && value < end ? value : null;
  };
  const position = data.words.findIndex((word) => String(word.index) === query.get("word"));
  const by = /** @type {Kind} */ (query.get("by"));
  const mode = /** @type {Mode} */ (query.get("mode"));
  const kept = number("kept", 101);
  const change = {
    ...(number("layer", data.layers) === null ? {} : { layer: /** @type {number} */ (number("layer", data.layers)) }),
    ...(MODES.includes(mode) ? { mode } : {}),
    ...(data.kinds.includes(by) ? { query: { kind: by } } : {}),
    ...(position >= 0 ? { query: { word: position } } : {}),
    ...(query.has("stack") ? { spatial: query.get("stack") === "1" } : {}),
    ...(query.has("layer") ? { threshold: kept === null ? null : kept / 100 } : {}),
    head: number("head", data.scene.heads),
    pinned: number("cube", data.cubes.length),
  };
  const slice = number("slice", data.slices);
  if (slice !== null) viewer.goTo(slice, change);
  else viewer.set(change);
}
