/* State -> screen: pictures, pressed buttons, texts that changed, the live region. */

import { fitCanvas } from "./canvas.js";
import { choicesOf, el, press, setText } from "./dom.js";
import { percent } from "./format.js";
import { hideInspector, renderInspector } from "./inspector.js";
import { drawLanes } from "./lanes.js";
import { legendOf } from "./legend.js";
import { drawOverlay } from "./overlay.js";
import { SHOWN } from "./ranges.js";
import { sentenceOf } from "./sentence.js";
import { lensNote, previewNote } from "./notes.js";
import { factsOf, keptCount, laneLabel, laneTitle, layerFactsOf, timeRange } from "./texts.js";
import { fullView, isDrawn } from "./view.js";
import { renderWords } from "./words.js";
import { windowOf } from "./zoom.js";

/** @import { Clock } from "./clock.js" */
/** @import { Kind } from "./types.js" */
/** @import { Parts } from "./parts.js" */
/** @import { DrawnView, FullView } from "./view.js" */
/** @import { Viewer } from "./viewer.js" */

const PATIENCE_MS = 300;

/** @param {Viewer} viewer */
export function renderViewer(viewer) {
  const { parts, data } = viewer;
  const view = fullView(viewer);
  Object.assign(parts.root.dataset, {
    layer: view.layer,
    slice: view.slice,
    mode: view.chosen,
    head: view.query.head ?? "mean",
    tier: tierOf(view),
  });
  parts.root.toggleAttribute("data-drawn", Boolean(data));
  renderChoices(parts, view, Boolean(viewer.other?.dropped));
  renderHeads(parts, view);
  renderDials(parts, view);
  renderTransport(parts, viewer.clock);
  renderPictures(viewer, view);
  if (isDrawn(view)) renderWords(parts, view);
  if (!viewer.firstLook?.holds || view.pinned !== null) renderInspector(parts, view, viewer.on);
  else hideInspector(parts);
  renderTexts(parts, view);
}

/**
 * @param {Parts} parts
 * @param {FullView} view
 * @param {boolean} canShowDropped the run is compared with a dense one
 */
function renderChoices(parts, view, canShowDropped) {
  press(parts.modes, view.chosen);
  press(parts.kinds, view.held.word === undefined ? view.held.kind : null);
  press(parts.compared, view.compared);
  for (const choice of choicesOf(parts.kinds)) {
    choice.disabled = !view.data?.kinds.includes(/** @type {Kind} */ (choice.dataset.value));
  }
  parts.compared.hidden = view.chosen !== "difference";
  for (const choice of choicesOf(parts.compared)) {
    if (choice.dataset.value === "dropped") choice.hidden = !canShowDropped;
  }
}

/**
 * @param {Parts} parts
 * @param {FullView} view
 */
function renderHeads({ head }, view) {
  const heads = view.data?.scene.heads ?? 0;
  if (head.options.length !== heads + 1) {
    const options = Array.from({ length: heads }, (_, i) => el("option", { value: i, text: `head ${i}` }));
    head.replaceChildren(el("option", { value: "", text: "all heads" }), ...options);
  }
  head.value = String(view.query.head ?? "");
  head.disabled = !heads || view.kind === "video";
  head.title =
    view.kind === "video"
      ? "The heads of video tokens are not recorded apart"
      : "One attention head, or the mean of all";
}

/**
 * @param {Viewer} viewer
 * @param {FullView} view
 */
function renderPictures({ parts, rect, stack }, view) {
  if (!rect) return;
  const area = fitCanvas(parts.overlay, rect.width, rect.height);
  const grey = fitCanvas(parts.grey, rect.width, rect.height);
  for (const canvas of [parts.overlay, parts.grey]) canvas.style.opacity = String(view.opacity);
  parts.stage.classList.toggle("plain", !parts.video.videoWidth);
  parts.stackBox.hidden = !view.spatial || !isDrawn(view);
  if (!isDrawn(view)) return;
  drawOverlay(area, grey, view);
  const height = Math.min(200, Math.max(72, view.data.layers * 14));
  parts.lanes.style.height = `${height}px`; // on the whole screen they are as high as that leaves room
  drawLanes(parts.lanes, view, parts.lanes.clientWidth, parts.lanes.clientHeight);
  if (view.spatial) stack.draw(view, parts.video);
}

/**
 * @param {Parts} parts
 * @param {FullView} view
 */
function renderDials(parts, view) {
  const { layer, threshold, opacity } = parts;
  layer.input.max = String(Math.max((view.data?.layers ?? 1) - 1, 0));
  layer.input.value = String(view.layer);
  setText(layer.output, view.data ? `${view.layer}, of ${view.data.layers}` : "");
  threshold.input.value = String(Math.round(view.threshold * 100));
  setText(threshold.output, `${Math.max(1, Number(threshold.input.value))} %`); // as the legend says
  parts.usual.setAttribute("aria-pressed", String(view.fixed === null));
  parts.full.setAttribute("aria-pressed", String(view.full));
  parts.apart.setAttribute("aria-pressed", String(view.apart));
  parts.apart.hidden = view.mode === "ffn" || view.chosen === "difference" || !view.data?.sinks.values.includes(1);
  parts.full.hidden = view.mode === "ffn";
  parts.zoomIn.disabled = !view.data || windowOf({ data: view.data, zoom: view.zoom })[1] < 2;
  parts.zoomOut.disabled = view.zoom === null;
  threshold.row.hidden = ["heat", "ffn", "dropped"].includes(view.mode);
  opacity.input.value = String(Math.round(view.opacity * 100));
  setText(opacity.output, `${opacity.input.value} %`);
  parts.spatial.setAttribute("aria-pressed", String(view.spatial));
}

