/* The legend under a figure for a paper: each entry of the page's with a sample of its colours. */

import { find } from "../../viz/static/dom.js";

/** @import { Label } from "./paper_picture.js" */

const SAMPLE = { width: 30, height: 12 };
const GAP = 8;
const MOST_FRAME = 3;

/**
 * Samples as SVG, and the texts beside them, a line each.
 * @param {HTMLElement | null} legend the page's; null: there is none
 * @param {number} left
 * @param {number} top
 * @param {number} line its height
 * @returns {{ samples: string[], labels: Label[] }}
 */
export function legendOf(legend, left, top, line) {
  const entries = legend ? [...legend.querySelectorAll(".entry")] : [];
  const x = left + SAMPLE.width + GAP;
  return {
    samples: entries.map((entry, i) => sampleOf(find(entry, ".swatch"), left, top + line * i + 3, i)),
    labels: entries.map(({ textContent }, i) => ({ x, y: top + line * (i + 0.8), text: textContent ?? "", size: 12 })),
  };
}

/**
 * What stands before an entry, in the colours that the page gives it: a ground, with lines over it in the second of
 * two; or all of them from left to right.
 * @param {HTMLElement} swatch
 * @param {number} left
 * @param {number} top
 * @param {number} number that names it
 */
function sampleOf(swatch, left, top, number) {
  const { backgroundImage, backgroundColor, borderTopColor, borderTopWidth } = getComputedStyle(swatch);
  const colours = backgroundImage.match(/rgba?\([^)]*\)/g) ?? [backgroundColor];
  const width = Math.min(parseFloat(borderTopWidth) || 0, MOST_FRAME);
  const box = `class="sample" x="${left}" y="${top}" width="${SAMPLE.width}" height="${SAMPLE.height}"`;
  const frame = `stroke="${borderTopColor}" stroke-width="${width}"`;
  const [ground, ink, ...more] = new Set(colours);
  if (more.length) {
    const stops = colours.map((colour, i) => `<stop offset="${i / (colours.length - 1)}" stop-color="${colour}"/>`);
    const scale = `<linearGradient id="legend-${number}">${stops.join("")}</linearGradient>`;
    return `${scale}<rect ${box} fill="url(#legend-${number})" ${frame}/>`;
  }
  const lines = hatched(left, top, backgroundImage.includes("(45deg"));
  return `<rect ${box} fill="${ground}" ${frame}/>${ink ? `<path d="${lines}" stroke="${ink}"/>` : ""}`;
}

/**
 * @param {number} left
 * @param {number} top
 * @param {boolean} isFalling the lines go down to the right
 */
function hatched(left, top, isFalling) {
  const [from, to] = isFalling ? [top, top + SAMPLE.height] : [top + SAMPLE.height, top];
  const starts = [1, 8, 15].map((at) => left + at);
  return starts.map((x) => `M${x} ${from}L${x + SAMPLE.height} ${to}`).join("");
}
