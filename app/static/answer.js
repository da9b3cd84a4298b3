/* The answer as words to click: each shows what the model looked at for it. */

import { button } from "../../viz/static/dom.js";
import { pieceOf, writtenWords } from "../../viz/static/words.js";
import { byId } from "./status.js";

/** @import { Viewer } from "../../viz/static/viewer.js" */

/**
 * Make the words of the answer in view into buttons, where they are the run's own words to the letter.
 * @param {Viewer} viewer
 */
export function linkAnswer(viewer) {
  const place = byId("answer");
  const words = viewer.data?.words ?? [];
  if (!place) return;
  const groups = writtenWords(words, "answer");
  const parts = groups.map((group) => ({ group, text: group.map((at) => words[at].text).join("") }));
  const spoken = parts.map(({ text }) => text).join("");
  if (!parts.length || spoken !== place.textContent) return;
  const nodes = parts.flatMap(({ group, text }) => {
    const [, before, word, after] = /** @type {RegExpExecArray} */ (/^(\s*)(.*?)(\s*)$/s.exec(text));
    const link = word ? [wordLink(viewer, pieceOf(group, "answer"), word)] : [];
    return [before, ...link, after];
  });
  place.replaceChildren(...nodes);
  mark(viewer);
}

/**
 * @param {Viewer} viewer
 * @param {number} position
 * @param {string} text
 */
function wordLink(viewer, position, text) {
  return button(text, {
    class: "answer-word",
    "aria-pressed": "false",
    "data-position": position,
    on: {
      click: () => viewer.pickWord(position),
      pointerenter: (/** @type {PointerEvent} */ event) => event.pointerType === "mouse" && viewer.hoverWord(position),
      pointerleave: () => viewer.hoverWord(null),
    },
  });
}

/** @param {Viewer} viewer */
function mark({ view: { query } }) {
  for (const link of byId("answer")?.querySelectorAll("button") ?? []) {
    link.setAttribute("aria-pressed", String(query.word === Number(link.dataset.position)));
  }
}

/** @param {Viewer} viewer */
export function watchAnswer(viewer) {
  viewer.parts.root.addEventListener("adaspark:view", () => mark(viewer));
}
