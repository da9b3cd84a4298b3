/* Where to look first: the place at which the question chose most sharply. */

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

/** A look at the sharpest place under that place's own threshold. With another layer, once the
    video plays, or where a later run keeps nothing by it, the usual threshold is back, unless
    somebody has moved it. */
class FirstLook {
  #place = null;

  constructor(viewer) {
    this.viewer = viewer;
    viewer.parts.root.addEventListener("adaspark:view", () => this.#moved());
    viewer.parts.video.addEventListener("play", () => this.leave());
  }

  take() {
    this.leave();
    const place = sharpest(this.viewer.snapshot());
    this.viewer.select(place);
    this.#place = place;
  }

  leave() {
    const place = this.#place, { view } = this.viewer;
    this.#place = null;
    if (place && view.threshold === place.threshold) this.viewer.set({ threshold: null });
  }

  /** A new scene: does anything of this layer still reach the threshold? */
  check() {
    const { data, view } = this.viewer;
    if (this.#place && !(data.largestIn(view.query, view.layer) >= view.threshold)) this.leave();
  }

  #moved() {
    const { layer, threshold } = this.viewer.view;
    if (this.#place && (layer !== this.#place.layer || threshold !== this.#place.threshold)) this.leave();
  }
}
