/* What is said of the view: facts and titles. Pure functions of the view. No DOM. */

import { isKept } from "./choices.js";
import { percent, range, spans } from "./format.js";
import { nearestStep, topPIn } from "./packed.js";
import { laneShare } from "./view.js";

/** @import { Cube, Kind, Thresholds, Word } from "./types.js" */
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

/** @param {DrawnView} view */
export function keptCount(view) {
  const { data, layer, slice } = view;
  if (view.mode === "ffn") return `, ${percent(data.ffnSliceShare(layer, slice))} of tokens through the FFN`;
  if (view.difference) {
    const { both, a, b, none } = view.difference.counts(view, layer, slice);
    return `: ${both} kept by both, ${a} only by A, ${b} only by B, ${none} by neither`;
  }
  const cubes = data.cubesFromSlice[slice];
  const kept = cubes.filter((cube) => isKept(data.share(view.query, layer, cube.index), view.threshold));
  return `, ${kept.length} of ${cubes.length} cubes kept`;
}

/** @type {Record<Kind, string>} */
const UNITS = { video: "the video tokens", question: "the question's words", answer: "the answer's words" };

/**
 * Of what shares are taken.
 * @param {DrawnView} view
 */
export function unit({ query, data }) {
  const { kind = "question", word, head } = query;
  const one = head == null ? "" : ` (head ${head})`;
  if (word === undefined) return UNITS[kind] + one;
  const name = `the word \u201c${wordName(data.words[word])}\u201d`;
  return head == null ? `the heads of ${name}` : name + one;
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
  /** @type {[string, number | null | undefined][]} */
  const known = [
    ["attention density", density.attention_by_layer[layer]],
    ["FFN density", density.ffn_by_layer[layer]],
    ["attention entropy", entropy.attention_by_layer[view.query.kind ?? "question"]?.[layer]],
    ["FFN entropy", entropy.ffn_by_layer[layer]],
  ];
  const recorded = !data.choices.settings && !view.difference;
  const texts = known.flatMap(([name, value]) => (recorded && value != null ? [`${name} ${value.toFixed(2)}`] : []));
  return `Layer ${layer}${keptCount(view)}${keptElsewhere(view)}${texts.length ? `; ${texts.join(", ")}` : ""}`;
}

/**
 * Where to look when this slice shows nothing.
 * @param {DrawnView} view
 */
function keptElsewhere(view) {
  const { data, layer, query, threshold } = view;
  if (view.mode === "ffn" || view.difference) return "";
  const row = data.choices.row(query, layer);
  const keeps = (/** @type {number} */ slice) =>
    data.cubesFromSlice[slice].some((cube) => isKept(row[cube.index], threshold));
  if (keeps(view.slice)) return "";
  const slices = Array.from({ length: data.slices }, (_, slice) => slice).filter(keeps);
  return slices.length ? ` (kept in slices ${spans(slices)})` : " (none in any slice)";
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
  const share = percent(data.share(view.query, layer, index));
  const place = cubePlace(data, data.cubes[index]);
  return `Cube ${index} (${place}): ${share} of ${unit(view)} attend to it in layer ${layer}`;
}

/** @param {DrawnView} view */
export function laneTitle(view) {
  if (view.difference) return `Where A and B differ, by ${view.compared === "ffn" ? "FFN tokens" : "cubes"}`;
  const recorded = view.data.choices.settings && !view.data.choices.complete ? ", as recorded" : "";
  if (view.mode === "ffn") return `Tokens that pass through the FFN${recorded}`;
  return `Share of ${unit(view)} that keep a cube${recorded}`;
}

/**
 * @param {DrawnView} view
 * @param {{ layer: number, slice: number }} place
 */
export function laneTip(view, { layer, slice }) {
  return `Layer ${layer}, slice ${slice}: ${percent(laneShare(view, layer, slice))}`;
}

/** @param {DrawnView} view */
export function laneLabel(view) {
  const { layers, slices } = view.data;
  const extent = `layers 0 to ${layers - 1} by slices 0 to ${slices - 1}`;
  return `${laneTitle(view)}: ${extent}. Arrow keys move, a click goes there.`;
}

/**
 * One line of honesty under a preview.
 * @param {DrawnView} view
 * @param {Thresholds} settings
 */
export function previewNote(view, settings) {
  const { details, scene } = view.data.choices;
  const about =
    "Preview from this run\u2019s recorded scores: exact for the first affected layer only, later layers would see " +
    "other inputs.";
  if (view.query.kind === "video" && view.mode !== "ffn") {
    return `${about} The video tokens\u2019 own choices are shown as recorded.`;
  }
  const detail = details[view.layer];
  if (!detail) return `${about} This layer\u2019s scores are on their way.`;
  const steps = detail.levels?.steps ?? [];
  const used = steps[nearestStep(steps, settings.attn_top_p ?? 1)];
  const exact = settings.attn_top_p ?? topPIn(view.layer, scene.config?.attn_top_p) ?? used;
  if (steps.length < 2 || Math.abs(used - exact) <= 1e-6) return about;
  return `${about} Shown at the nearest recorded step, ${used}.`;
}
