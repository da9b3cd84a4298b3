/* What a view needs from the server and does not have. No DOM. */

/** @import { Ask, Query } from "./types.js" */
/** @import { Choices } from "./choices.js" */

/**
 * For drawing a query in a layer.
 * @param {Choices} choices
 * @param {Query} query
 * @param {number} layer
 * @returns {Ask[]}
 */
export function asksOf(choices, query, layer) {
  const { details, ffnKept, settings } = choices;
  const of = details.named(query);
  if (query.cube !== undefined) return of && !choices.knowsAll(query) ? [{ name: "query.json", of }] : [];
  if (details.whole) return [];
  /** @type {Ask[]} */
  const asks = [];
  const detailed = !ffnKept || settings !== null || query.word !== undefined || query.head != null;
  for (const near of detailed ? [layer, layer + 1, layer - 1] : []) {
    if (near in details.layers && !details.layers[near]) asks.push({ name: "layer.json", of: { layer: near } });
  }
  if (of && !choices.knowsAll(query)) asks.push({ name: "query.json", of });
  const previews =
    (settings?.text_top_p ?? settings?.attn_top_p) !== undefined && query.kind !== "video" && details.layers[layer];
  if (of && previews && !details.levels(layer) && details.preview(query, layer) === undefined) {
    asks.push({ name: "preview.json", of: { ...of, layer } });
  }
  return asks;
}

/**
 * For drawing what matters to the FFN of a layer.
 * @param {Choices} choices
 * @param {number} layer
 * @returns {Ask[]}
 */
export function asksOfFfn({ details, ffnKept }, layer) {
  if (details.whole || !(layer in details.layers)) return [];
  /** @type {Ask[]} */
  const asks = details.importance(layer) === undefined ? [{ name: "importance.json", of: { layer } }] : [];
  return ffnKept || details.layers[layer] ? asks : [...asks, { name: "layer.json", of: { layer } }];
}

/**
 * For saying who used a cube.
 * @param {Choices} choices
 * @param {number} cube
 * @returns {Ask[]}
 */
export function asksOfCube({ details }, cube) {
  if (details.whole || details.hasCube(cube) || !details.scene.queries.length) return [];
  return [{ name: "cube.json", of: { cube } }];
}
