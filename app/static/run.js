/* A run: ask, stop, re-tune, replay; its words, its pictures. Newest wins, late replies drop. */

import { find } from "../../viz/static/dom.js";
import { mount } from "../../viz/static/mount.js";
import { clearOutcome, showOutcome } from "./outcome.js";
import { describeAgain, videoSettled } from "./picker.js";
import { fetched, layersOf, replays, safeCopyOf } from "./server.js";
import { emit, on } from "./signals.js";
import { messageOf, phaseLine, progress, say, setActive, write } from "./status.js";

/** @import { Preview, RunMessage, Thresholds, ViewerState } from "../../viz/static/types.js" */
/** @import { Viewer } from "../../viz/static/viewer.js" */
/** @import { Finished, Mounted, Signals, ViewerProps } from "./types.js" */

const DEBOUNCE_MS = 150;
const NO_MODEL = "Other settings than the recorded run's; this server has no model to run them";

/** @type {Viewer | null} */
let view = null;
/** @type {Mounted<ViewerProps>["trigger"]} */
let trigger = () => {};

const run = {
  newest: 0,
  active: false,
  /** Asked, and the video has not yet been answered for. */
  waiting: false,
  rev: 0,
  key: "",
  url: "",
  /** The video in view is still being prepared. */
  isPreview: false,
  asked: false,
  /** @type {Promise<void> | null} */
  drawn: null,
  touchedAt: -Infinity,
};
/** @type {{ rerun?: ReturnType<typeof setTimeout>, describe?: ReturnType<typeof setTimeout> }} */
const timers = {};

/**
 * @param {HTMLElement} element
 * @param {Mounted<ViewerProps>} mounted
 */
export function mountViewer(element, mounted) {
  trigger = mounted.trigger;
  view = mount(find(element, ".viewer-host"), { safeCopy });
  on("video", chosen);
  on("preview", previewed);
  mounted.watch("value", () => receive(mounted.props.value));
  activate(false);
}

/** @returns {Viewer} */
export function viewer() {
  if (!view) throw new Error("The viewer is not on the page yet.");
  return view;
}

/** The run in view: the key of its files, and the viewer's revision. */
export function runInView() {
  return { key: run.key, rev: run.rev };
}

/**
 * Another copy of a video that this browser cannot show; a video that is being prepared has one on its way.
 * @param {string} url
 */
function safeCopy(url) {
  return run.isPreview ? new Promise(() => {}) : safeCopyOf(url);
}

/**
 * @param {string} url
 * @param {number} durationSecs
 */
function show(url, durationSecs) {
  const at = run.isPreview ? viewer().clock.time : 0;
  run.url = url;
  run.asked = false;
  run.isPreview = false;
  viewer().open(url, durationSecs, at);
  clear();
}

/**
 * A video that is still being prepared plays as far as it has come.
 * @param {Preview} preview
 */
function previewed({ url, duration_secs: durationSecs }) {
  if (url === run.url) return;
  if (run.active) stop();
  show(url, durationSecs);
  run.isPreview = true;
}

/**
 * A newly chosen video is seen at once; where it has a recorded run, with that.
 * @param {Signals["video"]} card
 */
async function chosen({ url, duration_secs: durationSecs, pick, recorded, unanswered }) {
  if (url === run.url && !recorded) return;
  if (url !== run.url) show(url, durationSecs);
  if (run.waiting) {
    viewer().setState("running"); // asked about this very video
    return;
  }
  const byVisitor = (pick ?? 0) > 0;
  // The first pick is the page's own; any other ends what is under way.
  if (byVisitor) run.newest += 1;
  if (run.active) stop();
  activate(false);
  run.drawn = recorded ? draw({ ...recorded, run: run.newest }) : null;
  await run.drawn;
  if (unanswered && byVisitor) retune();
}

/**
 * The page's own first video and settings are in place: a permalink may still be to run.
 * @param {boolean} unanswered
 */
export async function opened(unanswered) {
  if (!unanswered) return;
  if (replays()) await run.drawn;
  retune();
}

function clear() {
  run.key = "";
  clearOutcome();
  emit("result", null);
}

export async function ask() {
  clearTimeout(timers.rerun);
  const number = start("running");
  run.waiting = true;
  await videoSettled();
  run.waiting = false;
  if (number === run.newest) trigger("ask", { run: number });
}

function retune() {
  if (replays()) viewer().setState("stale", NO_MODEL);
  else trigger("retune", { run: start(run.asked ? "stale" : "running") });
}

/** @param {ViewerState} state */
function start(state) {
  run.newest += 1;
  viewer().setState(state);
  say();
  activate(true);
  progress(null);
  return run.newest;
}

export function stop() {
  clearTimeout(timers.rerun);
  trigger("stop");
}

/**
 * A dial moved: what is drawn no longer fits it. The first move runs at once, the moves that follow it closely when
 * they have come to rest: each ends the run before it.
 */
export function settingsTouched() {
  if (!run.asked) return;
  clearTimeout(timers.rerun);
  if (!run.active) viewer().setState("stale");
  const now = performance.now();
  const rested = now - run.touchedAt > DEBOUNCE_MS;
  run.touchedAt = now;
  timers.rerun = setTimeout(retune, rested ? 0 : DEBOUNCE_MS);
}

export function samplingTouched() {
  clearTimeout(timers.describe);
  timers.describe = setTimeout(describeAgain, DEBOUNCE_MS);
  settingsTouched();
}

/**
 * Recorded probabilities at other thresholds, drawn at once; true where a replay has them exact.
 * @param {Required<Thresholds>} thresholds
 */
export function previewAt(thresholds) {
  if (!run.asked) return false;
  const recorded = viewer().data?.scene.config;
  const { attn_top_p: attn, ffn_top_p: ffn } = thresholds;
  const exact = replays() && recorded?.attn_top_p === attn && recorded.ffn_top_p === ffn;
  viewer().preview(exact ? null : thresholds);
  if (exact) viewer().setState("ready");
  return exact;
}

/** @param {RunMessage | null} message */
async function receive(message) {
  // Gradio sends an event's last value once more when the event ends.
  if (!message || message.run < run.newest || (message.key && message.key === run.key)) return;
  if (message.answer !== undefined) write("answer", message.answer);
  if (message.state === "running") progress(message.phase ?? null);
  else if (message.state === "error") fail(message.error);
  else if (message.key) await draw(/** @type {Finished} */ (message));
  else finish(run.key ? "stale" : "empty");
}

/** @param {Finished} message */
async function draw(message) {
  run.key = message.key;
  try {
    const scene = await (await fetched(message.key, "scene.json")).json();
    if (message.run < run.newest) return;
    run.rev += 1;
    run.url = message.url;
    run.asked = true;
    viewer().setScene(scene, { rev: run.rev, state: "ready", layerSource: layersOf(message.key) });
  } catch (error) {
    fail(messageOf(error));
    return;
  }
  if (message.recorded) viewer().lookFirst();
  activate(false);
  showOutcome(message);
  emit("result", { key: message.key, stem: message.stem, summary: message.summary });
}

/** @param {string} [sentence] */
function fail(sentence) {
  say(sentence);
  finish("error");
}

/** @param {ViewerState} state */
function finish(state) {
  viewer().setState(state);
  phaseLine(state === "error" ? "No new result" : "Stopped");
  activate(false);
}

/** The server could not be reached, or refused the request as a whole. */
export function lost() {
  if (run.active) fail("The server did not answer; check the connection and ask again.");
}

/** @param {boolean} active */
function activate(active) {
  run.active = active;
  setActive(active);
}
