/* What is looked at, and what follows from it. No DOM. */

import { robustTop } from "./ranges.js";

/** @import { Ask, Compared, Drawn, Kind, Mode, Query } from "./types.js" */
/** @import { SceneData } from "./scene.js" */
/** @import { Difference } from "./difference.js" */
/** @import { Dropped } from "./dropped.js" */
/** @import { Span } from "./zoom.js" */

/**
 * What somebody chose to look at; a null threshold is the layer's usual one, a null head their mean. `hoveredWord` is
 * a position among the scene's words; `region` are cubes that are taken together; `said` asks what a word of the
 * answer attended to once it was said; `full` colours go from 0 to 100 %, sinks are set `apart`, `zoom` are the slices
 * that the lanes show, null: all.
 * @typedef {object} View
 * @property {number} layer
 * @property {number} slice
 * @property {Mode} mode
 * @property {Query} query
 * @property {boolean} said
 * @property {number | null} head
 * @property {Compared} compared
 * @property {number | null} threshold
 * @property {boolean} full
 * @property {boolean} apart
 * @property {Span | null} zoom
 * @property {number} opacity
 * @property {boolean} spatial
 * @property {number | null} hovered
 * @property {number | null} pinned
 * @property {number | null} hoveredWord
 * @property {number[]} region
 */

/**
 * What follows from a view: `query` is what is drawn, as the server has it `named`, `held` what was chosen; `chosen` is
 * the mode on the bar; `fixed` is the chosen threshold, null for the usual one; `known`: what is drawn of the layer is
 * known, `previewed`: it is at other settings than the run's; shares are coloured on 0 to `top`, in the lanes to
 * `laneTop`.
 * @typedef {Omit<View, "threshold" | "mode"> & {
 *   data: SceneData, mode: Drawn, chosen: Mode, named: Ask["of"] | null, dropped: Dropped | null,
 *   difference: Difference | null, kind: Kind | undefined, held: Query,
 *   fixed: number | null, threshold: number, focus: number | null, top: number, laneTop: number,
 *   known: boolean, previewed: boolean,
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
    said: false,
    head: null,
    compared: "cubes",
    threshold: null,
    full: false,
    apart: false,
    zoom: null,
    opacity: 1,
    spatial: false,
    hovered: null,
    pinned: null,
    hoveredWord: null,
    region: [],
  };
}

/**
 * Where a view stays, as far as it can, when another scene is drawn: at its place in the clip, whatever slice that now
 * is, and with its word where the other scene has the same.
 * @param {View} view
 * @param {SceneData} data
 * @param {SceneData | null} before what was drawn of the same clip
 * @param {number} [timeSecs] of the picture on screen
 */
export function placeIn(view, data, before, timeSecs = 0) {
  const { kinds, layers } = data;
  return {
    query: queryIn(view.query, data, before) ?? { kind: kinds.includes("question") ? "question" : kinds[0] },
    pinned: null,
    hovered: null,
    hoveredWord: null,
    region: sameCubes(data, before) ? view.region : [],
    layer: Math.max(0, Math.min(view.layer, layers - 1)),
    slice: sliceIn(view.slice, data, before, timeSecs),
  };
}

/**
 * @param {SceneData} data
 * @param {SceneData | null} before
 */
function sameCubes(data, before) {
  return before !== null && JSON.stringify(data.cubes) === JSON.stringify(before.cubes);
}

/**
 * @param {Query} query
 * @param {SceneData} data
 * @param {SceneData | null} before
 */
function queryIn(query, { kinds, words }, before) {
  if (query.word === undefined) return query.kind !== undefined && kinds.includes(query.kind) ? query : null;
  const [was, is] = [before?.words[query.word], words[query.word]];
  return was && is && was.text === is.text && was.kind === is.kind ? query : null;
}

/**
 * @param {number} slice
 * @param {SceneData} data
 * @param {SceneData | null} before
 * @param {number} timeSecs
 */
function sliceIn(slice, data, before, timeSecs) {
  const within = Math.max(0, Math.min(slice, data.slices - 1));
  const first = before?.videoOf(slice)?.first_slice ?? 0;
  const video = data.videos.find((each) => each.first_slice === first) ?? data.videos[0];
  if (!before || !video || !data.hasTimes(video)) return within;
  // Of slices that begin with the same frame, the one that is looked at stays.
  const same = slice === within && before.startOf(slice) === data.startOf(slice);
  return same ? slice : data.sliceAt(timeSecs, video);
}

/**
 * @param {{ view: View, data: SceneData | null, other: Difference | null }} viewer
 * @returns {FullView}
 */
