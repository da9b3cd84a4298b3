/* Orthographic projection of the cube stack: columns right, rows down, time to the back. No DOM. */

const REST = { yaw: 0.62, pitch: 0.46 };

/** Where the stack of a video lies in the model's space, in units of the picture's longer side. */
class StackShape {
  constructor(data, video, aspect) {
    const [slices, rows, columns] = video.grid;
    const scale = 1 / Math.max(aspect, 1);
    Object.assign(this, { video, slices, rows, columns, width: aspect * scale, height: scale });
    this.slabs = [...new Set(data.cubes.filter((cube) => data.videos[cube.video] === video).map((cube) => cube.t0))];
    this.depth = Math.min(2.2, Math.max(0.5, 0.2 * this.slabs.length));
  }

  /** Model box of a cube: [[x0, x1], [y0, y1], [z0, z1]]; slabs have air between them. */
  box({ t0, t1, r0, r1, c0, c1 }) {
    const thick = 0.55 * (t1 - t0);
    const line = (from, to, whole, size) => [from, to].map((at) => (at / whole - 0.5) * size);
    return [
      line(c0, c1, this.columns, this.width), line(r0, r1, this.rows, this.height),
      line(t0, t0 + thick, this.slices, this.depth),
    ];
  }

  /** The whole picture at a time: its box has no thickness. */
  plane(t0) {
    const [x, y, z] = this.box({ t0, t1: t0 + 1, r0: 0, r1: this.rows, c0: 0, c1: this.columns });
    return [x, y, [z[0], z[0]]];
  }

  get whole() {
    const [x, y, [first]] = this.plane(0), last = this.plane(this.slabs.at(-1))[2][0];
    return [x, y, [first, last + (0.55 * this.depth) / this.slabs.length]];
  }
}

/** Model space to pixels for one turn of the stack, as large as the area allows. */
class Projection {
  constructor(area, shape, { yaw, pitch }) {
    const [sy, cy, sp, cp] = [Math.sin(yaw), Math.cos(yaw), Math.sin(pitch), Math.cos(pitch)];
    this.turn = ([x, y, z]) => [x * cy + z * sy, y * cp - (z * cy - x * sy) * sp];
    this.away = [-sy * cp, sp, cy * cp]; // how much farther a step along each axis is
    const corners = cornersOf(shape.whole).map(this.turn);
    const range = (axis) => [Math.min(...corners.map((c) => c[axis])), Math.max(...corners.map((c) => c[axis]))];
    const [[x0, x1], [y0, y1]] = [range(0), range(1)], margin = 18 * area.ratio;
    this.scale = Math.min((area.width - 2 * margin) / (x1 - x0), (area.height - 2 * margin) / (y1 - y0));
    this.shift = [area.width / 2 - (this.scale * (x0 + x1)) / 2, area.height / 2 - (this.scale * (y0 + y1)) / 2];
  }

  point(at) {
    const [x, y] = this.turn(at);
    return [this.shift[0] + this.scale * x, this.shift[1] + this.scale * y];
  }

  /** Boxes from the farthest to the nearest: right for boxes that lie in one grid. */
  sorted(items) {
    return items.sort((one, other) => {
      for (const axis of [2, 1, 0]) {
        const step = (one.box[axis][0] - other.box[axis][0]) * Math.sign(this.away[axis] || 1);
        if (Math.abs(step) > 1e-9) return -step;
      }
      return 0;
    });
  }

  /** The faces of a box that can be seen, as polygons: side, top or bottom, front or back. */
  faces(box) {
    return [0, 1, 2].map((axis) => {
      const near = box[axis][this.away[axis] > 0 ? 0 : 1];
      const flat = box.map((range, i) => (i === axis ? [near, near] : range));
      return quadOf(flat, axis).map((corner) => this.point(corner));
    });
  }
}

function cornersOf([xs, ys, zs]) {
  return xs.flatMap((x) => ys.flatMap((y) => zs.map((z) => [x, y, z])));
}

/** The four corners, in turn, of a box that is flat along an axis. */
function quadOf(flat, axis) {
  const [one, other] = [0, 1, 2].filter((i) => i !== axis);
  return [[0, 0], [1, 0], [1, 1], [0, 1]].map(([i, j]) => {
    const corner = flat.map((range) => range[0]);
    corner[one] = flat[one][i];
    corner[other] = flat[other][j];
    return corner;
  });
}

function inPolygon([x, y], points) {
  let inside = false;
  points.forEach(([x1, y1], i) => {
    const [x0, y0] = points[(i + points.length - 1) % points.length];
    if (y1 > y !== y0 > y && x < ((x0 - x1) * (y - y1)) / (y0 - y1) + x1) inside = !inside;
  });
  return inside;
}
