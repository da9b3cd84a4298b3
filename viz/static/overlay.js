/* Drawing over the picture. Shares are coloured on 0 to view.top, 1 as a rule. */

import { cell, contour, fill, hatch, strokeTwoTone } from "./canvas.js";
import { isKept } from "./choices.js";
import { sideOf } from "./difference.js";
import { cividis, ink, measure } from "./palette.js";

import { rowOf } from "./view.js";

/** @import { Area, Rect } from "./canvas.js" */
/** @import { Difference } from "./difference.js" */
/** @import { Cube, Side } from "./types.js" */
/** @import { DrawnView } from "./view.js" */

/**
 * Draw one slice.
 * @param {Area} area
 * @param {Area} greyArea takes what loses its colour
 * @param {DrawnView} view
 */
export function drawOverlay(area, greyArea, view) {
  const video = view.data.videoOf(view.slice);
  if (!video) return;
  if (view.mode === "ffn") drawTokens(area, view, video.grid);
  else if (view.difference) drawDifference(area, greyArea, view, view.difference);
  else drawCubes(area, greyArea, view, video.grid);
  const together = view.data.cubesFromSlice[view.slice].filter((cube) => view.region.includes(cube.index));
  for (const cube of together) strokeTwoTone(area, cell(area, video.grid, cube), ink("focus"), 1.5);
  const focused = view.data.cubesFromSlice[view.slice].filter((cube) => cube.index === view.focus);
  for (const cube of focused) strokeTwoTone(area, cell(area, video.grid, cube), ink("focus"), 3);
}

/**
 * @param {Area} area
 * @param {Area} greyArea
 * @param {DrawnView} view
 * @param {number[]} grid
 */
function drawCubes(area, greyArea, view, grid) {
  if (!view.known) return;
  const row = rowOf(view);
  const heats = view.mode === "heat" || view.mode === "dropped";
  for (const cube of view.data.cubesFromSlice[view.slice]) {
    const share = row[cube.index];
    const rect = cell(area, grid, cube);
    if (view.apart && !view.dropped && view.data.isSink(view.layer, cube.index)) {
      drawSink(area, rect);
      continue;
    }
    if (heats) fill(area, rect, cividis(share / view.top), measure("heat_opacity"));
    else if (!isKept(share, view.threshold)) {
      if (view.mode === "spotlight") dim(area, greyArea, rect);
    } else if (view.mode === "outline") strokeTwoTone(area, rect, ink("kept"), 2.5);
    else strokeTwoTone(area, rect, ink("edge"), 1);
  }
  if (heats) {
    drawContours(area, grid, view.data.cubesFromSlice[view.slice], (cube) => row[cube] / view.top);
  }
}

/**
 * A cube that nearly every query keeps, set apart: crossed hatching.
 * @param {Area} area
 * @param {Rect} rect
 */
function drawSink(area, rect) {
  fill(area, rect, ink("dim"), measure("skipped_opacity"));
  hatch(area, [rect], -1, 0.5);
  hatch(area, [rect], 1, 0.5);
}

const CONTOURS = [0.25, 0.5, 0.75, 1];

/**
 * Lines around all that reaches a quarter, a half, three quarters and the whole of the range, the higher inside the
 * lower: the picture between them stays to be seen.
 * @param {Area} area
 * @param {number[]} grid
 * @param {Cube[]} cubes of a slice
 * @param {(cube: number) => number} heightOf 1 is the top of the range
 */
function drawContours(area, grid, cubes, heightOf) {
  /** @type {number[][]} */
  const cubeAt = Array.from({ length: grid[1] }, () => []);
  for (const { index, r0, r1, c0, c1 } of cubes) {
    for (let row = r0; row < r1; row++) for (let c = c0; c < c1; c++) cubeAt[row][c] = index;
  }
  drawLevels(area, grid, (row, column) => heightOf(cubeAt[row][column]));
}

/**
 * @param {Area} area
 * @param {number[]} grid
 * @param {(row: number, column: number) => number} heightOf 1 is the top of the range
 */
