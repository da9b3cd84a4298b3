/* The run under way and the run in view: its words, its pictures. Newest wins, late replies drop. */

import { mount } from "../../viz/static/mount.js";
import { linkAnswer } from "./answer.js";
import { LAST } from "./memory.js";
import { clearOutcome, showOutcome } from "./outcome.js";
import { address, detailsOf, fetched } from "./server.js";
import { emit, on } from "./signals.js";
import { messageOf, phaseLine, progress, say, setActive, write } from "./status.js";

/** @import { Field, RunMessage, ViewerState } from "../../viz/static/types.js" */
/** @import { Viewer } from "../../viz/static/viewer.js" */
/** @import { Finished } from "./types.js" */

const RECOVER_MS = 400;
const NO_ANSWER = "The server did not answer; check the connection and ask again.";
const STARTED_ANEW = "The server was started anew before it answered; ask again.";

/** @type {Viewer | null} */
let view = null;

export const run = {
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
};

on("connected", (isBack) => isBack && back());

/**
 * Put the viewer on the page.
 * @param {HTMLElement} host
 * @param {Parameters<typeof mount>[1]} options
 */
export function mountInto(host, options) {
  view = mount(host, options);
  return view;
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

export function clear() {
  run.key = "";
  clearOutcome();
  emit("result", null);
}

/** @param {ViewerState} state */
export function start(state) {
  Object.assign(run, { newest: run.newest + 1, isLost: false, unfetched: null });
  run.ticket = crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint32Array(6))).join("");
  viewer().setState(state);
  say();
  activate(true);
  emit("asked", run.ticket);
  progress(null);
  return run.newest;
}

/** @param {RunMessage | null} message */
export async function receive(message) {
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
export async function draw(message) {
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
  if (!run.unfetched) emit("asked", ""); // there is nothing to take up again
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
export function takeUp(ticket) {
  start(run.asked ? "stale" : "running");
  run.ticket = ticket;
  run.isLost = true;
  recover();
}

/** @param {boolean} active */
export function activate(active) {
  run.active = active;
  setActive(active);
}
