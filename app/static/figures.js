/* The figures under the viewer: each drawn when it is in sight, from the newest result. */

import { find } from "../../viz/static/dom.js";
import { onSelect } from "../../viz/static/selection.js";
import { tabWanted } from "./address.js";
import { mountAblate } from "./ablate.js";
import { mountAbout } from "./about.js";
import { mountCompare } from "./compare.js";
import { mountData, showData, tableInView } from "./data.js";
import { mountHistory } from "./history.js";
import { keepPanel, panelWas } from "./panels.js";
import { mountPaper } from "./paper.js";
import { clearPlot, drawPlot, loadPlotly, markPlot } from "./plots.js";
import { mountReal } from "./real.js";
import { viewer } from "./run.js";
import { fetched } from "./server.js";
import { emit, on } from "./signals.js";
import { messageOf, say } from "./status.js";
import { TABS, Tabs } from "./tabs.js";
import { isDark } from "./theme.js";

/** @import { FiguresProps, Mounted, Result } from "./types.js" */

const OF_ONE_LAYER = new Set(["selection_map", "ffn_masks", "entropy_over_time"]);
const OF_THE_QUERY = new Set([
  ...["selection_maps", "selection_map", "entropy_by_layer", "effective_cubes", "layer_statistics", "heads_by_layer"],
  "concentration",
]);
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
  tabs = new Tabs(find(element, "[role=tablist]"), find(element, ".figure-panels"), props.words, () => {
    emit("tab", TABS[tabs.open].title);
    keepPanel("tab", TABS[tabs.open].title);
    refresh();
  });
  mountData(
    tabs.bodyOf("Data"),
    TABS.flatMap(({ figures }) => figures),
  );
  mountCompare(tabs.bodyOf("Compare"), props.rivals, trigger);
  mountAblate(tabs.bodyOf("Ablate"), trigger);
  watch("value", () => props.value && emit("beside", props.value));
  mountHistory(tabs.bodyOf("History"));
  mountReal(tabs.bodyOf("A real answer"), props, trigger);
  mountPaper(tabs.bodyOf("Paper and results"), plotlyUrl, props.code_url);
  /** @type {HTMLTemplateElement} */
  const how = find(element, "template");
  tabs.bodyOf("How it works").append(how.content);
  mountAbout(tabs.bodyOf("About this server"), props.limits);
  tabs.select(
    Math.max(
      0,
      TABS.findIndex(({ title }) => title === (tabWanted() || panelWas("tab"))),
    ),
  );
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
    tabs.sayWaiting(newest !== null);
    if (!newest) clear();
    refresh();
  });
  on("theme", refresh);
  on("language", refresh);
  onSelect(({ layer: selected }) => follow(selected));
  document.addEventListener("adaspark:view", () => follow(layer)); // the viewer may come later
}

/**
 * The viewer owns the layer and the query; figures of them, and marks, follow once it rests.
 * @param {number | undefined} selected
 */
function follow(selected) {
  if (selected === undefined) return;
  layer = selected;
  clearTimeout(timer);
  timer = setTimeout(refresh, LAYER_RESTS_MS);
}

/** @returns {HTMLElement[]} */
function plotsInView() {
  return [...tabs.bodies[tabs.open].querySelectorAll(".plot[data-figure]")].map(
    (plot) => /** @type {HTMLElement} */ (plot),
  );
}

/** Draw what is open and in sight; what is drawn already for this run, layer and theme stays. */
async function refresh() {
  const shown = result;
  if (!shown || !visible) return;
  if (TABS[tabs.open].title === "Data") showData(shown, layer, viewer().asked);
  try {
    await Promise.all(plotsInView().map((place) => fill(place, shown)));
    const { slice, head } = viewer().view;
    const at = { layer, slice, head };
    for (const place of plotsInView()) markPlot(place, place.dataset.figure ?? "", at);
  } catch (error) {
    say(messageOf(error));
  }
}

/**
 * Resolves once a figure is drawn for the run, layer, theme and language in force.
 * @param {HTMLElement} place
 * @param {Result} of
 */
function fill(place, { key }) {
  const name = place.dataset.figure ?? "";
  const asked = OF_THE_QUERY.has(name) ? viewer().asked : {};
  const query = { name, layer: OF_ONE_LAYER.has(name) ? layer : 0, theme: isDark() ? "dark" : "light", ...asked };
  const of = JSON.stringify([key, query, document.documentElement.lang]);
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
    for (const plot of body.querySelectorAll(".plot[data-figure]")) {
      const place = /** @type {HTMLElement} */ (plot);
      if (drawnFor.delete(place.dataset.figure ?? "")) clearPlot(place);
    }
  }
  showData(null, 0, {});
}

/** The figures of the open tab, drawn: what exports of figures are made of. */
export async function figuresInView() {
  const shown = result;
  const places = plotsInView();
  if (!places.length || !shown) throw new Error("The open tab has no figure; open another one.");
  await Promise.all(places.map((place) => fill(place, shown)));
  return places.map((place) => ({ name: place.dataset.figure ?? "", place }));
}

/** The tables of the open tab: those of its figures, the one that the Data tab shows, or what stands in it. */
export function tablesInView() {
  const { figures, title } = TABS[tabs.open];
  if (title === "Data") return [tableInView()];
  const written = [...tabs.bodies[tabs.open].querySelectorAll("table")].map(tableText);
  if (!figures.length && !written.length) throw new Error("The open tab has no table; open another one.");
  return [...figures.map((name) => ({ name, layer, query: viewer().asked })), ...written];
}

/** @param {HTMLTableElement} table */
function tableText(table) {
  const words = (table.caption?.textContent ?? "").toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ["table"];
  const name = words.join("-");
  const rows = [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent ?? ""));
  const csv = rows.map((row) => row.map((text) => `"${text.replaceAll('"', '""')}"`).join(",")).join("\r\n");
  return { name, csv };
}
