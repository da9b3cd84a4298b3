/* The range of colours: from 0 to what nearly all that is seen stays below, so that one outlier does not darken the
   rest. No DOM. */

/** Share of the values above 0 that a range shows apart; those beyond have its last colour. */
export const SHOWN = 0.98;

/**
 * The end of a range that starts at 0, a whole percent; 1 where there is nothing to show.
 * @param {Iterable<number>} shares NaN is not known
 */
export function robustTop(shares) {
  const known = Float32Array.from(shares).filter((share) => share > 0);
  if (!known.length) return 1;
  known.sort();
  return Math.ceil(100 * known[Math.ceil(SHOWN * known.length) - 1] - 1e-3) / 100;
}
