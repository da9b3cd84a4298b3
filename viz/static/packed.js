/* Packed tables of viz/packing.py, decoded; and steps of viz/levels.py. */

/** Decode {dtype, shape, data}: whole numbers, `top` the largest code of the dtype. */
function unpack(packed) {
  const bits = Number(packed.dtype.slice(1));
  const bytes = Uint8Array.from(atob(packed.data), (char) => char.charCodeAt(0));
  const count = packed.shape.reduce((a, b) => a * b, 1), top = 2 ** bits - 1;
  if (bits === 8) return { values: bytes, shape: packed.shape, top };
  const values = bits === 16 ? new Uint16Array(count) : new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    if (bits === 16) values[i] = bytes[2 * i] | (bytes[2 * i + 1] << 8);
    else values[i] = (bytes[(i * bits) >> 3] >> (8 - bits - ((i * bits) & 7))) & top;
  }
  return { values, shape: packed.shape, top };
}

/** Decode {steps, table}; null stays null. */
function unpackLevels(levels) {
  return levels && { ...levels, ...unpack(levels.table) };
}

/** A layer's threshold, of a configuration that has one for all or a list with one for each. */
function topPIn(layer, given) {
  return Array.isArray(given) ? given[layer] : given;
}

/** Index of the step nearest to p. */
function nearestStep(steps, p) {
  let best = 0;
  steps.forEach((step, i) => { if (Math.abs(step - p) < Math.abs(steps[best] - p)) best = i; });
  return best;
}
