/* `adaspark:select` on window: said when the viewer's selection changes, obeyed when another panel says it. */

/** @import { Selected } from "./types.js" */
/** @import { Viewer } from "./viewer.js" */

const EVENT = "adaspark:select";

/**
 * Say that something is selected, to the viewer and to every panel.
 * @param {Selected} detail
 */
export function select(detail) {
  window.dispatchEvent(new CustomEvent(EVENT, { detail }));
}

/** @param {(detail: Selected) => void} listener */
export function onSelect(listener) {
  window.addEventListener(EVENT, (event) => listener(/** @type {CustomEvent<Selected>} */ (event).detail));
}

export class Selection {
  #last = "";
  #telling = false;

  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    onSelect((detail) => {
      if (!this.#telling && viewer.parts.root.isConnected) viewer.select(detail);
    });
  }

  /** Say what the viewer's selection is, where it changed; one that is not on the page yet has none to say. */
  tell() {
    const { data, view } = this.viewer;
    if (!data) return;
    const { layer, head, slice, pinned, query } = view;
    const word = query.word === undefined ? null : data.words[query.word].index;
    const detail = { layer, head, slice, cube: pinned, word };
    const said = JSON.stringify(detail);
    if (said === this.#last) return;
    this.#last = said;
    if (!this.viewer.parts.root.isConnected) return;
    this.#telling = true;
    select(detail);
    this.#telling = false;
  }
}
