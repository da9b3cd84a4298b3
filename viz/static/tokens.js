/* What is inside a cube: its tokens, slice by slice, which of them pass through the FFN and how much each matters. */

import { el } from "./dom.js";
import { MISSING, timeRange } from "./texts.js";

/** @import { Cube } from "./types.js" */
/** @import { SceneData } from "./scene.js" */
/** @import { DrawnView } from "./view.js" */

const MOST_TOKENS = 256;

/**
 * A heading, and a table of rows and columns for each slice of the cube.
 * @param {DrawnView} view
 * @param {Cube} cube
 * @returns {Node[]}
 */
export function tokensInside({ data, layer }, cube) {
  const mask = data.choices.ffnRow(layer);
  const tokens = data.tokensOf(cube);
  const passing = mask ? `${tokens.filter((token) => mask[token]).length} of ${tokens.length}` : MISSING;
  const heading = el("h3", { text: `Tokens that pass through the FFN in layer ${layer}: ${passing}` });
  if (!mask || tokens.length > MOST_TOKENS) return [heading];
  const importance = importanceOf(data, layer);
  const slices = Array.from({ length: data.endSlice(cube) - data.firstSlice(cube) }, (_, at) =>
    sliceTable(data, cube, data.firstSlice(cube) + at, { mask, importance }),
  );
  const note = "Filled: passes. The number is its importance over the mean of the cube; \u2264 1 lies below that.";
  return [heading, el("div", { class: "tokens" }, ...slices), el("p", { class: "tokens-note", text: note })];
}

/**
 * Importance over the mean of the cube, as text, by token.
 * @param {SceneData} data
 * @param {number} layer
 * @returns {(token: number) => string}
 */
function importanceOf(data, layer) {
  const excess = data.choices.details.importance(layer);
  return (token) => {
    if (!excess) return "";
    const { values, top, above } = excess;
    if (!values[token]) return "\u2264 1";
    return `${values[token] === top ? "\u2265 " : ""}${(1 + (values[token] / top) * above).toFixed(2)}`;
  };
}

/**
 * @param {SceneData} data
 * @param {Cube} cube
 * @param {number} slice
 * @param {{ mask: ArrayLike<number>, importance: (token: number) => string }} of
 */
function sliceTable(data, cube, slice, { mask, importance }) {
  const columns = Array.from({ length: cube.c1 - cube.c0 }, (_, at) => cube.c0 + at);
  const head = columns.map((column) => el("th", { scope: "col", text: column }));
  const rows = Array.from({ length: cube.r1 - cube.r0 }, (_, at) => {
    const row = cube.r0 + at;
    const cells = columns.map((column) => {
      const token = data.token(slice, row, column);
      const does = mask[token] ? "passes" : "skips";
      return el("td", { class: does, title: `Token ${token} ${does} the FFN`, text: importance(token) || "\u00b7" });
    });
    return el("tr", {}, el("th", { scope: "row", text: row }), ...cells);
  });
  const caption = el("caption", { text: `Slice ${slice}, ${timeRange({ data, slice })}` });
  const corner = el("td", { "aria-label": "Row and column" });
  return el("table", {}, caption, el("thead", {}, el("tr", {}, corner, ...head)), el("tbody", {}, ...rows));
}
