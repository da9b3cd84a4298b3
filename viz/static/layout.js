/* The viewer at the size it has. */

import { aroundPixels, contentRect } from "./canvas.js";
import { pictureSize } from "./picture.js";

/** @import { Viewer } from "./viewer.js" */

/**
 * Lay out anew whenever a part changes its size.
 * @param {Viewer} viewer
 */
export function watchSizes(viewer) {
  const { root, stage, stackBox } = viewer.parts;
  const sizes = new ResizeObserver(() => viewer.layOut());
  for (const part of [root, stage, stackBox]) sizes.observe(part);
  // Of lanes on the whole screen: they are no part to observe, for their height follows from what is drawn.
  root.addEventListener("fullscreenchange", () => requestAnimationFrame(() => viewer.layOut()));
}

/**
 * Place the canvases over the picture; returns where it lies in the stage, in CSS pixels.
 * @param {Viewer} viewer
 */
export function layOut(viewer) {
  const { root, stage, grey, overlay } = viewer.parts;
  const [width, height] = pictureSize(viewer);
  const wide = width / height < 1.3 ? "beside" : "below";
  root.dataset.layout = root.clientWidth < 540 ? "single" : wide;
  stage.style.aspectRatio = `${width} / ${height}`;
  const rect = aroundPixels(contentRect(stage.clientWidth, stage.clientHeight, width, height));
  for (const canvas of [grey, overlay]) {
    for (const [side, length] of Object.entries(rect)) canvas.style.setProperty(side, `${length}px`);
  }
  return rect;
}
