/* The cube stack: what the layer keeps, in space and time, around the picture that is on screen. */

class CubeStack {
  #hits = [];
  #from = null;

  /** `canvas` is drawn on and turned by; onPick(cube, lock) hears hover and click, onTurn redraws. */
  constructor(canvas, onPick, onTurn) {
    Object.assign(this, { canvas, onPick, onTurn, angles: { ...REST } });
    canvas.addEventListener("pointerdown", (event) => this.#grab(event));
    canvas.addEventListener("pointermove", (event) => this.#drag(event));
    canvas.addEventListener("pointerup", (event) => this.#release(event));
    canvas.addEventListener("pointerleave", () => onPick(null, false));
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  draw(view, video) {
    const area = fitCanvas(this.canvas, this.canvas.clientWidth, this.canvas.clientHeight);
    const frame = video.videoWidth && video.readyState >= 2 ? video : null;
    this.#hits = drawStack(area, view, this.angles, frame);
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top].map((at) => at * (this.canvas.width / box.width));
  }

  /** The nearest cube drawn at a place. */
  #cubeAt(event) {
    const place = this.#place(event);
    return this.#hits.findLast(({ points }) => inPolygon(place, points))?.cube ?? null;
  }

  #grab(event) {
    this.#from = { x: event.clientX, y: event.clientY, ...this.angles, moved: false };
    this.canvas.setPointerCapture(event.pointerId);
  }

  #drag(event) {
    const from = this.#from;
    if (!from) return this.onPick(this.#cubeAt(event), false);
    const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
    from.moved ||= Math.hypot(dx, dy) > 4;
    if (from.moved) this.#turn(from.yaw - dx / 160, from.pitch + dy / 200);
    return undefined;
  }

  #release(event) {
    const clicked = this.#from && !this.#from.moved;
    this.#from = null;
    if (clicked) this.onPick(this.#cubeAt(event), true);
  }

  #turn(yaw, pitch) {
    this.angles = { yaw, pitch: Math.max(-1.4, Math.min(pitch, 1.4)) };
    this.onTurn();
  }

  /** Arrows turn the stack while it has focus; Home turns it back. Other keys are the viewer's. */
  #key(event) {
    const { yaw, pitch } = this.angles;
    const to = {
      ArrowLeft: [yaw + 0.12, pitch], ArrowRight: [yaw - 0.12, pitch],
      ArrowUp: [yaw, pitch + 0.1], ArrowDown: [yaw, pitch - 0.1], Home: [REST.yaw, REST.pitch],
    }[event.key];
    if (!to || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.#turn(...to);
  }
}

/** Draw the video of the current slice as a stack; returns what can be picked, farthest first. */
function drawStack(area, view, angles, frame) {
  const video = view.data.videoOf(view.slice);
  if (!video) return [];
  const shape = new StackShape(view.data, video, frame ? frame.videoWidth / frame.videoHeight : aspectOf(view, video));
  const turned = new Projection(area, shape, angles), paint = stackPaint(view), hits = [];
  const mine = view.data.cubes.filter((cube) => view.data.videos[cube.video] === video);
  const slabs = shape.slabs.map((t0) => ({ t0, box: shape.plane(t0) }));
  for (const slab of turned.sorted(slabs)) {
    const cubes = mine.filter((cube) => cube.t0 === slab.t0);
    const local = view.slice - video.first_slice;
    if (cubes[0].t0 <= local && local < cubes[0].t1) {
      drawPlane(area, view, { turned, shape, frame, cubes, at: shape.plane(slab.t0), paint, hits });
      continue;
    }
    outline(area, quadOf(slab.box, 2).map((c) => turned.point(c)), PALETTE.edge, 0.14, 1);
    const boxes = cubes.map((cube) => ({ cube, box: shape.box(cube), paint: paint(cube) }));
    const near = (slab.t0 < local) === turned.away[2] > 0;
    for (const item of turned.sorted(boxes)) drawBox(area, turned, item, view, near ? 0.5 : 1, hits);
  }
  timeLabels(area, view, turned, shape);
  return hits;
}

function aspectOf(view, video) {
  const { width, height } = view.data.scene.clip ?? {};
  return width && height ? width / height : video.grid[2] / video.grid[1];
}

