/* Choosing a video: sample cards, an upload with progress, what a run on it would cost. */

import { el, find } from "../../viz/static/dom.js";
import { percent } from "../../viz/static/format.js";
import { LAST, keepFile, keptFile } from "./memory.js";
import { emit } from "./signals.js";
import { say, warn } from "./status.js";
import { send, watchDrops } from "./upload.js";

/** @import { PickMessage } from "../../viz/static/types.js" */
/** @import { Mounted, PickerProps, SampleCard, Signals } from "./types.js" */

const NOT_INCLUDED = "This link is about an uploaded video, and does not include the clip. Its question is kept.";
const choice = {
  /** Number of the page's newest choice, and of the newest that the server has answered. */
  pick: 0,
  answered: 0,
  /** Number of the choice that sends a lost video again; its question is then asked. */
  resent: 0,
  /** What is said of the video in view. */
  facts: "",
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
    warnings: find(element, ".warnings"),
    long,
    missing: find(element, ".missing"),
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
  parts.list.addEventListener("keydown", moveAmong);
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
  keepFile(file);
  const refuse = (/** @type {string} */ error) => receive({ pick, error });
  if (file.size > limitBytes) {
    const [size, most] = [Math.ceil(file.size / 1e6), Math.round(limitBytes / 1e6)];
    refuse(`${file.name} has ${size} MB, the limit is ${most} MB; choose a shorter or smaller video.`);
    return;
  }
  send(file, {
    progress: (share) => {
      if (pick === choice.pick) parts.facts.textContent = share < 1 ? `Uploading ${percent(share)}` : "Checking…";
    },
    arrived: (path) => trigger(/\.npz$/i.test(file.name) ? "trace" : "upload", { pick, path, name: file.name }),
    refused: refuse,
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
  if (choice.resent && isCard(message) && message.pick === choice.resent) {
    choice.resent = 0;
    emit("resent", null);
  }
  if (message.opened) {
    choice.facts = `Recorded run of ${message.opened.summary.model ?? "a model"}, without its video`;
    parts.facts.textContent = choice.facts;
    mark("");
    const { question } = message.opened;
    emit("questions", /** @type {Signals["questions"]} */ ({ ...message, question, questions: [question] }));
    emit("opened", message.opened);
  }
  if (message.error) {
    say(message.error, message.field ?? "video");
    parts.facts.textContent = choice.facts;
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
  choice.facts = message.facts;
  parts.facts.textContent = message.facts;
  choice.unanswered = Boolean(message.unanswered);
  tell(message.note);
  warn(parts.warnings, message.warnings);
  showTooLong(message.too_long);
  showMissing(Boolean(message.missing));
  if (!message.sample) keepOwn(message);
  mark(message.sample || "own");
  emit("questions", message);
  emit("video", message);
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

/**
 * A link to an upload holds no video, and a server that was started anew has lost it: offered to be sent again.
 * @param {boolean} missing
 */
async function showMissing(missing) {
  const name = LAST?.name ?? "";
  const file = missing && name ? await keptFile(name) : null;
  const [text, again] = [find(parts.missing, "p"), find(parts.missing, "button")];
  parts.missing.hidden = !missing;
  text.textContent = file ? `This server no longer has ${name}. Its question is kept.` : NOT_INCLUDED;
  again.textContent = file ? "Send it again" : "Choose it";
  again.onclick = () => {
    if (!file) parts.input.click();
    else {
      upload(file);
      choice.resent = choice.pick;
    }
  };
}

/** @param {Signals["video"]} message */
function keepOwn({ name, url }) {
  if (own?.dataset.url === url) return;
  own?.remove();
  own = card({ name: "own", title: name, url }, () => trigger("again", { pick: begin("Reading…"), url }));
  own.dataset.url = url;
  parts.list.append(own);
}

/** @param {string} name of the card that is chosen */
function mark(name) {
  for (const item of parts.list.querySelectorAll("button")) {
    item.setAttribute("aria-pressed", String(item.dataset.name === name));
    item.tabIndex = item.dataset.name === name ? 0 : -1;
    if (item.dataset.name === name) bringIntoView(item);
  }
}

/**
 * The list alone is scrolled, and only where the card is not whole: the page itself stays where it is.
 * @param {HTMLElement} item
 */
function bringIntoView(item) {
  const [list, its] = [parts.list.getBoundingClientRect(), item.getBoundingClientRect()];
  if (its.left < list.left) parts.list.scrollLeft -= list.left - its.left;
  else if (its.right > list.right) parts.list.scrollLeft += its.right - list.right;
}

/**
 * The cards are one stop of the Tab key; arrows go from one to the next.
 * @param {KeyboardEvent} event
 */
function moveAmong(event) {
  const cards = [...parts.list.querySelectorAll("button")];
  const at = cards.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
  /** @type {Record<string, number>} */
  const places = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: cards.length - 1 };
  const to = cards[places[event.key]];
  if (!to) return;
  event.preventDefault();
  to.focus();
}

/**
 * Go back to a run of this visit.
 * @param {string} key
 */
export function resumeRun(key) {
  trigger("resume", { pick: begin("Reading…"), key });
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
