/* Plotly: loaded when the first figure is in sight, then drawn into. */

import { el } from "../../viz/static/dom.js";
import { select } from "../../viz/static/selection.js";
import { inOtherWords } from "./figure_language.js";
import { fitted } from "./fit.js";
import { inLanguage } from "./language.js";

/** @import { Selected } from "../../viz/static/types.js" */
/** @import { Figure, PlotElement, Plotly } from "./types.js" */

/** Where a click on a point leads; elsewhere it leads nowhere. @typedef {(point: any) => Selected} PlaceOf */

/** @type {PlaceOf} */
const byLayer = ({ x }) => ({ layer: x });
/** @type {Partial<Record<string, PlaceOf>>} */
const PLACES = {
  selection_maps: ({ curveNumber, x }) => ({ layer: curveNumber, slice: Number(x) }),
  entropy_over_time: ({ pointIndex }) => ({ slice: pointIndex }),
  heads_by_layer: ({ x, y }) => ({ layer: x, head: y }),
  entropy_by_layer: byLayer,
  effective_cubes: byLayer,
  layer_statistics: byLayer,
  layer_density: byLayer,
  concentration: byLayer,
  ffn_inertia: byLayer,
};
const CONFIG = {
  responsive: true,
  displaylogo: false,
  scrollZoom: false,
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]], // none that leaves the page
};

/** @type {Promise<Plotly> | null} */
let loading = null;

/**
 * @param {string} url of plotly.js
 * @returns {Promise<Plotly>}
 */
export function loadPlotly(url) {
  loading ??= new Promise((resolve, reject) => {
    const lost = () => reject(new Error("The figures' library did not load; reload the page."));
    const load = () => (window.Plotly ? resolve(window.Plotly) : lost());
    document.head.append(el("script", { src: url, on: { load, error: lost } }));
  });
  return loading;
}

/**
 * @param {Plotly} plotly
 * @param {HTMLElement} place
 * @param {string} name
 * @param {Figure} figure
 */
export async function drawPlot(plotly, place, name, figure) {
  place.setAttribute("role", "group");
  place.setAttribute("aria-label", figure.layout.title?.text || name);
  inOtherWords(figure, inLanguage);
  const layout = fitted(figure, place.clientWidth);
  await withoutBase(() => plotly.react(place, figure.data, layout, CONFIG));
  tell(place, figure.layout.meta?.caption ?? "");
  const placeOf = PLACES[name];
  if (!placeOf) return;
  const plot = /** @type {PlotElement} */ (place);
  plot.removeAllListeners("plotly_click");
  plot.on("plotly_click", ({ points: [point] }) => select(placeOf(point)));
}

/**
 * Where a page has a <base>, plotly names colours and clips by the page's address at that moment, and the address
 * changes with the view: its colour bars would lose their colours. It looks as a figure is first drawn.
 * @template T
 * @param {() => T} draw
 * @returns {T}
 */
function withoutBase(draw) {
  const base = document.querySelector("base");
  const address = base?.getAttribute("href");
  base?.removeAttribute("href");
  try {
    return draw();
  } finally {
    if (address) base?.setAttribute("href", address);
  }
}

/** @param {HTMLElement} place */
export function clearPlot(place) {
  window.Plotly?.purge(place);
  tell(place, "");
}

/**
 * The sentence under a figure.
 * @param {HTMLElement} place
 * @param {string} text
 */
function tell(place, text) {
  const caption = place.parentElement?.querySelector("figcaption");
  if (caption) caption.textContent = text;
}

const MARK = { width: 2, dash: "dot" };
/** Seen on dark cells and on bright ones: light dots on a dark line. */
const MARKS_ON_CELLS = [
  { width: 4, color: "rgba(0, 0, 0, 0.55)" },
  { ...MARK, color: "#ffffff" },
];

/** What is looked at: a head or the mean of all.
    @typedef {{ layer: number, slice: number, head: number | null }} Place */

/**
 * Mark the layer, the slice and the head in view.
 * @param {HTMLElement} place of a drawn figure
 * @param {string} name
 * @param {Place} at
 */
export function markPlot(place, name, at) {
  const plot = /** @type {PlotElement} */ (place);
  if (!plot.data || !window.Plotly) return;
  const shapes = shapesOf(plot, name, at);
  const key = JSON.stringify(shapes);
  if (plot.dataset.marks === key && plot.layout.shapes?.length === shapes.length) return;
  plot.dataset.marks = key;
  window.Plotly.relayout(plot, { shapes });
}

/**
 * @param {PlotElement} plot
 * @param {string} name
 * @param {Place} at
 * @returns {object[]}
 */
function shapesOf({ data, layout }, name, { layer, slice, head }) {
  const frame = { type: "rect", line: { width: 2.5, color: layout.font?.color } };
  const ends = [...new Set(data.map((/** @type {any} */ { xaxis }) => (xaxis ?? "x").slice(1)))];
  const lines = data[0]?.type === "heatmap" ? MARKS_ON_CELLS : [{ ...MARK, color: layout.font?.color }];
  const upright = (/** @type {number | string} */ x, /** @type {string} */ end) => {
    const where = { xref: `x${end}`, yref: `y${end} domain`, x0: x, x1: x, y0: 0, y1: 1 };
    return lines.map((line) => ({ type: "line", line, ...where }));
  };
  if (PLACES[name] === byLayer) return ends.flatMap((end) => upright(layer, end));
  if (name === "heads_by_layer") {
    if (!data.length) return [];
    const level = { type: "line", xref: "x domain", x0: 0, x1: 1, y0: head, y1: head };
    return [...upright(layer, ""), ...(head === null ? [] : lines.map((line) => ({ ...level, line })))];
  }
  if (name === "entropy_over_time") return upright(data[0].x[slice], "");
  if (name === "selection_maps" && data[layer]) {
    const { xaxis, x } = data[layer];
    const end = (xaxis ?? "x").slice(1);
    const slab = x.findLastIndex((/** @type {string} */ first) => Number(first) <= slice);
    const whole = { xref: `x${end} domain`, yref: `y${end} domain`, x0: 0, x1: 1, y0: 0, y1: 1 };
    return [{ ...frame, ...whole }, ...upright(slab, end)];
  }
  const places = /** @type {number[][]} */ (layout.meta?.places ?? []);
  const [, x0, y0, x1, y1] = places.findLast(([first]) => first <= slice) ?? [];
  return x0 === undefined ? [] : [{ ...frame, x0, y0, x1, y1 }];
}

/**
 * A drawn figure as an address of its picture.
 * @param {HTMLElement} place
 * @param {string} format "png" or "svg"
 */
export async function figureUrl(place, format) {
  const { width, height } = place.getBoundingClientRect();
  if (!window.Plotly) throw new Error("The figures' library did not load; reload the page.");
  return window.Plotly.toImage(place, { format, width, height, scale: format === "png" ? 2 : 1 });
}
