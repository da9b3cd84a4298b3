/* What is said over the pictures: how the run fares, and what is wrong with the video. */

/** @import { ViewerState } from "./types.js" */
/** @import { Viewer } from "./viewer.js" */

/** @type {Partial<Record<ViewerState, string>>} */
const RIBBONS = {
  stale: "Settings changed: these pictures are of the last run",
  running: "Running",
  error: "No new result: see the message",
};
const PREVIEW = "Settings changed: the exact run follows";

/** @param {Viewer} viewer */
export function renderState({ parts, state, message, playback, data }) {
  const { root, ribbon, trouble, empty, video } = parts;
  const { waits, sentence } = playback;
  const usual = state === "stale" && data?.choices.settings ? PREVIEW : (RIBBONS[state] ?? "");
  root.dataset.state = waits ? "error" : state;
  ribbon.textContent = message || usual;
  ribbon.hidden = !ribbon.textContent;
  trouble.textContent = sentence;
  trouble.hidden = !sentence;
  empty.hidden = Boolean(data || video.getAttribute("src") || sentence);
}
