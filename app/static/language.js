/* The page in another language: what stands on it is looked up in one table of sentences, English to the other one.

   The page's parts and the server write English; here their texts and names are replaced as they appear. Questions,
   answers, words of a run and what somebody typed are left alone, and so is what is marked as English. */

import { writeInLanguage } from "./fields.js";
import { keepLanguage, tableOf, wantedLanguage } from "./languages.js";
import { emit } from "./signals.js";
import { translator } from "./translate.js";

const NAMES = [
  ...["aria-label", "title", "placeholder", "aria-valuetext", "aria-roledescription", "data-waiting"],
  ...["data-title", "alt"],
];
const LEFT_ALONE = [
  ...["#answer", ".word", ".link", ".question-chips", ".card", ".chips b", ".beside-answers p", "main [lang]"],
  ...["textarea", "pre", "code", "kbd", "script", "style", "svg", ".history-card b"],
].join();
/** @type {Record<string, (text: string) => string>} */
const translators = {};

const ENGLISH = "data-english";
/** Where Gradio writes which of a list is chosen. */
const CHOSEN = "input[role=combobox]";

/** What each text and name was in English. @type {WeakMap<Node, Map<string, { english: string, shown: string }>>} */
const known = new WeakMap();
/** @type {((text: string) => string) | null} */
let translate = null;
let chosen = "en";

/** @param {HTMLSelectElement} choice of the language */
export function mountLanguage(choice) {
  choice.value = wantedLanguage();
  choice.addEventListener("change", () => use(choice.value));
  const watch = { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: NAMES };
  new MutationObserver((changes) => translate && changes.forEach(changed)).observe(document.body, watch);
  use(choice.value);
}

/** The page's language, as an address names it; empty: English. */
export function languageNow() {
  return chosen === "en" ? "" : chosen;
}

/**
 * A text in the page's language, for what is drawn and not written.
 * @param {string} written
 */
export function inLanguage(written) {
  return translate ? translate(written) : written;
}

/**
 * A selector of what bears a name in English, whatever the page's language.
 * @param {string} english
 */
export function named(english) {
  return `:is([aria-label="${english}"], [${ENGLISH}="${english}"])`;
}

/** @param {string} language */
async function use(language) {
  chosen = language;
  keepLanguage(language);
  const table = await tableOf(language);
  if (language !== chosen) return; // another one was chosen meanwhile
  const next = table ? language : "en";
  chosen = next;
  if (table) translators[next] ??= translator(table);
  const before = translate;
  translate = translators[next] ?? null;
  document.documentElement.lang = next;
  if (before !== translate) visit(document.body); // a page that opens in English is as it is to be
  emit("language", next);
}

/** @param {MutationRecord} change */
function changed({ type, target, addedNodes, attributeName }) {
  if (type === "childList") addedNodes.forEach(visit);
  else if (type === "characterData") text(target);
  else if (attributeName) name(/** @type {Element} */ (target), attributeName);
}

/** @param {Node} node */
function visit(node) {
  if (node.nodeType === Node.TEXT_NODE) text(node);
  if (!(node instanceof Element)) return;
  for (const each of NAMES) if (node.hasAttribute(each)) name(node, each);
  if (node.matches(CHOSEN)) writeInLanguage(/** @type {HTMLInputElement} */ (node), inLanguage);
  node.childNodes.forEach(visit);
}

/** @param {Node} node */
function text(node) {
  if (node.parentElement?.closest(LEFT_ALONE)) return;
  shown(node, "", node.nodeValue ?? "", (value) => {
    node.nodeValue = value;
  });
}

/**
 * @param {Element} element
 * @param {string} attribute
 */
function name(element, attribute) {
  if (element.matches(".word, .card, option[lang]")) return;
  if (attribute === "data-title" && !element.matches(".modebar-btn")) return; // elsewhere it is what we find tabs by
  const english = shown(element, attribute, element.getAttribute(attribute) ?? "", (value) =>
    element.setAttribute(attribute, value),
  );
  if (attribute === "aria-label" && english) element.setAttribute(ENGLISH, english);
}

/**
 * Show a text in the page's language; returns the English one where it is shown in another.
 * @param {Node} node
 * @param {string} part of it: an attribute, or empty for its text
 * @param {string} now
 * @param {(value: string) => void} write
 */
function shown(node, part, now, write) {
  const parts = known.get(node) ?? new Map();
  const before = parts.get(part);
  const english = before && before.shown === now ? before.english : now;
  const next = translate ? translate(english) : english;
  if (!before && next === english) return "";
  known.set(node, parts.set(part, { english, shown: next }));
  if (next !== now) write(next);
  return english;
}
