/* What is looked at, and what follows from it. No DOM. */

/** @import { Compared, Kind, Mode, Query } from "./types.js" */
/** @import { SceneData } from "./scene.js" */
/** @import { Difference } from "./difference.js" */

/**
 * What somebody chose to look at; a null threshold is the layer's usual one, a null head their mean. `hoveredWord` is
 * a position among the scene's words.
 * @typedef {object} View
 * @property {number} layer
 * @property {number} slice
 * @property {Mode} mode
 * @property {Query} query
 * @property {number | null} head
 * @property {Compared} compared
 * @property {number | null} threshold
 * @property {boolean} stretched
 * @property {boolean} rescaled
 * @property {number} opacity
 * @property {boolean} spatial
 * @property {number | null} hovered
 * @property {number | null} pinned
 * @property {number | null} hoveredWord
 */

/**
 * What follows from a view: `query` is what is drawn, `held` what was chosen; `fixed` is the chosen threshold, null for
 * the usual one; shares are coloured on 0 to `top`, in the lanes to `laneTop`.
 * @typedef {Omit<View, "threshold"> & {
 *   data: SceneData, difference: Difference | null, kind: Kind | undefined, held: Query,
 *   fixed: number | null, threshold: number, focus: number | null, top: number, laneTop: number,
 * }} DrawnView
 */

/** @typedef {Omit<DrawnView, "data"> & { data: SceneData | null }} FullView before there is a scene, too */

/** @returns {View} */
export function firstView() {
  return {
    layer: 0,
    slice: 0,
    mode: "spotlight",
    query: { kind: "question" },
    head: null,
    compared: "cubes",
    threshold: null,
    stretched: false,
    rescaled: false,
    opacity: 1,
    spatial: false,
    hovered: null,
    pinned: null,
    hoveredWord: null,
  };
}

/**
 * Where a view stays, as far as it can, when another scene is drawn.
 * @param {View} view
 * @param {SceneData} data
 */
export function placeIn({ query, layer, slice }, { kinds, layers, slices }) {
  const stays = query.word === undefined && query.kind !== undefined && kinds.includes(query.kind);
  return {
    query: stays ? query : { kind: kinds.includes("question") ? "question" : kinds[0] },
    pinned: null,
    hovered: null,
    hoveredWord: null,
    layer: Math.max(0, Math.min(layer, layers - 1)),
    slice: Math.max(0, Math.min(slice, slices - 1)),
  };
}

/**
 * @param {{ view: View, data: SceneData | null, other: Difference | null }} viewer
 * @returns {FullView}
 */
export function fullView({ view, data, other }) {
  const difference = view.mode === "difference" && other?.comparable ? other : null;
  const mode = view.mode === "difference" && !difference ? "spotlight" : view.mode;
  const asked = view.hoveredWord === null ? view.query : { word: view.hoveredWord };
  const kind = asked.word === undefined ? asked.kind : data?.words[asked.word].kind;
  const noHead = kind === "video" || (view.head ?? 0) >= (data?.scene.heads ?? 0);
  const query = { ...asked, head: noHead ? null : view.head };
  const usual = data?.slices ? data.usualThreshold(query, view.layer) : 0.5;
  const cubes = data?.slices && mode !== "ffn" && mode !== "difference" ? data : null;
  return {
    ...view,
    data,
    mode,
    difference,
    query,
    kind,
    held: view.query,
    fixed: view.threshold,
    threshold: view.threshold ?? usual,
    focus: view.hovered ?? view.pinned,
    top: view.rescaled && cubes ? cubes.largestIn(query, view.layer) : 1,
    laneTop: view.stretched && cubes ? cubes.largestShare(query) : 1,
  };
}

/**
 * Whether there is something of a video to draw.
 * @param {FullView} view
 * @returns {view is DrawnView}
 */
export function isDrawn(view) {
  return Boolean(view.data?.slices);
}

/**
 * The share that a lane shows at a slice.
 * @param {DrawnView} view
 * @param {number} layer
 * @param {number} slice
 */
export function laneShare(view, layer, slice) {
  if (view.mode === "ffn") return view.data.ffnSliceShare(layer, slice);
  if (view.difference) return view.difference.share(view, layer, slice);
  return view.data.sliceShare(view.query, layer, slice);
}
