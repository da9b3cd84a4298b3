/* Figures at the width they have: pictures as high as they are wide; on a narrow screen subplots under each other,
   titles in lines, the colour bar below. No DOM. */

/** @import { Figure } from "./types.js" */

/** How subplots are laid under each other, in pixels. @typedef {typeof CHARTS} Stacking */

const NARROW_PX = 620;
const LETTER_PX = 8;
const LINE_PX = 18;
const BUTTONS_PX = 112;
const NAME_LETTERS = 12;
/** After a space, or before a Chinese letter. */
const BREAKS = /(?<= )|(?=[\u4e00-\u9fff])/;
const CHARTS = { columns: 1, height: 200, gap: 84, below: 104 };
const MAPS = { columns: 3, height: 96, gap: 28, below: 76 };
/** Numbers and title of an axis across. */
const AXIS_PX = 50;

/**
 * The layout for a place of so many pixels, changed in place and returned.
 * @param {Figure} figure
 * @param {number} width
 */
export function fitted({ data, layout }, width) {
  const axes = Object.keys(layout).flatMap((name) => /^xaxis(\d*)$/.exec(name)?.[1] ?? []);
  const narrow = width < NARROW_PX;
  if (narrow) wrapTitle(layout, width);
  wrapNames(layout, [...new Set(data.flatMap((/** @type {any} */ { x }) => x ?? []))]);
  if (narrow && layout.coloraxis?.colorbar) lieDown(layout.coloraxis.colorbar);
  if (narrow && axes.length === 1 && layout.coloraxis?.colorbar && layout.xaxis.title?.text) underAxis(layout);
  if (narrow && axes.length > 1) underEachOther(layout, axes, layout.coloraxis ? MAPS : CHARTS);
  else if (layout.yaxis?.scaleanchor) asHighAsWide(layout, data[0].z, narrow ? width : width - 110);
  return layout;
}

/**
 * @param {Figure["layout"]} layout
 * @param {number} width
 */
function wrapTitle(layout, width) {
  // plotly's own buttons lie beside the first line
  const lines = linesOf(layout.title.text, (line) => (line ? width : width - BUTTONS_PX) / LETTER_PX);
  layout.title.text = lines.join("<br>");
  layout.margin.t += LINE_PX * (lines.length - 1);
  layout.title.pad.t += 12 * (lines.length - 1); // plotly lifts a title by half of its other lines
}

/**
 * Long names along an axis, in lines.
 * @param {Figure["layout"]} layout
 * @param {unknown[]} names
 */
function wrapNames({ xaxis }, names) {
  if (!xaxis || !names.some((name) => typeof name === "string" && letters(name) > NAME_LETTERS)) return;
  const ticktext = names.map((name) => linesOf(String(name), () => NAME_LETTERS).join("<br>"));
  Object.assign(xaxis, { tickmode: "array", tickvals: names, ticktext });
}

/**
 * A text in lines of so many letters each, where its words allow it.
 * @param {string} text
 * @param {(line: number) => number} room
 */
function linesOf(text, room) {
  const lines = [""];
  for (const word of text.split(BREAKS)) {
    const line = lines[lines.length - 1];
    if (line && letters(line + word.trimEnd()) > room(lines.length - 1)) lines.push("");
    lines[lines.length - 1] += word;
  }
  return lines.map((line) => line.trimEnd());
}

/**
 * How long a text is: a Chinese letter is as wide as two of ours.
 * @param {string} text
 */
function letters(text) {
  return text.length + (text.match(/[\u3000-\u9fff\uff00-\uffef]/g) ?? []).length;
}

/** @param {Figure["layout"]} bar */
function lieDown(bar) {
  Object.assign(bar, { orientation: "h", x: 0, xanchor: "left", y: 0, yanchor: "top", len: 1 });
  bar.title.side = "top";
}

/**
 * A colour bar that lies stands under the axis, not on its title.
 * @param {Figure["layout"]} layout
 */
function underAxis(layout) {
  const { t, b } = layout.margin;
  layout.coloraxis.colorbar.y = -AXIS_PX / (layout.height - t - b - MAPS.below);
  layout.height += AXIS_PX;
}

/**
 * @param {Figure["layout"]} layout
 * @param {string[]} axes what their names end in
 * @param {Stacking} stacking
 */
function underEachOther(layout, axes, { columns, height, gap, below }) {
  const rows = Math.ceil(axes.length / columns);
  const whole = rows * height + (rows - 1) * gap;
  axes.forEach((end, index) => {
    const row = Math.floor(index / columns);
    const column = index % columns;
    const top = 1 - (row * (height + gap)) / whole;
    const across = [column, column + 0.92].map((at) => at / columns);
    layout[`xaxis${end}`].domain = columns > 1 ? across : [0, 1];
    layout[`yaxis${end}`].domain = [Math.max(0, top - height / whole), top];
    const title = layout.annotations?.[index];
    if (title) Object.assign(title, { x: columns > 1 ? (across[0] + across[1]) / 2 : 0.5, y: top });
  });
  layout.height = layout.margin.t + whole + below;
  if (layout.legend) layout.legend.y = -56 / whole;
}

/**
 * @param {Figure["layout"]} layout
 * @param {unknown[][]} rows
 * @param {number} width
 */
function asHighAsWide(layout, rows, width) {
  const high = (width * rows.length) / rows[0].length;
  const bar = layout.coloraxis.colorbar?.orientation === "h" ? MAPS.below : 0;
  layout.height = layout.margin.t + Math.min(high, 620) + bar + layout.margin.b;
  const most = Math.max(8, (2 * width) / rows[0].length); // names stand in two empty rows
  for (const { font } of layout.annotations ?? []) font.size = Math.min(font.size, most);
}
