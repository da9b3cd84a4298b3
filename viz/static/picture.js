/* The viewer's panels as files: PNG or SVG. */

import { contextOf, fill } from "./canvas.js";
import { fillLanes, markLane } from "./lanes.js";
import { drawOverlay } from "./overlay.js";
import { ink } from "./palette.js";
import { aspectOf, drawFocus, drawPicture, drawSlabs } from "./stack_drawing.js";
import { svgArea, svgFile } from "./svg.js";
import { fullView, isDrawn } from "./view.js";

/** @import { Rect } from "./canvas.js" */
/** @import { Parts } from "./parts.js" */
/** @import { DrawnView } from "./view.js" */
/** @import { Viewer } from "./viewer.js" */

/** @typedef {"overlay" | "lanes" | "stack"} Panel */

/**
 * Width and height of the picture: the clip's, or a plain one in the shape of the grid.
 * @param {Viewer} viewer
 */
export function pictureSize({ parts, data, view }) {
  const clip = data?.scene.clip ?? {};
  const grid = data?.videoOf(view.slice)?.grid ?? [1, 9, 16];
  return [parts.video.videoWidth || clip.width || grid[2], parts.video.videoHeight || clip.height || grid[1]];
}

/**
 * @param {Viewer} viewer
 * @param {string} format "png" or "svg"
 * @param {Panel} panel
 * @returns {Promise<Blob | null>} null where the panel is hidden
 */
export async function pictureOf(viewer, format, panel) {
  if (format === "svg") return new Blob([svgOf(viewer, panel)], { type: "image/svg+xml" });
  const canvas = panel === "overlay" ? composed(viewer.parts) : viewer.parts[panel];
  return new Promise((resolve) => {
    canvas.toBlob(resolve, "image/png");
  });
}

/**
 * The frame, what is grey of it and the overlay, as one canvas.
 * @param {Parts} parts
 */
function composed({ overlay, grey, video }) {
  const canvas = Object.assign(document.createElement("canvas"), { width: overlay.width, height: overlay.height });
  const context = contextOf(canvas);
  /** @type {Rect} */
  const whole = [0, 0, canvas.width, canvas.height];
  if (video.videoWidth) context.drawImage(video, ...whole);
  else fill({ context }, whole, ink("plain"));
  context.globalAlpha = Number(overlay.style.opacity || 1);
  if (video.videoWidth) {
    context.globalCompositeOperation = "saturation";
    context.drawImage(grey, 0, 0);
    context.globalCompositeOperation = "source-over";
  }
  context.drawImage(overlay, 0, 0);
  return canvas;
}

/**
 * @param {Viewer} viewer
 * @param {Panel} panel
 */
function svgOf(viewer, panel) {
  const { video } = viewer.parts;
  const { width, height } = viewer.parts[panel];
  const view = fullView(viewer);
  const area = svgArea(width, height);
  if (panel !== "overlay") {
    if (isDrawn(view) && panel === "stack") return svgFile(width, height, ink("stage"), stackAreas(viewer, view, area));
    if (isDrawn(view)) {
      fillLanes(area, view);
      markLane(area, view);
    }
    return svgFile(width, height, ink("stage"), [area]);
  }
  const grey = svgArea(width, height);
  if (isDrawn(view)) drawOverlay(area, grey, view);
  grey.context.style = "mix-blend-mode:saturation";
  const areas = video.videoWidth ? [frameOf(video, width, height), grey, area] : [area];
  return svgFile(width, height, ink("plain"), areas);
}

/**
 * @param {Viewer} viewer
 * @param {DrawnView} view
 * @param {ReturnType<typeof svgArea>} plane
 */
function stackAreas(viewer, view, plane) {
  const { width, height } = plane;
  const [far, near] = [svgArea(width, height), svgArea(width, height)];
  const stack = drawSlabs({ far, near }, view, viewer.stack.angles, aspectOf(view, null));
  drawPicture(plane, view, stack, null);
  drawFocus(near, view, stack);
  return [far, plane, near];
}

/**
 * The video's frame as an area of its own.
 * @param {HTMLVideoElement} video
 * @param {number} width
 * @param {number} height
 */
function frameOf(video, width, height) {
  const canvas = Object.assign(document.createElement("canvas"), {
    width: video.videoWidth,
    height: video.videoHeight,
  });
  contextOf(canvas).drawImage(video, 0, 0);
  const area = svgArea(width, height);
  const source = canvas.toDataURL("image/jpeg", 0.9);
  area.context.parts.push(`<image width="${width}" height="${height}" preserveAspectRatio="none" href="${source}"/>`);
  return area;
}
