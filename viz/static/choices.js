/* What each query keeps in each layer: as recorded, of one head, or at other settings. No DOM.

   A query is {kind} or {word} (position among the scene's words), and may name a `head`. Rows come
   from the scene's own tables; heads and other settings from a layer's detail (viz/detail.py),
   which a large run sends on demand. Until it is here a row is the recorded mean of the heads. */

class Choices {
  #rows = new Map();

  constructor(scene, cubes) {
    this.scene = scene;
    this.cubes = cubes;
    this.kept = unpack(scene.kept);
    this.wordKept = scene.word_kept && unpack(scene.word_kept);
    this.ffnKept = scene.ffn_kept && unpack(scene.ffn_kept);
    this.details = Array(scene.layers).fill(null);
    this.settings = null;
    this.version = 0;
    for (const detail of scene.details ?? []) this.add(detail);
  }

  add(detail) {
    const levels = unpackLevels(detail.word_level), tokens = unpackLevels(detail.ffn_level);
    const share = detail.word_share && unpack(detail.word_share);
    const kinds = unpackLevels(detail.kind_share);
    this.details[detail.layer] = { levels, tokens, share, kinds };
    this.#forget();
  }

  /** Re-threshold at {attn_top_p, ffn_top_p}; null goes back to what was recorded. */
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

  /** Whether drawing this query in this layer wants a detail that is not here. */
  wants(query, layer) {
    if (this.details[layer] || this.scene.pruned) return false;
    const asked = query.kind !== "video";
    return (asked && (query.head != null || this.settings !== null)) ||
      (asked && !this.wordKept && query.word !== undefined) || !this.ffnKept || this.settings !== null;
  }

  /** Shares [C] of the query's decisions that keep each cube. */
  row(query, layer) {
    const key = `${query.kind}/${query.word}/${query.head}/${layer}`;
    if (!this.#rows.has(key)) this.#rows.set(key, this.#row(query, layer));
    return this.#rows.get(key);
  }

  #row(query, layer) {
    const detail = this.details[layer], fromRecord = query.kind === "video";
    if (!fromRecord && detail) {
      if (this.settings && query.head == null && query.word === undefined && detail.kinds) {
        return this.#ofKind(detail.kinds, query.kind);
      }
      if (detail.levels && (query.head != null || this.settings || !this.wordKept)) {
        return this.#counted(detail.levels, query, layer);
      }
    }
    if (query.word === undefined) return this.#slice(this.kept, [this.scene.kinds.indexOf(query.kind), layer]);
    if (this.wordKept) return this.#slice(this.wordKept, [layer, query.word]);
    return detail?.share ? this.#slice(detail.share, [query.word]) : new Float32Array(this.cubes);
  }

  /** The last axis of a table of shares; a first index of -1 is a kind without a record. */
  #slice({ values, shape, top }, indices) {
    const row = new Float32Array(this.cubes);
    if (indices[0] < 0) return row;
    const at = indices.reduce((sum, index, axis) => sum * shape[axis] + index, 0) * this.cubes;
    for (let cube = 0; cube < this.cubes; cube++) row[cube] = values[at + cube] / top;
    return row;
  }

  #ofKind(table, kind) {
    const step = nearestStep(table.steps, this.settings.attn_top_p);
    return this.#slice(table, [table.kinds.indexOf(kind), step]);
  }

  /** Share of the query's words and heads that choose each cube at the step in force. */
  #counted({ values, shape, steps }, query, layer) {
    const [words, heads] = shape, row = new Float32Array(this.cubes);
    const step = nearestStep(steps, this.#topP("attn", layer, steps));
    const asked = query.word !== undefined ? [query.word]
      : Array.from({ length: words }, (_, i) => i).filter((i) => this.scene.words[i].kind === query.kind);
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

  #topP(half, layer, steps) {
    const name = `${half}_top_p`;
    return this.settings?.[name] ?? topPIn(layer, this.scene.config?.[name]) ?? steps.at(-1);
  }

  /** The heads of a word that choose a cube; null where only their mean is known. */
  headsOf(word, layer, cube) {
    const levels = this.details[layer]?.levels;
    if (!levels) return null;
    const heads = Array.from({ length: levels.shape[1] }, (_, head) => head);
    return heads.filter((head) => this.row({ word, head }, layer)[cube] > 0);
  }

  /** 1 for each video token that passes through the FFN in a layer; null where it is not known. */
  ffnRow(layer) {
    const key = `ffn/${layer}`;
    if (!this.#rows.has(key)) this.#rows.set(key, this.#ffnRow(layer));
    return this.#rows.get(key);
  }

  #ffnRow(layer) {
    const levels = this.details[layer]?.tokens;
    if (levels && (this.settings || !this.ffnKept)) {
      const step = nearestStep(levels.steps, this.#topP("ffn", layer, levels.steps));
      return levels.values.map((level) => (level <= step ? 1 : 0));
    }
    if (!this.ffnKept) return null;
    const count = this.ffnKept.shape[1];
    return this.ffnKept.values.subarray(layer * count, (layer + 1) * count);
  }
}
