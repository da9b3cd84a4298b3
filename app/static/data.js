/* The Data tab: the table twin of each figure, in full as CSV. */

import { el, scrollBox, table } from "../../viz/static/dom.js";
import { address, fetched, filePath } from "./server.js";
import { messageOf } from "./status.js";

/** @import { Result } from "./types.js" */

/** Whose choices, as an address names them. @typedef {Record<string, string | number>} Asked */
/** A row of a figure's table. @typedef {Record<string, unknown>} Row */

const MOST_ROWS = 200;
const choice = el("select", { "aria-label": "Table", on: { change: () => show() } });
const file = el("a", { class: "table-file", text: "As CSV", hidden: true });
const note = el("p", { class: "table-note", role: "status" });
const place = scrollBox("Rows", "table-scroll");
/** What is asked for, and what is shown: key, name and layer. */
const data = { key: "", layer: 0, query: /** @type {Asked} */ ({}), shown: "" };

/**
 * @param {HTMLElement} body
 * @param {string[]} names of the figures
 */
export function mountData(body, names) {
  choice.append(...names.map((name) => el("option", { value: name, text: titleOf(name) })));
  body.append(el("label", { class: "table-choice" }, "The numbers of ", choice, file), note, place);
  choice.value = "layer_density";
}

/** @param {string} name */
function titleOf(name) {
  const words = name.replaceAll("_", " ").replace("ffn", "FFN").replace("flops", "FLOPs and time");
  return words[0].toUpperCase() + words.slice(1);
}

/**
 * The table of a result (null: none), of one layer where it is one layer's, with what is looked at.
 * @param {Result | null} result
 * @param {number} layer
 * @param {Asked} query
 */
export function showData(result, layer, query) {
  Object.assign(data, { key: result ? result.key : "", layer, query });
  if (data.key) show();
  else clear("");
}

async function show() {
  const name = choice.value;
  const asked = JSON.stringify([data.key, name, data.layer, data.query]);
  if (!data.key || asked === data.shown) return;
  data.shown = asked;
  const query = { name, layer: data.layer, ...data.query };
  const href = address(filePath(data.key, "table.csv", query));
  Object.assign(file, { href, download: `${name}.csv`, hidden: false });
  try {
    const rows = await (await fetched(data.key, "table.json", query)).json();
    if (asked === data.shown) fill(titleOf(name), rows);
  } catch (error) {
    clear(messageOf(error));
  }
}

/** @param {string} text */
function clear(text) {
  data.shown = "";
  file.hidden = true;
  note.textContent = text;
  place.replaceChildren();
}

/**
 * @param {string} title
 * @param {Row[]} rows
 */
function fill(title, rows) {
  const columns = Object.keys(rows[0] ?? {});
  const more = `The first ${MOST_ROWS} of ${rows.length} rows; the CSV has them all.`;
  if (rows.length) note.textContent = rows.length > MOST_ROWS ? more : "";
  else note.textContent = "This run has no such numbers.";
  const cells = rows.slice(0, MOST_ROWS).map((row) => columns.map((column) => cellText(row[column])));
  place.replaceChildren(table(el("caption", { text: title }), columns, cells));
}

/** @param {unknown} value */
function cellText(value) {
  if (value == null) return "";
  return typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(4))) : String(value);
}

/** The table that the Data tab shows. */
export function tableInView() {
  return { name: choice.value, layer: data.layer, query: data.query };
}
