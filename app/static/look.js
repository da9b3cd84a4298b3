/* Where to look first: the place at which the question chose most sharply. */
(() => {
  "use strict";
  const studio = window.AdaSparkStudio;

  /** {layer, slice} of the slab whose cubes differ most in how many heads and words kept them. */
  function sharpest({ kept_by_kind: kept, cubes }) {
    const slabs = Map.groupBy(cubes.filter((cube) => cube.video === 0), (cube) => cube.t0);
    let found = { spread: 0, layer: 0, slice: 0 };
    (kept.question || []).forEach((shares, layer) => {
      for (const [first, slab] of slabs) {
        const spread = deviation(slab.map((cube) => shares[cube.index]));
        if (spread > found.spread) found = { spread, layer, slice: Math.floor((first + slab[0].t1) / 2) };
      }
    });
    return { layer: found.layer, slice: found.slice };
  }

  function deviation(values) {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  }

  Object.assign(studio, { sharpest });
})();
