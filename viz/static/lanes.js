/* Lanes under the picture: layers by slices, layer 0 at the bottom, the current place marked. */

const lanePictures = new WeakMap();

function drawLanes(canvas, view, width, height) {
  const area = fitCanvas(canvas, width, height);
  area.context.drawImage(lanePicture(canvas, area, view), 0, 0);
  markLane(area, view);
}

/** The lanes without marks, kept until what they show changes: a playing video only moves marks. */
function lanePicture(canvas, area, view) {
  const { data, query, mode, compared, laneTop, fixed, difference } = view;
  const key = JSON.stringify([mode === "ffn", mode === "difference" && [compared, fixed], query, laneTop,
    data.choices.version, difference?.b.choices.version, area.width, area.height]);
  const last = lanePictures.get(canvas);
  if (last?.key === key && last.data === data && last.difference === difference) return last.picture;
  const picture = Object.assign(document.createElement("canvas"), { width: area.width, height: area.height });
  fillLanes({ ...area, context: picture.getContext("2d") }, view);
  lanePictures.set(canvas, { key, data, difference, picture });
  return picture;
}

function fillLanes(area, view) {
  for (let layer = 0; layer < view.data.layers; layer++) {
    for (let slice = 0; slice < view.data.slices; slice++) {
      fill(area, laneRect(area, view.data, layer, slice), cividis(laneShare(view, layer, slice) / view.laneTop));
    }
  }
}

function laneShare(view, layer, slice) {
  if (view.mode === "ffn") return view.data.ffnSliceShare(layer, slice);
  if (view.mode === "difference") return view.difference.share(view, layer, slice);
  return view.data.sliceShare(view.query, layer, slice);
}

/** Pixel edges of one lane: [top, bottom). */
function laneEdges(area, { layers }, layer) {
  return [layers - layer - 1, layers - layer].map((line) => Math.round((line / layers) * area.height));
}

function laneRect(area, data, layer, slice) {
  const gap = area.height / data.layers > 8 * area.ratio ? area.ratio : 0;
  const [top, bottom] = laneEdges(area, data, layer);
  const [x, right] = [slice, slice + 1].map((at) => Math.round((at / data.slices) * area.width));
  return [x, top, right - x, bottom - top - gap];
}

function markLane(area, view) {
  const { context, ratio } = area, { data, layer, slice } = view;
  const [top, bottom] = laneEdges(area, data, layer);
  const middle = Math.round(((slice + 0.5) / data.slices) * area.width);
  for (const [colour, width] of [[PALETTE.casing, 4], [PALETTE.edge, 1.5]]) {
    context.strokeStyle = colour;
    context.lineWidth = width * ratio;
    context.strokeRect(ratio, top + ratio / 2, area.width - 2 * ratio, bottom - top - ratio);
    context.beginPath();
    context.moveTo(middle, 0);
    context.lineTo(middle, area.height);
    context.stroke();
  }
  markCube(area, view);
}

/** The focused cube's slices, underlined in its layer. */
function markCube(area, view) {
  if (view.focus === null) return;
  const { data, layer } = view, cube = data.cubes[view.focus], bottom = laneEdges(area, data, layer)[1];
  const [x, right] = [data.firstSlice(cube), data.endSlice(cube)].map((at) => (at / data.slices) * area.width);
  fill(area, [x, bottom - 5 * area.ratio, right - x, 4 * area.ratio], PALETTE.focus);
}

/** The {layer, slice} under a pointer event on the lanes. */
function laneAt(event, data) {
  const box = event.currentTarget.getBoundingClientRect();
  const clamp = (value, most) => Math.max(0, Math.min(Math.floor(value), most - 1));
  const down = clamp(((event.clientY - box.top) / box.height) * data.layers, data.layers);
  return {
    slice: clamp(((event.clientX - box.left) / box.width) * data.slices, data.slices),
    layer: data.layers - 1 - down,
  };
}
