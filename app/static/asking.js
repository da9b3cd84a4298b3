/* What begins a run, ends it or makes it another: a video, a question, a dial, a link. */

import { find } from "../../viz/static/dom.js";
import { watchAnswer } from "./answer.js";
import { LAST } from "./memory.js";
import { keepOpen } from "./panels.js";
import { describeAgain, videoSettled } from "./picker.js";
import { activate, clear, draw, mountInto, receive, run, start, takeUp, viewer } from "./run.js";
import { replays, safeCopyOf } from "./server.js";
import { emit, on } from "./signals.js";
import { write } from "./status.js";

/** @import { Preview, Thresholds } from "../../viz/static/types.js" */
/** @import { Mounted, Signals, ViewerProps } from "./types.js" */

const DEBOUNCE_MS = 150;
const NO_VIDEO = "Other settings than the recorded run's; without its video it cannot be run again";
const NO_MODEL = "Other settings than the recorded run's; this server has no model to run them";

/** @type {Mounted<ViewerProps>["trigger"]} */
let trigger = () => {};

/** @type {{ rerun?: ReturnType<typeof setTimeout>, describe?: ReturnType<typeof setTimeout> }} */
const timers = {};
let touchedAt = -Infinity;

/**
 * @param {HTMLElement} element
 * @param {Mounted<ViewerProps>} mounted
 */
export function mountViewer(element, mounted) {
  trigger = mounted.trigger;
  const view = mountInto(find(element, ".viewer-host"), { safeCopy });
  on("video", chosen);
  on("preview", previewed);
  on("opened", openTrace);
  on("resent", ask);
  mounted.watch("value", () => receive(mounted.props.value));
  activate(false);
  watchAnswer(view);
  keepOpen(view);
  emit("viewer", view);
}

/**
 * @param {string} url
 * @param {number} durationSecs
 */
function show(url, durationSecs) {
  const at = run.isPreview ? viewer().clock.time : 0;
  Object.assign(run, { url, asked: false, isNew: true, isPreview: false, isTrace: false });
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
 * A recorded run from elsewhere: its cubes lie on plain ground, and dials act on its recorded scores.
 * @param {Signals["opened"]} message
 */
async function openTrace(message) {
  run.newest += 1;
  if (run.active) stop();
  activate(false);
  run.url = "";
  viewer().open(null);
  clear();
  run.isTrace = true;
  await draw({ ...message, run: run.newest });
}

/**
 * Ask another studio about the video in view.
 * @param {Mounted<{}>["trigger"]} triggerRemote
 * @param {string} where its address
 */
export function askElsewhere(triggerRemote, where) {
  write("answer", "");
  triggerRemote("remote", { run: start("running"), address: where });
}

/**
 * The page's own first video and settings are in place: a permalink may still be to run.
 * @param {boolean} unanswered
 */
export async function opened(unanswered) {
  const ticket = LAST?.ticket;
  if (ticket) {
    await run.drawn;
    takeUp(ticket);
    return;
  }
  if (!unanswered) return;
  if (replays()) await run.drawn;
  retune();
}

export async function ask() {
  clearTimeout(timers.rerun);
  const number = start("running");
  Object.assign(run, { isBefore: true, isNew: true, waiting: true });
  await videoSettled();
  run.waiting = false;
  if (number === run.newest) trigger("ask", { run: number, ticket: run.ticket });
}

function retune() {
  if (run.isTrace) viewer().setState("stale", NO_VIDEO);
  else if (replays()) viewer().setState("stale", NO_MODEL);
  else trigger("retune", { run: start(run.asked ? "stale" : "running"), ticket: run.ticket });
}

export function stop() {
  clearTimeout(timers.rerun);
  trigger("stop", { run: run.newest }); // it may arrive after a run that is begun at once
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
  const rested = now - touchedAt > DEBOUNCE_MS;
  touchedAt = now;
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
  const { attn_top_p: attn, ffn_top_p: ffn, text_top_p: text } = thresholds;
  const isRecorded = recorded?.attn_top_p === attn && recorded.ffn_top_p === ffn;
  const exact = (run.isTrace || replays()) && isRecorded && (recorded.text_top_p ?? attn) === text;
  viewer().preview(exact ? null : thresholds);
  if (exact) viewer().setState("ready");
  return exact;
}

/**
 * Another copy of a video that this browser cannot show; a video that is being prepared has one on its way.
 * @param {string} url
 */
function safeCopy(url) {
  return run.isPreview ? new Promise(() => {}) : safeCopyOf(url);
}
