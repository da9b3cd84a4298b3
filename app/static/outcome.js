/* The answer, and what it cost: counted FLOPs and measured seconds, never mixed. */

import { el, find } from "../../viz/static/dom.js";
import { percent } from "../../viz/static/format.js";
import { byId, phaseLine, write } from "./status.js";

/** @import { FinishedMessage } from "../../viz/static/types.js" */
/** @import { Mounted, OutcomeProps } from "./types.js" */

/**
 * @param {HTMLElement} element
 * @param {Mounted<OutcomeProps>} mounted
 */
export function mountOutcome(element, { props }) {
  find(element, ".about-model").hidden = !props.bundled;
}

/**
 * A finished run's answer and figures.
 * @param {FinishedMessage} message
 */
export function showOutcome(message) {
  const { answer, summary } = message;
  const { flops, seconds } = summary;
  write("answer", answer);
  const values = {
    attention: [percent(summary.attention_density), "of query-key pairs computed"],
    ffn: [percent(summary.ffn_density), "of video tokens through the FFN"],
    flops: [`−${percent(flops?.reduction ?? 0)}`, "prefill FLOPs, counted"],
    seconds: [`${(seconds?.prefill ?? 0).toFixed(2)} s`, "prefill, measured"],
  };
  const cards = Object.entries(values).map(([name, [value, label]]) =>
    el("div", { class: "figure-card", "data-name": name }, el("dd", { text: value }), el("dt", { text: label })),
  );
  byId("cards")?.replaceChildren(...cards);
  phaseLine(doneText(message));
}

/** What was said and counted of another video goes with its pictures. */
export function clearOutcome() {
  write("answer", "");
  byId("cards")?.replaceChildren();
  phaseLine("");
}

/** @param {FinishedMessage} message */
function doneText({ state, recorded, summary: { model, device, seconds = {} } }) {
  const total = Object.values(seconds).reduce((/** @type {number} */ sum, secs) => sum + (secs ?? 0), 0);
  const secs = `${total.toFixed(2)} s`;
  if (recorded) return `Recorded earlier: ${model} on ${device}, ${secs}`;
  if (state === "stopped") return `Stopped after ${secs}`;
  const reused = seconds.vision === 0 ? ", reusing what was already read of the video" : "";
  return `Done in ${secs}${reused}`;
}
