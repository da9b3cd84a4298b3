/* The cube stack drawn: what the layer keeps, in space and time, around the picture that is on screen. */

import { outline, polygon } from "./canvas.js";
import { isKept } from "./choices.js";
import { cividis, ink } from "./palette.js";
import { Projection, StackShape } from "./projection.js";
import { rowOf } from "./view.js";

/** @import { Area } from "./canvas.js" */
/** @import { Angles, Box, Point } from "./projection.js" */
/** @import { Video } from "./geometry.js" */
/** @import { Cube } from "./types.js" */
/** @import { DrawnView } from "./view.js" */

const LABEL_ROOM = 26;
/** From which part of the range a cube's most important token has it drawn. */
const HIGH = 0.5;
/** From which part of the range a cube has the dense attention drawn that was dropped. */
const LOW = 0.05;
/** More frames of slabs than this would make one grey block. */
const MOST_FRAMES = 48;

/** A polygon that can be picked. @typedef {{ cube: number, points: Point[] }} Hit */
/** @typedef {{ colour: string, alpha: number }} Paint */
/** How a cube is drawn; null: it is not kept. @typedef {(cube: Cube) => Paint | null} PaintOf */
/** What all parts of one drawing share.
    @typedef {{ area: Area, view: DrawnView, turned: Projection, shape: StackShape, paintOf: PaintOf, hits: Hit[] }}
    Drawing */

/**
 * What lies behind the picture on screen and what lies before it, drawn apart: it stays while only the picture, its
 * focus or its frame changes.
 * @typedef {{ turned: Projection, shape: StackShape, far: Hit[], near: Hit[] }} Stack
 */

/**
 * Draw the slabs of time other than the one on screen; returns where things lie and what can be picked.
 * @param {{ far: Area, near: Area }} areas
 * @param {DrawnView} view
 * @param {Angles} angles
 * @param {number} aspect of the picture
 * @returns {Stack}
 */
export function drawSlabs({ far, near }, view, angles, aspect) {
  const video = /** @type {Video} */ (view.data.videoOf(view.slice));
  const shape = new StackShape(view.data, video, aspect);
  const turned = new Projection(far, shape, angles);
  /** @type {Stack} */
  const stack = { turned, shape, far: [], near: [] };
  const paintOf = stackPaint(view);
  const bySlab = Map.groupBy(cubesOf(view, video), (cube) => cube.t0);
  const local = view.slice - video.first_slice;
  const apart = Math.ceil(shape.slabs.length / MOST_FRAMES);
  const framed = new Set(shape.slabs.filter((_, at) => at % apart === 0));
  for (const slab of turned.sorted(shape.slabs.map((t0) => ({ t0, box: shape.plane(t0) })))) {
    const cubes = bySlab.get(slab.t0) ?? [];
    if (cubes[0].t0 <= local && local < cubes[0].t1) continue;
    const isNear = slab.t0 < local === turned.away[2] > 0;
    const [area, hits] = isNear ? [near, stack.near] : [far, stack.far];
    if (framed.has(slab.t0)) outline(area, turned.quad(slab.box), ink("edge"), 0.14, 1);
    drawSlab({ area, view, turned, shape, paintOf, hits }, cubes, isNear);
  }
  timeLabels({ area: near, view, turned, shape });
  return stack;
}

/**
 * Draw the picture on screen in its place; returns what can be picked, farthest first.
 * @param {Area} area
 * @param {DrawnView} view
 * @param {Stack} stack
 * @param {HTMLVideoElement | null} frame
 * @returns {Hit[]}
 */
export function drawPicture(area, view, { turned, shape, far, near }, frame) {
  const local = view.slice - shape.video.first_slice;
  const cubes = cubesOf(view, shape.video).filter((cube) => cube.t0 <= local && local < cube.t1);
  /** @type {Hit[]} */
  const hits = [];
  const drawing = { area, view, turned, shape, paintOf: stackPaint(view), hits };
  drawPlane(drawing, shape.plane(cubes[0].t0), cubes, frame);
  return [...far, ...hits, ...near];
}

/**
 * The cube in focus, where it lies in another slab than the picture.
 * @param {Area} area
 * @param {DrawnView} view
 * @param {Stack} stack
 */
export function drawFocus(area, view, { turned, shape }) {
  const cube = view.focus === null ? null : view.data.cubes[view.focus];
  if (!cube || view.data.videos[cube.video] !== shape.video) return;
  const local = view.slice - shape.video.first_slice;
  if (cube.t0 <= local && local < cube.t1) return;
  for (const points of turned.faces(shape.box(cube))) outline(area, points, ink("focus"), 1, 2.5);
}

/**
 * @param {DrawnView} view
 * @param {Video} video
 */
function cubesOf(view, video) {
  return view.data.cubes.filter((cube) => view.data.videos[cube.video] === video);
}

/**
 * Width by height of the picture.
 * @param {DrawnView} view
 * @param {HTMLVideoElement | null} frame
 */
export function aspectOf(view, frame) {
  if (frame) return frame.videoWidth / frame.videoHeight;
  const video = /** @type {Video} */ (view.data.videoOf(view.slice));
  const { width, height } = view.data.scene.clip ?? {};
  return width && height ? width / height : video.grid[2] / video.grid[1];
}

