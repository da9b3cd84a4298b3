/* Drawing: overlay and lanes, in device pixels. Shares are coloured on 0 to view.top, 1 as a rule. */

/** The part of a box that a picture fills under object-fit: contain. */
function contentRect(boxWidth, boxHeight, pictureWidth, pictureHeight) {
  const scale = Math.min(boxWidth / pictureWidth, boxHeight / pictureHeight);
  const width = pictureWidth * scale, height = pictureHeight * scale;
  return { left: (boxWidth - width) / 2, top: (boxHeight - height) / 2, width, height };
}

/** Cividis at a share, as a CSS colour; the anchors come from viz/palette.py. */
function cividis(share) {
  const at = Math.min(Math.max(share, 0), 1) * (PALETTE.cividis.length - 1);
  const low = Math.min(Math.floor(at), PALETTE.cividis.length - 2);
  const channels = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  const [a, b] = [channels(PALETTE.cividis[low]), channels(PALETTE.cividis[low + 1])];
  return `rgb(${a.map((value, i) => Math.round(value + (b[i] - value) * (at - low))).join(",")})`;
}

function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, w, h);
  return { context, width: w, height: h, ratio };
}

/** Device-pixel rectangle of grid rows [r0, r1) and columns [c0, c1). */
function cell(area, grid, r0, r1, c0, c1) {
  const x = Math.round((c0 / grid[2]) * area.width), y = Math.round((r0 / grid[1]) * area.height);
  return [x, y, Math.round((c1 / grid[2]) * area.width) - x, Math.round((r1 / grid[1]) * area.height) - y];
}

/** A dark casing under a light line: visible on any footage and to any colour vision. */
function strokeTwoTone(area, rect, colour, width) {
  const { context, ratio } = area;
  const inset = (width * ratio) / 2 + ratio;
  const inner = [rect[0] + inset, rect[1] + inset, rect[2] - 2 * inset, rect[3] - 2 * inset];
  for (const [style, line] of [[PALETTE.casing, width + 2], [colour, width]]) {
    context.strokeStyle = style;
    context.lineWidth = line * ratio;
    context.strokeRect(...inner);
  }
}

function hatchPattern(area) {
  const size = Math.round(7 * area.ratio), tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const context = tile.getContext("2d");
  context.fillStyle = PALETTE.dim + "b8";
  context.fillRect(0, 0, size, size);
  context.strokeStyle = PALETTE.hatch + "8c";
  context.lineWidth = area.ratio;
  context.beginPath();
  for (const shift of [-size, 0, size]) {
    context.moveTo(shift, size);
    context.lineTo(shift + size, 0);
  }
  context.stroke();
  return area.context.createPattern(tile, "repeat");
}

/** Draw one slice. `view` = {data, layer, slice, query, mode, threshold, top, focus}. */
function drawOverlay(area, greyArea, view) {
  const video = view.data.videoOf(view.slice);
  if (!video) return;
  if (view.mode === "ffn") drawTokens(area, view, video.grid);
  else drawCubes(area, greyArea, view, video.grid);
  const focused = view.data.cubesFromSlice[view.slice].filter((cube) => cube.index === view.focus);
  for (const cube of focused) strokeTwoTone(area, cubeRect(area, video.grid, cube), PALETTE.focus, 3);
}

function cubeRect(area, grid, cube) {
  return cell(area, grid, cube.r0, cube.r1, cube.c0, cube.c1);
}

function drawCubes(area, greyArea, view, grid) {
  for (const cube of view.data.cubesFromSlice[view.slice]) {
    const share = view.data.share(view.query, view.layer, cube.index);
    const rect = cubeRect(area, grid, cube), kept = isKept(share, view.threshold);
    if (view.mode === "heat") {
      area.context.fillStyle = cividis(share / view.top);
      area.context.globalAlpha = 0.78;
      area.context.fillRect(...rect);
      area.context.globalAlpha = 1;
    } else if (view.mode === "outline") {
      if (kept) strokeTwoTone(area, rect, PALETTE.kept, 2.5);
    } else if (kept) {
      strokeTwoTone(area, rect, PALETTE.edge, 1);
    } else {
      greyArea.context.fillStyle = "grey"; // any: this canvas blends by its saturation, none
      greyArea.context.fillRect(...rect);
      area.context.fillStyle = PALETTE.dim + "bd";
      area.context.fillRect(...rect);
    }
  }
}

/** Kept: at least the threshold's share of the queries attend, and never none of them. */
function isKept(share, threshold) {
  return share > 0 && share >= threshold - 0.002;
}

function drawTokens(area, view, grid) {
  area.context.fillStyle = hatchPattern(area);
  for (let row = 0; row < grid[1]; row++) {
    for (let column = 0; column < grid[2]; column++) {
      const token = view.data.token(view.slice, row, column);
      if (!view.data.ffnKept(view.layer, token)) {
        area.context.fillRect(...cell(area, grid, row, row + 1, column, column + 1));
      }
    }
  }
}

/** Layers by slices: the kept share of each, the current layer and slice marked. */
function drawLanes(canvas, view, width, height) {
  const area = fitCanvas(canvas, width, height);
  area.context.drawImage(lanePicture(canvas, area, view), 0, 0);
  markLane(area, view);
}

/** The lanes without marks, kept until what they show changes: a playing video only moves marks. */
function lanePicture(canvas, area, view) {
  const key = JSON.stringify([view.mode === "ffn", view.query, view.top, area.width, area.height]);
  const last = lanePictures.get(canvas);
  if (last?.key === key && last.data === view.data) return last.picture;
  const picture = Object.assign(document.createElement("canvas"), { width: area.width, height: area.height });
  const context = picture.getContext("2d");
  for (let layer = 0; layer < view.data.layers; layer++) {
    for (let slice = 0; slice < view.data.slices; slice++) {
      context.fillStyle = cividis(laneShare(view, layer, slice) / view.top);
      context.fillRect(...laneRect(area, view.data, layer, slice));
    }
  }
  lanePictures.set(canvas, { key, data: view.data, picture });
  return picture;
}

const lanePictures = new WeakMap();

function laneShare(view, layer, slice) {
  if (view.mode === "ffn") return view.data.ffnSliceShare(layer, slice);
  return view.data.sliceShare(view.query, layer, slice);
}

function laneRect(area, data, layer, slice) {
  const gap = area.height / data.layers > 8 * area.ratio ? area.ratio : 0;
  const x = Math.round((slice / data.slices) * area.width);
  const y = Math.round((layer / data.layers) * area.height);
  const right = Math.round(((slice + 1) / data.slices) * area.width);
  const bottom = Math.round(((layer + 1) / data.layers) * area.height);
  return [x, y, right - x, bottom - y - gap];
}

function markLane(area, view) {
  const { context, ratio } = area, { data, layer, slice } = view;
  const top = Math.round((layer / data.layers) * area.height);
  const bottom = Math.round(((layer + 1) / data.layers) * area.height);
  const middle = Math.round(((slice + 0.5) / data.slices) * area.width);
  const draw = (colour, width) => {
    context.strokeStyle = colour;
    context.lineWidth = width * ratio;
    context.strokeRect(ratio, top + ratio / 2, area.width - 2 * ratio, bottom - top - ratio);
    context.beginPath();
    context.moveTo(middle, 0);
    context.lineTo(middle, area.height);
    context.stroke();
  };
  draw(PALETTE.casing, 4);
  draw(PALETTE.edge, 1.5);
}
