/* A guided story of about a minute: each step moves the page's own controls and says what came of it. */

import { button, el } from "../../viz/static/dom.js";
import { STEPS } from "./story_steps.js";

const KEPT = "adaspark-story";

export class Story {
  /** Of the step in view; -1: none. */
  #at = -1;
  /** Ends what the step in view still does. */
  #leaving = new AbortController();
  #title = el("h2", { id: "story-title" });
  #text = el("p", { role: "status", "aria-live": "polite" });
  #back = button("Back", { on: { click: () => this.#go(this.#at - 1) } });
  #next = button("Next", { class: "story-next", on: { click: () => this.#go(this.#at + 1) } });
  #skip = button("Leave", { "aria-label": "Leave the story", on: { click: () => this.#leave() } });
  #panel = el(
    "section",
    { id: "story", role: "dialog", "aria-labelledby": "story-title", tabindex: -1, hidden: true },
    ...[this.#title, this.#text, el("div", { class: "story-buttons" }, this.#skip, this.#back, this.#next)],
  );

  /** @param {HTMLElement} opener the button that starts the story, or goes on with it */
  constructor(opener) {
    this.opener = opener;
    document.body.append(this.#panel);
    opener.addEventListener("click", () => this.#go(kept()));
    this.#panel.addEventListener("keydown", (event) => this.#key(event));
    this.#name();
  }

  /** @param {KeyboardEvent} event */
  #key({ key }) {
    if (key === "Escape") this.#leave();
    else if (key === "ArrowRight") this.#go(this.#at + 1);
    else if (key === "ArrowLeft") this.#go(this.#at - 1);
  }

  /** @param {number} to */
  async #go(to) {
    if (to < 0) return;
    this.#leaving.abort();
    if (to >= STEPS.length) {
      this.#leave();
      return;
    }
    const { signal } = (this.#leaving = new AbortController());
    this.#at = to;
    keep(to);
    const { title, text, side, run } = STEPS[to];
    this.#panel.dataset.side = side;
    this.#panel.hidden = false;
    document.body.classList.add("story-open");
    this.#title.textContent = `${to + 1} of ${STEPS.length}: ${title}`;
    this.#text.textContent = text;
    this.#back.disabled = to === 0;
    this.#next.textContent = to === STEPS.length - 1 ? "Done" : "Next";
    this.#next.focus({ preventScroll: true });
    const say = (/** @type {string} */ words) => {
      if (!signal.aborted) this.#text.textContent = words;
    };
    try {
      await run({ say, signal });
    } catch (error) {
      say(error instanceof Error ? error.message : String(error));
    }
  }

  #leave() {
    this.#leaving.abort();
    if (this.#at === STEPS.length - 1) keep(0);
    this.#at = -1;
    this.#panel.hidden = true;
    document.body.classList.remove("story-open");
    this.#name();
    this.opener.focus();
  }

  #name() {
    const at = kept();
    this.opener.textContent = at ? `Story, from ${at + 1} of ${STEPS.length}` : "60-second story";
  }
}

/** The step at which the story was left. */
function kept() {
  try {
    const at = Number(localStorage.getItem(KEPT));
    return at > 0 && at < STEPS.length ? at : 0;
  } catch {
    return 0;
  }
}

/** @param {number} at */
function keep(at) {
  try {
    localStorage.setItem(KEPT, String(at));
  } catch {
    // Without storage the story begins anew.
  }
}
