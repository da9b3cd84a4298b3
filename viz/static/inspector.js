/* The panel of the held cube, or else of the held word: cubes and words, both ways. */

import { isKept } from "./choices.js";
import { button, el, press, scrollBox, segments, table } from "./dom.js";
import { percent, spans } from "./format.js";
import { standsFor } from "./notes.js";
import { MISSING, cubePlace, cubeSlices, shareText, spanTime, wordName } from "./texts.js";
import { tokensInside } from "./tokens.js";
import { isDrawn } from "./view.js";

/** @import { Cube } from "./types.js" */
/** @import { Parts } from "./parts.js" */
/** @import { SceneData } from "./scene.js" */
/** @import { DrawnView, FullView } from "./view.js" */

/** What the panel's buttons do.
    @typedef {object} InspectorEvents
    @property {(word: number) => void} pick
    @property {(slice: number) => void} goTo
    @property {(said: boolean) => void} said shows what a word attended to once it was said
    @property {(cube: number) => void} askCube shows what the tokens of a cube attend to
    @property {(cube: number) => void} join takes a cube to the others of the region, or out of it
    @property {() => void} release */

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

/**
 * Nothing was picked by anybody: the sentence says what is seen.
 * @param {Parts} parts
 */
export function hideInspector({ inspector }) {
  shownIn.delete(inspector);
  inspector.hidden = true;
  inspector.replaceChildren();
}

/** @param {DrawnView} view */
function panelKey({ data, pinned, held, said, layer, query, threshold, region }) {
  const known = [data.choices.version, data.choices.details.importance(layer) !== undefined];
  return JSON.stringify([region, pinned, held.word, said, layer, query.head, threshold, known]);
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
 * @param {...Node} more
 */
function panelHead(title, on, ...more) {
  const release = button("Let go", { on: { click: on.release } });
  return el("div", { class: "inspector-head" }, el("h2", { text: title }), ...more, release);
}

/**
 * @param {DrawnView} view
 * @param {Cube} cube
 * @param {InspectorEvents} on
 */
function cubePanel(view, cube, on) {
  const { data, layer, region } = view;
  const inside = tokensInside(view, cube);
  const recorded = data.nearestQueryCube(cube.index);
  const whose = recorded === cube.index ? "its own" : `the nearest recorded cube ${recorded}\u2019s`;
  const ask = button(`What ${whose} tokens read`, {
    disabled: recorded === null,
    on: { click: () => recorded !== null && on.askCube(recorded) },
  });
  const join = button("In the region", {
    "aria-pressed": String(region.includes(cube.index)),
    title: "Cubes that are taken together, for Ablate",
    on: { click: () => on.join(cube.index) },
  });
  const head = panelHead(`Cube ${cube.index}: ${cubePlace(data, cube)}`, on, join, ask);
  const users = usersOf(data, cube.index);
  const readsAll = data.scene.drawn_top_p != null;
  const none = readsAll
    ? "No word looks at it in any layer."
    : "No word of the question or the answer chose it in any layer.";
  if (!users.length) return [head, ...inside, el("p", { text: none })];
  const heads = ["Word", "Layers that used it", `Heads in layer ${layer}`, "Share"];
  const rows = users.map(({ word, byLayer }) => [
    wordLink(data, word, on),
    layersText(byLayer),
    headsText(data, byLayer[layer]),
    shareText(byLayer[layer] && byLayer[layer].length / data.scene.heads),
  ]);
  const caption = readsAll ? `Words that look at cube ${cube.index}` : `Words that chose cube ${cube.index}`;
  return [
    head,
    ...inside,
    scrollBox(caption, "scroll", table(el("caption", { class: "live", text: caption }), heads, rows)),
  ];
}

/**
 * The words that chose a cube in some layer, those that did most first, and those of which some layer is not known.
 * @param {SceneData} data
 * @param {number} cube
 */
function usersOf(data, cube) {
  const users = data.words.map((_, word) => {
    const byLayer = data.choices.headsByLayer(word, cube);
    return { word, byLayer, total: byLayer.reduce((sum, heads) => sum + (heads?.length ?? 0), 0) };
  });
  const shown = users.filter(({ byLayer }) => byLayer.some((heads) => heads === null || heads.length));
  return shown.sort((a, b) => b.total - a.total);
}

/**
 * The layers in which a word used a cube, and how many are not known.
 * @param {(number[] | null)[]} byLayer
 */
function layersText(byLayer) {
  const used = byLayer.flatMap((heads, layer) => (heads?.length ? [layer] : []));
  const unknown = byLayer.filter((heads) => heads === null).length;
  if (!unknown) return spans(used);
  return `${used.length ? `${spans(used)}; ` : ""}${unknown} of ${byLayer.length} layers ${MISSING}`;
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
 * @param {number[] | null} heads
 */
function headsText(data, heads) {
  if (heads === null) return MISSING;
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
  const answers = data.words[position].kind === "answer";
  const query = { ...view.held, ...(answers && view.said ? { said: true } : {}), head: view.query.head };
  const row = data.choices.row(query, layer);
  const kept = data.cubes.filter((cube) => isKept(row[cube.index], view.threshold));
  const slabs = slabsOf(kept);
  const times = slabs.slice(0, MOST_TIMES).map(({ cube, count }) => timeButton(data, cube, count, on));
  const more = slabs.length > MOST_TIMES ? [`and ${slabs.length - MOST_TIMES} more`] : [];
  const name = wordName(data.words[position]);
  const known = data.choices.knows(query, layer);
  const count = known ? `${kept.length} of ${data.cubes.length} cubes` : MISSING;
  const before = view.said ? "After it was said, " : "What produced ";
  const share = standsFor({ data, query, layer });
  const does = share === null || !known ? "keeps" : `has ${percent(share)} of its attention in`;
  const title = `${answers ? before : ""}\u201c${name}\u201d ${does} ${count} in layer ${layer}`;
  const group = { class: "times", role: "group", "aria-label": "Where its cubes lie in time" };
  const rows = answers ? [saidChoice(view.said, on)] : [];
  return [panelHead(title, on), ...rows, el("div", group, ...times, ...more)];
}

/**
 * Which of the two queries of a word of the answer is shown.
 * @param {boolean} said
 * @param {InspectorEvents} on
 */
function saidChoice(said, on) {
  /** @type {[string, string][]} */
  const choices = [
    ["produced", "What produced it"],
    ["said", "After it was said"],
  ];
  const group = segments("Which query", choices, (value) => on.said(value === "said"));
  press(group, said ? "said" : "produced");
  return group;
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
