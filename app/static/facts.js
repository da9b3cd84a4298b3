/* The line of facts beside the cards: what the video is, and what of it the model is shown. */

const NARROW = "(max-width: 699px)";
const SHOWN = /^[^;]*; shown to the model as ([\d,]+ frames?) of \d+ x \d+ = /;

/**
 * What a narrow page says of a video: what it costs, and all that is said after that.
 * @param {string} facts
 */
export function brief(facts) {
  return facts.replace(SHOWN, "$1 = ");
}

/** On a narrow page the facts are brief, and whole by their title. */
export class FactsLine {
  #facts = "";
  #narrow = matchMedia(NARROW);

  /** @param {HTMLElement} element */
  constructor(element) {
    this.element = element;
    this.#narrow.addEventListener("change", () => this.element.title && this.show());
  }

  /**
   * What happens now, in place of the facts.
   * @param {string} text
   */
  say(text) {
    this.element.title = "";
    this.element.textContent = text;
  }

  /** @param {string} facts of what is in view */
  keep(facts) {
    this.#facts = facts;
    this.show();
  }

  /** The facts that were kept. */
  show() {
    this.element.title = this.#facts;
    this.element.textContent = this.#narrow.matches ? brief(this.#facts) : this.#facts;
  }
}
