/* Lanes under the picture: layers by slices, layer 0 at the bottom, the current place marked. */

import { contextOf, fill, fitCanvas } from "./canvas.js";
import { cividis, ink } from "./palette.js";
import { laneTable } from "./view.js";
import { windowOf } from "./zoom.js";

/** @import { Area, CanvasArea, Rect } from "./canvas.js" */
/** @import { SceneData } from "./scene.js" */
/** @import { DrawnView } from "./view.js" */
/** @import { Span } from "./zoom.js" */

/** @typedef {{ table: Float32Array, key: string, picture: HTMLCanvasElement }} LanePicture */

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
  const table = laneTable(view);
  const key = JSON.stringify([view.laneTop, windowOf(view), area.width, area.height]);
  const last = lanePictures.get(canvas);
  if (last?.key === key && last.table === table) return last.picture;
  const picture = Object.assign(document.createElement("canvas"), { width: area.width, height: area.height });
  fillLanes({ ...area, context: contextOf(picture) }, view);
  lanePictures.set(canvas, { key, table, picture });
  return picture;
}

/**
 * Of slices that share a pixel the largest share is seen: a needle in a long video keeps its place.
 * @param {Area} area
 * @param {DrawnView} view
 */
export function fillLanes(area, view) {
  const { data, laneTop } = view;
  const table = laneTable(view);
  const shown = windowOf(view);
  for (let layer = 0; layer < data.layers; layer++) {
    const row = table.subarray(layer * data.slices, (layer + 1) * data.slices);
    for (const { from, to, share } of pooled(row, shown, Math.round(area.width))) {
      const colour = Number.isNaN(share) ? ink("plain") : cividis(share / laneTop);
      const [top, height] = laneEdges(area, data, layer);
      fill(area, [from, top, to - from, height], colour);
    }
  }
}

/**
 * A lane in runs of pixels of one share.
 * @param {Float32Array} row by slice
 * @param {Span} shown slices
 * @param {number} width in pixels
 */
function pooled(row, [first, end], width) {
  /** @type {{ from: number, to: number, share: number }[]} */
  const runs = [];
  const slices = end - first;
  const columns = Math.min(slices, width);
  for (let column = 0; column < columns; column++) {
    const [low, high] = [column, column + 1].map((at) => first + Math.floor((at * slices) / columns));
    const share = row.subarray(low, high).reduce((a, b) => Math.max(a, b), row[low]);
    const [from, to] = [column, column + 1].map((at) => Math.round((at / columns) * width));
    const last = runs.at(-1);
    if (last && Object.is(last.share, share)) last.to = to;
    else runs.push({ from, to, share });
  }
  return runs;
}

/**
 * Top and height in pixels of one lane.
 * @param {Area} area
 * @param {{ layers: number }} data
 * @param {number} layer
 */
function laneEdges(area, { layers }, layer) {
  const [top, bottom] = [layers - layer - 1, layers - layer].map((line) => Math.round((line / layers) * area.height));
  const gap = area.height / layers > 8 * area.ratio ? area.ratio : 0;
  return [top, bottom - top - gap];
}

/**
 * Where a slice begins in the lanes, in pixels.
 * @param {Area} area
 * @param {DrawnView} view
 * @param {number} slice may be a fraction
 */
function placeOf(area, view, slice) {
  const [first, end] = windowOf(view);
  return ((slice - first) / (end - first)) * area.width;
}

/**
 * @param {Area} area
 * @param {DrawnView} view
 */
export function markLane(area, view) {
  const { context, ratio } = area;
  const [top, height] = laneEdges(area, view.data, view.layer);
  const middle = Math.round(placeOf(area, view, view.slice + 0.5));
  const strokes = /** @type {const} */ ([
    ["casing", 4],
    ["edge", 1.5],
  ]);
  for (const [colour, width] of strokes) {
    context.strokeStyle = ink(colour);
    context.lineWidth = width * ratio;
    context.strokeRect(ratio, top + ratio / 2, area.width - 2 * ratio, height - ratio);
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
function markCube(area, view) {
  const { data, layer, focus } = view;
  if (focus === null) return;
  const cube = data.cubes[focus];
  const [top, height] = laneEdges(area, data, layer);
  const ends = [data.firstSlice(cube), data.endSlice(cube)].map((at) => placeOf(area, view, at));
  const [x, right] = ends.map((at) => Math.max(0, Math.min(at, area.width)));
  /** @type {Rect} */
  const line = [x, top + height - 5 * area.ratio, right - x, 4 * area.ratio];
  if (right > x) fill(area, line, ink("focus"));
}

/**
 * The lane under a pointer.
 * @param {MouseEvent} event
 * @param {HTMLElement} lanes
 * @param {{ data: SceneData, zoom: Span | null }} view
 */
export function laneAt(event, lanes, { data, zoom }) {
  const box = lanes.getBoundingClientRect();
  const clamp = (/** @type {number} */ value, /** @type {number} */ low, /** @type {number} */ end) =>
    Math.max(low, Math.min(Math.floor(value), end - 1));
  const [first, end] = zoom ?? [0, data.slices];
  const down = clamp(((event.clientY - box.top) / box.height) * data.layers, 0, data.layers);
  const along = first + ((event.clientX - box.left) / box.width) * (end - first);
  return { slice: clamp(along, first, end), layer: data.layers - 1 - down };
}
