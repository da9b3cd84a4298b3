/* Suggested questions: those that the bundled model, or the chosen sample, is made for. */

import { button, find } from "../../viz/static/dom.js";
import { LAST } from "./memory.js";
import { on } from "./signals.js";
import { byId } from "./status.js";

/** @import { Mounted } from "./types.js" */

const MOST_CHIPS = 3;
/** @type {Set<string>} */
const suggested = new Set();
let taken = "";
/** The question that was under way when the page was loaded anew. */
let underWay = LAST?.asked ?? "";

/**
 * @param {HTMLElement} element
 * @param {Mounted<{}>} mounted
 */
export function mountChips(element, { trigger }) {
  const list = find(element, ".question-chips");
  const take = (/** @type {string} */ text) => {
    taken = text;
    trigger("chip");
  };
  on("questions", ({ questions, question, pick }) => {
    const current = questionText();
    const typed = current && !suggested.has(current);
    questions.forEach((text) => suggested.add(text));
    const chips = questions.map((text) => button(text, { on: { click: () => take(text) } }));
    list.replaceChildren(...chips.slice(0, MOST_CHIPS), ...moreChips(list, chips.slice(MOST_CHIPS)));
    // The page's own first card comes with the box filled in.
    const usual = question ?? questions[0];
    if (underWay) take(underWay);
    else if (pick !== undefined && !typed && usual && current !== usual) take(usual);
    underWay = "";
  });
}

/** What stands in the question's box. */
export function questionText() {
  const box = /** @type {HTMLInputElement | null} */ (byId("question")?.querySelector("textarea, input") ?? null);
  return box?.value.trim() ?? "";
}

/**
 * The rest of the suggestions, behind a button.
 * @param {HTMLElement} list
 * @param {HTMLElement[]} chips
 */
function moreChips(list, chips) {
  if (!chips.length) return [];
  const more = button(`${chips.length} more…`, {
    class: "more",
    on: {
      click: () => {
        more.remove();
        list.append(...chips);
        chips[0].focus();
      },
    },
  });
  return [more];
}

/** The suggestion that was taken, for the question's box. */
export function chosenQuestion() {
  return taken;
}
