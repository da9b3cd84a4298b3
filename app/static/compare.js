/* Compare: the run in view against another way to answer, or against an earlier run of it. */

import { button, el } from "../../viz/static/dom.js";
import { grouped, percent } from "../../viz/static/format.js";
import { BesidePanel } from "./beside.js";
import { settingsText } from "./config_text.js";
import { on } from "./signals.js";

/** @import { BothRuns } from "./beside.js" */
/** @import { Mounted, Result } from "./types.js" */

const ABOUT =
  "Asks the same question of the same video another way. Both answers, their cost and, where the slices match, " +
  "the cubes that only one of them keeps are then set side by side; the player shows them as Difference, " +
  "against Dense it shows the attention that was dropped.";

/**
 * @param {HTMLElement} body
 * @param {Record<string, string>} rivals and what they are called
 * @param {Mounted<{}>["trigger"]} trigger
 */
export function mountCompare(body, rivals, trigger) {
  const options = Object.entries(rivals).map(([value, text]) => el("option", { value, text }));
  const choice = el("select", { "aria-label": "Compare with" }, ...options);
  const start = button("Compare", { on: { click: () => panel.start({ rival: choice.value }) } });
  const pin = button("", { "aria-pressed": "false", disabled: true, on: { click: () => toggle() } });
  const note = el("p", { class: "pinned", role: "status" });
  const controls = [el("label", {}, "This run against ", choice), start, pin, note];
  const panel = new BesidePanel(body, {
    name: "compare",
    about: ABOUT,
    trigger,
    controls,
    tell: (both) => [...aboutHeld(both), ...aboutPruning(both)],
  });
  /** @type {Result | null} */
  let inView = null;
  /** @type {Result | null} */
  let pinned = null;

  /** Hold on to the run in view, or let go of it: runs that follow are compared with it. */
  function toggle() {
    hold(pinned ? null : inView);
    if (!pinned) panel.clear();
  }

  /** @param {Result | null} result */
  function hold(result) {
    pinned = result;
    pin.setAttribute("aria-pressed", String(Boolean(result)));
    pin.textContent = result ? "Let the pinned run go" : "Pin this run";
    const settings = result && settingsText(result.summary.config);
    note.textContent = settings ? `Pinned: ${settings}. Move a dial: the player shows what changes.` : "";
  }

  on("result", (result) => {
    inView = result;
    pin.disabled = !result;
    if (!result) hold(null);
    else if (pinned) panel.start({ pinned: pinned.key });
  });
  hold(null);
}

const WHOSE = {
  question: "the question\u2019s words",
  answer: "what produced the answer",
  video: "the video\u2019s tokens",
};

/**
 * How much of dense attention lies on what was kept, where the other run is dense.
 * @param {BothRuns} message
 */
function aboutHeld({ held = [], sides: [{ label }] }) {
  if (!held.length) return [];
  const shares = held.map(({ kind, share }) => `${percent(share)} for ${WHOSE[kind]}`).join(", ");
  const how = held.every(({ measured }) => measured) ? "measured in the dense run" : "estimated by mean keys";
  const text =
    `The cubes that ${label} kept hold this much of dense attention to the video: ${shares} ` +
    `(${how}; mean of heads and layers).`;
  return [el("p", { class: "beside-held", text })];
}

/**
 * What token pruning is, where it is the rival.
 * @param {BothRuns} message
 */
function aboutPruning({ sides: [, { tokens, pruned_from: all }] }) {
  if (!all) return [];
  const text =
    `Token pruning shows the language model ${grouped(tokens)} of ${grouped(all)} visual tokens, those of largest ` +
    "norm after the vision tower. The others are gone for every layer and word; what is left keeps its place.";
  return [el("p", { class: "beside-about", text })];
}
