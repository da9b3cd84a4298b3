/* Compare: the run in view against another way to answer, or against an earlier run of it. */

import { button, el } from "../../viz/static/dom.js";
import { grouped } from "../../viz/static/format.js";
import { BesidePanel } from "./beside.js";
import { on } from "./signals.js";

/** @import { BothRuns } from "./beside.js" */
/** @import { Mounted, Result } from "./types.js" */

const ABOUT =
  "Asks the same question of the same video another way. Both answers, their cost and, where the slices match, " +
  "the cubes that only one of them keeps are then set side by side; the player shows them as Difference.";

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
  const panel = new BesidePanel(body, { name: "compare", about: ABOUT, trigger, controls, tell: aboutPruning });
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
    note.textContent = result ? `Pinned: ${settingsOf(result)}. Move a dial: the player shows what changes.` : "";
  }

  on("result", (result) => {
    inView = result;
    pin.disabled = !result;
    if (!result) hold(null);
    else if (pinned) panel.start({ pinned: pinned.key });
  });
  hold(null);
}

/** @param {Result} result */
function settingsOf({ summary: { config } }) {
  return `Top-p ${config.attn_top_p} and ${config.ffn_top_p}, cubes ${config.cube.join(" x ")}`;
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
