/* The dials' arithmetic: a budget into thresholds, a preset into sides; then what they set off. */
(() => {
  "use strict";
  const studio = window.AdaSparkStudio;

  /** Both thresholds of a budget, on the straight line between the measured points around it. */
  function thresholdsOf(budget) {
    const points = studio.calibration;
    const above = points.findIndex((point) => point.budget >= budget);
    if (above === 0 || above === -1) return rounded(points.at(above));
    const [low, high] = [points[above - 1], points[above]];
    const share = (budget - low.budget) / (high.budget - low.budget);
    const between = (name) => low[name] + share * (high[name] - low[name]);
    return rounded({ attn_top_p: between("attn_top_p"), ffn_top_p: between("ffn_top_p") });
  }

  const rounded = (point) => [point.attn_top_p, point.ffn_top_p].map((p) => Math.round(100 * p) / 100);

  const cubeOf = (preset, ...sides) => (preset === "custom" ? sides : preset.split(",").map(Number));

  function presetOf(...sides) {
    const text = sides.join();
    return studio.presets.includes(text) ? text : "custom";
  }

  /** The budget dial says so where the thresholds are no longer those of its budget. */
  function tellBudget(...thresholds) {
    const dial = document.querySelector(".budget-dial");
    if (!dial) return;
    const own = thresholdsOf(Number(dial.querySelector("input[type=number]").value));
    dial.toggleAttribute("data-by-hand", own.join() !== thresholds.join());
  }

  /** A threshold moved: what was recorded is drawn at it at once, and then the exact run follows. */
  function thresholdsMoved(attn, ffn) {
    tellBudget(attn, ffn);
    if (!studio.previewAt({ attn_top_p: attn, ffn_top_p: ffn })) studio.settingsTouched();
  }

  Object.assign(studio, { thresholdsOf, cubeOf, presetOf, thresholdsMoved });
})();
