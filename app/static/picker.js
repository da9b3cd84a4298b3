/* Choosing a video: sample cards, an upload with progress, what a run on it would cost. */

import { el, find } from "../../viz/static/dom.js";
import { percent } from "../../viz/static/format.js";
import { emit } from "./signals.js";
import { say } from "./status.js";
import { send, watchDrops } from "./upload.js";

/** @import { PickMessage } from "../../viz/static/types.js" */
/** @import { Mounted, PickerProps, SampleCard, Signals } from "./types.js" */

const choice = {
  /** Number of the page's newest choice, and of the newest that the server has answered. */
  pick: 0,
  answered: 0,
  /** The first card's permalink is still to run. */
  unanswered: false,
  /** As many frames as the model holds, where the video has more. */
  frames: 0,
};
/** @type {(() => void)[]} */
const waiting = [];
/** @type {HTMLElement | null} */
let own = null;
/** @type {Mounted<PickerProps>["trigger"]} */
let trigger = () => {};
/** @type {ReturnType<typeof partsOf>} */
let parts;
let limitBytes = 0;

/** @param {HTMLElement} element */
function partsOf(element) {
  const long = find(element, ".too-long");
  return {
    list: find(element, ".cards"),
    facts: find(element, ".facts"),
    note: find(element, ".note"),
    long,
    longText: find(long, "p"),
    longButton: find(long, "button"),
    drop: find(element, ".drop"),
    /** @type {HTMLInputElement} */
    input: find(element, "input[type=file]"),
  };
}

/**
 * @param {HTMLElement} element
 * @param {Mounted<PickerProps>} mounted
 */
export function mountPicker(element, { props, trigger: triggerEvent, watch }) {
  trigger = triggerEvent;
  limitBytes = props.limit_bytes;
  parts = partsOf(element);
  const { input } = parts;
  for (const sample of props.samples) parts.list.append(card(sample, () => chooseSample(sample)));
  input.addEventListener("change", () => {
    if (input.files?.length) upload(input.files[0]);
    input.value = "";
  });
  parts.longButton.addEventListener("click", () => trigger("fit"));
  watchDrops(parts.drop, upload);
  watch("value", () => receive(props.value));
  // A card that is here already is shown once the parts after this one are mounted too: they hear of it.
  queueMicrotask(() => receive(props.value));
}

/**
 * @param {SampleCard} sample
 * @param {() => void} choose
 */
function card({ name, title, url, poster_secs: posterSecs = 0.1 }, choose) {
  const source = `${url}#t=${posterSecs}`;
  const video = el("video", { src: source, muted: true, preload: "metadata", tabindex: -1, "aria-hidden": "true" });
  const options = { type: "button", class: "card", "data-name": name, "aria-pressed": "false", title };
  return el("button", { ...options, on: { click: choose } }, video, el("span", { text: title }));
}

/**
 * A new choice: what is asked from now on waits until the server has answered it.
 * @param {string} text
 */
function begin(text) {
  choice.pick += 1;
  parts.facts.textContent = text;
  say();
  return choice.pick;
}

/** @param {SampleCard} sample */
function chooseSample(sample) {
  trigger("sample", { pick: begin("Reading…"), name: sample.name });
}

/** @param {File} file */
function upload(file) {
  const pick = begin(`Uploading ${file.name}…`);
  const refuse = (/** @type {string} */ error) => trigger("refused", { pick, error });
  if (file.size > limitBytes) {
    const [size, most] = [Math.ceil(file.size / 1e6), Math.round(limitBytes / 1e6)];
    refuse(`${file.name} has ${size} MB, the limit is ${most} MB; choose a shorter or smaller video.`);
    return;
  }
  send(file, {
    progress: (share) => {
      if (pick === choice.pick) parts.facts.textContent = share < 1 ? `Uploading ${percent(share)}` : "Checking…";
    },
    arrived: (path) => trigger("upload", { pick, path, name: file.name }),
    lost: () => refuse(`${file.name} did not arrive; check the connection and choose it again.`),
  });
}

/**
 * A card, or a refusal, from the server; one that is not the newest choice's is dropped.
 * @param {PickMessage | null} message
 */
function receive(message) {
  if (!message || (message.pick ?? 0) < choice.pick) return;
  if (message.progress) {
    parts.facts.textContent = `Preparing ${percent(message.progress)}`;
    if (message.preview) emit("preview", message.preview);
    return;
  }
  choice.answered = message.pick ?? 0;
  if (isCard(message)) show(message);
  if (message.error) {
    say(message.error);
    if (!message.chosen) nothingChosen();
  }
  waiting.splice(0).forEach((go) => go());
}

/**
 * @param {PickMessage} message
 * @returns {message is Signals["video"]}
 */
function isCard(message) {
  return Boolean(message.url);
}

/** @param {Signals["video"]} message */
function show(message) {
  parts.facts.textContent = message.facts;
  choice.unanswered = Boolean(message.unanswered);
  tell(message.note);
  showTooLong(message.too_long);
  if (!message.sample) keepOwn(message);
  mark(message.sample || "own");
  emit("questions", message);
  emit("video", message);
}

function nothingChosen() {
  parts.facts.textContent = "No video is chosen.";
  tell("");
  showTooLong(null);
  mark(null);
}

/** @param {string} text */
function tell(text) {
  parts.note.textContent = text;
  parts.note.hidden = !text;
}

/**
 * More tokens than the model holds: said before anything runs, with the frames that fit.
 * @param {Signals["video"]["too_long"]} tooLong
 */
function showTooLong(tooLong) {
  parts.long.hidden = !tooLong;
  choice.frames = tooLong ? tooLong.max_frames : 0;
  parts.longText.textContent = tooLong ? tooLong.text : "";
  parts.longButton.textContent = `Show it ${choice.frames} frames`;
}

/** @param {Signals["video"]} message */
function keepOwn({ name, url }) {
  if (own?.dataset.url === url) return;
  own?.remove();
  own = card({ name: "own", title: name, url }, () => trigger("again", { pick: begin("Reading…"), url }));
  own.dataset.url = url;
  parts.list.append(own);
}

/** @param {string | null} name of the card that is chosen */
function mark(name) {
  for (const item of parts.list.querySelectorAll("button")) {
    item.setAttribute("aria-pressed", String(item.dataset.name === name));
  }
}

/** Resolves once the newest choice has been answered. */
export async function videoSettled() {
  if (choice.pick > choice.answered) await new Promise((go) => waiting.push(() => go(null)));
}

/** Ask for the card again, under other sampling settings. */
export function describeAgain() {
  trigger("describe", { pick: choice.pick });
}

/** The frames that fit, for the control that holds them. */
export function fittingFrames() {
  return choice.frames;
}

/** Whether the page's own first card is in view, and its permalink is still to run. */
export function isFirstUnanswered() {
  return choice.unanswered && choice.pick === 0;
}
