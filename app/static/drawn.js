/* What the viewer draws, for a film of it: each cube's share, whether it counts as kept, and what that is called. */

import { isKept } from "../../viz/static/choices.js";
import { percent } from "../../viz/static/format.js";
import { standsFor } from "../../viz/static/notes.js";
import { isOneChoice, unit } from "../../viz/static/texts.js";
import { fullView, isDrawn } from "../../viz/static/view.js";
import { inLanguage, languageNow } from "./language.js";

/** @import { DrawnView } from "../../viz/static/view.js" */
/** @import { Viewer } from "../../viz/static/viewer.js" */

/** The line of a film that changes, as `viz.video.captioned` fills it in. */
const MOMENT = "Slice {slice}, {secs} s";

/** @param {Viewer} viewer */
export function drawnNow(viewer) {
  const view = fullView(viewer);
  if (!isDrawn(view)) throw new Error("Nothing is drawn yet; ask a question first.");
  const { data, layer, mode, threshold } = view;
  const row = data.choices.row(view.query, layer);
  const shares = Array.from(row, (share) => Math.round(255 * Math.min(1, share)));
  const kept = Array.from(row, (share) => Number(isKept(share, threshold)));
  const settings = data.choices.settings ? ", preview" : "";
  const caption = `Layer ${layer}, ${captionOf(view, mode, threshold)}${settings}`;
  const own = { own_caption: inLanguage(caption), own_moment: inLanguage(MOMENT) };
  return { shares: encoded(shares), kept: encoded(kept), caption, ...own };
}

/**
 * What the marked cubes or tokens are.
 * @param {DrawnView} view
 * @param {string} mode
 * @param {number} threshold
 */
function captionOf(view, mode, threshold) {
  if (mode === "ffn") return "tokens that pass the FFN";
  const share = standsFor(view);
  const how = share === null ? "kept by" : `${percent(share)} of the attention of`;
  if (isOneChoice(view.query)) return `${how} ${unit(view)}`;
  return mode === "heat" ? `share of ${unit(view)}` : `${how} ${percent(threshold)} of ${unit(view)} or more`;
}

/**
 * The legend of a film of two runs in the page's language, as `viz.video.difference` has it in English; empty: English.
 * @param {Viewer} viewer
 * @param {string} kind of query
 */
export function differenceLegend({ other, view }, kind) {
  if (!other || !languageNow()) return "";
  const [a, b] = other.labels;
  const isFfn = view.compared === "ffn";
  const verb = isFfn ? "passes" : "keeps";
  const where = `layer ${view.layer}, ${isFfn ? "FFN tokens" : `cubes of the ${kind}`}`;
  const lines = [`only A ${verb}: ${a}`, `only B ${verb}: ${b}`, "untouched: both, dark: neither", where];
  return lines.map(inLanguage).join("\n");
}

/** @param {number[]} bytes */
function encoded(bytes) {
  const text = bytes.map((byte) => String.fromCharCode(byte)).join("");
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
