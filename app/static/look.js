/* Where to look first: the place at which the question chose most sharply. */
(() => {
  "use strict";
  const studio = window.AdaSparkStudio;

  /** {layer, slice, threshold} of the slab whose cubes differ most in how much they were kept, and
      a threshold half-way between its mean and its most kept cube. */
  function sharpest({ kept_by_kind: kept, cubes }) {
    const slabs = Map.groupBy(cubes.filter((cube) => cube.video === 0), (cube) => cube.t0);
    let found = { spread: 0, layer: 0, slice: 0, threshold: null };
    (kept.question || []).forEach((shares, layer) => {
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

  /** Go there; with another layer the usual threshold is back, unless somebody has moved it. */
  function lookFirst(viewer) {
    const place = sharpest(viewer.snapshot()), root = document.getElementById("viewer");
    const leave = ({ detail }) => {
      if (detail.layer === place.layer && viewer.view.threshold === place.threshold) return;
      root.removeEventListener("adaspark:view", leave);
      if (viewer.view.threshold === place.threshold) viewer.set({ threshold: null });
    };
    viewer.select(place);
    root.addEventListener("adaspark:view", leave);
  }

  Object.assign(studio, { lookFirst });
})();