/**
 * Which cubes are drawn and how.
 * @param {DrawnView} view
 * @returns {PaintOf}
 */
function stackPaint(view) {
  if (view.difference) return differencePaint(view, view.difference);
  const { data, layer, query, mode } = view;
  if (mode === "ffn") {
    const peaks = data.ffnCubePeaks(layer);
    return ({ index }) => (peaks && peaks[index] >= HIGH ? { colour: cividis(peaks[index]), alpha: 0.8 } : null);
  }
  const row = rowOf(view);
  if (mode === "dropped") {
    return ({ index }) => (row[index] > view.top * LOW ? { colour: cividis(row[index] / view.top), alpha: 0.9 } : null);
  }
  const top = data.largestIn(query, layer);
  return ({ index }) => {
    if (!isKept(row[index], view.threshold)) return null;
    if (mode === "heat") return { colour: cividis(row[index] / view.top), alpha: 0.9 };
    return { colour: ink("kept"), alpha: 0.3 + 0.65 * (row[index] / top) };
  };
}

/**
 * @param {DrawnView} view
 * @param {NonNullable<DrawnView["difference"]>} difference
 * @returns {PaintOf}
 */
function differencePaint(view, difference) {
  const paints = {
    a: { colour: ink("only_a"), alpha: 0.95 },
    b: { colour: ink("only_b"), alpha: 0.95 },
    both: { colour: ink("edge"), alpha: 0.3 },
    none: null,
  };
  return (cube) => paints[difference.sideOfCube(view, view.layer, cube)];
}

/**
 * The cubes of a slab of time other than the one on screen.
 * @param {Drawing} drawing
 * @param {Cube[]} cubes
 * @param {boolean} near it lies before the picture
 */
function drawSlab(drawing, cubes, near) {
  const { turned, shape } = drawing;
  const boxes = cubes.map((cube) => ({ cube, box: shape.box(cube) }));
  for (const { cube, box } of turned.sorted(boxes)) drawBox(drawing, cube, box, near ? 0.5 : 1);
}

/**
 * @param {Drawing} drawing
 * @param {Cube} cube
 * @param {Box} box
 * @param {number} fade
 */
function drawBox({ area, turned, paintOf, hits }, cube, box, fade) {
  const paint = paintOf(cube);
  if (!paint) return;
  const faces = turned.faces(box);
  faces.forEach((points, axis) => {
    polygon(area, points, paint.colour, paint.alpha * fade);
    polygon(area, points, ink("casing"), [0.34, 0.12, 0][axis] * fade);
    outline(area, points, ink("casing"), 0.5 * fade, 0.75);
  });
  hits.push(...faces.map((points) => ({ cube: cube.index, points })));
}

/**
 * The picture on screen in its place in time, with what is dropped of it dimmed.
 * @param {Drawing} drawing
 * @param {Box} plane
 * @param {Cube[]} cubes
 * @param {HTMLVideoElement | null} frame
 */
function drawPlane({ area, view, turned, shape, paintOf, hits }, plane, cubes, frame) {
  const corners = turned.quad(plane);
  const within = (/** @type {Cube} */ cube) => {
    const [x, y] = shape.box(cube);
    return turned.quad([x, y, plane[2]]);
  };
  if (frame) drawFrame(/** @type {CanvasRenderingContext2D} */ (area.context), corners, frame);
  else polygon(area, corners, ink("plain"), 1);
  for (const cube of cubes) {
    const points = within(cube);
    const paint = paintOf(cube);
    if (paint) outline(area, points, paint.colour, 1, 2);
    else polygon(area, points, ink("dim"), 0.66);
    hits.push({ cube: cube.index, points });
  }
  const focused = cubes.find((cube) => cube.index === view.focus);
  if (focused) outline(area, within(focused), ink("focus"), 1, 3);
  outline(area, corners, ink("edge"), 0.95, 2);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Point[]} corners
 * @param {HTMLVideoElement} frame
 */
function drawFrame(context, [topLeft, topRight, , bottomLeft], frame) {
  const [width, height] = [frame.videoWidth, frame.videoHeight];
  context.save();
  context.setTransform(
    (topRight[0] - topLeft[0]) / width,
    (topRight[1] - topLeft[1]) / width,
    (bottomLeft[0] - topLeft[0]) / height,
    (bottomLeft[1] - topLeft[1]) / height,
    ...topLeft,
  );
  context.drawImage(frame, 0, 0, width, height);
  context.restore();
}

/**
 * When the stack begins and ends, at its lower corners, within the area.
 * @param {Pick<Drawing, "area" | "view" | "turned" | "shape">} drawing
 */
function timeLabels({ area, view, turned, shape }) {
  const { context, ratio } = area;
  context.font = `${11 * ratio}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "top";
  context.fillStyle = ink("on_stage");
  for (const t0 of new Set([0, shape.slabs[shape.slabs.length - 1]])) {
    const start = view.data.startOf(shape.video.first_slice + t0);
    const [x, y] = turned.quad(shape.plane(t0)).reduce((low, corner) => (corner[1] > low[1] ? corner : low));
    const room = LABEL_ROOM * ratio;
    const within = Math.max(room, Math.min(x, area.width - room));
    context.fillText(start === null ? `slice ${t0}` : `${start.toFixed(1)} s`, within, y + 4 * ratio);
  }
}
