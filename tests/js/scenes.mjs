/* Small scenes for tests, in Python's format. */

/** Whole numbers below 2 ** bits as viz/data/packing.py packs them. */
export function packed(values, bits, shape = [values.length]) {
  const bytes = bits === 16 ? new Uint8Array(Uint16Array.from(values).buffer) : squeezed(values, bits);
  return { dtype: `u${bits}`, shape, data: Buffer.from(bytes).toString("base64") };
}

function squeezed(values, bits) {
  const bytes = new Uint8Array(Math.ceil((values.length * bits) / 8));
  values.forEach((value, i) => {
    bytes[(i * bits) >> 3] |= value << (8 - bits - ((i * bits) & 7));
  });
  return bytes;
}

/** [video, t0, t1, r0, r1, c0, c1] of each cube of a grid, all of one size. */
export function cubesOf([slices, rows, columns], [t, h, w], video = 0) {
  const cubes = [];
  for (let t0 = 0; t0 < slices; t0 += t) {
    for (let r0 = 0; r0 < rows; r0 += h) {
      for (let c0 = 0; c0 < columns; c0 += w) {
        const ends = [Math.min(t0 + t, slices), Math.min(r0 + h, rows), Math.min(c0 + w, columns)];
        cubes.push([video, t0, ends[0], r0, ends[1], c0, ends[2]]);
      }
    }
  }
  return cubes;
}

/**
 * Two layers over four slices of 2 x 4 tokens in cubes of 2 x 2 x 2: four cubes. The question (one word, two heads)
 * keeps cube 0 fully and cube 3 by half in layer 0, all alike in layer 1.
 */
export function smallScene(changes = {}) {
  const kept = [
    [255, 0, 0, 128],
    [64, 64, 64, 64],
  ];
  return {
    version: 3,
    layers: 2,
    heads: 2,
    videos: [{ grid: [4, 2, 4], first_slice: 0, url: null }],
    frame_times: [0, 1, 2, 3].map((slice) => [slice / 2, slice / 2 + 0.25]),
    cubes: packed(cubesOf([4, 2, 4], [2, 2, 2]).flat(), 16, [4, 7]),
    kinds: ["question"],
    kept: packed(kept.flat(), 8, [1, 2, 4]),
    words: [{ index: 5, text: " cube", kind: "question", query: 0 }],
    queries: [5],
    opening: null,
    query_cubes: null,
    ffn_kept: packed(Array(64).fill(0).fill(1, 0, 40), 1, [2, 32]),
    ffn_share: packed(Array(8).fill(255).fill(0, 5), 8, [2, 4]),
    sinks: packed([0, 0, 0, 0, 0, 1, 0, 0], 1, [2, 4]),
    ffn_peak: { top: 0.5, table: packed(Array(8).fill(0).fill(255, 7), 8, [2, 4]) },
    density: { attention: 0.5, ffn: 0.6, attention_by_layer: [0.5, null], ffn_by_layer: [1, 0.25] },
    pruned: null,
    entropy: { attention_by_layer: {}, effective_by_layer: {}, ffn_by_layer: [null, null] },
    details: null,
    config: { cube: [2, 2, 2], attn_top_p: [0.5, 0.7], ffn_top_p: 0.5 },
    ...changes,
  };
}

/** A detail of `smallScene`: from step 0, 1 or 2 of `steps` upwards the heads choose each cube; 15: never. */
export function smallDetail(layer = 0, changes = {}) {
  const levels = [0, 1, 15, 15, 2, 0, 15, 1];
  return {
    layer,
    word_level: { steps: [0.3, 0.5, 0.9], table: packed(levels, 4, [1, 2, 4]) },
    word_share: null,
    importance: null,
    ffn_level: { steps: [0.3, 0.5, 0.9], table: packed(Array(32).fill(1), 4, [32]) },
    ...changes,
  };
}

/** A scene that brought its layers' details. */
export function wholeScene(changes = {}) {
  return smallScene({ details: [smallDetail(0), smallDetail(1)], ...changes });
}
