/* The dials' arithmetic: a budget into thresholds, a preset into sides; then what they set off. */

import { previewAt, settingsTouched } from "./run.js";
import { server } from "./server.js";

/** @typedef {{ attn_top_p: number, ffn_top_p: number }} Point */

/**
 * Both thresholds of a budget, on the straight line between the measured points around it.
 * @param {number} budget
 */
export function thresholdsOf(budget) {
  const points = server.calibration;
  const above = points.findIndex((point) => point.budget >= budget);
  if (above <= 0) return rounded(points[above === 0 ? 0 : points.length - 1]);
  const [low, high] = [points[above - 1], points[above]];
  const share = (budget - low.budget) / (high.budget - low.budget);
  const between = (/** @type {keyof Point} */ name) => low[name] + share * (high[name] - low[name]);
  return rounded({ attn_top_p: between("attn_top_p"), ffn_top_p: between("ffn_top_p") });
}

/** @param {Point} point */
function rounded({ attn_top_p: attn, ffn_top_p: ffn }) {
  return [attn, ffn].map((p) => Math.round(100 * p) / 100);
}

/**
 * @param {string} preset
 * @param {...number} sides as they are
 */
export function cubeOf(preset, ...sides) {
  return preset === "custom" ? sides : preset.split(",").map(Number);
}

/** @param {...number} sides */
export function presetOf(...sides) {
  const text = sides.join();
  return server.presets.includes(text) ? text : "custom";
}

/**
 * The budget dial says so where the thresholds are no longer those of its budget.
 * @param {...number} thresholds
 */
function tellBudget(...thresholds) {
  const dial = document.querySelector(".budget-dial");
  const input = /** @type {HTMLInputElement | null} */ (dial?.querySelector("input[type=number]") ?? null);
  if (input) dial?.toggleAttribute("data-by-hand", thresholdsOf(Number(input.value)).join() !== thresholds.join());
}

/**
 * A threshold moved: what was recorded is drawn at it at once, and then the exact run follows.
 * @param {number} attn
 * @param {number} ffn
 */
export function thresholdsMoved(attn, ffn) {
  tellBudget(attn, ffn);
  if (!previewAt({ attn_top_p: attn, ffn_top_p: ffn })) settingsTouched();
}
