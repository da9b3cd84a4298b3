/* A permalink: the sample, the question and the settings as an address. */

import { find } from "../../viz/static/dom.js";
import { on } from "./signals.js";

/** @import { HeaderProps } from "./types.js" */

/** The chosen sample's name. @type {string | null} */
let sample = null;
/** @type {HeaderProps} */
let props;
/** @type {HTMLInputElement} */
let box;
/** @type {HTMLElement} */
let note;

/**
 * @param {HTMLElement} panel
 * @param {HeaderProps} given
 * @param {() => void} request asks for the controls' values; `showLink` then gets them
 */
export function mountLink(panel, given, request) {
  props = given;
  box = find(panel, "input");
  note = find(panel, ".link-note");
  panel.addEventListener("opened", request);
  on("video", (card) => {
    sample = card.sample;
  });
}

/**
 * @param {...(string | number | null)} values of the question and the settings, in the order of the link's names
 */
export async function showLink(...values) {
  const query = new URLSearchParams(sample ? { [props.sample_name]: sample } : {});
  props.link_names.forEach((name, i) => {
    const value = values[i];
    if (value !== "" && value != null) query.set(name, String(value));
  });
  box.value = `${props.link_base || location.origin + location.pathname}?${query}`;
  box.focus();
  box.select();
  const copied = await copy(box.value);
  const own = sample ? "" : " It holds the question and the settings; an uploaded video is never in a link.";
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
