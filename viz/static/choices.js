/* What each query keeps in each layer: as recorded, of one head, or at other settings. No DOM.

   Rows come from the scene's own tables and from its details. What is not here is not known, which
   is never the same as not kept. */

import { Details } from "./details.js";
import { nearestStep, topPIn, unpack } from "./packed.js";

/** @import { Ask, Query, Scene, Thresholds } from "./types.js" */
/** @import { Levels, Table } from "./packed.js" */

/**
 * Kept: at least the threshold's share of the queries attend, and never none of them.
 * @param {number} share
 * @param {number} threshold
 */
export function isKept(share, threshold) {
  return share > 0 && share >= threshold - 0.002;
}

/**
 * The share of their attention by which words that read everything are drawn; null: they choose.
 * @param {Thresholds | null} settings in force, before what was recorded
 * @param {Scene} scene
 * @param {number} layer
 * @returns {number | null}
 */
export function lensTopP(settings, { config, drawn_top_p: drawn }, layer) {
  const asked = settings?.text_top_p ?? settings?.attn_top_p;
  const attn = settings?.attn_top_p ?? topPIn(layer, config?.attn_top_p);
  const share = asked === undefined ? topPIn(layer, drawn) : attn;
  const readsAll = asked === undefined || asked >= 1; // what was recorded has a share only where it does
  return readsAll && share !== undefined && share < 1 ? share : null;
}

/**
 * The Top-p of the words in a layer: their own, or that of attention; undefined where none is known. Of words that
 * read everything it is the share that they are drawn by.
 * @param {Thresholds | null} settings in force, before what was recorded
 * @param {Scene} scene
 * @param {number} layer
 */
