/* What each step of the story does, by the page's own controls, and says, from what was measured. */

import { percent } from "../../viz/static/format.js";
import { named } from "./language.js";
import { viewer } from "./run.js";
import { replays } from "./server.js";
import { on } from "./signals.js";
import { byId } from "./status.js";

/** @import { BesideMessage } from "../../viz/static/types.js" */
/** @import { Result } from "./types.js" */

/** What a step is given: a way to say something, and whether it was left.
    @typedef {{ say: (text: string) => void, signal: AbortSignal }} Stage */

const PATIENCE_MS = 60_000;
const LAYER_MS = 900;
/** From here on the words stand beside the player; on a narrower page under it, once it is at the top. */
const WIDE_PX = 1100;
const LOWER = [0.5, 0.3, 0.2, 0.1, 0.05, 0];
const NO_MODEL = "This server only replays recorded runs: this step needs the model.";

/** @type {Result | null} */
let newest = null;
/** @type {((result: Result) => void)[]} */
const awaiting = [];
/** @type {((message: BesideMessage) => void)[]} */
const comparing = [];
on("result", (result) => {
  newest = result;
  if (result) awaiting.splice(0).forEach((go) => go(result));
});
on("beside", (message) => {
  if (message.state !== "running") comparing.splice(0).forEach((go) => go(message));
});

/** On a wide page the words stand at the side that does not hide what a step moves.
    @type {{ title: string, text: string, side: "left" | "right", run: (stage: Stage) => Promise<void> }[]} */
export const STEPS = [
  { title: "a needle", text: "A long wall, and for a moment something on it.", side: "right", run: needle },
  { title: "what each layer reads", text: "The same question, layer by layer.", side: "right", run: layers },
  {
    title: "keep less, until it breaks",
    text: "Top-p goes down; each time the model is asked again.",
    side: "left",
    run: lower,
  },
  {
    title: "drop tokens instead",
    text: "The same FLOPs, spent by pruning tokens before the model.",
    side: "right",
    run: prune,
  },
  {
    title: "your own video",
    text: "Now a video of yours: choose it, or drop it anywhere on the page.",
    side: "right",
    run: own,
  },
];

/** @param {Stage} stage */
async function needle({ say, signal }) {
  const card = /** @type {HTMLElement | null} */ (document.querySelector(".picker .card"));
  if (card?.getAttribute("aria-pressed") !== "true" || !newest) await after(awaiting, () => card?.click());
  if (signal.aborted) return;
  lookAtFirst();
  showPlayer();
  const { data } = viewer();
  const density = percent(newest?.summary.attention_density ?? 0);
  say(
    `“${data?.scene.question}” The model answered “${data?.scene.answer?.trim()}”, and computed ${density} of the ` +
      `query-key pairs that dense attention computes. What is lit was read for it, in layer ${viewer().view.layer}.`,
  );
}

/** @param {Stage} stage */
async function layers({ say, signal }) {
  showPlayer();
  const { parts } = viewer();
  const last = Number(parts.layer.input.max);
  for (let layer = 0; layer <= last && !signal.aborted; layer++) {
    move(parts.layer.input, layer);
    const row = viewer().data?.choices.row(viewer().view.query, layer) ?? [];
    const kept = Array.from(row).filter((share) => share > 0).length;
    const readsAll = viewer().data?.scene.drawn_top_p != null;
    say(
      readsAll
        ? `Layer ${layer} of 0 to ${last}: ${kept} of ${row.length} cubes hold most of what some of these heads read.`
        : `Layer ${layer} of 0 to ${last}: ${kept} of ${row.length} cubes were kept by some of these words or heads.`,
    );
    await rest(LAYER_MS, signal);
  }
}

