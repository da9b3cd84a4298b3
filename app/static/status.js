/* What is said of a run: the page's alert, the strip of phases, the line under it. */

import { el, find } from "../../viz/static/dom.js";

/** @import { Field, Phase } from "../../viz/static/types.js" */

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
 * What went wrong, at the field that it is about or else at the answer; empty: nothing.
 * @param {string} [text]
 * @param {Field | null} [field]
 */
export function say(text = "", field) {
  for (const place of document.querySelectorAll(".field-error")) {
    const here = field ? place.getAttribute("data-field") === field : place.id === "error";
    place.textContent = here ? text : "";
  }
}

/** What was said of the question is over as soon as another one is typed. */
export function quietAsTyped() {
  document.addEventListener("input", ({ target }) => {
    if (target instanceof Element && target.closest("#question")) {
      const place = document.querySelector('.field-error[data-field="question"]');
      if (place) place.textContent = "";
    }
  });
}

/**
 * Sentences that are to be read with what stands above them; none: the place is hidden.
 * @param {HTMLElement | null} place
 * @param {string[]} [sentences]
 */
export function warn(place, sentences = []) {
  place?.replaceChildren(...sentences.map((text) => el("li", { text })));
  place?.toggleAttribute("hidden", !sentences.length);
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
  if (phase.name === "waiting") {
    const wait = phase.secs ? `, about ${Math.ceil(phase.secs)} s` : "";
    return `Waiting for ${phase.total} other question(s)${wait}`;
  }
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