function drawLevels(area, [slices, rows, columns], heightOf) {
  CONTOURS.forEach((level, depth) => {
    const reaches = (/** @type {number} */ row, /** @type {number} */ column) =>
      row >= 0 && row < rows && column >= 0 && column < columns && heightOf(row, column) >= level - 1e-3;
    contour(area, [slices, rows, columns], reaches, cividis(level), depth);
  });
}

/**
 * @param {Area} area
 * @param {Area} greyArea
 * @param {Rect} rect
 */
function dim(area, greyArea, rect) {
  fill(greyArea, rect, "grey"); // any: this canvas blends by its saturation, none
  fill(area, rect, ink("dim"), measure("dim_opacity"));
}

/**
 * @param {Area} area
 * @param {DrawnView} view
 * @param {number[]} grid
 */
function drawTokens(area, view, grid) {
  const mask = view.data.choices.ffnRow(view.layer);
  if (!mask) return;
  /** @type {Rect[]} */
  const skipped = [];
  for (let r = 0; r < grid[1]; r++) {
    for (let c = 0; c < grid[2]; c++) {
      if (mask[view.data.token(view.slice, r, c)]) continue;
      skipped.push(cell(area, grid, { r0: r, r1: r + 1, c0: c, c1: c + 1 }));
    }
  }
  for (const rect of skipped) fill(area, rect, ink("dim"), measure("skipped_opacity"));
  hatch(area, skipped, -1, 0.35);
  drawImportance(area, view, grid);
}

/**
 * Lines around the tokens that matter more than the mean of their cube.
 * @param {Area} area
 * @param {DrawnView} view
 * @param {number[]} grid
 */
function drawImportance(area, view, grid) {
  const excess = view.data.choices.details.importance(view.layer);
  if (!excess) return;
  const heightOf = (/** @type {number} */ row, /** @type {number} */ column) =>
    excess.values[view.data.token(view.slice, row, column)] / excess.top;
  drawLevels(area, grid, heightOf);
}

const SIDES = /** @type {const} */ ([
  { side: "a", colour: "only_a", slope: -1, letter: "A" },
  { side: "b", colour: "only_b", slope: 1, letter: "B" },
]);

/**
 * @param {Area} area
 * @param {Area} greyArea
 * @param {DrawnView} view
 * @param {Difference} difference
 */
function drawDifference(area, greyArea, view, difference) {
  /** @type {Record<Side, Rect[]>} */
  const bySide = { both: [], a: [], b: [], none: [] };
  const grid = view.data.gridOf(view.slice);
  for (const region of difference.regions(view, view.layer, view.slice)) {
    bySide[sideOf(region)].push(cell(area, grid, region));
  }
  for (const rect of bySide.none) dim(area, greyArea, rect);
  for (const { side, colour, slope, letter } of SIDES) {
    for (const rect of bySide[side]) fill(area, rect, ink(colour), measure("difference_opacity"));
    hatch(area, bySide[side], slope, 0.6);
    for (const rect of bySide[side]) label(area, rect, letter, ink(colour));
  }
  if (view.compared === "ffn") return;
  for (const rect of [...bySide.both, ...bySide.a, ...bySide.b]) strokeTwoTone(area, rect, ink("edge"), 1);
}

/**
 * A letter on its colour in the corner of a rectangle that has room for it.
 * @param {Area} area
 * @param {Rect} rect
 * @param {"A" | "B"} letter
 * @param {string} colour
 */
function label({ context, ratio }, [x, y, width, height], letter, colour) {
  const size = measure("letter_px") * ratio;
  if (Math.min(width, height) < measure("letter_room") * size) return;
  context.fillStyle = colour;
  context.fillRect(x + 4 * ratio, y + 4 * ratio, size * 1.15, size * 1.25);
  context.fillStyle = ink(letter === "A" ? "edge" : "casing");
  context.font = `bold ${size * 0.85}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(letter, x + 4 * ratio + size * 0.575, y + 4 * ratio + size * 0.66);
}
