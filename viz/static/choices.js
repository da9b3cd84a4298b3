/* What each query keeps in each layer: as recorded, of one head, or at other settings. No DOM.

   Rows come from the scene's own tables; heads and other settings from a layer's detail
   (viz/data/layer_detail.py), which a large run sends on demand. Until it is here a row is the
   recorded mean of the heads. */

import { nearestStep, topPIn, unpack, unpackLevels } from "./packed.js";

/** @import { Kind, LayerDetail, Query, Scene, Thresholds } from "./types.js" */
/** @import { Levels, Table } from "./packed.js" */

/**
 * A layer's detail, decoded.
 * @typedef {object} Detail
 * @property {Levels | null} levels of words
 * @property {Levels | null} tokens of the FFN
 * @property {Table | null} share
 * @property {(Levels & { kinds: Kind[] }) | null} kinds
 */

/**
 * Kept: at least the threshold's share of the queries attend, and never none of them.
 * @param {number} share
 * @param {number} threshold
 */
export function isKept(share, threshold) {
  return share > 0 && share >= threshold - 0.002;
}

export class Choices {
  /** @type {Map<string, any>} */
  #rows = new Map();

  /**
   * @param {Scene} scene
   * @param {number} cubes how many there are
   */
  constructor(scene, cubes) {
    this.scene = scene;
    this.cubes = cubes;
    this.kept = unpack(scene.kept);
    this.wordKept = scene.word_kept && unpack(scene.word_kept);
    this.ffnKept = scene.ffn_kept && unpack(scene.ffn_kept);
    /** @type {(Detail | null)[]} */
    this.details = Array(scene.layers).fill(null);
    /** @type {Thresholds | null} */
    this.settings = null;
    this.version = 0;
    for (const detail of scene.details ?? []) this.add(detail);
  }

  /** @param {LayerDetail} detail */
  add(detail) {
    this.details[detail.layer] = {
      levels: unpackLevels(detail.word_level),
      tokens: unpackLevels(detail.ffn_level),
      share: detail.word_share && unpack(detail.word_share),
      kinds: unpackLevels(detail.kind_share),
    };
    this.#forget();
  }

  /**
   * Re-threshold; null goes back to what was recorded.
   * @param {Thresholds | null} settings
   */
  preview(settings) {
    this.settings = settings;
    this.#forget();
  }

