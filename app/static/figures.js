/* The figures under the viewer: each drawn when it is in sight, from the newest result. */

import { find } from "../../viz/static/dom.js";
import { onSelect } from "../../viz/static/selection.js";
import { mountAblate } from "./ablate.js";
import { mountCompare } from "./compare.js";
import { mountData, showData, tableInView } from "./data.js";
import { clearPlot, drawPlot, loadPlotly } from "./plots.js";
import { fetched } from "./server.js";
import { emit, on } from "./signals.js";
import { messageOf, say } from "./status.js";
import { TABS, Tabs } from "./tabs.js";
import { isDark } from "./theme.js";

/** @import { FiguresProps, Mounted, Result } from "./types.js" */

const OF_ONE_LAYER = new Set(["selection_map", "ffn_masks", "entropy_over_time"]);
const LAYER_RESTS_MS = 120;

/** @type {Tabs} */
let tabs;
let plotlyUrl = "";
/** @type {Result | null} */
let result = null;
let layer = 0;
let visible = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
/** What each figure was last drawn for, and when that is done.
    @type {Map<string, { of: string, done: Promise<void> }>} */
const drawnFor = new Map();

/**
 * @param {HTMLElement} element
 * @param {Mounted<FiguresProps>} mounted
 */
export function mountFigures(element, { props, trigger, watch }) {
  plotlyUrl = props.plotly_url;
  tabs = new Tabs(find(element, "[role=tablist]"), find(element, ".figure-panels"), props.words, refresh);
  mountData(
    tabs.bodyOf("Data"),
    TABS.flatMap(({ figures }) => figures),
  );
  mountCompare(tabs.bodyOf("Compare"), props.rivals, trigger);
  mountAblate(tabs.bodyOf("Ablate"), trigger);
  watch("value", () => props.value && emit("beside", props.value));
  /** @type {HTMLTemplateElement} */
  const how = find(element, "template");
  tabs.bodyOf("How it works").append(how.content);
  tabs.select(0);
  const sight = new IntersectionObserver(
    ([entry]) => {
      visible = entry.isIntersecting;
      refresh();
    },
    { rootMargin: "80px" },
  );
  sight.observe(element);
  on("result", (newest) => {
    result = newest;
    if (!newest) clear();
    refresh();
  });
  on("theme", refresh);
  onSelect(({ layer: selected }) => follow(selected));
}

/**
 * The viewer owns the layer; figures of one layer follow it once it rests.
 * @param {number | undefined} selected
 */
function follow(selected) {
  if (selected === undefined || selected === layer) return;
  layer = selected;
  clearTimeout(timer);
  timer = setTimeout(refresh, LAYER_RESTS_MS);
}

/** @returns {HTMLElement[]} */
function plotsInView() {
  return [...tabs.bodies[tabs.open].querySelectorAll(".plot")].map((plot) => /** @type {HTMLElement} */ (plot));
}

/** Draw what is open and in sight; what is drawn already for this run, layer and theme stays. */
async function refresh() {
  const shown = result;
  if (!shown || !visible) return;
  if (TABS[tabs.open].title === "Data") showData(shown, layer);
  try {
    await Promise.all(plotsInView().map((place) => fill(place, shown)));
  } catch (error) {
    say(messageOf(error));
  }
}

/**
 * Resolves once a figure is drawn for the run, layer and theme in force.
 * @param {HTMLElement} place
 * @param {Result} of
 */
function fill(place, { key }) {
  const name = place.dataset.figure ?? "";
  const query = { name, layer: OF_ONE_LAYER.has(name) ? layer : 0, theme: isDark() ? "dark" : "light" };
  const of = [key, query.layer, query.theme].join();
  const last = drawnFor.get(name);
  if (last?.of === of) return last.done;
  const done = draw(place, name, of, key, query);
  drawnFor.set(name, { of, done });
  return done;
}

/**
 * @param {HTMLElement} place
 * @param {string} name
 * @param {string} of
 * @param {string} key
 * @param {{ name: string, layer: number, theme: string }} query
 */
async function draw(place, name, of, key, query) {
  const ready = loadPlotly(plotlyUrl);
  try {
    const figure = await (await fetched(key, "figure.json", query)).json();
    const plotly = await ready;
    if (drawnFor.get(name)?.of === of) await drawPlot(plotly, place, name, figure);
  } catch (error) {
    if (drawnFor.get(name)?.of === of) drawnFor.delete(name); // a later look asks again
    throw error;
  }
}

function clear() {
  for (const body of tabs.bodies) {
    for (const plot of body.querySelectorAll(".plot")) {
      const place = /** @type {HTMLElement} */ (plot);
      if (drawnFor.delete(place.dataset.figure ?? "")) clearPlot(place);
    }
  }
  showData(null, 0);
}

/** The figures of the open tab, drawn: what exports of figures are made of. */
export async function figuresInView() {
  const shown = result;
  const places = plotsInView();
  if (!places.length || !shown) throw new Error("The open tab has no figure; open another one.");
  await Promise.all(places.map((place) => fill(place, shown)));
  return places.map((place) => ({ name: place.dataset.figure ?? "", place }));
}

/** The tables of the open tab: those of its figures, or the one that the Data tab shows. */
export function tablesInView() {
  const { figures } = TABS[tabs.open];
  return figures.length ? figures.map((name) => ({ name, layer })) : [tableInView()];
}
