/* Ablate: the cube picked in the player, forced on or off; how the answer's probability moves. */

import { button, el } from "../../viz/static/dom.js";
import { range } from "../../viz/static/format.js";
import { onSelect } from "../../viz/static/selection.js";
import { BesidePanel } from "./beside.js";
import { viewer } from "./run.js";
import { on } from "./signals.js";

/** @import { SceneData } from "../../viz/static/scene.js" */
/** @import { BothRuns } from "./beside.js" */
/** @import { Mounted } from "./types.js" */

const ABOUT =
  "Forces one cube off or on in every layer and asks again: does the answer change, and how likely is the first one " +
  "still?";

/**
 * @param {HTMLElement} body
 * @param {Mounted<{}>["trigger"]} trigger
 */
export function mountAblate(body, trigger) {
  /** @type {number | null} */
  let picked = null;
  const note = el("p", { class: "ablate-cube" });
  const force = (/** @type {boolean} */ isOn) => () => panel.start({ cube: picked, on: isOn });
  const buttons = [
    button("Force off", { on: { click: force(false) } }),
    button("Force on", { on: { click: force(true) } }),
  ];
  const controls = [note, ...buttons];
  const panel = new BesidePanel(body, { name: "ablate", about: ABOUT, trigger, controls, tell: change });

  /** @param {number | null} cube */
  function pick(cube) {
    picked = cube;
    const data = cube === null ? null : viewer().data;
    note.textContent = data && cube !== null ? describe(data, cube) : "No cube chosen: click one in the player.";
    for (const each of buttons) each.disabled = picked === null;
  }

  on("result", () => pick(null));
  onSelect(({ cube }) => {
    if (cube !== undefined) pick(cube);
  });
  pick(null);
}

/**
 * @param {SceneData} data
 * @param {number} index
 */
function describe(data, index) {
  const cube = data.cubes[index];
  const span = (/** @type {string} */ name, /** @type {number} */ first, /** @type {number} */ end) =>
    `${name}${end - first > 1 ? "s" : ""} ${range(first, end, " to ")}`;
  const slices = span("slice", data.firstSlice(cube), data.endSlice(cube));
  return `Cube ${index}: ${slices}, ${span("row", cube.r0, cube.r1)}, ${span("column", cube.c0, cube.c1)}`;
}

/**
 * How likely the first answer still is.
 * @param {BothRuns} message
 */
function change({ sides: [{ label }, forced], before, after }) {
  if (before == null || after == null) return [el("p", { text: "The first answer's probability was not recorded." })];
  const times = Math.exp(after - before).toPrecision(3);
  const text =
    `With ${forced.label.toLowerCase()}, the answer of ${label} is ${times} times as likely: its log-probability is ` +
    `${signed(after)} instead of ${signed(before)}, a change of ${signed(after - before)} nats.`;
  return [el("p", { class: "ablate-change", text })];
}

/**
 * To three decimals; a smaller value, as a sure answer's is, to two digits.
 * @param {number} nats
 */
function signed(nats) {
  const size = Math.abs(nats);
  return `${nats < 0 ? "−" : "+"}${size && size < 0.0005 ? size.toPrecision(2) : size.toFixed(3)}`;
}
