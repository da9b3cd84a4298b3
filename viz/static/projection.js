/* The 3-D of the cube stack (stack.js): orthographic, columns right, rows down, time to the back. No DOM. */

/** @import { Cube } from "./types.js" */
/** @import { Video } from "./geometry.js" */
/** @import { SceneData } from "./scene.js" */

/** @typedef {[number, number]} Point in pixels */
/** @typedef {[number, number, number]} Place in the model's space */
/** Ranges along x, y and z. @typedef {[Point, Point, Point]} Box */
/** @typedef {{ yaw: number, pitch: number }} Angles in radians */

export const REST = { yaw: 0.62, pitch: 0.46 };

/** Where the stack of a video lies in the model's space, in units of the picture's longer side. */
export class StackShape {
  /**
   * @param {SceneData} data
   * @param {Video} video
   * @param {number} aspect of the picture, width by height
   */
  constructor(data, video, aspect) {
    const scale = 1 / Math.max(aspect, 1);
    this.video = video;
    const [slices, rows, columns] = video.grid;
    this.slices = slices;
    this.rows = rows;
    this.columns = columns;
    this.width = aspect * scale;
    this.height = scale;
    this.slabs = [...new Set(data.cubes.filter((cube) => data.videos[cube.video] === video).map((cube) => cube.t0))];
    this.depth = Math.min(2.2, Math.max(0.5, 0.2 * this.slabs.length));
  }

  /**
   * Model box of a cube; slabs have air between them.
   * @param {Omit<Cube, "index" | "video">} cube
   * @returns {Box}
   */
  box({ t0, t1, r0, r1, c0, c1 }) {
    const thick = 0.55 * (t1 - t0);
    return [
      line(c0, c1, this.columns, this.width),
      line(r0, r1, this.rows, this.height),
      line(t0, t0 + thick, this.slices, this.depth),
    ];
  }

  /**
   * The whole picture at a time: its box has no thickness.
   * @param {number} t0
   * @returns {Box}
   */
  plane(t0) {
    const [x, y, z] = this.box({ t0, t1: t0 + 1, r0: 0, r1: this.rows, c0: 0, c1: this.columns });
    return [x, y, [z[0], z[0]]];
  }

  /** @returns {Box} */
  get whole() {
    const [x, y, [first]] = this.plane(0);
    const last = this.plane(this.slabs[this.slabs.length - 1])[2][0];
    return [x, y, [first, last + (0.55 * this.depth) / this.slabs.length]];
  }
}

/**
 * @param {number} from
 * @param {number} to
 * @param {number} whole
 * @param {number} size
 * @returns {Point}
 */
function line(from, to, whole, size) {
  return [(from / whole - 0.5) * size, (to / whole - 0.5) * size];
}

/** Model space to pixels for one turn of the stack, as large as the area allows. */
export class Projection {
  /**
   * @param {{ width: number, height: number, ratio: number }} area in device pixels
   * @param {StackShape} shape
   * @param {Angles} angles
   */
  constructor(area, shape, { yaw, pitch }) {
    const [sy, cy, sp, cp] = [Math.sin(yaw), Math.cos(yaw), Math.sin(pitch), Math.cos(pitch)];
    /** @type {(place: Place) => Point} */
    this.turn = ([x, y, z]) => [x * cy + z * sy, y * cp - (z * cy - x * sy) * sp];
    this.away = [-sy * cp, sp, cy * cp]; // how much farther a step along each axis is
    const corners = cornersOf(shape.whole).map(this.turn);
    const [x0, x1] = rangeOf(corners.map(([x]) => x));
    const [y0, y1] = rangeOf(corners.map(([, y]) => y));
    const margin = 18 * area.ratio;
    this.scale = Math.min((area.width - 2 * margin) / (x1 - x0), (area.height - 2 * margin) / (y1 - y0));
    this.shift = [area.width / 2 - (this.scale * (x0 + x1)) / 2, area.height / 2 - (this.scale * (y0 + y1)) / 2];
  }

  /**
   * @param {Place} place
   * @returns {Point}
   */
  point(place) {
    const [x, y] = this.turn(place);
    return [this.shift[0] + this.scale * x, this.shift[1] + this.scale * y];
  }

  /**
   * The four corners, in turn and in pixels, of a box that is flat along an axis.
   * @param {Box} flat
   * @param {number} [axis]
   */
  quad(flat, axis = 2) {
    return quadOf(flat, axis).map((corner) => this.point(corner));
  }

  /**
   * Boxes from the farthest to the nearest: right for boxes that lie in one grid.
   * @template {{ box: Box }} T
   * @param {T[]} items sorted in place
   */
  sorted(items) {
    return items.sort((one, other) => {
      for (const axis of [2, 1, 0]) {
        const step = (one.box[axis][0] - other.box[axis][0]) * Math.sign(this.away[axis] || 1);
        if (Math.abs(step) > 1e-9) return -step;
      }
      return 0;
    });
  }

  /**
   * The faces of a box that can be seen, as polygons: side, top or bottom, front or back.
   * @param {Box} box
   */
  faces(box) {
    return [0, 1, 2].map((axis) => {
      const near = box[axis][this.away[axis] > 0 ? 0 : 1];
      const flat = /** @type {Box} */ (box.map((range, i) => (i === axis ? [near, near] : range)));
      return this.quad(flat, axis);
    });
  }
}

/** @param {number[]} values */
function rangeOf(values) {
  return [Math.min(...values), Math.max(...values)];
}

/**
 * @param {Box} box
 * @returns {Place[]}
 */
function cornersOf([xs, ys, zs]) {
  return xs.flatMap((x) => ys.flatMap((y) => zs.map((z) => /** @type {Place} */ ([x, y, z]))));
}

/**
 * The four corners, in turn, of a box that is flat along an axis.
 * @param {Box} flat
 * @param {number} axis
 */
export function quadOf(flat, axis) {
  const [one, other] = [0, 1, 2].filter((i) => i !== axis);
  const turns = [
    [0, 0],
    [1, 0],
    [1, 1],
    [0, 1],
  ];
  return turns.map(([i, j]) => {
    const corner = /** @type {Place} */ (flat.map((range) => range[0]));
    corner[one] = flat[one][i];
    corner[other] = flat[other][j];
    return corner;
  });
}

/**
 * @param {Point} point
 * @param {Point[]} corners in turn
 */
export function inPolygon([x, y], corners) {
  let inside = false;
  corners.forEach(([x1, y1], i) => {
    const [x0, y0] = corners[(i + corners.length - 1) % corners.length];
    if (y1 > y !== y0 > y && x < ((x0 - x1) * (y - y1)) / (y0 - y1) + x1) inside = !inside;
  });
  return inside;
}