/**
 * @param {Parts} parts
 * @param {Clock} clock
 */
function renderTransport(parts, clock) {
  parts.play.dataset.icon = clock.playing ? "pause" : "play";
  parts.play.setAttribute("aria-label", clock.playing ? "Pause" : "Play");
  parts.seek.max = String(clock.duration || 1);
  parts.seek.value = String(clock.time);
  parts.seek.setAttribute("aria-valuetext", `${clock.time.toFixed(2)} s`);
  setText(parts.clock, `${clock.time.toFixed(2)} / ${clock.duration.toFixed(2)} s`);
}

/**
 * @param {Parts} parts
 * @param {FullView} view
 */
function renderTexts(parts, view) {
  const drawn = isDrawn(view) ? view : null;
  const settings = view.data?.choices.settings ?? null;
  setText(parts.facts, view.data ? factsOf({ data: view.data, slice: view.slice }) : "");
  setText(parts.sentence, drawn ? sentenceOf(drawn) : "");
  setText(parts.layerFacts, drawn ? layerFactsOf(drawn) : "");
  parts.tier.hidden = !settings && !(drawn && parts.root.dataset.state === "ready");
  setText(parts.tier, tierOf(view));
  const notes = drawn ? [settings ? previewNote(drawn, settings) : "", lensNote(drawn)] : [];
  const note = notes.filter(Boolean).join(" ");
  parts.note.hidden = !note;
  setText(parts.note, note);
  setText(parts.laneTitle, drawn ? laneTitle(drawn) : "");
  parts.lanes.setAttribute("aria-label", drawn ? laneLabel(drawn) : "No lanes yet");
  const legend = drawn ? legendOf(drawn) : [];
  const written = legend.map((part) => part.textContent).join("");
  if (parts.legend.textContent !== written) parts.legend.replaceChildren(...legend);
  if (!drawn) {
    silence(parts);
    return;
  }
  renderLaneScales(parts, drawn);
  announce(parts, drawn);
}

/** What the scales of each viewer's lanes say: they are rebuilt only when it changes.
    @type {WeakMap<Element, string>} */
const scalesOf = new WeakMap();

/**
 * @param {Parts} parts
 * @param {DrawnView} view
 */
function renderLaneScales(parts, view) {
  const { data, laneTop, full } = view;
  const [first, end] = windowOf(view);
  const key = [
    view.mode === "ffn",
    data.layers,
    first,
    end,
    laneTop,
    full,
    data.startOf(first),
    data.startOf(end - 1),
  ].join();
  if (scalesOf.get(parts.laneBox) === key) return;
  scalesOf.set(parts.laneBox, key);
  const ends = [first, end - 1].map((slice) => {
    const start = data.startOf(slice);
    return el("span", { text: `slice ${slice}${start === null ? "" : `, ${start.toFixed(1)} s`}` });
  });
  parts.laneTimes.replaceChildren(...ends);
  const layers = layerTicks(data.layers);
  parts.laneLayers.replaceChildren(...layers.map((layer) => el("span", { text: layer })));
  parts.laneLayers.classList.toggle("each", layers.length === data.layers);
  if (view.mode === "ffn") {
    const above = data.ffnPeaks?.above ?? 0;
    parts.laneScale.replaceChildren("mean", el("i"), `\u2265 ${(1 + above).toFixed(2)} \u00d7`);
    parts.laneScale.title = "Importance of the most important token of a slice against its cube\u2019s mean";
    return;
  }
  const isAll = full || laneTop >= 1; // nothing lies beyond
  parts.laneScale.replaceChildren("0", el("i"), `${isAll ? "" : "\u2265 "}${percent(laneTop)}`);
  const stated = `${percent(SHOWN)} of the shares above 0 lie below ${percent(laneTop)}; those beyond have its colour`;
  parts.laneScale.title = isAll ? "" : stated;
}

/**
 * What the pictures are: the run's own, what its scores give at other thresholds, or its own for want of that.
 * @param {FullView} view
 */
function tierOf(view) {
  if (!view.data?.choices.settings) return "exact";
  return view.previewed ? "preview" : "recorded";
}

const MOST_TICKS = 7;

/**
 * The layers that are named beside the lanes, the last one first.
 * @param {number} layers
 */
function layerTicks(layers) {
  const count = Math.min(layers, MOST_TICKS);
  return Array.from({ length: count }, (_, i) => Math.round(((layers - 1) * (count - 1 - i)) / Math.max(count - 1, 1)));
}

/** @type {WeakMap<Element, ReturnType<typeof setTimeout>>} */
const announcements = new WeakMap();

/**
 * Nothing is drawn: there is nothing to say of it.
 * @param {Parts} parts
 */
function silence({ live }) {
  clearTimeout(announcements.get(live));
  setText(live, "");
}

/**
 * Say where we are once things are still: not at every frame of a playing video.
 * @param {Parts} parts
 * @param {DrawnView} view
 */
function announce({ live }, view) {
  const preview = view.previewed ? "Preview. " : "";
  const text = `${preview}Layer ${view.layer}, slice ${view.slice}, ${timeRange(view)}${keptCount(view)}`;
  clearTimeout(announcements.get(live));
  announcements.set(
    live,
    setTimeout(() => setText(live, text), PATIENCE_MS),
  );
}
