/* The place at which the question chose most sharply. No DOM. */

/** @import { Cube, Snapshot } from "./types.js" */

/**
 * The slab of time whose cubes differ most in how much they were kept, and a threshold half-way between its mean and
 * its most kept cube; null: the usual one.
 * @param {Pick<Snapshot, "kept_by_kind" | "cubes">} snapshot
 */
export function sharpest({ kept_by_kind: kept, cubes }) {
  /** @type {Map<number, Cube[]>} */
  const slabs = new Map();
  for (const cube of cubes) {
    if (cube.video === 0) slabs.set(cube.t0, [...(slabs.get(cube.t0) ?? []), cube]);
  }
  /** @type {{ spread: number, layer: number, slice: number, threshold: number | null }} */
  let found = { spread: 0, layer: 0, slice: 0, threshold: null };
  (kept.question ?? []).forEach((shares, layer) => {
    for (const [first, slab] of slabs) {
      const values = slab.map((cube) => shares[cube.index]);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const spread = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
      const threshold = Math.round(50 * (mean + Math.max(...values))) / 100;
      const slice = Math.floor((first + slab[0].t1) / 2);
      if (spread > found.spread) found = { spread, layer, slice, threshold };
    }
  });
  return { layer: found.layer, slice: found.slice, threshold: found.threshold };
}
