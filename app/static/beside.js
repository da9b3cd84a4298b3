/* Runs beside the one in view: what Compare and Ablate share. Newest wins, late replies drop. */

import { el, scrollBox, table } from "../../viz/static/dom.js";
import { grouped, percent } from "../../viz/static/format.js";
import { viewer } from "./run.js";
import { detailsOf, droppedOf, fetched } from "./server.js";
import { on } from "./signals.js";
import { messageOf, phaseText } from "./status.js";

/** @import { BesideMessage, RunSide } from "../../viz/static/types.js" */
/** @import { Mounted } from "./types.js" */

/** @typedef {BesideMessage & { sides: [RunSide, RunSide] }} BothRuns */

const DROPPED = "Dropped: it was about the run in view before; run it again.";
const UNTIMED = "not compared: one of the runs was recorded on another visit, or did not read the video again";

/** @type {[string, (side: RunSide) => string][]} */
const ROWS = [
  ["Visual tokens", ({ tokens, pruned_from: all }) => grouped(tokens) + (all ? ` of ${grouped(all)}` : "")],
  [
    "Query-key pairs computed",
    ({ attention_density: density, pruned_from: all }) => percent(density) + (all ? " of what is left" : ""),
  ],
  ["Video tokens through the FFN", ({ ffn_density: density }) => percent(density)],
  ["Prefill FLOPs, counted", ({ flops }) => `${(flops / 1e9).toPrecision(3)}\u00a0GFLOP`],
  ["Prefill, measured", ({ seconds }) => (seconds === null ? UNTIMED : `${seconds.toFixed(2)}\u00a0s`)],
];

/** The run that the player's Difference is drawn against. @type {string | null} */
let compared = null;

/** The key of the run that the player's Difference is drawn against; null: there is none. */
export function comparedKey() {
  return compared;
}

/** A panel that runs things beside the run in view. */
export class BesidePanel {
  #key = "";
  /** Of the newest run: a late reply has a lower one. */
  #number = 0;
  #done = true;
  /** It was ended by the run that is to come into view. */
  #cut = false;
  #note = el("p", { class: "beside-note", role: "status" });
  #place = el("div", { class: "beside" });

  /**
   * @param {HTMLElement} body it is put into
   * @param {object} options
   * @param {string} options.name of its event
   * @param {string} options.about what it is for
   * @param {Mounted<{}>["trigger"]} options.trigger
   * @param {Node[]} options.controls its own elements
   * @param {(message: BothRuns) => Node[]} options.tell gives more elements to show under both sides
   */
  constructor(body, { name, about, trigger, controls, tell }) {
    this.name = name;
    this.trigger = trigger;
    this.tell = tell;
    const text = el("p", { class: "beside-about", text: about });
    body.append(text, el("div", { class: "beside-controls" }, ...controls), this.#note, this.#place);
    on("result", (result) => {
      // Another video is without a run at first: what was said then stands until the run after that.
      const stands = this.#key ? "" : this.#note.textContent;
      const note = this.#done && !this.#cut ? stands : DROPPED;
      this.#cut = false;
      this.#key = result ? result.key : "";
      this.clear();
      this.#note.textContent = note;
    });
    on("beside", (message) => this.#receive(message));
  }

  /**
   * Ask the server for a run.
   * @param {object} request says which
   */
  start(request) {
    if (!this.#key) return;
    this.#number += 1;
    this.#done = this.#cut = false;
    this.#empty("Running…");
    this.trigger(this.name, { run: this.#number, key: this.#key, ...request });
  }

  clear() {
    this.#number += 1;
    this.#done = true;
    this.#empty("");
  }

  /** @param {string} text */
  #empty(text) {
    this.#note.textContent = text;
    this.#place.replaceChildren();
    compared = null;
    viewer().setOther(null);
  }

  /** @param {BesideMessage} message */
  async #receive(message) {
    // Gradio sends an event's last value once more when the event ends.
    if (message.panel !== this.name || message.run !== this.#number || this.#done) return;
    this.#done = message.state !== "running";
    this.#cut = message.state === "superseded";
    if (message.state === "running") this.#note.textContent = phaseText(message.phase);
    else if (hasBoth(message)) await this.#show(message);
    else this.#note.textContent = message.error || "Ended before there was an answer; run it again.";
  }

  /** @param {BothRuns} message */
  async #show(message) {
    const { key = "", run, state, sides } = message;
    this.#place.replaceChildren(answers(sides), ...this.tell(message), costs(sides));
    this.#note.textContent = state === "stopped" ? "Stopped early: the second answer is cut." : sameness(sides);
    try {
      const scene = await (await fetched(key, "scene.json")).json();
      if (run !== this.#number) return;
      const [a, b] = sides;
      const sources = { source: detailsOf(key), dropped: droppedOf(this.#key, key) };
      const comparable = viewer().setOther(scene, a.label, b.label, sources);
      compared = comparable ? key : null;
      if (comparable) viewer().set({ mode: "difference" });
      else this.#note.textContent += " Their slices differ, so the player shows no differences.";
    } catch (error) {
      this.#note.textContent = messageOf(error);
    }
  }
}

/**
 * @param {BesideMessage} message
 * @returns {message is BothRuns}
 */
function hasBoth(message) {
  return Boolean(message.sides);
}

/** @param {RunSide[]} sides */
function sameness(sides) {
  const same = sides.every(({ answer }) => answer.every((piece) => piece.same));
  return same ? "Both answers are the same." : "The answers differ where they are underlined.";
}

/** @param {RunSide[]} sides */
function answers(sides) {
  const sections = sides.map(({ label, answer }) => {
    const pieces = answer.map(({ text, same }) => el(same ? "span" : "mark", { text }));
    return el("section", { "aria-label": `Answer, ${label}` }, el("h3", { text: label }), el("p", {}, ...pieces));
  });
  return el("div", { class: "beside-answers" }, ...sections);
}

/** @param {RunSide[]} sides */
function costs(sides) {
  const caption = el("caption", { text: "The same video and question" });
  const heads = ["", ...sides.map(({ label }) => label)];
  const rows = ROWS.map(([title, value]) => [title, ...sides.map(value)]);
  return scrollBox("Both runs", "table-scroll", table(caption, heads, rows));
}
