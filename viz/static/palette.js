/* The colours and measures of drawing: CSS variables of #viewer, which viz/palette.py writes. */

/** @type {Map<string, string>} */
const known = new Map();

/**
 * A colour of what is drawn on or around footage, by its name in viz/palette.py.
 * @param {string} name
 */
export function ink(name) {
  const value = known.get(name) ?? read(name);
  known.set(name, value);
  return value;
}

/**
 * An opacity or a length of what is drawn, by its name in viz/palette.py.
 * @param {string} name
 */
export function measure(name) {
  return Number(ink(name));
}

/** @param {string} name */
function read(name) {
  const viewer = document.querySelector("#viewer") ?? document.body;
  const value = getComputedStyle(viewer)
    .getPropertyValue(`--as-${name.replaceAll("_", "-")}`)
    .trim();
  if (!value) throw new Error(`The page's styles lack --as-${name}; they come from viz/palette.py.`);
  return value;
}

/** @type {number[][]} */
let anchors = [];

/**
 * Cividis at a share, as a CSS colour.
 * @param {number} share
 */
export function cividis(share) {
  if (!anchors.length) anchors = [...ink("cividis").matchAll(/#[0-9a-f]{6}/g)].map(([colour]) => channels(colour));
  const at = Math.min(Math.max(share, 0), 1) * (anchors.length - 1);
  const low = Math.min(Math.floor(at), anchors.length - 2);
  const [a, b] = [anchors[low], anchors[low + 1]];
  return `rgb(${a.map((value, i) => Math.round(value + (b[i] - value) * (at - low))).join(",")})`;
}

/** @param {string} colour "#rrggbb" */
function channels(colour) {
  return [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
}
