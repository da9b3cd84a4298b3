/* Plotly: loaded when the first figure is in sight, then drawn into. */

import { el } from "../../viz/static/dom.js";
import { select } from "../../viz/static/selection.js";
import { fitted } from "./fit.js";

/** @import { Selected } from "../../viz/static/types.js" */
/** @import { Figure, PlotElement, Plotly } from "./types.js" */

/** Where a click on a point leads; elsewhere it leads nowhere. @typedef {(point: any) => Selected} PlaceOf */

/** @type {PlaceOf} */
const byLayer = ({ x }) => ({ layer: x });
/** @type {Partial<Record<string, PlaceOf>>} */
const PLACES = {
  selection_maps: ({ curveNumber, x }) => ({ layer: curveNumber, slice: Number(x) }),
  entropy_over_time: ({ pointIndex }) => ({ slice: pointIndex }),
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
  await plotly.react(place, figure.data, fitted(figure, place.clientWidth), CONFIG);
  const placeOf = PLACES[name];
  if (!placeOf) return;
  const plot = /** @type {PlotElement} */ (place);
  plot.removeAllListeners("plotly_click");
  plot.on("plotly_click", ({ points: [point] }) => select(placeOf(point)));
}

/** @param {HTMLElement} place */
export function clearPlot(place) {
  window.Plotly?.purge(place);
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
