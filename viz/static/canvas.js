/* Pens for a canvas, in device pixels; or for anything that takes the same few calls, as picture.js's SVG does. */

import { ink, measure } from "./palette.js";

/** @import { Cells } from "./types.js" */
/** @import { Point } from "./projection.js" */

/**
 * What the pens use of a CanvasRenderingContext2D.
 * @typedef {Pick<CanvasRenderingContext2D, "fillStyle" | "strokeStyle" | "lineWidth" | "globalAlpha" | "font"
 *   | "textAlign" | "textBaseline" | "fillRect" | "strokeRect" | "beginPath" | "moveTo" | "lineTo" | "closePath"
 *   | "stroke" | "fillText"> & { fill(): void }} Pen
 */

/** @typedef {{ context: Pen, width: number, height: number, ratio: number }} Area `ratio`: device pixels a CSS pixel */
/** @typedef {Area & { context: CanvasRenderingContext2D }} CanvasArea */
/** @typedef {[number, number, number, number]} Rect x, y, width, height */

/**
 * The drawing context of a canvas.
 * @param {HTMLCanvasElement} canvas
 */
export function contextOf(canvas) {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser gives no canvas to draw on; close other pages and reload this one.");
  return context;
}

/**
 * The part of a box that a picture fills under object-fit: contain.
 * @param {number} boxWidth
 * @param {number} boxHeight
 * @param {number} pictureWidth
 * @param {number} pictureHeight
 */
export function contentRect(boxWidth, boxHeight, pictureWidth, pictureHeight) {
  const scale = Math.min(boxWidth / pictureWidth, boxHeight / pictureHeight);
  const width = pictureWidth * scale;
  const height = pictureHeight * scale;
  return { left: (boxWidth - width) / 2, top: (boxHeight - height) / 2, width, height };
}

/**
 * A rectangle of whole pixels around another: a picture that ends within a pixel colours all of it.
 * @param {{ left: number, top: number, width: number, height: number }} rect
 */
export function aroundPixels({ left, top, width, height }) {
  const [x, y] = [Math.floor(left), Math.floor(top)];
  return { left: x, top: y, width: Math.ceil(left + width) - x, height: Math.ceil(top + height) - y };
}

/**
 * An empty canvas of a size in CSS pixels.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 * @returns {CanvasArea}
 */
export function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  const context = contextOf(canvas);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, w, h);
  return { context, width: w, height: h, ratio };
}

/**
 * Where cells of a grid that fills the area lie.
 * @param {Area} area
 * @param {number[]} grid [slices, rows, columns]
 * @param {Cells} cells
 * @returns {Rect}
 */
export function cell(area, grid, { r0, r1, c0, c1 }) {
  const x = Math.round((c0 / grid[2]) * area.width);
  const y = Math.round((r0 / grid[1]) * area.height);
  return [x, y, Math.round((c1 / grid[2]) * area.width) - x, Math.round((r1 / grid[1]) * area.height) - y];
}

/**
 * @param {Pick<Area, "context">} area
 * @param {Rect} rect
 * @param {string} colour
 * @param {number} [alpha]
 */
export function fill({ context }, rect, colour, alpha = 1) {
  context.globalAlpha = alpha;
  context.fillStyle = colour;
  context.fillRect(...rect);
  context.globalAlpha = 1;
}

/**
 * A dark casing under a light line: visible on any footage and to any colour vision.
 * @param {Area} area
 * @param {Rect} rect
 * @param {string} colour
 * @param {number} width in CSS pixels
 */
export function strokeTwoTone({ context, ratio }, rect, colour, width) {
  const inset = (width * ratio) / 2 + ratio;
  /** @type {Rect} */
  const inner = [rect[0] + inset, rect[1] + inset, rect[2] - 2 * inset, rect[3] - 2 * inset];
  if (Math.min(inner[2], inner[3]) <= 0) return;
  const strokes = /** @type {const} */ ([
    [ink("casing"), width + 2],
    [colour, width],
  ]);
  for (const [style, line] of strokes) {
    context.strokeStyle = style;
    context.lineWidth = line * ratio;
    context.strokeRect(...inner);
  }
}

