/* What can be taken away: pictures, a film, tables, the trace, a report. */

import { button, el } from "../../viz/static/dom.js";
import { differenceLegend, drawnNow } from "./drawn.js";
import { comparedKey } from "./beside.js";
import { figuresInView, tablesInView } from "./figures.js";
import { paperPicture } from "./paper_picture.js";
import { figureUrl } from "./plots.js";
import { viewer } from "./run.js";
import { fetched } from "./server.js";
import { on } from "./signals.js";
import { messageOf } from "./status.js";

/** @import { Panel } from "../../viz/static/picture.js" */
/** @import { Result } from "./types.js" */

const PANELS = {
  overlay: "the video with its overlay",
  lanes: "the lanes",
  stack: "the 3-D stack",
  figures: "the figures in the open tab",
};
/** @type {[string, () => Promise<void>][]} */
const FILES = [
  ["Film with the overlay (MP4)", () => saveFilm("mp4")],
  ["Tables of the open tab (CSV)", saveTables],
  ["Trace (NPZ)", () => saveFile("trace.npz")],
  ["Report that opens offline (HTML)", () => saveFile("report.html")],
  ["Film with the overlay (GIF)", () => saveFilm("gif")],
];
/** @type {[string, string][]} */
const SHAPES = [
  ["clip", "as the clip"],
  ["square", "1:1"],
  ["wide", "16:9"],
];
const shape = el(
  "select",
  { "aria-label": "Shape of the film" },
  ...SHAPES.map(([value, text]) => el("option", { value, text })),
);
const KEEP_URL_MS = 60_000;

/** @type {Result | null} */
let result = null;

/** @param {HTMLElement} panel */
export function mountExport(panel) {
  const note = el("p", { class: "menu-note", role: "status", "aria-live": "polite" });
  const options = Object.entries(PANELS).map(([value, text]) => el("option", { value, text }));
  const choice = el("select", { "aria-label": "Picture of" }, ...options);
  const item = (/** @type {string} */ text, /** @type {() => Promise<void>} */ work) =>
    button(text, { disabled: true, on: { click: () => run(note, text, work) } });
  const pictures = ["PNG", "SVG"].map((format) =>
    item(format, () => savePicture(/** @type {Panel | "figures"} */ (choice.value), format === "SVG" ? "svg" : "png")),
  );
  const title = el("label", { class: "menu-title" }, "Picture of", choice);
  panel.append(
    el("div", { role: "group", "aria-label": "Picture" }, title, el("div", { class: "menu-row" }, ...pictures)),
    el("div", { role: "group", "aria-label": "File" }, ...FILES.map(([text, work]) => item(text, work))),
    el("label", { class: "menu-title" }, "Shape of the film", shape),
    note,
  );
  on("result", (newest) => {
    result = newest;
    for (const each of panel.querySelectorAll("button")) each.disabled = !newest;
  });
  panel.addEventListener("closed", () => {
    note.textContent = "";
  });
}

/**
 * @param {HTMLElement} note
 * @param {string} text
 * @param {() => Promise<void>} work
 */
async function run(note, text, work) {
  note.textContent = `Writing: ${text}…`;
  try {
    await work();
    note.textContent = `Saved: ${text}`;
  } catch (error) {
    note.textContent = messageOf(error);
  }
}

function resultInView() {
  if (!result) throw new Error("There is no result to save; ask a question first.");
  return result;
}

function snapshot() {
  const drawn = viewer().snapshot();
  if (!drawn) throw new Error("Nothing is drawn yet; ask a question first.");
  return drawn;
}

/**
 * @param {Blob} blob
 * @param {string} detail what the file's name says beside the video's
 */
function save(blob, detail) {
  const href = URL.createObjectURL(blob);
  el("a", { href, download: `${resultInView().stem}${detail}` }).click();
  setTimeout(() => URL.revokeObjectURL(href), KEEP_URL_MS);
}

/**
 * @param {string} name
 * @param {Record<string, string | number>} [query]
 * @param {string} [detail]
 * @param {string} [ending]
 */
async function saveFile(name, query = {}, detail = "", ending = name.split(".").at(-1)) {
  const response = await fetched(resultInView().key, name, query);
  save(await response.blob(), `${detail}.${ending}`);
}

/**
 * What the viewer shows: the film has the same cubes, by the same threshold, and says so under them.
 * @param {"mp4" | "gif"} format
 */
async function saveFilm(format) {
  const { layer, mode, query, words, compared } = snapshot();
  const kind = (query.word === undefined ? query.kind : words[query.word].kind) ?? "question";
  const detail = `-${mode}-layer-${layer}`;
  if (mode === "difference") {
    if (compared === "dropped") throw new Error("Films show which cubes or FFN tokens differ: choose one of them.");
    if (format !== "mp4") throw new Error("A difference is filmed as MP4 alone.");
    const look = { layer, kind, compared, own_legend: differenceLegend(viewer(), kind) };
    await saveFile("difference.mp4", { ...look, other: comparedKey() ?? "" }, detail);
  } else {
    const look = { layer, kind, mode, ...drawnNow(viewer()), shape: shape.value, format };
    await saveFile("overlay.mp4", look, detail, format);
  }
}

/**
 * @param {Panel | "figures"} panel
 * @param {"png" | "svg"} format
 */
async function savePicture(panel, format) {
  if (panel === "figures") {
    await saveFigures(format);
    return;
  }
  const blob = await paperPicture(viewer(), format, panel);
  if (!blob) throw new Error("That part of the viewer is hidden; show it first.");
  const { layer, slice } = snapshot();
  save(blob, `-${panel}-layer-${layer}-slice-${slice}.${format}`);
}

/** @param {string} format */
async function saveFigures(format) {
  for (const { name, place } of await figuresInView()) {
    save(await (await fetch(await figureUrl(place, format))).blob(), `-${name}.${format}`);
  }
}

async function saveTables() {
  for (const table of tablesInView()) {
    const { name } = table;
    if ("csv" in table) save(new Blob([table.csv], { type: "text/csv" }), `-${name}.csv`);
    else await saveFile("table.csv", { name, layer: table.layer, ...table.query }, `-${name}`);
  }
}
