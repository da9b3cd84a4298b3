/* Words as buttons: which one is asked about, and which chose the cube in focus. */

import { button, el } from "./dom.js";
import { shownText } from "./texts.js";

/** @import { Kind, Word } from "./types.js" */
/** @import { Parts } from "./parts.js" */
/** @import { DrawnView } from "./view.js" */

/** What hears a click and the mouse, by a word's position; null: the mouse has left.
    @typedef {{ pick: (position: number) => void, hover: (position: number | null) => void }} WordEvents */

/** @type {Partial<Record<Kind, string>>} */
const ROWS = { question: "Question", answer: "Answer" };
const MINOR = /^(<\|.*\|>|[^\p{L}\p{N}\p{Emoji_Presentation}])$/u;

/**
 * A row of buttons for each kind of word, in order, by index: repeated words stay apart.
 * @param {Word[]} words
 * @param {WordEvents} on
 */
export function wordRows(words, on) {
  return Object.entries(ROWS).flatMap(([kind, name]) => {
    const made = words.flatMap((word, position) => (word.kind === kind ? [wordButton(word, position, on)] : []));
    if (!made.length) return [];
    const title = el("span", { class: "name", text: name, "aria-hidden": "true" });
    return [el("div", { class: "word-row", role: "group", "aria-label": `${name} words` }, title, ...made)];
  });
}

/**
 * @param {Word} word
 * @param {number} position
 * @param {WordEvents} on
 */
function wordButton(word, position, on) {
  const text = shownText(word);
  return button(text, {
    class: MINOR.test(text) ? "word minor" : "word",
    title: word.name ?? (text.includes("\ufffd") ? "part of a character" : null),
    "aria-label": word.name,
    "aria-pressed": "false",
    "data-index": word.index,
    "data-position": position,
    on: {
      click: () => on.pick(position),
      pointerenter: (/** @type {PointerEvent} */ event) => event.pointerType === "mouse" && on.hover(position),
      pointerleave: () => on.hover(null),
    },
  });
}

/**
 * @param {Parts} parts
 * @param {DrawnView} view
 */
export function renderWords(parts, view) {
  for (const made of parts.words.querySelectorAll("button")) {
    const position = Number(made.dataset.position);
    made.setAttribute("aria-pressed", String(view.held.word === position));
    const asked = { word: position, head: view.query.head };
    const used = view.focus === null ? 0 : view.data.share(asked, view.layer, view.focus);
    made.style.setProperty("--used", used.toFixed(3));
    made.classList.toggle("used", used > 0);
  }
}