export function wordsTopP(settings, scene, layer) {
  const { config } = scene;
  const asked = settings?.text_top_p ?? settings?.attn_top_p;
  return lensTopP(settings, scene, layer) ?? asked ?? topPIn(layer, config?.text_top_p ?? config?.attn_top_p);
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
    this.kept = scene.kept && unpack(scene.kept);
    this.ffnKept = scene.ffn_kept && unpack(scene.ffn_kept);
    this.details = new Details(scene);
    this.nothing = new Float32Array(cubes);
    /** @type {Thresholds | null} */
    this.settings = null;
    this.version = 0;
  }

  /**
   * Take in what was asked for.
   * @param {Ask} ask
   * @param {any} answer
   */
  take(ask, answer) {
    this.details.take(ask, answer);
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

  /**
   * Shares [C] of the query's decisions that keep each cube: at the settings in force where they can be told, else as
   * recorded; zeros where nothing is known.
   * @param {Query} query
   * @param {number} layer
   * @returns {Float32Array}
   */
  row(query, layer) {
    return (this.settings && this.#cached("preview", query, layer)) ?? this.recorded(query, layer);
  }

  /**
   * The same as it was recorded.
   * @param {Query} query
   * @param {number} layer
   * @returns {Float32Array}
   */
  recorded(query, layer) {
    return this.#cached("recorded", query, layer) ?? this.nothing;
  }

  /**
   * Whether what a query keeps in a layer is known.
   * @param {Query} query
   * @param {number} layer
   */
  knows(query, layer) {
    return this.#cached("recorded", query, layer) !== null;
  }

  /** @param {Query} query */
  knowsAll(query) {
    return this.#all("recorded", query);
  }

  /**
   * Whether a query's row in a layer is one at the settings in force.
   * @param {Query} query
   * @param {number} layer
   */
  previews(query, layer) {
    return this.settings !== null && this.#cached("preview", query, layer) !== null;
  }

  /** @param {Query} query */
  previewsAll(query) {
    return this.settings !== null && this.#all("preview", query);
  }

  /**
   * Whether a query's row is known in every layer.
   * @param {"preview" | "recorded"} tier
   * @param {Query} query
   */
  #all(tier, query) {
    const key = `all ${tier}/${keyOf(query)}`;
    if (!this.#rows.has(key)) {
      this.#rows.set(
        key,
        this.details.layers.every((_, layer) => this.#cached(tier, query, layer) !== null),
      );
    }
    return this.#rows.get(key);
  }

  /**
   * @param {"preview" | "recorded"} tier
   * @param {Query} query
   * @param {number} layer
   * @returns {Float32Array | null}
   */
  #cached(tier, query, layer) {
    const key = `${tier}/${keyOf(query)}/${layer}`;
    if (!this.#rows.has(key)) {
      this.#rows.set(key, tier === "preview" ? this.#preview(query, layer) : this.#recorded(query, layer));
    }
    return this.#rows.get(key);
  }

  /**
   * @param {Query} query
   * @param {number} layer
   */
  #recorded(query, layer) {
    if (query.word === undefined && query.cube === undefined && query.head == null && this.kept) {
      const kind = query.kind === undefined ? -1 : this.scene.kinds.indexOf(query.kind);
      return kind < 0 ? this.nothing : this.#slice(this.kept, [kind, layer], this.kept.top);
    }
    const { levels, share } = this.details.layers[layer] ?? {};
    if (levels && query.kind !== "video" && query.cube === undefined) {
      const topP = wordsTopP(null, this.scene, layer) ?? levels.steps[levels.steps.length - 1];
      return this.#counted(levels, query, topP);
    }
    const place = this.details.place(query);
    if (share && place !== null && query.head == null) return this.#slice(share, [place], share.of);
    const table = this.details.table(query);
    return table && this.#slice(table, [layer], table.of);
  }

  /**
   * @param {Query} query
   * @param {number} layer
   */
  #preview(query, layer) {
    const asked = this.settings?.text_top_p ?? this.settings?.attn_top_p;
    if (asked === undefined || query.kind === "video" || query.cube !== undefined) return null;
    const topP = wordsTopP(this.settings, this.scene, layer) ?? asked;
    const levels = this.details.levels(layer);
    if (levels) return this.#counted(levels, query, topP);
    const preview = this.details.preview(query, layer);
    return preview ? this.#slice(preview, [nearestStep(preview.steps, topP)], preview.of) : null;
  }

  /**
   * The thresholds that a query's preview in a layer can be shown at; empty: none.
   * @param {Query} query
   * @param {number} layer
   */
  stepsOf(query, layer) {
    return (this.details.levels(layer) ?? this.details.preview(query, layer))?.steps ?? [];
  }

  /**
   * The last axis of a table of counts out of `of`.
   * @param {Table} table
   * @param {number[]} indices
   * @param {number} of
   */
  #slice({ values, shape }, indices, of) {
    const row = new Float32Array(this.cubes);
    const at = indices.reduce((sum, index, axis) => sum * shape[axis] + index, 0) * this.cubes;
    for (let cube = 0; cube < this.cubes; cube++) row[cube] = values[at + cube] / of;
    return row;
  }

  /**
   * Share of the query's words and heads that choose each cube at a threshold; null: no such query was recorded.
   * @param {Levels} levels
   * @param {Query} query
   * @param {number} topP
   */
  #counted({ values, shape, steps }, query, topP) {
    const heads = shape[1];
    const places = this.details.places(query);
    if (!places.length) return null;
    const row = new Float32Array(this.cubes);
    const step = nearestStep(steps, topP);
    const [first, end] = query.head == null ? [0, heads] : [query.head, query.head + 1];
    for (const place of places) {
      for (let head = first; head < end; head++) {
        const at = (place * heads + head) * this.cubes;
        for (let cube = 0; cube < this.cubes; cube++) if (values[at + cube] <= step) row[cube] += 1;
      }
    }
    const count = places.length * (end - first);
    return row.map((sum) => sum / count);
  }

  /**
   * The heads, by layer, in which the query of a word keeps a cube; null for a layer where that is not known.
   * @param {number} word
   * @param {number} cube
   * @returns {(number[] | null)[]}
   */
  headsByLayer(word, cube) {
    const heads = Array.from({ length: this.scene.heads }, (_, head) => head);
    const known = this.settings ? null : this.details.heads(word, cube);
    if (known) return known;
    return this.details.layers.map((detail, layer) => {
      if (!detail?.levels || this.details.place({ word }) === null) return null;
      return heads.filter((head) => this.row({ word, head }, layer)[cube] > 0);
    });
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
    const levels = this.details.layers[layer]?.tokens;
    const previewed = this.previewsFfn(layer) ? this.settings?.ffn_top_p : undefined;
    if (levels && (previewed !== undefined || !this.ffnKept)) {
      const recorded = topPIn(layer, this.scene.config?.ffn_top_p) ?? levels.steps[levels.steps.length - 1];
      const step = nearestStep(levels.steps, previewed ?? recorded);
      return levels.values.map((level) => (level <= step ? 1 : 0));
    }
    if (!this.ffnKept) return null;
    const count = this.ffnKept.shape[1];
    return this.ffnKept.values.subarray(layer * count, (layer + 1) * count);
  }

  /**
   * Whether a layer's FFN row is one at the settings in force.
   * @param {number} layer
   */
  previewsFfn(layer) {
    return this.settings?.ffn_top_p !== undefined && (this.details.layers[layer]?.tokens?.steps.length ?? 0) > 1;
  }

  /** Whether every layer's FFN row is one at the settings in force. */
  get previewsAllFfn() {
    return this.settings !== null && this.details.layers.every((_, layer) => this.previewsFfn(layer));
  }
}

/** @param {Query} query */
function keyOf({ kind, word, said, cube, head }) {
  return `${kind}/${word}/${said}/${cube}/${head}`;
}
