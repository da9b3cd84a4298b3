/* A link to what is in view, to copy. */

import { find } from "../../viz/static/dom.js";
import { addressNow, isUpload } from "./address.js";

/** @import { HeaderProps } from "./types.js" */

/**
 * @param {HTMLElement} panel
 * @param {HeaderProps} props
 */
export function mountLink(panel, props) {
  panel.addEventListener("opened", () => showLink(panel, props.link_base));
}

/**
 * @param {HTMLElement} panel
 * @param {string} base what a link begins with; empty: the page's own address
 */
async function showLink(panel, base) {
  /** @type {HTMLInputElement} */
  const box = find(panel, "input");
  const note = find(panel, ".link-note");
  box.value = `${base || location.origin + location.pathname}?${addressNow()}`;
  box.focus();
  box.select();
  const copied = await copy(box.value);
  const own = isUpload() ? " It holds the question and the settings; an uploaded video is never in a link." : "";
  note.textContent = (copied ? "Copied." : "Copy it from the box: this browser does not let a page copy.") + own;
}

/** @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
