/* The viewer's own controls, and what each of them does. */

import { onKey } from "./keys.js";
import { laneAt } from "./lanes.js";
import { laneTip } from "./texts.js";
import { fullView, isDrawn } from "./view.js";
import { listenToSearch } from "./words.js";

/** @import { Viewer } from "./viewer.js" */

/** @param {Viewer} viewer */
export function listen(viewer) {
  const { parts } = viewer;
  listenToTransport(viewer);
  listenToDials(viewer);
  listenToLanes(viewer);
  listenToSearch(parts, viewer);
  parts.stage.addEventListener("pointermove", (event) => viewer.cubes.hover(cubeUnder(viewer, event)));
  parts.stage.addEventListener("pointerleave", () => viewer.cubes.hover(null));
  parts.stage.addEventListener("click", (event) => {
    const cube = cubeUnder(viewer, event);
    if (event.shiftKey) viewer.cubes.join(cube);
    else viewer.cubes.hold(cube);
  });
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
  const { layer, threshold, opacity, usual, head, apart, full, zoomIn, zoomOut, spatial } = viewer.parts;
  layer.input.addEventListener("input", () => viewer.set({ layer: Number(layer.input.value) }));
  threshold.input.addEventListener("input", () => viewer.set({ threshold: Number(threshold.input.value) / 100 }));
  usual.addEventListener("click", () => viewer.set({ threshold: null }));
  opacity.input.addEventListener("input", () => viewer.set({ opacity: Number(opacity.input.value) / 100 }));
  head.addEventListener("change", () => viewer.set({ head: head.value === "" ? null : Number(head.value) }));
  apart.addEventListener("click", () => viewer.set({ apart: !viewer.view.apart }));
  full.addEventListener("click", () => viewer.set({ full: !viewer.view.full }));
  zoomIn.addEventListener("click", () => viewer.zoom(1));
  zoomOut.addEventListener("click", () => viewer.zoom(-1));
  spatial.addEventListener("click", () => {
    viewer.set({ spatial: !viewer.view.spatial });
    viewer.parts.stackBox.scrollIntoView({ block: "nearest" }); // on a narrow page it is far below
  });
}

/** @param {Viewer} viewer */
function listenToLanes(viewer) {
  const { lanes } = viewer.parts;
  lanes.addEventListener("click", (event) => {
    if (!viewer.data?.slices) return;
    const { slice, layer } = laneAt(event, lanes, { data: viewer.data, zoom: viewer.view.zoom });
    viewer.goTo(slice, { layer });
  });
  lanes.addEventListener("pointermove", (event) => {
    const view = fullView(viewer);
    if (isDrawn(view)) lanes.title = laneTip(view, laneAt(event, lanes, view));
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
