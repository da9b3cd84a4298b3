/* The texts of a plotly figure in the page's language. No DOM. */

/** @import { Figure } from "./types.js" */

/** @typedef {(text: string) => string} Translate */

/**
 * A figure as the server writes it, in another language: titles, axes, names, ticks, what is said of a point. It is
 * changed in place and returned.
 * @param {Figure} figure
 * @param {Translate} translate
 */
export function inOtherWords(figure, translate) {
  const { data, layout } = figure;
  const axes = Object.keys(layout).filter((name) => /^[xy]axis\d*$|^coloraxis$/.test(name));
  const titled = [layout, ...axes.map((name) => layout[name]), layout.coloraxis?.colorbar];
  for (const part of titled) replace(part?.title, "text", translate);
  for (const annotation of layout.annotations ?? []) replace(annotation, "text", translate);
  for (const line of data) {
    for (const name of ["name", "hovertemplate"]) replace(line, name, translate);
    for (const name of ["x", "y"]) {
      if (Array.isArray(line[name])) line[name] = line[name].map((value) => translated(value, translate));
    }
  }
  return figure;
}

/**
 * @param {any} part
 * @param {string} name
 * @param {Translate} translate
 */
function replace(part, name, translate) {
  if (typeof part?.[name] === "string") part[name] = translate(part[name]);
}

/**
 * @param {unknown} value
 * @param {Translate} translate
 */
function translated(value, translate) {
  return typeof value === "string" ? translate(value) : value;
}
