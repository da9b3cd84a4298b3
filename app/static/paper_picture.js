/* A panel of the viewer as a figure for a paper: seven inches wide, with a title, its axes and its legend. */

import { percent } from "../../viz/static/format.js";
import { factsOf, laneTitle } from "../../viz/static/texts.js";
import { fullView, isDrawn } from "../../viz/static/view.js";
import { inLanguage } from "./language.js";
import { legendOf } from "./paper_legend.js";

/** @import { Panel } from "../../viz/static/picture.js" */
/** @import { DrawnView } from "../../viz/static/view.js" */
/** @import { Viewer } from "../../viz/static/viewer.js" */

/** A text at a place. @typedef {{ x: number, y: number, text: string, anchor?: string, size?: number }} Label */

const WIDTH = 700;
const PNG_SCALE = 3; // 2,100 pixels are seven inches at 300 dots each
const MARGIN = 14;
const TITLE = 34;
const LINE = 18;
const AXIS = { left: 46, bottom: 40 };
const MOST_TICKS = 12;

/**
 * @param {Viewer} viewer
 * @param {"png" | "svg"} format
 * @param {Panel} panel
 * @returns {Promise<Blob | null>} null where the panel is hidden
 */
export async function paperPicture(viewer, format, panel) {
  const view = fullView(viewer);
  const inner = await viewer.picture("svg", panel);
  const canvas = viewer.parts[panel];
  if (!inner || !isDrawn(view) || !canvas.width || !canvas.getClientRects().length) return null;
  const made = figure(view, viewer, panel, await inner.text(), canvas.height / canvas.width);
  if (format === "svg") return new Blob([made.svg], { type: "image/svg+xml" });
  return rasterized(made.svg, made.height);
}

/**
 * @param {DrawnView} view
 * @param {Viewer} viewer
 * @param {Panel} panel
 * @param {string} inner the panel as SVG
 * @param {number} ratio its height by its width
 */
function figure(view, viewer, panel, inner, ratio) {
  const isMap = panel === "lanes";
  const left = MARGIN + (isMap ? AXIS.left : 0);
  const width = WIDTH - left - MARGIN;
  const height = isMap ? Math.max(width * ratio, view.data.layers * 14) : width * ratio;
  const under = TITLE + height + (isMap ? AXIS.bottom : 8);
  const legend = legendOf(isMap ? null : viewer.parts.legend, MARGIN, under, LINE);
  const below = under + legend.labels.length * LINE;
  const captions = wrapped(captionsOf(view, isMap).map(inLanguage));
  const whole = Math.round(below + captions.length * LINE + MARGIN);
  const { scene } = view.data;
  const title = isMap ? inLanguage(laneTitle(view)) : `${scene.question ?? ""} ${scene.answer?.trim() ?? ""}`;
  const labels = [
    { x: MARGIN, y: 22, text: title, size: 15 },
    ...(isMap ? axes(view, left, width, height) : []),
    ...legend.labels,
    ...captions.map((text, i) => ({ x: MARGIN, y: below + LINE * (i + 0.8), text, size: 12 })),
  ];
  const style = getComputedStyle(viewer.parts.root);
  const [ground, ink] = ["--as-panel", "--as-text"].map((name) => style.getPropertyValue(name).trim());
  const picture = inner
    .replace(/<\?xml[^>]*>\s*/, "")
    .replace(/<svg /, `<svg x="${left}" y="${TITLE}" preserveAspectRatio="none" `)
    .replace(/(<svg [^>]*?)\bwidth="[^"]*" height="[^"]*"/, `$1width="${width}" height="${height}"`);
  const size = `width="7in" height="${(7 * whole) / WIDTH}in" viewBox="0 0 ${WIDTH} ${whole}"`;
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" fill="${ink}">` +
    `<rect width="${WIDTH}" height="${whole}" fill="${ground}"/>` +
    `${picture}${[...legend.samples, ...labels.map(labelText)].join("")}</svg>`;
  return { svg, height: whole };
}

/**
 * @param {DrawnView} view
 * @param {boolean} isMap
 */
function captionsOf(view, isMap) {
  if (isMap) return [`Colours: 0 (dark) to ${percent(view.laneTop)} (bright)`];
  return [`Layer ${view.layer}`, factsOf(view)];
}

/** @param {string[]} texts */
function wrapped(texts) {
  return texts.flatMap((text) => text.match(/.{1,105}(\s|$|(?=[\u4e00-\u9fff]))/g) ?? [text]);
}

/**
 * Layers upwards, time to the right.
 * @param {DrawnView} view
 * @param {number} left
 * @param {number} width
 * @param {number} height
 * @returns {Label[]}
 */
function axes({ data }, left, width, height) {
  const { layers, slices } = data;
  const step = Math.ceil(layers / MOST_TICKS);
  const rows = Array.from({ length: Math.ceil(layers / step) }, (_, i) => i * step).map((layer) => ({
    x: left - 6,
    y: TITLE + height * (1 - (layer + 0.5) / layers) + 4,
    text: String(layer),
    anchor: "end",
  }));
  const columns = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const slice = Math.round(share * (slices - 1));
    const start = data.startOf(slice);
    const text = start === null ? String(slice) : `${start.toFixed(1)} s`;
    return { x: left + (width * (slice + 0.5)) / slices, y: TITLE + height + 14, text, anchor: "middle" };
  });
  const names = [
    { x: MARGIN, y: TITLE + height / 2, text: inLanguage("Layer") },
    { x: left + width / 2, y: TITLE + height + 32, text: inLanguage(`Time (${slices} slices)`), anchor: "middle" },
  ];
  return [...rows, ...columns, ...names];
}

/** @param {Label} label */
function labelText({ x, y, text, anchor = "start", size = 11 }) {
  const safe = text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="${size}" text-anchor="${anchor}">${safe}</text>`;
}

/**
 * @param {string} svg
 * @param {number} height
 * @returns {Promise<Blob | null>}
 */
async function rasterized(svg, height) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), {
    width: WIDTH * PNG_SCALE,
    height: height * PNG_SCALE,
  });
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => {
    canvas.toBlob(resolve, "image/png");
  });
}
