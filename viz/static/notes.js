/* One line under the pictures: what is drawn where that is not what the run kept. No DOM. */

import { lensTopP, wordsTopP } from "./choices.js";
import { percent } from "./format.js";
import { nearestStep, topPIn } from "./packed.js";

/** @import { DrawnView } from "./view.js" */
/** @import { Thresholds } from "./types.js" */

/**
 * The share of its attention whose cubes stand for a query that reads them all; null: it chooses.
 * @param {Pick<DrawnView, "data" | "query" | "layer">} view
 */
export function standsFor({ data, query, layer }) {
  const { choices } = data;
  if (query.kind === "video" || query.cube !== undefined) return null;
  return lensTopP(choices.previews(query, layer) ? choices.settings : null, choices.scene, layer);
}

/**
 * What is lit of words that read every cube.
 * @param {DrawnView} view
 */
export function lensNote(view) {
  const share = view.mode === "ffn" || view.dropped || view.difference ? null : standsFor(view);
  if (share === null) return "";
  return (
    `These words read every cube (Top-p 1). Lit, and counted as kept, are the fewest that hold ${percent(share)} of ` +
    "their attention: where they look."
  );
}

/**
 * One line of honesty under a preview, or under what is recorded where no preview can be made.
 * @param {DrawnView} view
 * @param {Thresholds} settings
 */
export function previewNote(view, settings) {
  if (!view.previewed) return unpreviewed(view);
  const { details, scene } = view.data.choices;
  const about =
    "Preview from this run\u2019s recorded scores: exact for the first affected layer only, later layers would see " +
    "other inputs.";
  const ffn = view.mode === "ffn";
  const tokens = details.layers[view.layer]?.tokens;
  const steps = ffn ? (tokens?.steps ?? []) : view.data.choices.stepsOf(view.query, view.layer);
  const recorded = topPIn(view.layer, scene.config?.ffn_top_p);
  const asked = ffn ? (settings.ffn_top_p ?? recorded) : wordsTopP(settings, scene, view.layer);
  const used = steps[nearestStep(steps, asked ?? 1)];
  const exact = asked ?? used;
  return Math.abs(used - exact) <= 1e-6 ? about : `${about} Shown at the nearest recorded step, ${used}.`;
}

/** @param {DrawnView} view */
function unpreviewed({ data, mode, query, layer }) {
  const { details } = data.choices;
  if (mode !== "ffn" && (query.kind === "video" || query.cube !== undefined)) {
    return "As recorded: the scores of video tokens are not kept, so other thresholds are seen after the exact run.";
  }
  const known = mode === "ffn" ? details.layers[layer] : details.preview(query, layer) === null;
  if (!known && !details.whole) return "As recorded: the scores for a preview are on their way.";
  return "As recorded: this run\u2019s scores do not tell other thresholds; they are seen after the exact run.";
}
