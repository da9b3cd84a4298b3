/* What the colours of the overlay mean. */

import { el } from "./dom.js";
import { percent } from "./format.js";
import { standsFor } from "./notes.js";
import { SHOWN } from "./ranges.js";
import { isOneChoice, timesMean, unit } from "./texts.js";

/** @import { Compared } from "./types.js" */
/** @import { Difference } from "./difference.js" */
/** @import { DrawnView } from "./view.js" */

/**
 * One entry of the legend: a sample and what it means, kept on one line.
 * @param {string} sample
 * @param {string} text
 */
function entry(sample, text) {
  const swatch = el("span", {
    class: `swatch ${sample}`,
    "aria-hidden": "true",
  });
  return el("span", { class: "entry" }, swatch, text);
}

/** @param {DrawnView} view */
export function legendOf(view) {
  if (view.difference) return differenceLegend(view.difference, view.compared);
  if (view.mode === "dropped") {
    const beyond = view.top < 1 ? " or more" : "";
    return view.known
      ? [entry("cividis", `0 to ${percent(view.top)} of dense attention${beyond}, dropped in this cube`)]
      : [];
  }
  const share = standsFor(view);
  const verb = share === null ? "kept by" : `${percent(share)} of the attention of`;
  if (view.mode === "heat" && isOneChoice(view.query)) return [entry("cividis", `0 or 1: ${verb} ${unit(view)}`)];
  if (view.mode === "heat") {
    const beyond = view.full ? "" : ` (${percent(SHOWN)} of this layer\u2019s cubes lie below)`;
    const does = share === null ? "attend" : "look there";
    return [entry("cividis", `0 to ${percent(view.top)} of ${unit(view)} ${does}${beyond}`)];
  }
  if (view.mode === "ffn") {
    const above = view.data.choices.details.importance(view.layer)?.above;
    const lines = above ? [entry("cividis", `brightest lines: ${timesMean(above)} or more`)] : [];
    return [entry("hatch", "skips the FFN"), entry("clear", "passes"), ...lines];
  }
  const sinks = view.apart ? [entry("hatch", "kept by nearly every query, whatever it asks")] : [];
  const average = view.fixed === null && view.threshold < 0.5 ? " (the layer's average)" : "";
  const least = `at least ${percent(Math.max(view.threshold, 0.01))} of `;
  const from = `${verb} ${isOneChoice(view.query) ? unit(view) : `${least}${unit(view)}${average}`}`;
  const rest = entry("dim", share === null ? "dropped" : "the rest, read too");
  const kept = view.mode === "outline" ? [entry("outline", from)] : [entry("clear", from), rest];
  return [...kept, ...sinks];
}

/**
 * @param {Difference} difference
 * @param {Compared} compared
 */
function differenceLegend({ labels: [a, b] }, compared) {
  const verb = compared === "ffn" ? "passes" : "keeps";
  return [
    entry("only-a", `only A ${verb}: ${a}`),
    entry("only-b", `only B ${verb}: ${b}`),
    entry("clear", "both"),
    entry("dim", "neither"),
  ];
}
