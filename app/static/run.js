/* A run: ask, stop, re-tune, replay; its words, its pictures. Newest wins, late replies drop. */

import { find } from "../../viz/static/dom.js";
import { mount } from "../../viz/static/mount.js";
import { linkAnswer, watchAnswer } from "./answer.js";
import { clearOutcome, showOutcome } from "./outcome.js";
import { keepOpen } from "./panels.js";
import { describeAgain, videoSettled } from "./picker.js";
import { LAST } from "./memory.js";
import { address, detailsOf, fetched, replays, safeCopyOf } from "./server.js";
import { emit, on } from "./signals.js";
import { messageOf, phaseLine, progress, say, setActive, write } from "./status.js";

/** @import { Field, Preview, RunMessage, Thresholds, ViewerState } from "../../viz/static/types.js" */
/** @import { Viewer } from "../../viz/static/viewer.js" */
/** @import { Finished, Mounted, Signals, ViewerProps } from "./types.js" */

const DEBOUNCE_MS = 150;
const RECOVER_MS = 400;
const NO_VIDEO = "Other settings than the recorded run's; without its video it cannot be run again";
const NO_ANSWER = "The server did not answer; check the connection and ask again.";
const STARTED_ANEW = "The server was started anew before it answered; ask again.";
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
  /** By it the server finds the run under way again, should the page be cut off. */
  ticket: "",
  key: "",
  url: "",
  /** The video in view is still being prepared. */
  isPreview: false,
  /** The answer in view is the one before the question that was asked. */
  isBefore: false,
  /** The run under way is not heard of any more. */
  isLost: false,
  /** A run that has ended, and could not be fetched. @type {Finished | null} */
  unfetched: null,
  /** The run in view was opened from a file, without its video. */
  isTrace: false,
  asked: false,
  /** Another video or question than what is drawn: it is first looked at where it shows best. */
  isNew: true,
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
  on("opened", openTrace);
  on("connected", (isBack) => isBack && back());
  on("resent", ask);
  mounted.watch("value", () => receive(mounted.props.value));
  activate(false);
  watchAnswer(view);
  keepOpen(view);
  emit("viewer", view);
}

/** @returns {Viewer} */
export function viewer() {
  if (!view) throw new Error("The viewer is not on the page yet.");
  return view;
}

/** The run in view: its key, the viewer's revision, and the ticket of one that is under way. */
export function runInView() {
  return { key: run.key, rev: run.rev, ticket: run.active ? run.ticket : "" };
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

function clear() {
  run.key = "";
  clearOutcome();
  emit("result", null);
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

/** @param {ViewerState} state */
function start(state) {
  Object.assign(run, { newest: run.newest + 1, isLost: false });
  run.ticket = crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint32Array(6))).join("");
  viewer().setState(state);
  say();
  activate(true);
  emit("asked", run.ticket);
  progress(null);
  return run.newest;
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
  const { attn_top_p: attn, ffn_top_p: ffn, text_top_p: text } = thresholds;
  const isRecorded = recorded?.attn_top_p === attn && recorded.ffn_top_p === ffn;
  const exact = (run.isTrace || replays()) && isRecorded && (recorded.text_top_p ?? attn) === text;
  viewer().preview(exact ? null : thresholds);
  if (exact) viewer().setState("ready");
  return exact;
}

/** @param {RunMessage | null} message */
async function receive(message) {
  // Gradio sends an event's last value once more when the event ends.
  if (!message || message.run < run.newest || (message.key && message.key === run.key)) return;
  // The answer in view stays until another question is under way: not where that is refused.
  if (message.answer || (run.isBefore && message.state === "running")) {
    run.isBefore = false;
    write("answer", message.answer ?? "");
  }
  if (message.state === "running") progress(message.phase ?? null);
  else if (message.state === "error") fail(message.error, message.field);
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
    viewer().setScene(scene, { rev: run.rev, state: "ready", source: detailsOf(message.key) });
  } catch (error) {
    run.key = "";
    run.unfetched = message;
    fail(messageOf(error));
    return;
  }
  if (message.recorded || run.isNew) viewer().lookFirst();
  run.isNew = false;
  activate(false);
  showOutcome(message);
  linkAnswer(viewer());
  emit("result", { key: message.key, stem: message.stem, summary: message.summary });
}

/**
 * @param {string} [sentence]
 * @param {Field | null} [field] that it is about
 */
function fail(sentence, field) {
  say(sentence, field);
  finish("error");
}

/** @param {ViewerState} state */
function finish(state) {
  viewer().setState(state);
  phaseLine(state === "error" ? "No new result" : "Stopped");
  activate(false);
}

/** The page was cut off, or its request was refused as a whole: the server may know of the run all the same. */
export function lost() {
  if (!run.active) return;
  run.isLost = true;
  recover();
}
/** The server answers again: what ended meanwhile is fetched. */
function back() {
  const message = run.unfetched;
  run.unfetched = null;
  if (message && message.run === run.newest) {
    say();
    draw(message);
  } else recover();
}

/** Hear of the run under way by its ticket, until it has ended; without a connection, wait for one. */
async function recover() {
  const number = run.newest;
  while (run.active && run.ticket && number === run.newest) {
    const response = await fetch(address(`studio/runs/${run.ticket}`)).catch(() => null);
    if (!response?.ok) return;
    const message = await response.json();
    if (message.state === "unknown") {
      if (run.isLost) fail(LAST?.ticket === run.ticket ? STARTED_ANEW : NO_ANSWER);
      return; // else the question is still on its way
    }
    await receive({ ...message, run: number });
    if (run.active) await new Promise((go) => setTimeout(go, RECOVER_MS));
  }
}

/**
 * Take up the run that was under way when the page was loaded anew.
 * @param {string} ticket
 */
function takeUp(ticket) {
  start(run.asked ? "stale" : "running");
  run.ticket = ticket;
  run.isLost = true;
  recover();
}

/** @param {boolean} active */
function activate(active) {
  run.active = active;
  setActive(active);
}
