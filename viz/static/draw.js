/* Drawing over the picture, in device pixels. Shares are coloured on 0 to view.top, 1 as a rule. */

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

/** Kept: at least the threshold's share of the queries attend, and never none of them. */
function isKept(share, threshold) {
  return share > 0 && share >= threshold - 0.002;
}

function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, w, h);
  return { context, width: w, height: h, ratio };
}

/** Device-pixel rectangle of grid rows [r0, r1) and columns [c0, c1). */
function cell(area, grid, { r0, r1, c0, c1 }) {
  const x = Math.round((c0 / grid[2]) * area.width), y = Math.round((r0 / grid[1]) * area.height);
  return [x, y, Math.round((c1 / grid[2]) * area.width) - x, Math.round((r1 / grid[1]) * area.height) - y];
}

function fill(area, rect, colour, alpha = 1) {
  area.context.globalAlpha = alpha;
  area.context.fillStyle = colour;
  area.context.fillRect(...rect);
  area.context.globalAlpha = 1;
}

/** A dark casing under a light line: visible on any footage and to any colour vision. */
function strokeTwoTone(area, rect, colour, width) {
  const { context, ratio } = area;
  const inset = (width * ratio) / 2 + ratio;
  const inner = [rect[0] + inset, rect[1] + inset, rect[2] - 2 * inset, rect[3] - 2 * inset];
  if (Math.min(inner[2], inner[3]) <= 0) return;
  for (const [style, line] of [[PALETTE.casing, width + 2], [colour, width]]) {
    context.strokeStyle = style;
    context.lineWidth = line * ratio;
    context.strokeRect(...inner);
  }
}

/** Diagonal lines inside rectangles, rising ("/", slope -1) or falling (1), in step with each other. */
function hatch(area, rects, slope, colour, alpha) {
  const { context, ratio } = area, gap = Math.round(7 * ratio);
  context.strokeStyle = colour;
  context.lineWidth = ratio;
  context.globalAlpha = alpha;
  context.beginPath();
  for (const [x, y, width, height] of rects) {
    // The lines are y = slope * x + k; k runs over the multiples of the gap that meet the rectangle.
    const low = slope > 0 ? y - x - width : y + x, high = low + width + height;
    for (let k = Math.ceil(low / gap) * gap; k <= high; k += gap) {
      const crossings = slope > 0 ? [y - k, y + height - k] : [k - y - height, k - y];
      const from = Math.max(x, crossings[0]), to = Math.min(x + width, crossings[1]);
      if (to <= from) continue;
      context.moveTo(from, slope * from + k);
      context.lineTo(to, slope * to + k);
    }
  }
  context.stroke();
  context.globalAlpha = 1;
}

/** Draw one slice; `greyArea` takes what loses its colour. `view` is `fullView`'s. */
function drawOverlay(area, greyArea, view) {
  const video = view.data.videoOf(view.slice);
  if (!video) return;
  const draw = { ffn: drawTokens, difference: drawDifference }[view.mode] ?? drawCubes;
  draw(area, view, video.grid, greyArea);
  const focused = view.data.cubesFromSlice[view.slice].filter((cube) => cube.index === view.focus);
  for (const cube of focused) strokeTwoTone(area, cell(area, video.grid, cube), PALETTE.focus, 3);
}

function drawCubes(area, view, grid, greyArea) {
  const row = view.data.choices.row(view.query, view.layer);
  for (const cube of view.data.cubesFromSlice[view.slice]) {
    const share = row[cube.index], rect = cell(area, grid, cube), kept = isKept(share, view.threshold);
    if (view.mode === "heat") fill(area, rect, cividis(share / view.top), 0.78);
    else if (kept) strokeTwoTone(area, rect, ...(view.mode === "outline" ? [PALETTE.kept, 2.5] : [PALETTE.edge, 1]));
    else if (view.mode === "spotlight") dim(area, greyArea, rect);
  }
}

function dim(area, greyArea, rect) {
  fill(greyArea, rect, "grey"); // any: this canvas blends by its saturation, none
  fill(area, rect, PALETTE.dim, 0.74);
}

function drawTokens(area, view, grid) {
  const mask = view.data.choices.ffnRow(view.layer), skipped = [];
  for (let r = 0; mask && r < grid[1]; r++) {
    for (let c = 0; c < grid[2]; c++) {
      if (mask[view.data.token(view.slice, r, c)]) continue;
      skipped.push(cell(area, grid, { r0: r, r1: r + 1, c0: c, c1: c + 1 }));
    }
  }
  for (const rect of skipped) fill(area, rect, PALETTE.dim, 0.72);
  hatch(area, skipped, -1, PALETTE.hatch, 0.55);
}

const SIDES = {
  a: { colour: "only_a", slope: -1, letter: "A" },
  b: { colour: "only_b", slope: 1, letter: "B" },
};

function drawDifference(area, view, grid, greyArea) {
  const bySide = { both: [], a: [], b: [], none: [] };
  for (const region of view.difference.regions(view, view.layer, view.slice)) {
    bySide[sideOf(region)].push(cell(area, grid, region));
  }
  for (const rect of bySide.none) dim(area, greyArea, rect);
  for (const [side, { colour, slope, letter }] of Object.entries(SIDES)) {
    for (const rect of bySide[side]) fill(area, rect, PALETTE[colour], 0.66);
    hatch(area, bySide[side], slope, PALETTE.hatch, 0.6);
    for (const rect of bySide[side]) label(area, rect, letter, PALETTE[colour]);
  }
  if (view.compared === "ffn") return;
  for (const side of ["both", "a", "b"]) {
    for (const rect of bySide[side]) strokeTwoTone(area, rect, PALETTE.edge, 1);
  }
}

/** A letter on its colour in the corner of a rectangle that has room for it. */
function label(area, [x, y, width, height], letter, colour) {
  const { context, ratio } = area, size = 15 * ratio;
  if (Math.min(width, height) < 2.2 * size) return;
  context.fillStyle = colour;
  context.fillRect(x + 4 * ratio, y + 4 * ratio, size * 1.15, size * 1.25);
  context.fillStyle = letter === "A" ? PALETTE.edge : PALETTE.casing;
  context.font = `bold ${size * 0.85}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(letter, x + 4 * ratio + size * 0.575, y + 4 * ratio + size * 0.66);
}
