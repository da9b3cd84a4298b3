/* The viewer's keys. They work while it has focus; sliders, lists and buttons keep their own. */

import { MODES } from "./parts.js";

/** @import { SceneData } from "./scene.js" */
/** @import { Viewer } from "./viewer.js" */

/**
 * @param {Viewer} viewer
 * @param {KeyboardEvent} event
 */
export function onKey(viewer, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !viewer.data) return;
  const target = /** @type {Element} */ (event.target);
  if (viewer.parts.slot.contains(target) || keepsItsOwn(target.tagName, event.key)) return;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const act = actions(viewer, viewer.data, event.shiftKey)[name];
  if (!act) return;
  event.preventDefault();
  act();
}

/**
 * Whether a key belongs to the control that has the focus.
 * @param {string} tagName
 * @param {string} key
 */
function keepsItsOwn(tagName, key) {
  if (key.startsWith("Arrow")) return ["INPUT", "SELECT"].includes(tagName);
  if (tagName === "SELECT" && key.length === 1) return true;
  return [" ", "Enter"].includes(key) && ["BUTTON", "SUMMARY"].includes(tagName);
}

/**
 * @param {Viewer} viewer
 * @param {SceneData} data
 * @param {boolean} shiftKey
 * @returns {Record<string, () => void>}
 */
function actions(viewer, data, shiftKey) {
  const { view, clock, parts } = viewer;
  const along = (/** @type {number} */ step) =>
    shiftKey ? clock.seek(clock.time + step) : viewer.goTo(view.slice + step);
  const layer = (/** @type {number} */ step) =>
    viewer.set({ layer: Math.max(0, Math.min(view.layer + step, data.layers - 1)) });
  return {
    ArrowLeft: () => along(-1),
    ArrowRight: () => along(1),
    ArrowUp: () => layer(1),
    ArrowDown: () => layer(-1),
    " ": () => viewer.togglePlay(),
    o: () => viewer.set({ mode: nextMode(viewer) }),
    h: () => viewer.set({ head: nextHead(view.head, data.scene.heads) }),
    d: () => viewer.set({ spatial: !view.spatial }),
    n: () => viewer.cubes.holdNext(1),
    p: () => viewer.cubes.holdNext(-1),
    r: () => viewer.cubes.join(view.pinned),
    "+": () => viewer.zoom(1),
    "-": () => viewer.zoom(-1),
    Escape: () => viewer.clearPicks(),
    "?": () => {
      parts.keys.open = !parts.keys.open;
    },
  };
}

/** @param {Viewer} viewer */
function nextMode({ view, other }) {
  const names = MODES.map(([name]) => name).filter((name) => name !== "difference" || other?.comparable);
  return names[(names.indexOf(view.mode) + 1) % names.length];
}

/**
 * null (the mean), 0, 1, ... and around.
 * @param {number | null} head
 * @param {number} heads
 */
function nextHead(head, heads) {
  const next = head === null ? 0 : head + 1;
  return next < heads ? next : null;
}
