/* The viewer's own controls, and what each of them does. */

import { onKey } from "./keys.js";
import { laneAt } from "./lanes.js";
import { laneTip } from "./texts.js";
import { fullView, isDrawn } from "./view.js";

/** @import { Viewer } from "./viewer.js" */

/** @param {Viewer} viewer */
export function listen(viewer) {
  const { parts } = viewer;
  listenToTransport(viewer);
  listenToDials(viewer);
  listenToLanes(viewer);
  parts.stage.addEventListener("pointermove", (event) => viewer.cubes.hover(cubeUnder(viewer, event)));
  parts.stage.addEventListener("pointerleave", () => viewer.cubes.hover(null));
  parts.stage.addEventListener("click", (event) => viewer.cubes.hold(cubeUnder(viewer, event)));
  parts.root.addEventListener("keydown", (event) => onKey(viewer, event));
}

/** @param {Viewer} viewer */
function listenToTransport(viewer) {
  const { parts, clock } = viewer;
  parts.play.addEventListener("click", () => viewer.togglePlay());
  parts.back.addEventListener("click", () => viewer.goTo(viewer.view.slice - 1));
  parts.forward.addEventListener("click", () => viewer.goTo(viewer.view.slice + 1));
  parts.seek.addEventListener("input", () => clock.seek(Number(parts.seek.value)));
}

/** @param {Viewer} viewer */
function listenToDials(viewer) {
  const { layer, threshold, opacity, usual, head, stretch, rescale, spatial } = viewer.parts;
  layer.input.addEventListener("input", () => viewer.set({ layer: Number(layer.input.value) }));
  threshold.input.addEventListener("input", () => viewer.set({ threshold: Number(threshold.input.value) / 100 }));
  usual.addEventListener("click", () => viewer.set({ threshold: null }));
  opacity.input.addEventListener("input", () => viewer.set({ opacity: Number(opacity.input.value) / 100 }));
  head.addEventListener("change", () => viewer.set({ head: head.value === "" ? null : Number(head.value) }));
  stretch.addEventListener("click", () => viewer.set({ stretched: !viewer.view.stretched }));
  rescale.addEventListener("click", () => viewer.set({ rescaled: !viewer.view.rescaled }));
  spatial.addEventListener("click", () => viewer.set({ spatial: !viewer.view.spatial }));
}

/** @param {Viewer} viewer */
function listenToLanes(viewer) {
  const { lanes } = viewer.parts;
  lanes.addEventListener("click", (event) => {
    if (!viewer.data?.slices) return;
    const { slice, layer } = laneAt(event, lanes, viewer.data);
    viewer.goTo(slice, { layer });
  });
  lanes.addEventListener("pointermove", (event) => {
    const view = fullView(viewer);
    if (isDrawn(view)) lanes.title = laneTip(view, laneAt(event, lanes, view.data));
  });
}

/**
 * The cube of the current slice under a pointer on the picture, or null.
 * @param {Viewer} viewer
 * @param {MouseEvent} event
 */
function cubeUnder({ parts, data, view }, event) {
  const video = data?.videoOf(view.slice);
  if (!data || !video) return null;
  const box = parts.overlay.getBoundingClientRect();
  const row = Math.floor(((event.clientY - box.top) / box.height) * video.grid[1]);
  const column = Math.floor(((event.clientX - box.left) / box.width) * video.grid[2]);
  const under = data.cubesFromSlice[view.slice].find(
    ({ r0, r1, c0, c1 }) => r0 <= row && row < r1 && c0 <= column && column < c1,
  );
  return under?.index ?? null;
}
