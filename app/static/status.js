/* What is said of a run: the page's alert, the strip of phases, the line under it. */

import { find } from "../../viz/static/dom.js";

/** @import { Phase } from "../../viz/static/types.js" */

const PHASES = ["decode", "vision", "prefill", "generate"];
/** @type {Partial<Record<string, string>>} */
const NAMES = { decode: "Decode", vision: "Vision", prefill: "Prefill", generate: "Words" };
/** @type {Partial<Record<string, string>>} */
const UNITS = { decode: "frame", vision: "frame", prefill: "layer", generate: "word" };

/** @param {string} id */
export function byId(id) {
  return document.getElementById(id);
}

/**
 * @param {string} id
 * @param {string} text
 */
export function write(id, text) {
  const place = byId(id);
  if (place) place.textContent = text;
}

/**
 * What went wrong, in the page's alert; empty: nothing.
 * @param {string} [text]
 */
export function say(text = "") {
  write("error", text);
}

/**
 * What an error says.
 * @param {unknown} error
 */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * How far the run is; null: it has just begun.
 * @param {Phase | null} phase
 */
export function progress(phase) {
  const strip = byId("progress");
  if (!strip) return;
  const at = phase ? PHASES.indexOf(phase.name) : -1;
  strip.querySelectorAll("li").forEach((item, index) => {
    item.classList.toggle("past", index < at);
    item.classList.toggle("now", index === at);
  });
  const share = phase?.total ? phase.done / phase.total : 0;
  find(strip, ".bar").setAttribute("aria-valuenow", String(Math.round(100 * share)));
  find(strip, ".bar i").style.width = `${100 * share}%`;
  phaseLine(phaseText(phase));
}

/** @param {string} text */
export function phaseLine(text) {
  const line = document.querySelector("#progress .phase-text");
  if (line) line.textContent = text;
}

/** @param {Phase | null | undefined} phase */
export function phaseText(phase) {
  if (!phase) return "Starting";
  if (phase.name === "loading") return "Waiting for the model, which is still loading";
  if (phase.name === "waiting") return `Waiting for ${phase.total} other question(s)`;
  const of = phase.total ? ` ${UNITS[phase.name]} ${phase.done} of ${phase.total}` : "";
  return `${NAMES[phase.name] ?? phase.name}${of}`;
}

/**
 * Whether a run is under way: the strip shows, and there is something to stop.
 * @param {boolean} active
 */
export function setActive(active) {
  byId("progress")?.classList.toggle("active", active);
  byId("stop")?.toggleAttribute("disabled", !active);
}
