/* The cards of videos to choose from: the samples, and what was uploaded. */

import { el } from "../../viz/static/dom.js";

/** @import { SampleCard } from "./types.js" */

const OWN = "own";

export class Cards {
  /** The upload's. @type {HTMLElement | null} */
  #own = null;

  /** @param {HTMLElement} list */
  constructor(list) {
    this.list = list;
    list.addEventListener("keydown", (event) => this.#move(event));
    new ResizeObserver(() => this.#showChosen()).observe(list);
  }

  /**
   * @param {SampleCard} sample
   * @param {() => void} choose
   */
  add(sample, choose) {
    this.list.append(card(sample, choose));
    this.mark("");
  }

  /**
   * The upload's card, in the place of the one before.
   * @param {{ name?: string, url?: string }} upload
   * @param {() => void} choose
   */
  keepOwn({ name = "", url = "" }, choose) {
    if (this.#own?.dataset.url === url) return;
    this.#own?.remove();
    this.#own = card({ name: OWN, title: name, url }, choose);
    this.#own.dataset.url = url;
    this.list.append(this.#own);
  }

  /** @param {string | null | undefined} sample that is chosen; none: the upload */
  choose(sample) {
    this.mark(sample || OWN);
  }

  /** @param {string} name of the card that is chosen; empty: none, and the Tab key goes to the first */
  mark(name) {
    const cards = this.#cards();
    const chosen = cards.find((item) => item.dataset.name === name);
    for (const item of cards) {
      item.setAttribute("aria-pressed", String(item === chosen));
      item.tabIndex = item === (chosen ?? cards[0]) ? 0 : -1;
    }
    if (chosen) this.#bringIntoView(chosen);
  }

  /** The list has another width: the chosen card may lie beyond its edge. */
  #showChosen() {
    const chosen = this.#cards().find((item) => item.ariaPressed === "true");
    if (chosen) this.#bringIntoView(chosen);
  }

  #cards() {
    return [...this.list.querySelectorAll("button")];
  }

  /**
   * The list alone is scrolled, and only where the card is not whole: the page itself stays where it is.
   * @param {HTMLElement} item
   */
  #bringIntoView(item) {
    const [list, its] = [this.list.getBoundingClientRect(), item.getBoundingClientRect()];
    if (its.left < list.left) this.list.scrollLeft -= list.left - its.left;
    else if (its.right > list.right) this.list.scrollLeft += its.right - list.right;
  }

  /**
   * The cards are one stop of the Tab key; arrows go from one to the next.
   * @param {KeyboardEvent} event
   */
  #move(event) {
    const cards = this.#cards();
    const at = cards.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    /** @type {Record<string, number>} */
    const places = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: cards.length - 1 };
    const to = cards[places[event.key]];
    if (!to) return;
    event.preventDefault();
    to.focus();
  }
}

/**
 * @param {SampleCard} sample
 * @param {() => void} choose
 */
function card({ name, title, url, poster_secs: posterSecs = 0.1 }, choose) {
  const source = `${url}#t=${posterSecs}`;
  const video = el("video", { src: source, muted: true, preload: "metadata", tabindex: -1, "aria-hidden": "true" });
  const options = { type: "button", class: "card", "data-name": name, "aria-pressed": "false", title };
  return el("button", { ...options, on: { click: choose } }, video, el("span", {}, ...breakable(title)));
}

/**
 * A file's name may go on in a second line where its ending begins.
 * @param {string} name
 */
function breakable(name) {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? [name.slice(0, dot), el("wbr"), name.slice(dot)] : [name];
}
