/* What of a run's details is here: of a large run they come as they are asked for (viz/data/layer_detail.py,
   viz/data/queries.py). What is not here is not known. No DOM. */

import { unpack, unpackCounted, unpackExcess, unpackLevels } from "./packed.js";

/** @import { Ask, LayerDetail, Query, Scene } from "./types.js" */
/** @import { Counted, Excess, Levels, Preview, Table } from "./packed.js" */

/**
 * A layer's detail, decoded.
 * @typedef {object} Detail
 * @property {Levels | null} levels of words
 * @property {Levels | null} tokens of the FFN
 * @property {Counted | null} share
 */

export class Details {
  /** By query: shares in every layer. @type {Map<string, Counted>} */
  #tables = new Map();
  /** By query and layer: shares at other thresholds. @type {Map<string, Preview | null>} */
  #previews = new Map();
  /** By cube: the heads of every query that kept it. @type {Map<number, Table>} */
  #cubes = new Map();
  /** By layer: how far each token's importance lies above its cube's mean; null: not recorded.
      @type {Map<number, Excess | null>} */
  #importance = new Map();

  /** @param {Scene} scene */
  constructor(scene) {
    this.scene = scene;
    /** @type {(Detail | null)[]} */
    this.layers = Array(scene.layers).fill(null);
    /** Whether all there is came with the scene. */
    this.whole = Boolean(scene.details || scene.pruned);
    for (const detail of scene.details ?? []) this.#add(detail);
  }

  /**
   * Take in what was asked for.
   * @param {Ask} ask
   * @param {any} answer
   */
  take({ name, of }, answer) {
    if (name === "layer.json") this.#add(answer);
    else if (name === "query.json") this.#tables.set(keyOf(of), unpackCounted(answer));
    else if (name === "importance.json") this.#importance.set(Number(of.layer), unpackExcess(answer));
    else if (name === "cube.json") this.#cubes.set(Number(of.cube), unpack(answer));
    else this.#previews.set(keyOf(of), answer && { steps: answer.steps, ...unpackCounted(answer) });
  }

  /** @param {LayerDetail} detail */
  #add(detail) {
    this.layers[detail.layer] = {
      levels: unpackLevels(detail.word_level),
      tokens: unpackLevels(detail.ffn_level),
      share: detail.word_share && unpackCounted(detail.word_share),
    };
    if (detail.importance) this.#importance.set(detail.layer, unpackExcess(detail.importance));
  }

  /**
   * A query as the server knows it; null: a word's whose query was not recorded.
   * @param {Query} query
   * @returns {Ask["of"] | null}
   */
  named(query) {
    if (query.cube !== undefined) return { cube: query.cube };
    const head = query.head == null ? {} : { head: query.head };
    if (query.word === undefined) return query.kind === undefined ? null : { kind: query.kind, ...head };
    const place = this.place(query);
    return place === null ? null : { row: this.scene.queries[place], ...head };
  }

  /**
   * The place among the recorded queries of a word's: the one that produced it, or its own once it was said; null: not
   * recorded.
   * @param {Query} query
   */
  place({ word, said }) {
    if (word === undefined) return null;
    const { query, said: own } = this.scene.words[word];
    return (said ? own : query) ?? null;
  }

  /**
   * The places of the queries that a query of words is the mean of.
   * @param {Query} query
   * @returns {number[]}
   */
  places(query) {
    const place = this.place(query);
    if (query.word !== undefined) return place === null ? [] : [place];
    return this.scene.words.flatMap(({ kind }, word) => (kind === query.kind ? this.places({ word }) : []));
  }

  /**
   * A query's shares in every layer.
   * @param {Query} query
   */
  table(query) {
    const of = this.named(query);
    return (of && this.#tables.get(keyOf(of))) ?? null;
  }

  /**
   * A query's shares in one layer by threshold; null: they cannot be told, undefined: nobody has asked.
   * @param {Query} query
   * @param {number} layer
   */
  preview(query, layer) {
    return this.#previews.get(keyOf({ ...this.named(query), layer }));
  }

  /**
   * What each head of each query keeps in a layer, where that tells thresholds apart.
   * @param {number} layer
   */
  levels(layer) {
    const levels = this.layers[layer]?.levels;
    return levels && levels.steps.length > 1 ? levels : null;
  }

  /**
   * The heads, by layer, in which the query of a word kept a cube; null for a layer where that is not known.
   * @param {number} word
   * @param {number} cube
   * @returns {(number[] | null)[] | null} null: all of it comes with the layers
   */
  heads(word, cube) {
    const table = this.#cubes.get(cube);
    const place = this.place({ word });
    if (!table || place === null) return null;
    const heads = Array.from({ length: this.scene.heads }, (_, head) => head);
    return this.layers.map((_, layer) => {
      const at = (layer * table.shape[1] + place) * table.shape[2];
      return heads.filter((head) => table.values[at + head] === 1);
    });
  }

  /**
   * How far each token's importance lies above its cube's mean; null: not recorded, undefined: nobody has asked.
   * @param {number} layer
   */
  importance(layer) {
    return this.#importance.get(layer);
  }

  /** @param {number} cube */
  hasCube(cube) {
    return this.#cubes.has(cube);
  }
}

/** @param {Ask["of"]} of */
function keyOf({ kind, row, cube, head, layer }) {
  return [kind, row, cube, head, layer].join("/");
}
