/* What is said of the view: facts and titles. Pure functions of the view. No DOM. */

import { isKept } from "./choices.js";
import { percent, range, spans } from "./format.js";
import { standsFor } from "./notes.js";
import { laneShare, rowOf } from "./view.js";

/** @import { Cube, Kind, Word } from "./types.js" */
/** @import { SceneData } from "./scene.js" */
/** @import { DrawnView } from "./view.js" */

/** @param {Word} word */
export function shownText(word) {
  return word.text.trim() || (word.text.includes("\n") ? "\u21b5" : "\u2423");
}

/**
 * What a word is called where it does not stand in its row.
 * @param {Word} word
 */
export function wordName(word) {
  return word.name ?? shownText(word);
}

/** @param {Pick<DrawnView, "data" | "slice">} view */
export function timeRange({ data, slice }) {
  return spanTime(data, slice, slice) || "time unknown";
}

/**
 * "1.50-1.75 s" of slices from..to; empty where times are not known.
 * @param {SceneData} data
 * @param {number} from
 * @param {number} to
 */
export function spanTime(data, from, to) {
  const [start, end] = [data.startOf(from), data.endOf(to)];
  if (start === null || end === null) return "";
  return start === end ? `${start.toFixed(2)} s` : `${start.toFixed(2)}-${end.toFixed(2)} s`;
}

/** What is said where a number has not been fetched, or this page has no server to fetch it from. */
export const MISSING = "not here yet";

/** @param {DrawnView} view */
export function keptCount(view) {
  const { data, layer, slice } = view;
  if (!view.known && !view.difference) return `: ${MISSING}`;
  if (view.dropped) return `, ${shareText(laneShare(view, layer, slice))} of dense attention dropped in this slice`;
  if (view.mode === "ffn") return `, ${percent(data.ffnSliceShare(layer, slice))} of tokens through the FFN`;
  if (view.difference) {
    const { both, a, b, none } = view.difference.counts(view, layer, slice);
    return `: ${both} kept by both, ${a} only by A, ${b} only by B, ${none} by neither`;
  }
  const cubes = data.cubesFromSlice[slice];
  const row = rowOf(view);
  const kept = cubes.filter((cube) => isKept(row[cube.index], view.threshold));
  return `, ${kept.length} of ${cubes.length} cubes ${standsFor(view) === null ? "kept" : "lit"}`;
}

/** @type {Record<Kind, string>} */
const UNITS = {
  video: "the video tokens",
  question: "the question's words",
  answer: "the queries that produced the answer",
};

/**
 * Of what shares are taken.
 * @param {DrawnView} view
 */
export function unit({ query, data }) {
  const { kind = "question", word, cube, head, said } = query;
  if (cube !== undefined) return `the tokens of cube ${cube}, all heads,`;
  const one = head == null ? "" : ` (head ${head})`;
  if (word === undefined) return UNITS[kind] + one;
  const name = `\u201c${wordName(data.words[word])}\u201d`;
  if (data.words[word].kind !== "answer") {
    return head == null ? `the heads of the word ${name}` : `the word ${name}${one}`;
  }
  const heads = head == null ? "the heads" : `head ${head}`;
  return said ? `${heads} after ${name} was said` : `${heads} that produced ${name}`;
}

/**
 * Whether one head of one word chooses: a cube is then kept or not, and no share of anything.
 * @param {DrawnView["query"]} query
 */
export function isOneChoice({ word, cube, head }) {
  return word !== undefined && cube === undefined && head != null;
}

/** @param {Pick<DrawnView, "data" | "slice">} view */
export function factsOf({ data, slice }) {
  const video = data.videoOf(slice);
  if (!video) return "This run had no video: there are no cubes to draw.";
  const frames = data.times[slice]?.length ?? 2;
  const local = slice - video.first_slice;
  const span = `frame${frames > 1 ? "s" : ""} ${range(local * frames, (local + 1) * frames)}`;
  const of = data.videos.length > 1 ? `video ${data.videos.indexOf(video)}, ` : "";
  return `${of}slice ${slice} = ${span}, ${timeRange({ data, slice })}${shownSize(data)}`;
}

/** @param {SceneData} data */
function shownSize({ scene: { clip } }) {
  if (!clip?.shown_width) return "";
  return `; ${clip.width} x ${clip.height} shown to the model as ${clip.shown_width} x ${clip.shown_height}`;
}

/** @param {DrawnView} view */
export function layerFactsOf(view) {
  if (view.focus !== null) return cubeFacts(view, view.focus);
  const { data, layer } = view;
  const { density, entropy } = data.scene;
  const { kind = "question", word, cube, head } = view.query;
  const ofAll = word === undefined && cube === undefined && head == null; // a word's or head's own is not here
  /** @type {[string, number | null | undefined][]} */
  const known = [
    ["attention density", density.attention_by_layer[layer]],
    ["FFN density", density.ffn_by_layer[layer]],
    ["attention entropy", ofAll ? entropy.attention_by_layer[kind]?.[layer] : null],
    ["FFN entropy", entropy.ffn_by_layer[layer]],
  ];
  const recorded = !view.previewed && !view.difference && !view.dropped;
  const texts = known.flatMap(([name, value]) => (recorded && value != null ? [`${name} ${value.toFixed(2)}`] : []));
  return `Layer ${layer}${keptCount(view)}${keptElsewhere(view)}${texts.length ? `; ${texts.join(", ")}` : ""}`;
}

