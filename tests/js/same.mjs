/* What the viewer makes of the scenes on standard input, for a comparison with Python; as JSON on standard output. */

import { text } from "node:stream/consumers";
import { isKept } from "../../viz/static/choices.js";
import { Difference, sideOf } from "../../viz/static/difference.js";
import { SceneData } from "../../viz/static/scene.js";

const { a, b, times } = JSON.parse(await text(process.stdin));
const data = new SceneData(a);
const difference = new Difference(data, new SceneData(b), "A", "B");
const layers = Array.from({ length: data.layers }, (_, layer) => layer);

/** Whether each cube counts as kept, by kind and layer. */
const kept = data.kinds.map((kind) =>
  layers.map((layer) => {
    const threshold = data.usualThreshold({ kind, head: null }, layer);
    return [...data.choices.row({ kind, head: null }, layer)].map((share) => isKept(share, threshold));
  }),
);

/** The side of each token of a layer, in the order of the tokens. */
function sidesOf(compared, layer) {
  const sides = [];
  const asked = { compared, query: { kind: "question", head: null }, fixed: null };
  for (let slice = 0; slice < data.slices; slice++) {
    for (const region of difference.regions(asked, layer, slice)) {
      for (let row = region.r0; row < region.r1; row++) {
        for (let column = region.c0; column < region.c1; column++)
          sides[data.token(slice, row, column)] = sideOf(region);
      }
    }
  }
  return sides;
}

process.stdout.write(
  JSON.stringify({
    kept,
    slices: times.map((secs) => data.sliceAt(secs, data.videos[0])),
    cubes: layers.map((layer) => sidesOf("cubes", layer)),
    ffn: layers.map((layer) => sidesOf("ffn", layer)),
    comparable: difference.comparable,
  }),
);
