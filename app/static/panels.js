/* Panels stay as they were left: which tab is open, whether the stack and the list of keys are shown. */

/** @import { Viewer } from "../../viz/static/viewer.js" */

const KEPT = "adaspark-panels";

/** @returns {Record<string, unknown>} */
function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT) ?? "{}");
  } catch {
    return {};
  }
}

/**
 * How a panel was left; undefined: it never was.
 * @param {string} name
 */
export function panelWas(name) {
  return kept()[name];
}

/**
 * @param {string} name
 * @param {string | boolean} state
 */
export function keepPanel(name, state) {
  try {
    localStorage.setItem(KEPT, JSON.stringify({ ...kept(), [name]: state }));
  } catch {
    // Without storage panels open as they do at first.
  }
}

/**
 * The stack and the list of keys stay as they were left.
 * @param {Viewer} view
 */
export function keepOpen({ parts, view: look }) {
  if (panelWas("stack") !== undefined) look.spatial = Boolean(panelWas("stack"));
  if (panelWas("keys")) parts.keys.open = true;
  parts.spatial.addEventListener("click", () => keepPanel("stack", look.spatial));
  parts.keys.addEventListener("toggle", () => keepPanel("keys", parts.keys.open));
}