export function fullView({ view, data, other }) {
  const { chosen, mode, difference, dropped } = modeOf(view, other);
  const asked = view.hoveredWord === null ? view.query : { word: view.hoveredWord };
  const kind = asked.word === undefined ? asked.kind : data?.words[asked.word].kind;
  const noHead = kind === "video" || asked.cube !== undefined || (view.head ?? 0) >= (data?.scene.heads ?? 0);
  const said = view.said && asked.word !== undefined && kind === "answer" ? { said: true } : {};
  const query = { ...asked, ...said, head: noHead ? null : view.head };
  const usual = data?.slices ? data.usualThreshold(query, view.layer) : 0.5;
  const cubes = data?.slices && mode !== "ffn" && mode !== "difference" ? data : null;
  const choices = data?.layers ? data.choices : null;
  const named = data?.choices.details.named(query) ?? null;
  /** @type {Omit<FullView, "laneTop">} */
  const drawn = {
    ...view,
    data,
    mode,
    chosen,
    difference,
    dropped,
    named,
    query,
    kind,
    held: view.query,
    fixed: view.threshold,
    threshold: view.threshold ?? usual,
    focus: view.hovered ?? view.pinned,
    top: view.full || !cubes ? 1 : robustTop(rowOf({ ...view, data: cubes, query, dropped, named })),
    known: Boolean(mode === "ffn" ? choices?.ffnRow(view.layer) : choices?.knows(query, view.layer)),
    previewed: Boolean(mode === "ffn" ? choices?.previewsFfn(view.layer) : choices?.previews(query, view.layer)),
  };
  if (dropped) Object.assign(drawn, { known: isSaid(dropped, named, view.layer), previewed: false });
  const table = data?.slices && !view.full && mode !== "ffn" ? laneTable(/** @type {DrawnView} */ (drawn)) : null;
  return { ...drawn, laneTop: table ? topOf(table) : 1 };
}

/**
 * How the picture is drawn: of what was dropped of dense attention there is a picture of its own.
 * @param {View} view
 * @param {Difference | null} other
 * @returns {{ chosen: Mode, mode: Drawn, difference: Difference | null, dropped: Dropped | null }}
 */
function modeOf(view, other) {
  const difference = view.mode === "difference" && other?.comparable ? other : null;
  const chosen = view.mode === "difference" && !difference ? "spotlight" : view.mode;
  const dropped = view.compared === "dropped" ? (difference?.dropped ?? null) : null;
  if (dropped) return { chosen, mode: "dropped", difference: null, dropped };
  return { chosen, mode: chosen, difference, dropped };
}

/**
 * @param {Dropped} dropped
 * @param {Ask["of"] | null} named
 * @param {number} layer
 */
function isSaid(dropped, named, layer) {
  return typeof dropped.shares(named)?.held[layer] === "number";
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
 * The shares of a layer's cubes as they are drawn: sinks that are set apart count as not kept.
 * @param {Pick<DrawnView, "data" | "query" | "layer" | "apart" | "dropped" | "named">} view
 * @returns {Float32Array}
 */
export function rowOf({ data, query, layer, apart, dropped, named }) {
  if (dropped) return dropped.shares(named)?.rows[layer] ?? data.choices.nothing;
  const row = data.choices.row(query, layer);
  return apart ? row.map((share, cube) => (data.isSink(layer, cube) ? 0 : share)) : row;
}

/** The lanes of each scene, as last asked for. @type {WeakMap<SceneData, { key: string, table: Float32Array }>} */
const tables = new WeakMap();
/** @type {WeakMap<Float32Array, number>} */
const tops = new WeakMap();

/** @param {Float32Array} table */
function topOf(table) {
  const top = tops.get(table) ?? robustTop(table);
  tops.set(table, top);
  return top;
}

/**
 * The shares that the lanes show, layer by layer; NaN where one is not known.
 * @param {Omit<DrawnView, "laneTop">} view
 * @returns {Float32Array}
 */
export function laneTable(view) {
  const { data, mode, compared, fixed, query, difference, dropped, named, apart } = view;
  const sides = difference && [compared, fixed, difference.labels, difference.b.choices.version];
  const shown = [mode === "ffn", dropped?.version, sides];
  const key = JSON.stringify([shown, query, apart, data.choices.version]);
  const last = tables.get(data);
  if (last?.key === key) return last.table;
  const own = () => (mode === "ffn" || difference ? eachSlice(view) : data.sliceShares(query, apart));
  const table = dropped ? dropped.bySlice(named) : own();
  tables.set(data, { key, table });
  return table;
}

/** @param {Omit<DrawnView, "laneTop">} view */
function eachSlice(view) {
  const { data, difference } = view;
  const table = new Float32Array(data.layers * data.slices);
  return table.map((_, at) => {
    const [layer, slice] = [Math.floor(at / data.slices), at % data.slices];
    return difference ? difference.share(view, layer, slice) : data.ffnPeak(layer, slice);
  });
}

/**
 * The share that a lane shows at a slice; null where it is not known.
 * @param {DrawnView} view
 * @param {number} layer
 * @param {number} slice
 */
export function laneShare(view, layer, slice) {
  const share = laneTable(view)[layer * view.data.slices + slice];
  return Number.isNaN(share) ? null : share;
}
