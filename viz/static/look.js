/* Where to look first. */

import { sharpest } from "./sharpest.js";

/** @import { SceneData } from "./scene.js" */
/** @import { Viewer } from "./viewer.js" */

/**
 * A look at the sharpest place under that place's own threshold. With another layer, once the video plays, or where a
 * later run keeps nothing by it, the usual threshold is back, unless somebody has moved it.
 */
export class FirstLook {
  /** @type {ReturnType<typeof sharpest> | null} */
  #place = null;

  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    viewer.parts.root.addEventListener("adaspark:view", () => this.#moved());
    viewer.parts.video.addEventListener("play", () => this.leave());
  }

  take() {
    this.leave();
    const snapshot = this.viewer.snapshot();
    if (!snapshot) return;
    const place = sharpest(snapshot);
    this.viewer.select(place);
    this.#place = place;
  }

  leave() {
    const place = this.#place;
    this.#place = null;
    if (place && this.viewer.view.threshold === place.threshold) this.viewer.set({ threshold: null });
  }

  /**
   * A new scene: does anything of this layer still reach the threshold?
   * @param {SceneData} data
   */
  check(data) {
    const { query, layer, threshold } = this.viewer.view;
    if (this.#place && data.largestIn(query, layer) < (threshold ?? 0)) this.leave();
  }

  #moved() {
    const { layer, threshold } = this.viewer.view;
    if (this.#place && (layer !== this.#place.layer || threshold !== this.#place.threshold)) this.leave();
  }
}
