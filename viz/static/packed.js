/* Packed tables of viz/data/packing.py, decoded; and steps of viz/data/thresholds.py. No DOM. */

/** @import { Packed, PackedCounts, PackedExcess, PackedLevels, TopP } from "./types.js" */

/**
 * Whole numbers in row-major order; `top` is the largest code of their dtype.
 * @typedef {{ values: Uint8Array | Uint16Array, shape: number[], top: number }} Table
 */

/** @typedef {Table & { steps: number[] }} Levels */

/** Counts out of `of`. @typedef {Table & { of: number }} Counted */

/** Shares by which values lie above 1, `above` at the code `top`. @typedef {Table & { above: number }} Excess */

/** Counts at each of several thresholds. @typedef {Counted & { steps: number[] }} Preview */

/**
 * @param {Packed} packed
 * @returns {Table}
 */
export function unpack(packed) {
  const bits = Number(packed.dtype.slice(1));
  const bytes = Uint8Array.from(atob(packed.data), (char) => char.charCodeAt(0));
  const count = packed.shape.reduce((a, b) => a * b, 1);
  const top = 2 ** bits - 1;
  if (bits === 8) return { values: bytes, shape: packed.shape, top };
  const values = bits === 16 ? new Uint16Array(count) : new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    if (bits === 16) values[i] = bytes[2 * i] | (bytes[2 * i + 1] << 8);
    else values[i] = (bytes[(i * bits) >> 3] >> (8 - bits - ((i * bits) & 7))) & top;
  }
  return { values, shape: packed.shape, top };
}

/**
 * @template {PackedLevels} T
 * @param {T | null} levels
 * @returns {(Omit<T, "table"> & Levels) | null}
 */
export function unpackLevels(levels) {
  return levels && { ...levels, ...unpack(levels.table) };
}

/**
 * @param {PackedCounts} counts
 * @returns {Counted}
 */
export function unpackCounted({ of, table }) {
  return { of, ...unpack(table) };
}

/**
 * @param {PackedExcess | null} packed
 * @returns {Excess | null}
 */
export function unpackExcess(packed) {
  return packed && { above: packed.top, ...unpack(packed.table) };
}

/**
 * A layer's threshold, of a configuration that has one for all or a list with one for each.
 * @template {TopP | undefined} T
 * @param {number} layer
 * @param {T} given
 * @returns {number | (undefined extends T ? undefined : never)}
 */
export function topPIn(layer, given) {
  const found = Array.isArray(given) ? given[layer] : given;
  return /** @type {any} */ (found);
}

/**
 * Index of the step nearest to p.
 * @param {number[]} steps
 * @param {number} p
 */
export function nearestStep(steps, p) {
  let best = 0;
  steps.forEach((step, i) => {
    if (Math.abs(step - p) < Math.abs(steps[best] - p)) best = i;
  });
  return best;
}
