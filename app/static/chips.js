/* Suggested questions: those that the bundled model, or the chosen sample, is made for. */

import { button, find } from "../../viz/static/dom.js";
import { LAST } from "./memory.js";
import { on } from "./signals.js";
import { byId } from "./status.js";

/** @import { Mounted, Signals } from "./types.js" */

const MOST_CHIPS = 3;
const USUAL = "What do you want to know?";
const OF_OWN = "For example: What happens in it?";
/** @type {Set<string>} */
const suggested = new Set();
let taken = "";
/** The visitor's own question, be it word for word a suggestion: last typed, or of a link to an upload. */
let own = "";
/** Where the clip in view is. */
let inView = "";
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
  document.addEventListener("input", ({ isTrusted, target }) => {
    if (isTrusted && target === questionBox()) own = questionText(); // Gradio's writing is not trusted
  });
  on("questions", (message) => {
    message.questions.forEach((text) => suggested.add(text));
    if (message.missing) own = message.question ?? own;
    const chips = message.questions.map((text) => button(text, { on: { click: () => take(text) } }));
    list.replaceChildren(...chips.slice(0, MOST_CHIPS), ...moreChips(list, chips.slice(MOST_CHIPS)));
    const next = underWay || questionOf(message);
    underWay = "";
    inView = message.url ?? "";
    const box = questionBox();
    if (box) box.placeholder = isOwn(message) ? OF_OWN : USUAL;
    if (next !== questionText()) take(next);
  });
}

/**
 * Whether a visitor's own clip is in view.
 * @param {Signals["questions"]} message
 */
function isOwn({ sample, url }) {
  return Boolean(url && !sample);
}

/**
 * What is to stand in the box with a video. What somebody typed stays; a sample's question gives way to the next one's,
 * and does not stay as if it were asked of a visitor's own clip. The page's first card comes with the box filled in.
 * @param {Signals["questions"]} message
 */
function questionOf(message) {
  const { questions, question, pick, url } = message;
  const current = questionText();
  const isTyped = current && !suggested.has(current);
  if (pick === undefined || isTyped || (question === undefined && url === inView)) return current;
  if (isOwn(message) && question === undefined) return current === own ? own : "";
  return question ?? questions[0] ?? current;
}

function questionBox() {
  return /** @type {HTMLInputElement | null} */ (byId("question")?.querySelector("textarea, input") ?? null);
}

/** What stands in the question's box. */
export function questionText() {
  return questionBox()?.value.trim() ?? "";
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
