/* Choosing a video: sample cards, an upload with progress, what a run on it would cost. */

import { find } from "../../viz/static/dom.js";
import { percent } from "../../viz/static/format.js";
import { Cards } from "./cards.js";
import { FactsLine } from "./facts.js";
import { LAST, keepFile, keptFile } from "./memory.js";
import { emit } from "./signals.js";
import { say, warn } from "./status.js";
import { send, watchDrops } from "./upload.js";

/** @import { PickMessage } from "../../viz/static/types.js" */
/** @import { Mounted, PickerProps, SampleCard, Signals } from "./types.js" */

const NOT_INCLUDED = "This link is about an uploaded video, and does not include the clip. Its question is kept.";
const LONG_NAME = 40;
const choice = {
  /** Number of the page's newest choice, and of the newest that the server has answered. */
  pick: 0,
  answered: 0,
  /** Number of the choice that sends a lost video again; its question is then asked. */
  resent: 0,
  /** What the file on its way is called. */
  sent: "",
  /** The first card's permalink is still to run. */
  unanswered: false,
  /** As many frames as the model holds, where the video has more. */
  frames: 0,
};
/** @type {(() => void)[]} */
const waiting = [];
/** @type {Cards} */
let cards;
/** @type {Mounted<PickerProps>["trigger"]} */
let trigger = () => {};
/** @type {ReturnType<typeof partsOf>} */
let parts;
let limitBytes = 0;

/** @param {HTMLElement} element */
function partsOf(element) {
  const long = find(element, ".too-long");
  return {
    facts: new FactsLine(find(element, ".facts")),
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
  cards = new Cards(find(element, ".cards"));
  for (const sample of props.samples) cards.add(sample, () => chooseSample(sample));
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
 * A new choice: what is asked from now on waits until the server has answered it.
 * @param {string} text
 */
function begin(text) {
  choice.pick += 1;
  parts.facts.say(text);
  say();
  return choice.pick;
}

/** @param {SampleCard} sample */
function chooseSample(sample) {
  trigger("sample", { pick: begin("Reading…"), name: sample.name });
}

/** @param {File} file */
function upload(file) {
  choice.sent = shortened(file.name);
  const pick = begin(`Uploading ${choice.sent}…`);
  keepFile(file);
  const refuse = (/** @type {string} */ error) => receive({ pick, error });
  if (file.size > limitBytes) {
    const [size, most] = [Math.ceil(file.size / 1e6), Math.round(limitBytes / 1e6)];
    refuse(`${file.name} has ${size} MB, the limit is ${most} MB; choose a shorter or smaller video.`);
    return;
  }
  send(file, {
    progress: (share) => {
      if (pick === choice.pick) tellProgress(share < 1 ? `Uploading {}: ${percent(share)}` : "Checking {}…");
    },
    arrived: (path) => trigger(/\.npz$/i.test(file.name) ? "trace" : "upload", { pick, path, name: file.name }),
    refused: refuse,
    lost: () => refuse(`${file.name} did not arrive; check the connection and choose it again.`),
  });
}

/** @param {string} text of where the file on its way is, {} for what it is called */
function tellProgress(text) {
  parts.facts.say(text.replace("{}", () => choice.sent));
}

/**
 * A file's name on one line: its begin and its end.
 * @param {string} name
 */
function shortened(name) {
  return name.length > LONG_NAME ? `${name.slice(0, LONG_NAME - 13)}…${name.slice(-12)}` : name;
}

/**
 * A card, or a refusal, from the server; one that is not the newest choice's is dropped.
 * @param {PickMessage | null} message
 */
function receive(message) {
  if (!message || (message.pick ?? 0) < choice.pick) return;
  if (message.progress) {
    tellProgress(`Preparing {}: ${percent(message.progress)}`);
    if (message.preview) {
      cards.mark(""); // the video before is out of view, and this one has no card yet
      emit("preview", message.preview);
    }
    return;
  }
  choice.answered = message.pick ?? 0;
  if (isCard(message)) show(message);
  if (choice.resent && isCard(message) && message.pick === choice.resent) {
    choice.resent = 0;
    emit("resent", null);
  }
  if (message.opened) {
    parts.facts.keep(`Recorded run of ${message.opened.summary.model ?? "a model"}, without its video`);
    cards.mark("");
    const { question } = message.opened;
    emit("questions", /** @type {Signals["questions"]} */ ({ ...message, question, questions: [question] }));
    emit("opened", message.opened);
  }
  if (message.error) {
    say(message.error, message.field ?? "video");
    parts.facts.show();
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
  parts.facts.keep(message.facts);
  choice.unanswered = Boolean(message.unanswered);
  tell(message.note);
  warn(parts.warnings, message.warnings);
  showTooLong(message.too_long);
  showMissing(Boolean(message.missing));
  if (!message.sample) {
    cards.keepOwn(message, () => trigger("again", { pick: begin("Reading…"), url: message.url }));
  }
  cards.choose(message.sample);
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
