/* The tabs under the viewer: their titles, their figures, their bodies. */

import { el } from "../../viz/static/dom.js";

/** @type {{ title: string, figures: string[] }[]} */
export const TABS = [
  { title: "Layers and cubes", figures: ["selection_maps", "selection_map", "heads_by_layer"] },
  { title: "FFN tokens", figures: ["ffn_masks", "ffn_inertia"] },
  { title: "Entropy", figures: ["entropy_by_layer", "effective_cubes", "entropy_over_time"] },
  { title: "Layer statistics", figures: ["layer_statistics", "layer_density"] },
  { title: "Concentration", figures: ["concentration"] },
  { title: "FLOPs and time", figures: ["flops"] },
  { title: "Compare", figures: [] },
  { title: "Ablate", figures: [] },
  { title: "History", figures: [] },
  { title: "Data", figures: [] },
  { title: "Paper and results", figures: [] },
  { title: "A real answer", figures: [] },
  { title: "How it works", figures: [] },
  { title: "About this server", figures: [] },
];
const NO_RUN = "Drawn here once there is a run.";
const UNSEEN = "Drawn as soon as it is in sight.";
const WIDE = new Set([
  ...[
    "selection_maps",
    "selection_map",
    "heads_by_layer",
    "ffn_masks",
    "layer_statistics",
    "layer_density",
    "concentration",
  ],
  ...["ffn_inertia", "flops"],
]);

export class Tabs {
  open = 0;

  /**
   * @param {HTMLElement} tabs
   * @param {HTMLElement} bodies
   * @param {Record<string, Record<string, string>>} words of a figure, and what they mean, to stand under it
   * @param {() => void} onOpen
   */
  constructor(tabs, bodies, words, onOpen) {
    this.onOpen = onOpen;
    this.tabs = TABS.map(({ title }, index) => this.#tab(title, index));
    this.bodies = TABS.map(({ figures }, index) => bodyOf(figures, index, words));
    tabs.append(...this.tabs);
    bodies.append(...this.bodies);
    tabs.addEventListener("keydown", (event) => this.#move(event));
  }

  /**
   * @param {string} title
   * @param {number} index
   */
  #tab(title, index) {
    const controls = { id: `tab-${index}`, "aria-controls": `panel-${index}` };
    return el("button", {
      type: "button",
      role: "tab",
      "data-title": title,
      ...controls,
      text: title,
      on: { click: () => this.select(index) },
    });
  }

  /** @param {string} title */
  bodyOf(title) {
    return this.bodies[TABS.findIndex((tab) => tab.title === title)];
  }

  /**
   * Say in the empty places of figures what they wait for.
   * @param {boolean} hasRun
   */
  sayWaiting(hasRun) {
    const places = this.bodies.flatMap((body) => [...body.querySelectorAll(".plot")]);
    places.forEach((place) => place.setAttribute("data-waiting", hasRun ? UNSEEN : NO_RUN));
  }

  /** @param {number} index */
  select(index) {
    this.open = index;
    this.tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === index));
      tab.tabIndex = i === index ? 0 : -1;
      this.bodies[i].hidden = i !== index;
    });
    this.onOpen();
  }

  /** @param {KeyboardEvent} event */
  #move(event) {
    const last = TABS.length - 1;
    /** @type {Record<string, number>} */
    const places = {
      Home: 0,
      End: last,
      ArrowRight: this.open === last ? 0 : this.open + 1,
      ArrowLeft: this.open === 0 ? last : this.open - 1,
    };
    const to = places[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.select(to);
    this.tabs[to].focus();
  }
}

/**
 * @param {string[]} figures
 * @param {number} index
 * @param {Record<string, Record<string, string>>} words
 */
function bodyOf(figures, index, words) {
  const about = { id: `panel-${index}`, "aria-labelledby": `tab-${index}`, tabindex: 0 };
  const plots = figures.map((name) =>
    el(
      "figure",
      { class: WIDE.has(name) ? "plot-box wide" : "plot-box" },
      el("div", { class: "plot", "data-figure": name, "data-waiting": NO_RUN }),
      el("figcaption"),
    ),
  );
  const meant = figures.filter((name) => words[name]).map((name) => meanings(words[name]));
  return el("div", { role: "tabpanel", ...about }, ...plots, ...meant);
}

/** @param {Record<string, string>} words */
function meanings(words) {
  const rows = Object.entries(words).map(([word, meaning]) =>
    el("div", {}, el("dt", { text: word }), el("dd", { text: meaning })),
  );
  return el("dl", { class: "plot-words" }, ...rows);
}