/** @param {Stage} stage */
async function lower({ say, signal }) {
  showPlayer();
  const dial = slider("Top-p attention");
  const before = Number(dial.value);
  const first = answer();
  if (replays()) throw new Error(NO_MODEL);
  signal.addEventListener("abort", () => move(dial, before));
  for (const p of LOWER.filter((value) => value < before)) {
    const { summary } = await after(awaiting, () => move(dial, p));
    if (signal.aborted) return;
    const pairs = percent(summary.attention_density ?? 0);
    if (answer() !== first) {
      say(`At Top-p ${p} it breaks: “${answer()}” instead of “${first}”, with ${pairs} of the pairs.`);
      return;
    }
    say(`At Top-p ${p} it still says “${first}”, with ${pairs} of the pairs.`);
    await rest(LAYER_MS, signal);
    if (signal.aborted) return;
  }
  const readsAll = Number(slider("Top-p of the question").value) === 1;
  say(
    readsAll
      ? `Even at Top-p 0 it says “${first}”: the question itself still reads every cube.`
      : `Even at Top-p 0 it says “${first}”: its own cube and the text are always read.`,
  );
}

/** @param {Stage} stage */
async function prune({ say, signal }) {
  if (replays()) throw new Error(NO_MODEL);
  await settled(signal);
  tab("Compare").click();
  const panel = tabPanel("Compare");
  const choice = /** @type {HTMLSelectElement} */ (panel.querySelector("select"));
  choice.value = "prune";
  const start = /** @type {HTMLElement} */ (panel.querySelector(".beside-controls button"));
  const { sides, error } = await after(comparing, () => start.click());
  if (!sides) throw new Error(error || "The comparison ended early; go back and try again.");
  if (signal.aborted) return;
  panel.scrollIntoView({ block: "start" }); // above the story's own words
  const [ours, other] = sides.map((side) =>
    side.answer
      .map(({ text }) => text)
      .join("")
      .trim(),
  );
  const which = ours === other ? `Both say “${ours}” here` : `Token pruning says “${other}”, AdaSpark “${ours}”`;
  say(`${which}. Pruned tokens are gone for every layer and word; AdaSpark lets each query choose.`);
}

/** @param {Stage} stage */
async function own({ signal }) {
  lookAtFirst();
  window.scrollTo({ top: 0 });
  const zone = document.querySelector(".picker .drop");
  zone?.classList.add("story-target");
  signal.addEventListener("abort", () => zone?.classList.remove("story-target"));
}

/** Back to what a run opens on, whatever the steps before have brought into view. */
function lookAtFirst() {
  viewer().set({ mode: "spotlight", head: null });
  viewer().lookFirst();
}

function showPlayer() {
  if (innerWidth < WIDE_PX) viewer().parts.root.querySelector(".stage")?.scrollIntoView({ block: "start" });
}

/**
 * Wait until no dial's run is under way: it would end a comparison.
 * @param {AbortSignal} signal
 */
async function settled(signal) {
  await rest(LAYER_MS, signal);
  const end = performance.now() + PATIENCE_MS;
  while (viewer().state !== "ready" && performance.now() < end && !signal.aborted) await rest(100, signal);
}

/** What the page answers now. */
function answer() {
  return (byId("answer")?.textContent ?? "").trim();
}

/**
 * Promise the next value that `waiting` hears of after some act.
 * @template T
 * @param {((value: T) => void)[]} waiting
 * @param {() => void} act
 * @returns {Promise<T>}
 */
function after(waiting, act) {
  return new Promise((resolve, reject) => {
    waiting.push(resolve);
    setTimeout(() => reject(new Error("This takes longer than usual; go back to try again.")), PATIENCE_MS);
    act();
  });
}

/**
 * @param {number} millis
 * @param {AbortSignal} signal
 */
function rest(millis, signal) {
  return new Promise((resolve) => {
    setTimeout(resolve, millis);
    signal.addEventListener("abort", resolve);
  });
}

/** @param {string} name */
function slider(name) {
  return /** @type {HTMLInputElement} */ (document.querySelector(`input[type=range]${named(name)}`));
}

/**
 * Move a slider as a hand does.
 * @param {HTMLInputElement} input
 * @param {number} value
 */
function move(input, value) {
  input.value = String(value);
  for (const event of ["input", "change"]) input.dispatchEvent(new Event(event, { bubbles: true }));
}

/** @param {string} title */
function tab(title) {
  return /** @type {HTMLElement} */ (
    [...document.querySelectorAll(".figures [role=tab]")].find((each) => each.getAttribute("data-title") === title)
  );
}

/** @param {string} title */
function tabPanel(title) {
  return /** @type {HTMLElement} */ (byId(tab(title).getAttribute("aria-controls") ?? ""));
}