/**
 * The line around the cells that pass a test, on a dark casing.
 * @param {Area} area
 * @param {number[]} grid
 * @param {(row: number, column: number) => boolean} isIn false outside of the grid
 * @param {string} colour
 * @param {number} depth how many lines lie outside of this one
 */
export function contour(area, grid, isIn, colour, depth) {
  const { context, ratio } = area;
  const inset = (1.5 + 3 * depth) * ratio;
  context.beginPath();
  for (let row = 0; row < grid[1]; row++) {
    for (let column = 0; column < grid[2]; column++) {
      if (!isIn(row, column)) continue;
      const [x, y, width, height] = cell(area, grid, { r0: row, r1: row + 1, c0: column, c1: column + 1 });
      const [up, down] = [isIn(row - 1, column), isIn(row + 1, column)];
      const [before, after] = [isIn(row, column - 1), isIn(row, column + 1)];
      const [left, right] = [x + (before ? 0 : inset), x + width - (after ? 0 : inset)];
      const [top, bottom] = [y + (up ? 0 : inset), y + height - (down ? 0 : inset)];
      if (!up) segment(context, left, top, right, top);
      if (!down) segment(context, left, bottom, right, bottom);
      if (!before) segment(context, left, top, left, bottom);
      if (!after) segment(context, right, top, right, bottom);
    }
  }
  for (const [style, width] of /** @type {const} */ ([
    [ink("casing"), 3],
    [colour, 1.75],
  ])) {
    context.strokeStyle = style;
    context.lineWidth = width * ratio;
    context.stroke();
  }
}

/**
 * @param {Pen} context
 * @param {number} x0
 * @param {number} y0
 * @param {number} x1
 * @param {number} y1
 */
function segment(context, x0, y0, x1, y1) {
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
}

/**
 * Diagonal lines inside rectangles, in step with each other.
 * @param {Area} area
 * @param {Rect[]} rects
 * @param {-1 | 1} slope rising ("/", -1) or falling (1)
 * @param {number} alpha
 */
export function hatch({ context, ratio }, rects, slope, alpha) {
  const gap = Math.round(measure("hatch_px") * ratio);
  context.strokeStyle = ink("hatch");
  context.lineWidth = ratio;
  context.globalAlpha = alpha;
  context.beginPath();
  for (const [x, y, width, height] of rects) {
    // The lines are y = slope * x + k; k runs over the multiples of the gap that meet the rectangle.
    const low = slope > 0 ? y - x - width : y + x;
    const high = low + width + height;
    for (let k = Math.ceil(low / gap) * gap; k <= high; k += gap) {
      const crossings = slope > 0 ? [y - k, y + height - k] : [k - y - height, k - y];
      const from = Math.max(x, crossings[0]);
      const to = Math.min(x + width, crossings[1]);
      if (to <= from) continue;
      context.moveTo(from, slope * from + k);
      context.lineTo(to, slope * to + k);
    }
  }
  context.stroke();
  context.globalAlpha = 1;
}

/**
 * @param {Area} area
 * @param {Point[]} corners
 */
function trace({ context }, corners) {
  context.beginPath();
  corners.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.closePath();
}

/**
 * @param {Area} area
 * @param {Point[]} corners
 * @param {string} colour
 * @param {number} alpha
 */
export function polygon(area, corners, colour, alpha) {
  if (!alpha) return;
  trace(area, corners);
  area.context.globalAlpha = alpha;
  area.context.fillStyle = colour;
  area.context.fill();
  area.context.globalAlpha = 1;
}

/**
 * @param {Area} area
 * @param {Point[]} corners
 * @param {string} colour
 * @param {number} alpha
 * @param {number} width in CSS pixels
 */
export function outline(area, corners, colour, alpha, width) {
  trace(area, corners);
  area.context.globalAlpha = alpha;
  area.context.strokeStyle = colour;
  area.context.lineWidth = width * area.ratio;
  area.context.stroke();
  area.context.globalAlpha = 1;
}
