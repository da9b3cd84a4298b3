/* State -> screen: pictures, pressed buttons, texts that changed, the live region. */

import { fitCanvas } from "./canvas.js";
import { choicesOf, el, press, setText } from "./dom.js";
import { percent } from "./format.js";
import { renderInspector } from "./inspector.js";
import { drawLanes } from "./lanes.js";
import { legendOf } from "./legend.js";
import { drawOverlay } from "./overlay.js";
import { factsOf, keptCount, laneLabel, laneTitle, layerFactsOf, previewNote, timeRange } from "./texts.js";
import { fullView, isDrawn } from "./view.js";
import { renderWords } from "./words.js";

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
    mode: view.mode,
    head: view.query.head ?? "mean",
    tier: data?.choices.settings ? "preview" : "exact",
  });
  parts.root.toggleAttribute("data-drawn", Boolean(data));
  renderChoices(parts, view);
  renderHeads(parts, view);
  renderDials(parts, view);
  renderTransport(parts, viewer.clock);
  renderPictures(viewer, view);
  if (isDrawn(view)) renderWords(parts, view);
  renderInspector(parts, view, viewer.on);
  renderTexts(parts, view);
}

/**
 * @param {Parts} parts
 * @param {FullView} view
 */
function renderChoices(parts, view) {
  press(parts.modes, view.mode);
  press(parts.kinds, view.held.word === undefined ? view.held.kind : null);
  press(parts.compared, view.compared);
  for (const choice of choicesOf(parts.kinds)) {
    choice.disabled = !view.data?.kinds.includes(/** @type {Kind} */ (choice.dataset.value));
  }
  parts.rescale.hidden = view.mode !== "heat";
  parts.rescale.setAttribute("aria-pressed", String(view.rescaled));
  parts.compared.hidden = view.mode !== "difference";
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
  parts.lanes.style.height = `${height}px`;
  drawLanes(parts.lanes, view, parts.lanes.clientWidth, height);
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
  setText(layer.output, view.data ? `${view.layer} / ${layer.input.max}` : "");
  threshold.input.value = String(Math.round(view.threshold * 100));
  setText(threshold.output, `${threshold.input.value} %`);
  parts.usual.setAttribute("aria-pressed", String(view.fixed === null));
  parts.stretch.setAttribute("aria-pressed", String(view.stretched));
  parts.stretch.hidden = view.mode === "ffn" || view.mode === "difference";
  threshold.row.hidden = view.mode === "heat" || view.mode === "ffn";
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
  setText(parts.layerFacts, drawn ? layerFactsOf(drawn) : "");
  parts.tier.hidden = !settings && !(drawn && parts.root.dataset.state === "ready");
  setText(parts.tier, settings ? "preview" : "exact");
  parts.note.hidden = !settings;
  setText(parts.note, settings ? previewNote(/** @type {DrawnView} */ (view), settings) : "");
  setText(parts.laneTitle, drawn ? laneTitle(drawn) : "");
  parts.lanes.setAttribute("aria-label", drawn ? laneLabel(drawn) : "No lanes yet");
  const legend = drawn ? legendOf(drawn) : [];
  const written = legend.map((part) => part.textContent).join("");
  if (parts.legend.textContent !== written) parts.legend.replaceChildren(...legend);
  if (!drawn) return;
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
function renderLaneScales(parts, { data, laneTop }) {
  const key = [data.layers, data.slices, laneTop, data.startOf(0)].join();
  if (scalesOf.get(parts.laneBox) === key) return;
  scalesOf.set(parts.laneBox, key);
  const ends = [0, data.slices - 1].map((slice) => {
    const start = data.startOf(slice);
    return el("span", { text: `slice ${slice}${start === null ? "" : `, ${start.toFixed(1)} s`}` });
  });
  parts.laneTimes.replaceChildren(...ends);
  const layers = data.layers > 1 ? [data.layers - 1, 0] : [0];
  parts.laneLayers.replaceChildren(...layers.map((layer) => el("span", { text: layer })));
  parts.laneScale.replaceChildren("0", el("i"), percent(laneTop));
}

/** @type {WeakMap<Element, ReturnType<typeof setTimeout>>} */
const announcements = new WeakMap();

/**
 * Say where we are once things are still: not at every frame of a playing video.
 * @param {Parts} parts
 * @param {DrawnView} view
 */
function announce({ live }, view) {
  const preview = view.data.choices.settings ? "Preview. " : "";
  const text = `${preview}Layer ${view.layer}, slice ${view.slice}, ${timeRange(view)}${keptCount(view)}`;
  clearTimeout(announcements.get(live));
  announcements.set(
    live,
    setTimeout(() => setText(live, text), PATIENCE_MS),
  );
}
