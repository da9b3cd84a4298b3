/* Numbers as words, the same everywhere. No DOM. */

/** @param {number} share */
export function percent(share) {
  return `${Math.round(share * 100)} %`;
}

/**
 * 12,345
 * @param {number} count
 */
export function grouped(count) {
  return count.toLocaleString("en");
}

/**
 * "2-4" of [2, 5), "2" of [2, 3); `join` stands between.
 * @param {number} first
 * @param {number} end exclusive
 * @param {string} [join]
 */
export function range(first, end, join = "-") {
  return end - first > 1 ? `${first}${join}${end - 1}` : `${first}`;
}

/**
 * "0, 2-4" of [0, 2, 3, 4].
 * @param {number[]} numbers
 */
export function spans(numbers) {
  /** @type {[number, number][]} */
  const runs = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last && last[1] === number) last[1] = number + 1;
    else runs.push([number, number + 1]);
  }
  return runs.map(([first, end]) => range(first, end)).join(", ");
}
