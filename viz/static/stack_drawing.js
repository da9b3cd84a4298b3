/* The cube stack drawn: what the layer keeps, in space and time, around the picture that is on screen. */

import { outline, polygon } from "./canvas.js";
import { isKept } from "./choices.js";
import { cividis, ink } from "./palette.js";
import { Projection, StackShape } from "./projection.js";

/** @import { Area } from "./canvas.js" */
/** @import { Angles, Box, Point } from "./projection.js" */
/** @import { Video } from "./scene.js" */
/** @import { Cube } from "./types.js" */
/** @import { DrawnView } from "./view.js" */

/** A polygon that can be picked. @typedef {{ cube: number, points: Point[] }} Hit */
/** @typedef {{ colour: string, alpha: number }} Paint */
/** How a cube is drawn; null: it is not kept. @typedef {(cube: Cube) => Paint | null} PaintOf */
/** What all parts of one drawing share.
    @typedef {{ area: Area, view: DrawnView, turned: Projection, shape: StackShape, paintOf: PaintOf, hits: Hit[] }}
    Drawing */

/**
 * Draw the video of the current slice as a stack; returns what can be picked, farthest first.
 * @param {Area} area
 * @param {DrawnView} view
 * @param {Angles} angles
 * @param {HTMLVideoElement | null} frame
 */
export function drawStack(area, view, angles, frame) {
  const video = view.data.videoOf(view.slice);
  if (!video) return [];
  const aspect = frame ? frame.videoWidth / frame.videoHeight : aspectOf(view, video);
  const shape = new StackShape(view.data, video, aspect);
  const turned = new Projection(area, shape, angles);
  /** @type {Drawing} */
  const drawing = { area, view, turned, shape, paintOf: stackPaint(view), hits: [] };
  const mine = view.data.cubes.filter((cube) => view.data.videos[cube.video] === video);
  for (const slab of turned.sorted(shape.slabs.map((t0) => ({ t0, box: shape.plane(t0) })))) {
    const cubes = mine.filter((cube) => cube.t0 === slab.t0);
    const local = view.slice - video.first_slice;
    if (cubes[0].t0 <= local && local < cubes[0].t1) drawPlane(drawing, slab.box, cubes, frame);
    else drawSlab(drawing, slab, cubes, slab.t0 < local === turned.away[2] > 0);
  }
  timeLabels(drawing);
  return drawing.hits;
}

/**
 * @param {DrawnView} view
 * @param {Video} video
 */
function aspectOf(view, video) {
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
    const share = (/** @type {Cube} */ cube) => data.ffnCubeShare(layer, cube);
    const mean = data.cubes.reduce((sum, cube) => sum + share(cube), 0) / data.cubes.length;
    return (cube) => (share(cube) >= mean - 0.002 ? { colour: cividis(share(cube)), alpha: 0.8 } : null);
  }
  const row = data.choices.row(query, layer);
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
 * A slab of time other than the one on screen.
 * @param {Drawing} drawing
 * @param {{ t0: number, box: Box }} slab
 * @param {Cube[]} cubes
 * @param {boolean} near it lies before the picture
 */
function drawSlab(drawing, slab, cubes, near) {
  const { area, turned, shape } = drawing;
  outline(area, turned.quad(slab.box), ink("edge"), 0.14, 1);
  const boxes = cubes.map((cube) => ({ cube, box: shape.box(cube) }));
  for (const { cube, box } of turned.sorted(boxes)) drawBox(drawing, cube, box, near ? 0.5 : 1);
}

/**
 * @param {Drawing} drawing
 * @param {Cube} cube
 * @param {Box} box
 * @param {number} fade
 */
function drawBox({ area, view, turned, paintOf, hits }, cube, box, fade) {
  const focused = cube.index === view.focus;
  const paint = paintOf(cube);
  if (!paint && !focused) return;
  const faces = turned.faces(box);
  faces.forEach((points, axis) => {
    if (paint) {
      polygon(area, points, paint.colour, paint.alpha * fade);
      polygon(area, points, ink("casing"), [0.34, 0.12, 0][axis] * fade);
    }
    if (focused) outline(area, points, ink("focus"), 1, 2.5);
    else outline(area, points, ink("casing"), 0.5 * fade, 0.75);
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
 * When the stack begins and ends, at its lower corners.
 * @param {Drawing} drawing
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
    context.fillText(start === null ? `slice ${t0}` : `${start.toFixed(1)} s`, x, y + 4 * ratio);
  }
}
