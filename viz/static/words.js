/* Words as buttons: which one is asked about, and which chose the cube in focus. */

import { button, el } from "./dom.js";
import { MANY, occurrences } from "./search.js";
import { shownText } from "./texts.js";

/** @import { Kind, Word } from "./types.js" */
/** @import { Parts } from "./parts.js" */
/** @import { DrawnView } from "./view.js" */
/** @import { Viewer } from "./viewer.js" */

/** What hears a click and the mouse, by a word's position; null: the mouse has left. Other words may be `shown`.
    @typedef {(position: number | null) => void} Hover
    @typedef {{ pick: (position: number) => void, hover: Hover, shown: () => void }} WordEvents */

/** @type {Partial<Record<Kind, string>>} */
const ROWS = { question: "Question", answer: "Answer" };
const MINOR = /^(<\|.*\|>|[^\p{L}\p{N}\p{Emoji_Presentation}])$/u;

const LETTER = "[\\p{L}\\p{M}\\p{N}]";
const WORD_ENDS = new RegExp(`${LETTER}$`, "u");
const WORD_GOES_ON = new RegExp(`^${LETTER}`, "u");
/** Written without spaces between words: there a piece is a word. */
const UNSPACED = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}]/u;

/**
 * The model's pieces as written words: lists of positions. Letters that follow letters without a space are one word.
 * @param {Word[]} words
 * @param {Kind} kind
 */
export function writtenWords(words, kind) {
  /** @type {number[][]} */
  const groups = [];
  words.forEach((word, position) => {
    if (word.kind !== kind) return;
    const group = groups.at(-1);
    const before = group ? group.map((at) => words[at].text).join("") : "";
    if (group && goesOn(before, word.text)) group.push(position);
    else groups.push([position]);
  });
  return groups;
}

/**
 * @param {string} before
 * @param {string} text
 */
function goesOn(before, text) {
  if (!WORD_GOES_ON.test(text) || UNSPACED.test(before + text)) return false;
  return WORD_ENDS.test(before) || /^ +$/.test(before);
}

/**
 * The piece that stands for a written word: of an answer the first, which decides it; of a question the last, which has
 * read all of it.
 * @param {number[]} group
 * @param {Kind} kind
 */
export function pieceOf(group, kind) {
  return kind === "answer" ? group[0] : group[group.length - 1];
}

/**
 * A row of buttons for each kind of word, in order, by index: repeated words stay apart. Words of several pieces are
 * shown whole; a button beside them shows the pieces.
 * @param {Word[]} words
 * @param {WordEvents} on
 */
export function wordRows(words, on) {
  return Object.entries(ROWS).flatMap(([key, name]) => {
    const kind = /** @type {Kind} */ (key);
    const groups = writtenWords(words, kind);
    if (!groups.length) return [];
    const whole = groups.map((group) => wordButton(words, group, on));
    const title = el("span", { class: "name", text: name, "aria-hidden": "true" });
    const row = el("div", { class: "word-row", role: "group", "aria-label": `${name} words` }, title, ...whole);
    if (groups.some((group) => group.length > 1)) row.append(piecesButton(row, words, groups, whole, on));
    return [row];
  });
}

/**
 * @param {HTMLElement} row
 * @param {Word[]} words
 * @param {number[][]} groups
 * @param {HTMLElement[]} whole
 * @param {WordEvents} on
 */
function piecesButton(row, words, groups, whole, on) {
  const pieces = groups.flat().map((position) => wordButton(words, [position], on));
  const toggle = button("Pieces", {
    class: "pieces",
    "aria-pressed": "false",
    title: "The pieces of words (tokens) that the model reads",
    on: {
      click: () => {
        const shown = toggle.getAttribute("aria-pressed") !== "true";
        toggle.setAttribute("aria-pressed", String(shown));
        for (const each of row.querySelectorAll(".word")) each.remove();
        toggle.before(...(shown ? pieces : whole));
        on.shown();
      },
    },
  });
  return toggle;
}

/**
 * @param {Word[]} words
 * @param {number[]} group
 * @param {WordEvents} on
 */
function wordButton(words, group, on) {
  const position = pieceOf(group, words[group[0]].kind);
  const word = words[position];
  const pieces = group.map((at) => shownText(words[at]));
  const text = group.length > 1 ? pieces.join("").replace(/^\u2423/, "") : pieces[0];
  const made = group.length > 1 ? `${pieces.join(" \u00b7 ")}: shown is \u201c${shownText(word)}\u201d` : null;
  return button(text, {
    class: MINOR.test(text) ? "word minor" : "word",
    title: word.name ?? (text.includes("\ufffd") ? "part of a character" : made),
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
 * The words of the rows, without the button that shows their pieces.
 * @param {HTMLElement} place
 * @returns {NodeListOf<HTMLElement>}
 */
function wordsIn(place) {
  return place.querySelectorAll(".word");
}

/**
 * Find words by their text: what does not match fades, Enter asks about the next one.
 * @param {Parts} parts
 * @param {Viewer} viewer
 */
export function listenToSearch({ search, words: place }, viewer) {
  const found = () => (viewer.data ? occurrences(viewer.data.words, search.value) : []);
  search.addEventListener("input", () => {
    const matching = new Set(found().flat());
    for (const made of wordsIn(place)) {
      made.classList.toggle("missed", search.value.trim() !== "" && !matching.has(Number(made.dataset.position)));
    }
  });
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const firsts = found().map(([first]) => first);
    const after = firsts.find((first) => first > (viewer.view.query.word ?? -1)) ?? firsts[0];
    if (after !== undefined && after !== viewer.view.query.word) viewer.pickWord(after);
  });
}

/**
 * @param {Parts} parts
 * @param {DrawnView} view
 */
export function renderWords(parts, view) {
  parts.search.hidden = view.data.words.length <= MANY;
  for (const made of wordsIn(parts.words)) {
    const position = Number(made.dataset.position);
    made.setAttribute("aria-pressed", String(view.held.word === position));
    const asked = { word: position, head: view.query.head };
    const used = view.focus === null ? 0 : (view.data.share(asked, view.layer, view.focus) ?? 0);
    made.style.setProperty("--used", used.toFixed(3));
    made.classList.toggle("used", used > 0);
  }
}
