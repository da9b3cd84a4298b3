/* Ablate: the cubes picked in the player, forced on or off; how the answer's probability moves. */

import { button, el } from "../../viz/static/dom.js";
import { range, spans } from "../../viz/static/format.js";
import { keptCubes } from "../../viz/static/picks.js";
import { onSelect } from "../../viz/static/selection.js";
import { fullView, isDrawn } from "../../viz/static/view.js";
import { BesidePanel } from "./beside.js";
import { viewer } from "./run.js";
import { on } from "./signals.js";

/** @import { SceneData } from "../../viz/static/scene.js" */
/** @import { BothRuns } from "./beside.js" */
/** @import { Mounted } from "./types.js" */

const ABOUT =
  "Forces one cube, or a region of several, off or on in every layer and asks again: does the answer change, and how " +
  "likely is the first one still?";
const NONE = "No cube chosen: click one in the player; Shift and a click take several.";

/**
 * @param {HTMLElement} body
 * @param {Mounted<{}>["trigger"]} trigger
 */
export function mountAblate(body, trigger) {
  /** @type {number[]} */
  let picked = [];
  const note = el("p", { class: "ablate-cube", text: NONE });
  const force = (/** @type {boolean} */ isOn) => () => panel.start({ cubes: picked, on: isOn });
  const buttons = [
    button("Force off", { disabled: true, on: { click: force(false) } }),
    button("Force on", { disabled: true, on: { click: force(true) } }),
    button("Clear", { disabled: true, on: { click: () => viewer().set({ region: [], pinned: null }) } }),
  ];
  const all = button("All that it keeps", {
    disabled: true,
    title: "Takes every cube that the layer and the word in view keep",
    on: { click: takeAll },
  });
  const controls = [note, all, ...buttons];
  const panel = new BesidePanel(body, { name: "ablate", about: ABOUT, trigger, controls, tell: change });

  function show() {
    const { data, view } = viewer();
    picked = view.region.length || view.pinned === null ? view.region : [view.pinned];
    note.textContent = data && picked.length ? describe(data, picked) : NONE;
    for (const each of buttons) each.disabled = !picked.length;
    all.disabled = !data?.slices;
  }

  document.addEventListener("adaspark:view", show);
  on("result", show);
  onSelect(show);
}

/** The region becomes what Spotlight shows as kept. */
function takeAll() {
  const { view, data, other } = viewer();
  const full = fullView({ view: { ...view, mode: "spotlight" }, data, other });
  if (isDrawn(full)) viewer().set({ region: keptCubes(full), pinned: null });
}

/**
 * @param {SceneData} data
 * @param {number[]} picked
 */
function describe(data, picked) {
  if (picked.length > 1) return `Region: ${picked.length} cubes (${spans(picked)})`;
  const cube = data.cubes[picked[0]];
  const span = (/** @type {string} */ name, /** @type {number} */ first, /** @type {number} */ end) =>
    `${name}${end - first > 1 ? "s" : ""} ${range(first, end, " to ")}`;
  const slices = span("slice", data.firstSlice(cube), data.endSlice(cube));
  return `Cube ${cube.index}: ${slices}, ${span("row", cube.r0, cube.r1)}, ${span("column", cube.c0, cube.c1)}`;
}

/**
 * How likely the first answer still is.
 * @param {BothRuns} message
 */
function change({ sides: [{ label }, forced], before, after }) {
  if (before == null || after == null) return [el("p", { text: "The first answer's probability was not recorded." })];
  const times = Math.exp(after - before).toPrecision(3);
  const text =
    `With ${forced.label.toLowerCase()}, the answer of ${label} has a probability of ${likely(after)} instead of ` +
    `${likely(before)}, ${times} times as much: its log-probability is ${signed(after)} instead of ` +
    `${signed(before)}, a change of ${signed(after - before)} nats.`;
  return [el("p", { class: "ablate-change", text })];
}

/**
 * A probability in percent, to three digits.
 * @param {number} nats
 */
function likely(nats) {
  const share = 100 * Math.exp(nats);
  return `${share >= 0.001 || !share ? Number(share.toPrecision(3)) : share.toExponential(1)} %`;
}

/**
 * To three decimals; a smaller value, as a sure answer's is, to two digits.
 * @param {number} nats
 */
function signed(nats) {
  const size = Math.abs(nats);
  return `${nats < 0 ? "−" : "+"}${size && size < 0.0005 ? size.toPrecision(2) : size.toFixed(3)}`;
}
