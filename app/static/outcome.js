/* The answer, and what it cost: counted FLOPs and measured seconds, never mixed. */

import { el, find } from "../../viz/static/dom.js";
import { percent } from "../../viz/static/format.js";
import { byId, phaseLine, warn, write } from "./status.js";

/** @import { FinishedMessage } from "../../viz/static/types.js" */
/** @import { Mounted, OutcomeProps } from "./types.js" */

/** Where it is said what is to be known of the answer. @type {HTMLElement | null} */
let warnings = null;

/**
 * @param {HTMLElement} element
 * @param {Mounted<OutcomeProps>} mounted
 */
export function mountOutcome(element, { props }) {
  find(element, ".about-model").hidden = !props.bundled;
  warnings = find(element, ".warnings");
}

/**
 * A finished run's answer and figures.
 * @param {FinishedMessage} message
 */
export function showOutcome(message) {
  const { answer, summary } = message;
  const { seconds } = summary;
  write("answer", answer);
  warn(warnings, summary.warnings);
  const values = {
    attention: [percent(summary.attention_density), "of query-key pairs computed"],
    ffn: [percent(summary.ffn_density), "of video tokens through the FFN"],
    flops: [change(summary), "prefill FLOPs, counted"],
    seconds: [`${(seconds?.prefill ?? 0).toFixed(2)} s`, timed(message)],
  };
  const cards = Object.entries(values).map(([name, [value, label]]) =>
    el("div", { class: "figure-card", "data-name": name }, el("dd", { text: value }), el("dt", { text: label })),
  );
  byId("cards")?.replaceChildren(...cards);
  phaseLine(doneText(message));
}

/**
 * What the seconds of prefill are of.
 * @param {FinishedMessage} message
 */
function timed({ recorded, summary }) {
  if (recorded) return "prefill, when it was recorded";
  return summary.cached_tokens ? "prefill of the question alone, measured" : "prefill, measured";
}

/**
 * How many FLOPs more or fewer than dense; a dense run chooses no cubes.
 * @param {FinishedMessage["summary"]} summary
 */
function change({ flops, config }) {
  const dense = config.attn_top_p === 1 && config.ffn_top_p === 1;
  const points = dense ? 0 : Math.round(100 * (flops?.reduction ?? 0));
  if (!points) return "0 %";
  return `${points > 0 ? "−" : "+"}${Math.abs(points)} %`;
}

/** What was said and counted of another video goes with its pictures. */
export function clearOutcome() {
  write("answer", "");
  warn(warnings);
  byId("cards")?.replaceChildren();
  phaseLine("");
}

/** @param {FinishedMessage} message */
function doneText({ state, recorded, summary, word_secs }) {
  const { model, device, seconds = {} } = summary;
  const total = Object.values(seconds).reduce((/** @type {number} */ sum, secs) => sum + (secs ?? 0), 0);
  const secs = `${total.toFixed(2)} s`;
  if (recorded) return `Recorded earlier: ${model} on ${device}, ${secs}`;
  if (state === "stopped") return `Stopped after ${secs}`;
  const reused = summary.cached_tokens
    ? ", the video was not read again"
    : seconds.vision === 0
      ? ", reusing what was read of the video"
      : "";
  const word = word_secs ? `, ${(1000 * word_secs).toFixed(1)} ms a word` : "";
  return `Done in ${secs}${word}${reused}`;
}