  #forget() {
    this.#rows.clear();
    this.version += 1;
  }

  /** Whether every layer's detail is here, so that layers compare. */
  get complete() {
    return this.details.every((detail) => detail !== null);
  }

  /**
   * Whether drawing this query in this layer needs a detail that is not here.
   * @param {Query} query
   * @param {number} layer
   */
  needsDetail(query, layer) {
    if (this.details[layer] || this.scene.pruned) return false;
    if (!this.ffnKept || this.settings !== null) return true;
    if (query.kind === "video") return false;
    return query.head != null || (!this.wordKept && query.word !== undefined);
  }

  /**
   * Shares [C] of the query's decisions that keep each cube.
   * @param {Query} query
   * @param {number} layer
   * @returns {Float32Array}
   */
  row(query, layer) {
    const key = `${query.kind}/${query.word}/${query.head}/${layer}`;
    if (!this.#rows.has(key)) this.#rows.set(key, this.#row(query, layer));
    return this.#rows.get(key);
  }

  /**
   * @param {Query} query
   * @param {number} layer
   */
  #row(query, layer) {
    const detail = this.details[layer];
    if (query.kind !== "video" && detail) {
      if (this.settings && query.head == null && query.word === undefined && detail.kinds) {
        return this.#ofKind(detail.kinds, query.kind, this.settings);
      }
      if (detail.levels && (query.head != null || this.settings || !this.wordKept)) {
        return this.#counted(detail.levels, query, layer);
      }
    }
    if (query.word === undefined) return this.#slice(this.kept, [kindIndex(this.scene.kinds, query.kind), layer]);
    if (this.wordKept) return this.#slice(this.wordKept, [layer, query.word]);
    return detail?.share ? this.#slice(detail.share, [query.word]) : new Float32Array(this.cubes);
  }

  /**
   * The last axis of a table of shares; a first index of -1 is a kind without a record.
   * @param {Table} table
   * @param {number[]} indices
   */
  #slice({ values, shape, top }, indices) {
    const row = new Float32Array(this.cubes);
    if (indices[0] < 0) return row;
    const at = indices.reduce((sum, index, axis) => sum * shape[axis] + index, 0) * this.cubes;
    for (let cube = 0; cube < this.cubes; cube++) row[cube] = values[at + cube] / top;
    return row;
  }

  /**
   * @param {Levels & { kinds: Kind[] }} table
   * @param {Kind | undefined} kind
   * @param {Thresholds} settings
   */
  #ofKind(table, kind, settings) {
    const step = nearestStep(table.steps, settings.attn_top_p ?? NaN);
    return this.#slice(table, [kindIndex(table.kinds, kind), step]);
  }

  /**
   * Share of the query's words and heads that choose each cube at the step in force.
   * @param {Levels} levels
   * @param {Query} query
   * @param {number} layer
   */
  #counted({ values, shape, steps }, query, layer) {
    const [words, heads] = shape;
    const row = new Float32Array(this.cubes);
    const step = nearestStep(steps, this.#topP("attn_top_p", layer, steps));
    const asked = query.word !== undefined ? [query.word] : this.#wordsOf(query.kind, words);
    const [first, end] = query.head == null ? [0, heads] : [query.head, query.head + 1];
    for (const word of asked) {
      for (let head = first; head < end; head++) {
        const at = (word * heads + head) * this.cubes;
        for (let cube = 0; cube < this.cubes; cube++) if (values[at + cube] <= step) row[cube] += 1;
      }
    }
    const count = Math.max(1, asked.length * (end - first));
    return row.map((sum) => sum / count);
  }

  /**
   * @param {Kind | undefined} kind
   * @param {number} count
   */
  #wordsOf(kind, count) {
    return Array.from({ length: count }, (_, i) => i).filter((i) => this.scene.words[i].kind === kind);
  }

  /**
   * @param {"attn_top_p" | "ffn_top_p"} name
   * @param {number} layer
   * @param {number[]} steps
   */
  #topP(name, layer, steps) {
    return this.settings?.[name] ?? topPIn(layer, this.scene.config?.[name]) ?? steps[steps.length - 1];
  }

  /**
   * The heads of a word that choose a cube; null where only their mean is known.
   * @param {number} word
   * @param {number} layer
   * @param {number} cube
   */
  headsOf(word, layer, cube) {
    const levels = this.details[layer]?.levels;
    if (!levels) return null;
    const heads = Array.from({ length: levels.shape[1] }, (_, head) => head);
    return heads.filter((head) => this.row({ word, head }, layer)[cube] > 0);
  }

  /**
   * 1 for each video token that passes through the FFN in a layer; null where it is not known.
   * @param {number} layer
   * @returns {Uint8Array | Uint16Array | null}
   */
  ffnRow(layer) {
    const key = `ffn/${layer}`;
    if (!this.#rows.has(key)) this.#rows.set(key, this.#ffnRow(layer));
    return this.#rows.get(key);
  }

  /** @param {number} layer */
  #ffnRow(layer) {
    const levels = this.details[layer]?.tokens;
    if (levels && (this.settings || !this.ffnKept)) {
      const step = nearestStep(levels.steps, this.#topP("ffn_top_p", layer, levels.steps));
      return levels.values.map((level) => (level <= step ? 1 : 0));
    }
    if (!this.ffnKept) return null;
    const count = this.ffnKept.shape[1];
    return this.ffnKept.values.subarray(layer * count, (layer + 1) * count);
  }
}

/**
 * @param {Kind[]} kinds
 * @param {Kind | undefined} kind
 */
function kindIndex(kinds, kind) {
  return kind === undefined ? -1 : kinds.indexOf(kind);
}
