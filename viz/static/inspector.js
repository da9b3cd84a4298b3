/* The panel of the held cube, or else of the held word: cubes and words, both ways. */

import { isKept } from "./choices.js";
import { button, el, scrollBox, table } from "./dom.js";
import { percent, spans } from "./format.js";
import { cubePlace, cubeSlices, spanTime, wordName } from "./texts.js";
import { isDrawn } from "./view.js";

/** @import { Cube } from "./types.js" */
/** @import { Parts } from "./parts.js" */
/** @import { SceneData } from "./scene.js" */
/** @import { DrawnView, FullView } from "./view.js" */

/** What the panel's buttons do.
    @typedef {{ pick: (word: number) => void, goTo: (slice: number) => void, release: () => void }} InspectorEvents */

const MOST_TIMES = 24;

/** What each panel shows: it is rebuilt only when it would differ.
    @type {WeakMap<Element, { key: string, data: unknown }>} */
const shownIn = new WeakMap();

/**
 * @param {Parts} parts
 * @param {FullView} view
 * @param {InspectorEvents} on
 */
export function renderInspector({ inspector }, view, on) {
  const shown = isDrawn(view) && (view.pinned !== null || view.held.word !== undefined);
  const key = shown ? panelKey(view) : "";
  const last = shownIn.get(inspector);
  if (last?.key === key && last.data === view.data) return;
  shownIn.set(inspector, { key, data: view.data });
  inspector.hidden = !shown;
  inspector.replaceChildren(...(shown ? panel(view, on) : []));
}

/** @param {DrawnView} view */
function panelKey({ data, pinned, held, layer, query, threshold }) {
  return JSON.stringify([pinned, held.word, layer, query.head, threshold, data.choices.version]);
}

/**
 * @param {DrawnView} view
 * @param {InspectorEvents} on
 */
function panel(view, on) {
  if (view.pinned !== null) return cubePanel(view, view.data.cubes[view.pinned], on);
  return view.held.word === undefined ? [] : wordPanel(view, view.held.word, on);
}

/**
 * @param {string} title
 * @param {InspectorEvents} on
 */
function panelHead(title, on) {
  const release = button("Let go", { on: { click: on.release } });
  return el("div", { class: "inspector-head" }, el("h2", { text: title }), release);
}

/**
 * @param {DrawnView} view
 * @param {Cube} cube
 * @param {InspectorEvents} on
 */
function cubePanel({ data, layer }, cube, on) {
  const head = panelHead(`Cube ${cube.index}: ${cubePlace(data, cube)}`, on);
  const users = usersOf(data, cube.index);
  if (!users.length) return [head, el("p", { text: "No word of the question or the answer chose it in any layer." })];
  const heads = ["Word", "Layers that used it", `Heads in layer ${layer}`, "Share"];
  const rows = users.map(({ word, layers, shares }) => [
    wordLink(data, word, on),
    spans(layers),
    headsText(data, word, layer, cube.index),
    percent(shares[layer]),
  ]);
  const caption = `Words that chose cube ${cube.index}`;
  return [head, scrollBox(caption, "scroll", table(el("caption", { class: "live", text: caption }), heads, rows))];
}

/**
 * The words that chose a cube in some layer, those that did most first.
 * @param {SceneData} data
 * @param {number} cube
 */
function usersOf(data, cube) {
  const users = data.words.map((_, word) => {
    const shares = Array.from({ length: data.layers }, (__, layer) => data.share({ word }, layer, cube));
    const layers = shares.flatMap((share, layer) => (share > 0 ? [layer] : []));
    return { word, shares, layers, total: shares.reduce((a, b) => a + b, 0) };
  });
  return users.filter(({ layers }) => layers.length).sort((a, b) => b.total - a.total);
}

/**
 * @param {SceneData} data
 * @param {number} word
 * @param {InspectorEvents} on
 */
function wordLink(data, word, on) {
  const link = button(wordName(data.words[word]), { class: "link", on: { click: () => on.pick(word) } });
  return el("span", {}, link, ` ${data.words[word].kind}`);
}

/**
 * @param {SceneData} data
 * @param {number} word
 * @param {number} layer
 * @param {number} cube
 */
function headsText(data, word, layer, cube) {
  const heads = data.choices.headsOf(word, layer, cube);
  if (heads === null) return "\u2026";
  return heads.length ? `${spans(heads)} (of ${data.scene.heads})` : "none";
}

/**
 * The cubes that the held word chose in this layer, by time; a click goes there.
 * @param {DrawnView} view
 * @param {number} position
 * @param {InspectorEvents} on
 */
function wordPanel(view, position, on) {
  const { data, layer } = view;
  const row = data.choices.row({ ...view.held, head: view.query.head }, layer);
  const kept = data.cubes.filter((cube) => isKept(row[cube.index], view.threshold));
  const slabs = slabsOf(kept);
  const times = slabs.slice(0, MOST_TIMES).map(({ cube, count }) => timeButton(data, cube, count, on));
  const more = slabs.length > MOST_TIMES ? [`and ${slabs.length - MOST_TIMES} more`] : [];
  const name = wordName(data.words[position]);
  const title = `\u201c${name}\u201d keeps ${kept.length} of ${data.cubes.length} cubes in layer ${layer}`;
  const group = { class: "times", role: "group", "aria-label": "Where its cubes lie in time" };
  return [panelHead(title, on), el("div", group, ...times, ...more)];
}

/**
 * @param {SceneData} data
 * @param {Cube} cube
 * @param {number} count
 * @param {InspectorEvents} on
 */
function timeButton(data, cube, count, on) {
  const time = spanTime(data, data.firstSlice(cube), data.endSlice(cube) - 1);
  return button(`${time} \u00b7 ${count} cube${count > 1 ? "s" : ""}`, {
    class: "time",
    "aria-label": `Go to ${cubeSlices(data, cube)}, ${count} cubes`,
    on: { click: () => on.goTo(data.firstSlice(cube)) },
  });
}

/**
 * The slabs of some cubes in time, with how many of the cubes each holds.
 * @param {Cube[]} cubes
 */
function slabsOf(cubes) {
  /** @type {Map<string, { cube: Cube, count: number }>} */
  const slabs = new Map();
  for (const cube of cubes) {
    const key = `${cube.video}/${cube.t0}`;
    slabs.set(key, { cube, count: (slabs.get(key)?.count ?? 0) + 1 });
  }
  return [...slabs.values()];
}
