/* A viewer on a page. `const viewer = mount(element)`, then:

   - `viewer.setScene(scene, {rev, state, source})` draws a scene of viz/data/scene.py; a `rev` below the newest is
     dropped, `source({name, of})` promises what a large run's scene lacks (viz/data/layer_detail.py, queries.py);
   - `viewer.setOther(scene, labelA, labelB)` adds Difference; `setOther(null)` takes it away;
   - `viewer.preview({attn_top_p, ffn_top_p, text_top_p})` re-thresholds what was recorded; null goes back;
   - `viewer.open(url, secs)` shows a video before any run, `viewer.setState(state, message)` says how a run fares,
     `viewer.picture("png" | "svg", "overlay" | "lanes" | "stack")` promises a Blob;
   - `mount(element, {safeCopy})`: `safeCopy(url)` promises the address of another copy of a video that the browser
     cannot show right, which is said on the stage until that copy is there;
   - `viewer.lookFirst()` goes where what produced the answer shows best;
   - on window, `adaspark:select` {layer, head, slice, cube, word} is said when the selection changes and obeyed when
     another panel says it, with any of these names;
   - `window.adaspark.scene()` is a read-only copy of what the newest viewer draws; null: nothing yet. */

import { Viewer } from "./viewer.js";

/** @type {Viewer | null} */
let newest = null;

/**
 * Put a viewer into an element; returns it.
 * @param {HTMLElement} element
 * @param {ConstructorParameters<typeof Viewer>[1]} [options]
 */
export function mount(element, options) {
  newest = new Viewer(element, options);
  if (!("adaspark" in window)) {
    const documented = Object.freeze({ scene: () => newest?.snapshot() ?? null });
    Object.defineProperty(window, "adaspark", { value: documented, enumerable: true });
  }
  return newest;
}
