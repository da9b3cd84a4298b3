/* Which slices the lanes show: all, or some around the one that is looked at. No DOM. */

/** Slices [first, end). @typedef {[number, number]} Span */

const LEAST = 8;

/**
 * The slices that the lanes show.
 * @param {{ data: { slices: number }, zoom: Span | null }} view
 * @returns {Span}
 */
export function windowOf({ data, zoom }) {
  return zoom ?? [0, data.slices];
}

/**
 * Half as many slices (step 1) or twice as many (-1), around a slice; null: all.
 * @param {Span | null} zoom
 * @param {number} slices
 * @param {number} around
 * @param {1 | -1} step
 * @returns {Span | null}
 */
export function zoomed(zoom, slices, around, step) {
  const [first, end] = zoom ?? [0, slices];
  const count = step > 0 ? Math.max(Math.ceil((end - first) / 2), LEAST) : 2 * (end - first);
  return spanAround(around, count, slices);
}

/**
 * A zoom that still shows a slice, as wide as it was.
 * @param {Span | null} zoom
 * @param {number} slices
 * @param {number} slice
 * @returns {Span | null}
 */
export function following(zoom, slices, slice) {
  if (!zoom) return null;
  const count = zoom[1] - zoom[0];
  const holds = zoom[0] <= slice && slice < zoom[1] && zoom[1] <= slices;
  return holds ? zoom : spanAround(slice, count, slices);
}

/**
 * @param {number} slice
 * @param {number} count
 * @param {number} slices
 * @returns {Span | null}
 */
function spanAround(slice, count, slices) {
  if (count >= slices) return null;
  const first = Math.max(0, Math.min(slice - Math.floor(count / 2), slices - count));
  return [first, first + count];
}
