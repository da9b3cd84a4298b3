/* The dials' arithmetic: a budget into thresholds, a preset into sides; then what they set off. */

import { previewAt, settingsTouched } from "./asking.js";
import { runInView } from "./run.js";
import { fetched, server } from "./server.js";
import { on } from "./signals.js";

/** @import { CostCurves, Result } from "./types.js" */
/** @typedef {{ attn_top_p: number, ffn_top_p: number, text_top_p?: number }} Point */

const SEARCH_STEP = 0.0025;

/** Whether question and answer follow the attention dial: one p for all attention. */
let isShared = true;

const budgetDial = {
  /** What the run in view would cost at other thresholds; null: not known. @type {CostCurves | null} */
  curves: null,
  /** The thresholds that the dial stands for. */
  set: "",
};

/** Go by the run in view: its clip decides what a threshold costs. */
export function followRuns() {
  on("result", async (result) => {
    budgetDial.curves = null;
    if (!result) budgetLabel()?.removeAttribute("data-run");
    if (!result || !server.calibration.length) return;
    const { config } = result.summary;
    if (server.opening) budgetDial.set ||= rounded(server.opening).join();
    tellRun(result);
    if (typeof config.attn_top_p === "number") tellBudget(...exact(/** @type {Point} */ (config)));
    try {
      const curves = await (await fetched(result.key, "budget.json")).json();
      if (runInView().key === result.key) budgetDial.curves = curves;
    } catch {
      // the measured points alone then say
    }
  });
}

/**
 * All thresholds of a budget: of the points along the calibrated path the one that costs as much on the clip in view;
 * without a run in view, on the straight line between the measured points around it.
 * @param {number} budget
 */
export function thresholdsOf(budget) {
  const found = pointFor(budget);
  budgetDial.set = onDials(found).join();
  isShared = found[0] === found[2];
  return found;
}

/** @param {number} budget */
function pointFor(budget) {
  const points = server.calibration;
  const { curves } = budgetDial;
  if (budget === server.opening?.budget) return exact(server.opening);
  if (!curves || budget === 1) return along(budget);
  let best = along(budget);
  let missed = Infinity;
  for (let at = points[0].budget; at <= 1; at += SEARCH_STEP) {
    const point = along(at);
    const miss = Math.abs(costOf(curves, point) - budget) + 1e-6 * Math.abs(at - budget);
    if (miss < missed) [best, missed] = [point, miss];
  }
  return best;
}

/**
 * Share of dense FLOPs.
 * @param {CostCurves} curves
 * @param {number[]} point
 */
function costOf({ steps, fixed, attention, ffn }, [attn, tokens]) {
  if (attn === 1 && tokens === 1) return 1; // dense: no cube is chosen
  return fixed + attention[steps.indexOf(attn)] + ffn[steps.indexOf(tokens)];
}

/** @param {number} budget */
function along(budget) {
  const points = server.calibration;
  const above = points.findIndex((point) => point.budget >= budget);
  if (above <= 0) return rounded(points[above === 0 ? 0 : points.length - 1]);
  const [low, high] = [points[above - 1], points[above]];
  const share = (budget - low.budget) / (high.budget - low.budget);
  const [from, to] = [exact(low), exact(high)];
  return onDials(from.map((p, i) => p + share * (to[i] - p)));
}

/** @param {Point} point */
function rounded(point) {
  return onDials(exact(point));
}

/**
 * Dials move by hundredths. The share of tokens that pass jumps just behind such a p as 3 / 8 of cubes of eight, so
 * that of the FFN is not rounded up.
 * @param {number[]} point
 */
function onDials([attn, ffn, text]) {
  return [hundredth(attn), Math.floor(100 * ffn + 1e-6) / 100, hundredth(text)];
}

/**
 * For attention, the FFN and text, which without one of its own has that of attention.
 * @param {Point} point
 */
function exact({ attn_top_p: attn, ffn_top_p: ffn, text_top_p: text }) {
  return [attn, ffn, text ?? attn];
}

/** @param {number} p */
function hundredth(p) {
  return Math.round(100 * p) / 100;
}

/**
 * The controls were filled in: text that stands where attention stands will follow it.
 * @param {number} attn
 * @param {number} _ffn
 * @param {number} text
 */
export function thresholdsShown(attn, _ffn, text) {
  isShared = attn === text;
}

/**
 * The dial of text was moved: from now on it stands alone.
 * @param {...number} thresholds
 */
export function textMoved(...thresholds) {
  isShared = false;
  thresholdsMoved(...thresholds);
}

/**
 * Where the dial of text is to stand once that of attention has moved.
 * @param {number} attn
 * @param {number} _ffn
 * @param {number} text as it is
 */
export function textThresholdOf(attn, _ffn, text) {
  return isShared ? attn : text;
}

function budgetLabel() {
  return document.querySelector('.budget-dial [data-testid="block-info"]');
}

/**
 * What the run in view came to, beside the dial.
 * @param {Result} result
 */
function tellRun({ summary: { flops, config } }) {
  const dense = config.attn_top_p === 1 && config.ffn_top_p === 1;
  budgetLabel()?.setAttribute("data-run", (dense ? 1 : 1 - flops.reduction).toFixed(2));
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
 * The budget dial says so where the thresholds are no longer those that it set.
 * @param {...number} thresholds
 */
function tellBudget(...thresholds) {
  const byHand = onDials(thresholds).join() !== budgetDial.set;
  document.querySelector(".budget-dial")?.toggleAttribute("data-by-hand", byHand);
}

/**
 * A number typed past the ends of its dial is set to the nearest by Gradio when it is left, which tells nobody: its
 * dial has moved.
 */
export function tellWhatIsClamped() {
  const left = (/** @type {Event} */ { target }) => {
    if (!(target instanceof HTMLInputElement) || target.type !== "number" || !target.closest(".dial-card")) return;
    const typed = target.value;
    setTimeout(() => target.value !== typed && target.dispatchEvent(new Event("input", { bubbles: true })));
  };
  document.addEventListener("blur", left, true); // before Gradio hears of it
}

/**
 * A threshold moved: what was recorded is drawn at it at once, and then the exact run follows.
 * @param {...number} thresholds
 */
export function thresholdsMoved(...thresholds) {
  const [attn, ffn, own] = thresholds;
  const text = isShared ? attn : own;
  tellBudget(attn, ffn, text);
  if (!previewAt({ attn_top_p: attn, ffn_top_p: ffn, text_top_p: text })) settingsTouched();
}