/**
 * Where to look when this slice shows nothing.
 * @param {DrawnView} view
 */
function keptElsewhere(view) {
  const { data, threshold } = view;
  if (view.mode === "ffn" || view.dropped || view.difference || !view.known) return "";
  const row = rowOf(view);
  const keeps = (/** @type {number} */ slice) =>
    data.cubesFromSlice[slice].some((cube) => isKept(row[cube.index], threshold));
  if (keeps(view.slice)) return "";
  const slices = Array.from({ length: data.slices }, (_, slice) => slice).filter(keeps);
  return slices.length ? ` (kept in slice${slices.length > 1 ? "s" : ""} ${spans(slices)})` : " (none in any slice)";
}

/**
 * @param {SceneData} data
 * @param {Cube} cube
 */
export function cubeSlices(data, cube) {
  const [first, end] = [data.firstSlice(cube), data.endSlice(cube)];
  const time = spanTime(data, first, end - 1);
  return `slice${end - first > 1 ? "s" : ""} ${range(first, end)}${time && `, ${time}`}`;
}

/**
 * @param {SceneData} data
 * @param {Cube} cube
 */
export function cubePlace(data, cube) {
  return `${cubeSlices(data, cube)}, rows ${range(cube.r0, cube.r1)}, columns ${range(cube.c0, cube.c1)}`;
}

/**
 * @param {DrawnView} view
 * @param {number} index
 */
function cubeFacts(view, index) {
  const { data, layer } = view;
  const place = cubePlace(data, data.cubes[index]);
  if (view.dropped) {
    const dropped = shareText(view.known ? rowOf(view)[index] : null);
    return `Cube ${index} (${place}): ${dropped} of dense attention was dropped here in layer ${layer}`;
  }
  const share = data.share(view.query, layer, index);
  if (isOneChoice(view.query) && share !== null) {
    const most = standsFor(view);
    const [kept, not] =
      most === null
        ? ["kept by", "not kept by"]
        : [`in ${percent(most)} of the attention of`, "outside of what is lit of"];
    return `Cube ${index} (${place}): ${share > 0 ? kept : not} ${unit(view)} in layer ${layer}`;
  }
  const verb = standsFor(view) === null ? "attend to it" : "look at it";
  return `Cube ${index} (${place}): ${shareText(share)} of ${unit(view)} ${verb} in layer ${layer}`;
}

/** @param {number | null} share */
export function shareText(share) {
  return share === null ? MISSING : percent(share);
}

/** @param {DrawnView} view */
export function laneTitle(view) {
  if (view.dropped) return "Dense attention that was dropped";
  if (view.difference) return `Where A and B differ, by ${view.compared === "ffn" ? "FFN tokens" : "cubes"}`;
  const { choices } = view.data;
  if (view.mode === "ffn") return "Tokens by their importance to the FFN";
  const recorded = choices.settings && !choices.previewsAll(view.query) ? ", as recorded" : "";
  if (standsFor(view) !== null) {
    return isOneChoice(view.query) ? `Cubes that ${unit(view)} looks at` : `Share of ${unit(view)} that look at a cube`;
  }
  const what = isOneChoice(view.query) ? `cubes kept by ${unit(view)}` : `${unit(view)} that keep a cube`;
  return `Share of ${what}${recorded}`;
}

/**
 * @param {SceneData} data
 * @param {number} layer
 * @param {number} slice
 */
function peakText(data, layer, slice) {
  return data.ffnPeaks ? timesMean(data.ffnPeak(layer, slice) * data.ffnPeaks.above) : "not recorded";
}

/** @param {number} excess */
export function timesMean(excess) {
  return `${(1 + excess).toFixed(2)} times its cube\u2019s mean`;
}

/**
 * @param {DrawnView} view
 * @param {{ layer: number, slice: number }} place
 */
export function laneTip(view, { layer, slice }) {
  if (view.mode === "ffn") {
    const passing = `${percent(view.data.ffnSliceShare(layer, slice))} of tokens pass through the FFN`;
    return `Layer ${layer}, slice ${slice}: ${passing}; the most important is ${peakText(view.data, layer, slice)}`;
  }
  return `Layer ${layer}, slice ${slice}: ${shareText(laneShare(view, layer, slice))}`;
}

/** @param {DrawnView} view */
export function laneLabel(view) {
  const { layers, slices } = view.data;
  const extent = `layers 0 to ${layers - 1} by slices 0 to ${slices - 1}`;
  return `${laneTitle(view)}: ${extent}. Arrow keys move, a click goes there.`;
}
