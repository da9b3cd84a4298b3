/* Finding words among many: tokens whose joined text holds what is looked for. No DOM. */

/** @import { Word } from "./types.js" */

/** From how many words on there is something to search. */
export const MANY = 24;

/**
 * The places of each occurrence of a text in the words, which may span several; kinds are apart.
 * @param {Word[]} words
 * @param {string} text
 * @returns {number[][]}
 */
export function occurrences(words, text) {
  const sought = text.trim().toLowerCase();
  if (!sought) return [];
  return ["question", "answer"].flatMap((kind) => {
    const places = words.flatMap((word, place) => (word.kind === kind ? [place] : []));
    const starts = [0];
    for (const place of places) starts.push(starts[starts.length - 1] + words[place].text.length);
    const whole = places
      .map((place) => words[place].text)
      .join("")
      .toLowerCase();
    /** @type {number[][]} */
    const found = [];
    for (let at = whole.indexOf(sought); at >= 0; at = whole.indexOf(sought, at + 1)) {
      found.push(places.filter((_, i) => starts[i] < at + sought.length && starts[i + 1] > at));
    }
    return found;
  });
}