/** Which cubes are drawn and how: cube -> {colour, alpha}, or null for one that is not kept. */
function stackPaint(view) {
  const { data, layer, query, mode } = view;
  if (mode === "difference") {
    const colours = { a: [PALETTE.only_a, 0.95], b: [PALETTE.only_b, 0.95], both: [PALETTE.edge, 0.3] };
    return (cube) => {
      const [colour, alpha] = colours[view.difference.sideOfCube(view, layer, cube)] ?? [];
      return colour ? { colour, alpha } : null;
    };
  }
  if (mode === "ffn") {
    const share = (cube) => data.ffnCubeShare(layer, cube);
    const mean = data.cubes.reduce((sum, cube) => sum + share(cube), 0) / data.cubes.length;
    return (cube) => (share(cube) >= mean - 0.002 ? { colour: cividis(share(cube)), alpha: 0.8 } : null);
  }
  const row = data.choices.row(query, layer), top = data.largestIn(query, layer);
  return ({ index }) => {
    if (!isKept(row[index], view.threshold)) return null;
    if (mode === "heat") return { colour: cividis(row[index] / view.top), alpha: 0.9 };
    return { colour: PALETTE.kept, alpha: 0.3 + 0.65 * (row[index] / top) };
  };
}

function drawBox(area, turned, { cube, box, paint }, view, fade, hits) {
  const focused = cube.index === view.focus;
  if (!paint && !focused) return;
  const faces = turned.faces(box);
  faces.forEach((points, axis) => {
    if (paint) {
      polygon(area, points, paint.colour, paint.alpha * fade);
      polygon(area, points, PALETTE.casing, [0.34, 0.12, 0][axis] * fade);
    }
    outline(area, points, focused ? PALETTE.focus : PALETTE.casing, focused ? 1 : 0.5 * fade, focused ? 2.5 : 0.75);
  });
  hits.push(...faces.map((points) => ({ cube: cube.index, points })));
}

/** The picture on screen in its place in time, with what is dropped of it dimmed. */
function drawPlane(area, view, { turned, shape, frame, cubes, at, paint, hits }) {
  const corners = quadOf(at, 2).map((corner) => turned.point(corner));
  if (frame) drawFrame(area, corners, frame);
  else polygon(area, corners, PALETTE.plain, 1);
  for (const cube of cubes) {
    const [x, y] = shape.box(cube), points = quadOf([x, y, at[2]], 2).map((corner) => turned.point(corner));
    const look = paint(cube);
    if (!look) polygon(area, points, PALETTE.dim, 0.66);
    else outline(area, points, look.colour, 1, 2);
    hits.push({ cube: cube.index, points });
  }
  const focused = cubes.find((cube) => cube.index === view.focus);
  if (focused) {
    const [x, y] = shape.box(focused);
    outline(area, quadOf([x, y, at[2]], 2).map((corner) => turned.point(corner)), PALETTE.focus, 1, 3);
  }
  outline(area, corners, PALETTE.edge, 0.95, 2);
}

function drawFrame({ context }, [topLeft, topRight, , bottomLeft], frame) {
  const [width, height] = [frame.videoWidth, frame.videoHeight];
  context.save();
  context.setTransform(
    (topRight[0] - topLeft[0]) / width, (topRight[1] - topLeft[1]) / width,
    (bottomLeft[0] - topLeft[0]) / height, (bottomLeft[1] - topLeft[1]) / height, ...topLeft,
  );
  context.drawImage(frame, 0, 0, width, height);
  context.restore();
}

function trace({ context }, points) {
  context.beginPath();
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.closePath();
}

function polygon(area, points, colour, alpha) {
  if (!alpha) return;
  trace(area, points);
  area.context.globalAlpha = alpha;
  area.context.fillStyle = colour;
  area.context.fill();
  area.context.globalAlpha = 1;
}

function outline(area, points, colour, alpha, width) {
  trace(area, points);
  area.context.globalAlpha = alpha;
  area.context.strokeStyle = colour;
  area.context.lineWidth = width * area.ratio;
  area.context.stroke();
  area.context.globalAlpha = 1;
}

/** When the stack begins and ends, at its lower corners. */
function timeLabels(area, view, turned, shape) {
  const { context, ratio } = area, last = shape.slabs.at(-1);
  context.font = `${11 * ratio}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "top";
  context.fillStyle = PALETTE.on_stage;
  for (const t0 of new Set([0, last])) {
    const start = view.data.startOf(shape.video.first_slice + t0);
    const corners = quadOf(shape.plane(t0), 2).map((corner) => turned.point(corner));
    const [x, y] = corners.reduce((low, corner) => (corner[1] > low[1] ? corner : low));
    context.fillText(start === null ? `slice ${t0}` : `${start.toFixed(1)} s`, x, y + 4 * ratio);
  }
}
