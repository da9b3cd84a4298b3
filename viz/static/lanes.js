/* Lanes under the picture: layers by slices, layer 0 at the bottom, the current place marked. */

import { contextOf, fill, fitCanvas } from "./canvas.js";
import { cividis, ink } from "./palette.js";
import { laneShare } from "./view.js";

/** @import { Area, CanvasArea, Rect } from "./canvas.js" */
/** @import { SceneData } from "./scene.js" */
/** @import { DrawnView } from "./view.js" */

/** @typedef {{ key: string, data: SceneData, difference: unknown, picture: HTMLCanvasElement }} LanePicture */

/** @type {WeakMap<HTMLCanvasElement, LanePicture>} */
const lanePictures = new WeakMap();

/**
 * @param {HTMLCanvasElement} canvas
 * @param {DrawnView} view
 * @param {number} width
 * @param {number} height
 */
export function drawLanes(canvas, view, width, height) {
  const area = fitCanvas(canvas, width, height);
  area.context.drawImage(lanePicture(canvas, area, view), 0, 0);
  markLane(area, view);
}

/**
 * The lanes without marks, kept until what they show changes: a playing video only moves marks.
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasArea} area
 * @param {DrawnView} view
 */
function lanePicture(canvas, area, view) {
  const { data, difference } = view;
  const key = lanesKey(view, area);
  const last = lanePictures.get(canvas);
  if (last?.key === key && last.data === data && last.difference === difference) return last.picture;
  const picture = Object.assign(document.createElement("canvas"), { width: area.width, height: area.height });
  fillLanes({ ...area, context: contextOf(picture) }, view);
  lanePictures.set(canvas, { key, data, difference, picture });
  return picture;
}

/**
 * @param {DrawnView} view
 * @param {Area} area
 */
function lanesKey({ data, query, mode, compared, laneTop, fixed, difference }, area) {
  const shown = [mode === "ffn", difference && [compared, fixed, difference.b.choices.version]];
  return JSON.stringify([shown, query, laneTop, data.choices.version, area.width, area.height]);
}

/**
 * @param {Area} area
 * @param {DrawnView} view
 */
export function fillLanes(area, view) {
  for (let layer = 0; layer < view.data.layers; layer++) {
    for (let slice = 0; slice < view.data.slices; slice++) {
      const colour = cividis(laneShare(view, layer, slice) / view.laneTop);
      fill(area, laneRect(area, view.data, layer, slice), colour);
    }
  }
}

/**
 * Pixel edges of one lane: [top, bottom).
 * @param {Area} area
 * @param {{ layers: number }} data
 * @param {number} layer
 */
function laneEdges(area, { layers }, layer) {
  return [layers - layer - 1, layers - layer].map((line) => Math.round((line / layers) * area.height));
}

/**
 * @param {Area} area
 * @param {SceneData} data
 * @param {number} layer
 * @param {number} slice
 * @returns {Rect}
 */
function laneRect(area, data, layer, slice) {
  const gap = area.height / data.layers > 8 * area.ratio ? area.ratio : 0;
  const [top, bottom] = laneEdges(area, data, layer);
  const [x, right] = [slice, slice + 1].map((at) => Math.round((at / data.slices) * area.width));
  return [x, top, right - x, bottom - top - gap];
}

/**
 * @param {Area} area
 * @param {DrawnView} view
 */
export function markLane(area, view) {
  const { context, ratio } = area;
  const { data, layer, slice } = view;
  const [top, bottom] = laneEdges(area, data, layer);
  const middle = Math.round(((slice + 0.5) / data.slices) * area.width);
  const strokes = /** @type {const} */ ([
    ["casing", 4],
    ["edge", 1.5],
  ]);
  for (const [colour, width] of strokes) {
    context.strokeStyle = ink(colour);
    context.lineWidth = width * ratio;
    context.strokeRect(ratio, top + ratio / 2, area.width - 2 * ratio, bottom - top - ratio);
    context.beginPath();
    context.moveTo(middle, 0);
    context.lineTo(middle, area.height);
    context.stroke();
  }
  markCube(area, view);
}

/**
 * The focused cube's slices, underlined in its layer.
 * @param {Area} area
 * @param {DrawnView} view
 */
function markCube(area, { data, layer, focus }) {
  if (focus === null) return;
  const cube = data.cubes[focus];
  const bottom = laneEdges(area, data, layer)[1];
  const [x, right] = [data.firstSlice(cube), data.endSlice(cube)].map((at) => (at / data.slices) * area.width);
  fill(area, [x, bottom - 5 * area.ratio, right - x, 4 * area.ratio], ink("focus"));
}

/**
 * The lane under a pointer.
 * @param {MouseEvent} event
 * @param {HTMLElement} lanes
 * @param {SceneData} data
 */
export function laneAt(event, lanes, data) {
  const box = lanes.getBoundingClientRect();
  const clamp = (/** @type {number} */ value, /** @type {number} */ most) =>
    Math.max(0, Math.min(Math.floor(value), most - 1));
  const down = clamp(((event.clientY - box.top) / box.height) * data.layers, data.layers);
  return {
    slice: clamp(((event.clientX - box.left) / box.width) * data.slices, data.slices),
    layer: data.layers - 1 - down,
  };
}
