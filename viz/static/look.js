/* Where to look first: viz/data/opening.py says. */

/** @import { Opening } from "./types.js" */
/** @import { SceneData } from "./scene.js" */
/** @import { Viewer } from "./viewer.js" */

/**
 * A look at what produced the answer's first word, under its own threshold, which stays while the video plays. With
 * another layer or query, or where a later run keeps nothing by it, the usual threshold is back, unless somebody has
 * moved it.
 */
export class FirstLook {
  /** @type {Opening | null} */
  #place = null;

  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    viewer.parts.root.addEventListener("adaspark:view", () => this.#moved());
  }

  take() {
    this.leave();
    const place = this.viewer.data?.scene.opening;
    if (!place) return;
    const { word, layer, slice, threshold, apart } = place;
    Object.assign(this.viewer.view, { said: false, apart });
    this.#place = place;
    // What appears within a slice is there in its last frame.
    const secs = this.viewer.data?.times[slice]?.at(-1) ?? null;
    this.viewer.select({ word, layer, slice, threshold }, secs);
  }

  /** Somebody goes on from here: what is looked at stays. */
  settle() {
    this.#place = null;
  }

  /** Whether the view is still the one that was opened with; its slice may be any. */
  get holds() {
    return this.#place !== null;
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
    const { layer, threshold, query } = this.viewer.view;
    const place = this.#place;
    if (!place) return;
    const word = query.word === undefined ? undefined : this.viewer.data?.words[query.word]?.index;
    if (layer !== place.layer || threshold !== place.threshold || word !== place.word) this.leave();
  }
}
