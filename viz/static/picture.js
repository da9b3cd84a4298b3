/* What leaves the viewer: a read-only copy of what is drawn, and its panels as PNG or SVG. */

function snapshotOf(viewer) {
  const { data, parts, other } = viewer, view = fullView(viewer), video = data.videoOf(view.slice);
  const shares = (query) => Array.from({ length: data.layers }, (_, layer) => Array.from(data.choices.row(query, layer)));
  const mask = data.layers ? data.choices.ffnRow(view.layer) : [];
  return deepFreeze(structuredClone({
    state: parts.root.dataset.state, rev: Number(parts.root.dataset.rev), tier: parts.root.dataset.tier,
    layer: view.layer, slice: view.slice, mode: view.mode, query: view.held, head: view.query.head,
    threshold: view.threshold, pinned: view.pinned, preview: data.choices.settings,
    grid: video?.grid ?? [0, 0, 0], grids: data.videos.map((item) => item.grid),
    cubes: data.cubes, kinds: data.kinds, heads: data.scene.heads, kept: shares(view.query),
    kept_by_kind: Object.fromEntries(data.kinds.map((kind) => [kind, shares({ kind, head: null })])),
    ffn_mask: mask && Array.from(mask, (bit) => bit === 1), words: data.words,
    frame_times: data.times, question: data.scene.question, answer: data.scene.answer,
    config: data.scene.config, compared_with: other?.comparable ? other.labels[1] : null, compared: view.compared,
  }));
}

function deepFreeze(value) {
  if (value && typeof value === "object") Object.values(value).forEach(deepFreeze);
  return Object.freeze(value);
}

/** Width and height of the picture: the clip's, or a plain one in the shape of the grid. */
function pictureSize({ parts, data, view }) {
  const clip = data?.scene.clip ?? {}, grid = data?.videoOf(view.slice)?.grid ?? [1, 9, 16];
  return [parts.video.videoWidth || clip.width || grid[2], parts.video.videoHeight || clip.height || grid[1]];
}

async function pictureOf(viewer, format, panel) {
  const { parts } = viewer;
  if (format === "svg") return new Blob([svgOf(viewer, panel)], { type: "image/svg+xml" });
  const canvas = panel === "overlay" ? composed(parts) : { lanes: parts.lanes, stack: parts.stack }[panel];
  return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
}

/** The frame, what is grey of it and the overlay, as one canvas. */
function composed({ overlay, grey, video }) {
  const canvas = Object.assign(document.createElement("canvas"), { width: overlay.width, height: overlay.height });
  const context = canvas.getContext("2d"), whole = [0, 0, canvas.width, canvas.height];
  if (video.videoWidth) context.drawImage(video, ...whole);
  else fill({ context }, whole, PALETTE.plain);
  context.globalAlpha = Number(overlay.style.opacity || 1);
  if (video.videoWidth) {
    context.globalCompositeOperation = "saturation";
    context.drawImage(grey, 0, 0);
    context.globalCompositeOperation = "source-over";
  }
  context.drawImage(overlay, 0, 0);
  return canvas;
}

function svgOf(viewer, panel) {
  const { parts } = viewer, view = fullView(viewer);
  const canvas = { overlay: parts.overlay, lanes: parts.lanes, stack: parts.stack }[panel];
  const { width, height } = canvas, area = svgArea(width, height);
  if (panel === "lanes") fillLanes(area, view);
  if (panel === "lanes") markLane(area, view);
  if (panel === "stack") drawStack(area, view, viewer.stack.angles, null);
  if (panel !== "overlay") return svgFile(width, height, PALETTE.stage, [area]);
  const grey = svgArea(width, height);
  drawOverlay(area, grey, view);
  grey.context.style = "mix-blend-mode:saturation";
  return svgFile(width, height, PALETTE.plain, parts.video.videoWidth ? [frameOf(parts.video, width, height), grey, area] : [area]);
}

function frameOf(video, width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  const area = svgArea(width, height);
  area.context.parts.push(`<image width="${width}" height="${height}" preserveAspectRatio="none" href="${canvas.toDataURL("image/jpeg", 0.9)}"/>`);
  return area;
}

function svgArea(width, height) {
  return { context: new SvgContext(), width, height, ratio: window.devicePixelRatio || 1 };
}

function svgFile(width, height, ground, areas) {
  const groups = areas.map(({ context }) => `<g style="${context.style}">${context.parts.join("")}</g>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">` +
    `<rect width="${width}" height="${height}" fill="${ground}"/>${groups.join("")}</svg>`;
}

/** The part of CanvasRenderingContext2D that the drawing functions use, written as SVG elements. */
class SvgContext {
  parts = [];
  style = "";
  globalAlpha = 1;
  lineWidth = 1;
  #path = "";

  fillRect(x, y, width, height) {
    this.parts.push(`<rect x="${x}" y="${y}" width="${width}" height="${height}" ${this.#fill()}/>`);
  }

  strokeRect(x, y, width, height) {
    this.parts.push(`<rect x="${x}" y="${y}" width="${width}" height="${height}" ${this.#stroke()}/>`);
  }

  beginPath() { this.#path = ""; }
  moveTo(x, y) { this.#path += `M${rounded(x)} ${rounded(y)}`; }
  lineTo(x, y) { this.#path += `L${rounded(x)} ${rounded(y)}`; }
  closePath() { this.#path += "Z"; }
  fill() { this.parts.push(`<path d="${this.#path}" ${this.#fill()}/>`); }
  stroke() { this.parts.push(`<path d="${this.#path}" ${this.#stroke()}/>`); }

  fillText(text, x, y) {
    const anchor = this.textAlign === "center" ? "middle" : "start";
    const baseline = this.textBaseline === "middle" ? "central" : "hanging";
    const node = el("i", { textContent: text }); // the browser escapes it
    const size = this.font.match(/[\d.]+px/)[0];
    this.parts.push(`<text x="${rounded(x)}" y="${rounded(y)}" font-size="${size}" font-family="system-ui, sans-serif" ` +
      `text-anchor="${anchor}" dominant-baseline="${baseline}" ${this.#fill()}>${new XMLSerializer().serializeToString(node.firstChild)}</text>`);
  }

  #fill() {
    return `fill="${this.fillStyle}" fill-opacity="${this.globalAlpha}"`;
  }

  #stroke() {
    return `fill="none" stroke="${this.strokeStyle}" stroke-width="${this.lineWidth}" stroke-opacity="${this.globalAlpha}"`;
  }
}

const rounded = (value) => Math.round(value * 100) / 100;
