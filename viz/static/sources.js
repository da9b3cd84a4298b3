/* Layers' details of the scene (a) and the one it is compared with (b), asked for when they are needed. No DOM. */

/** @import { LayerSource, Query } from "./types.js" */
/** @import { SceneData } from "./scene.js" */

/** @typedef {{ data: SceneData | null, source: LayerSource | null, asked: Set<number> }} Source */

export class Sources {
  /** @type {Map<"a" | "b", Source>} */
  #from = new Map();

  /** @param {() => void} onArrival hears that a detail is here */
  constructor(onArrival) {
    this.onArrival = onArrival;
  }

  /**
   * @param {"a" | "b"} side
   * @param {SceneData | null} data
   * @param {LayerSource | null} source
   */
  set(side, data, source) {
    this.#from.set(side, { data, source, asked: new Set() });
  }

  /**
   * Ask for what drawing this view needs and does not have, and for the layers beside it.
   * @param {{ layer: number, query: Query }} view
   */
  fetchFor({ layer, query }) {
    for (const { data, source, asked } of this.#from.values()) {
      if (!data || !source) continue;
      for (const near of [layer, layer + 1, layer - 1]) {
        if (near < 0 || near >= data.layers || asked.has(near)) continue;
        if (data.choices.needsDetail(query, near)) this.#fetch(data, source, asked, near);
      }
    }
  }

  /**
   * @param {SceneData} data
   * @param {LayerSource} source
   * @param {Set<number>} asked
   * @param {number} layer
   */
  async #fetch(data, source, asked, layer) {
    asked.add(layer);
    try {
      const detail = await source(layer);
      if (detail) data.choices.add(detail);
    } catch {
      asked.delete(layer); // a later view asks again
      return;
    }
    this.onArrival();
  }
}
