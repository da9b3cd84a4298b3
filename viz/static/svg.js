/* The pens' calls written as SVG elements. */

import { el } from "./dom.js";

/** @import { Area, Pen } from "./canvas.js" */
/** @typedef {Area & { context: SvgContext }} SvgArea */

/** @implements {Pen} */
export class SvgContext {
  /** @type {string[]} */
  parts = [];
  style = "";
  /** @type {Pen["fillStyle"]} */
  fillStyle = "#000";
  /** @type {Pen["strokeStyle"]} */
  strokeStyle = "#000";
  globalAlpha = 1;
  lineWidth = 1;
  font = "10px sans-serif";
  /** @type {CanvasTextAlign} */
  textAlign = "start";
  /** @type {CanvasTextBaseline} */
  textBaseline = "alphabetic";
  #path = "";

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} width
   * @param {number} height
   */
  fillRect(x, y, width, height) {
    this.parts.push(`<rect x="${x}" y="${y}" width="${width}" height="${height}" ${this.#fill()}/>`);
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} width
   * @param {number} height
   */
  strokeRect(x, y, width, height) {
    this.parts.push(`<rect x="${x}" y="${y}" width="${width}" height="${height}" ${this.#stroke()}/>`);
  }

  beginPath() {
    this.#path = "";
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  moveTo(x, y) {
    this.#path += `M${rounded(x)} ${rounded(y)}`;
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  lineTo(x, y) {
    this.#path += `L${rounded(x)} ${rounded(y)}`;
  }

  closePath() {
    this.#path += "Z";
  }

  fill() {
    this.parts.push(`<path d="${this.#path}" ${this.#fill()}/>`);
  }

  stroke() {
    this.parts.push(`<path d="${this.#path}" ${this.#stroke()}/>`);
  }

  /**
   * @param {string} text
   * @param {number} x
   * @param {number} y
   */
  fillText(text, x, y) {
    const anchor = this.textAlign === "center" ? "middle" : "start";
    const baseline = this.textBaseline === "middle" ? "central" : "hanging";
    const size = /[\d.]+px/.exec(this.font)?.[0];
    const place = `x="${rounded(x)}" y="${rounded(y)}" text-anchor="${anchor}" dominant-baseline="${baseline}"`;
    const font = `font-size="${size}" font-family="system-ui, sans-serif"`;
    this.parts.push(`<text ${place} ${font} ${this.#fill()}>${escaped(text)}</text>`);
  }

  #fill() {
    return `fill="${this.fillStyle}" fill-opacity="${this.globalAlpha}"`;
  }

  #stroke() {
    const pen = `stroke="${this.strokeStyle}" stroke-width="${this.lineWidth}" stroke-opacity="${this.globalAlpha}"`;
    return `fill="none" ${pen}`;
  }
}

/**
 * @param {number} width
 * @param {number} height
 * @returns {SvgArea}
 */
export function svgArea(width, height) {
  return { context: new SvgContext(), width, height, ratio: window.devicePixelRatio || 1 };
}

/**
 * An SVG file of areas on one another.
 * @param {number} width
 * @param {number} height
 * @param {string} ground
 * @param {SvgArea[]} areas
 */
export function svgFile(width, height, ground, areas) {
  const groups = areas.map(({ context }) => `<g style="${context.style}">${context.parts.join("")}</g>`);
  const size = `viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"`;
  const whole = `<rect width="${width}" height="${height}" fill="${ground}"/>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size}>${whole}${groups.join("")}</svg>`;
}

/**
 * Text as markup: the browser escapes it.
 * @param {string} text
 */
function escaped(text) {
  return new XMLSerializer().serializeToString(el("i", {}, text).childNodes[0]);
}

/** @param {number} value */
function rounded(value) {
  return Math.round(value * 100) / 100;
}
