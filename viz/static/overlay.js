/* Drawing over the picture. Shares are coloured on 0 to view.top, 1 as a rule. */

import { cell, fill, hatch, strokeTwoTone } from "./canvas.js";
import { isKept } from "./choices.js";
import { sideOf } from "./difference.js";
import { cividis, ink, measure } from "./palette.js";

/** @import { Area, Rect } from "./canvas.js" */
/** @import { Difference } from "./difference.js" */
/** @import { Side } from "./types.js" */
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
  const row = view.data.choices.row(view.query, view.layer);
  for (const cube of view.data.cubesFromSlice[view.slice]) {
    const share = row[cube.index];
    const rect = cell(area, grid, cube);
    if (view.mode === "heat") fill(area, rect, cividis(share / view.top), 0.78);
    else if (!isKept(share, view.threshold)) {
      if (view.mode === "spotlight") dim(area, greyArea, rect);
    } else if (view.mode === "outline") strokeTwoTone(area, rect, ink("kept"), 2.5);
    else strokeTwoTone(area, rect, ink("edge"), 1);
  }
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
  for (const rect of skipped) fill(area, rect, ink("dim"), 0.72);
  hatch(area, skipped, -1, 0.55);
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
