/* The way to a real answer: what Qwen2.5-VL would need for the clip in view, and how to get it. */

import { button, el, scrollBox, table } from "../../viz/static/dom.js";
import { grouped } from "../../viz/static/format.js";
import { askElsewhere } from "./asking.js";
import { on } from "./signals.js";

/** @import { ModelNeeds } from "../../viz/static/types.js" */
/** @import { FiguresProps, Mounted } from "./types.js" */

const MODEL = "Qwen/Qwen2.5-VL-7B-Instruct";
const COMMANDS = {
  "Answer and record on a machine with a GPU": [
    'adaspark ask clip.mp4 "What happens?"',
    `--model ${MODEL} --trace runs/clip.npz`,
  ].join(" "),
  "Put the clip beside its run": "cp clip.mp4 runs/clip.mp4",
  "Show a folder of recorded runs as cards": "ADASPARK_RUNS=runs python -m app",
  "Or run this page with the model": `python -m app --model ${MODEL}`,
};
const CAPTION = "For the clip in view, by Qwen's own rule for video, in bfloat16; without the vision tower";
const HEADS = ["", "Visual tokens", "Weights", "Keys and values", "Dense prefill", "Time at this pace"];

/**
 * @param {HTMLElement} body
 * @param {FiguresProps} props
 * @param {Mounted<{}>["trigger"]} trigger
 */
export function mountReal(body, { remotes, space_url: space }, trigger) {
  const place = el("div", { class: "real-needs" });
  const commands = Object.entries(COMMANDS).flatMap(([does, text]) => [el("p", { text: does }), el("pre", { text })]);
  const duplicate = el("a", {
    href: `${space}?duplicate=true`,
    text: "Duplicate this Space",
    target: "_blank",
    rel: "noopener",
  });
  const parts = [
    el("p", {
      text:
        "The small bundled model of this page knows synthetic clips only. Real footage needs Qwen2.5-VL: " +
        "the same method, the same page, on a machine that holds it.",
    }),
    place,
    ...commands,
    el("p", {
      text:
        "A recorded run (NPZ) can also be dropped anywhere on this page: it opens like a run. It is checked first, " +
        "and nothing in it is executed.",
    }),
    ...(space ? [el("p", {}, duplicate, " and choose a GPU for it.")] : []),
    remotes.length ? remoteForm(trigger) : noRemote(),
  ];
  body.append(el("div", { class: "real" }, ...parts));
  on("video", ({ needs }) => place.replaceChildren(...(needs?.length ? [needsTable(needs)] : [])));
}

/** @param {ModelNeeds[]} needs */
function needsTable(needs) {
  const rows = needs.map((each) => [
    each.model,
    grouped(each.video_tokens),
    gigabytes(each.weight_bytes),
    gigabytes(each.cache_bytes),
    `${(each.dense_flops / 1e12).toPrecision(3)} TFLOP`,
    each.seconds === null ? "not measured yet" : duration(each.seconds),
  ]);
  const caption = el("caption", { text: CAPTION });
  return scrollBox("What Qwen2.5-VL would need", "table-scroll", table(caption, HEADS, rows));
}

/** @param {number} bytes */
function gigabytes(bytes) {
  return `${(bytes / 1e9).toPrecision(2)} GB`;
}

/** @param {number} secs */
function duration(secs) {
  if (secs < 90) return `${secs.toPrecision(2)} s`;
  return secs < 5400 ? `${Math.round(secs / 60)} min` : `${(secs / 3600).toPrecision(2)} h`;
}

/** @param {Mounted<{}>["trigger"]} trigger */
function remoteForm(trigger) {
  const box = el("input", { type: "url", placeholder: "https://", "aria-label": "Address of another studio" });
  const send = button("Ask there", { on: { click: () => askElsewhere(trigger, box.value) } });
  const about = "Or ask another studio: the clip and the question in view are sent to it, its run is shown here.";
  return el("div", { class: "real-remote" }, el("p", { text: about }), box, send);
}

function noRemote() {
  const text =
    "This page can also send a question to another studio, if the operator of this server allows that one by its " +
    "address (ADASPARK_REMOTES).";
  return el("p", { text });
}
