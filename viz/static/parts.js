/* The viewer's elements, built once. */

import { button, el, iconButton, segments, slider } from "./dom.js";

/** @import { Compared, Kind, Mode } from "./types.js" */
/** @typedef {ReturnType<typeof buildViewer>} Parts */
/** What hears the segments.
    @typedef {{ mode(mode: Mode): void, kind(kind: Kind): void, compared(compared: Compared): void }} Picks */

/** @type {[Mode, string][]} */
export const MODES = [
  ["spotlight", "Spotlight"],
  ["outline", "Outline"],
  ["heat", "Heat"],
  ["ffn", "FFN"],
  ["difference", "Difference"],
];
/** @type {[Kind, string][]} */
const KINDS = [
  ["video", "Video"],
  ["question", "Question"],
  ["answer", "Answer"],
];
/** @type {[Compared, string][]} */
const COMPARED = [
  ["cubes", "Cubes"],
  ["ffn", "FFN tokens"],
];
const KEYS = [
  ["Space", "play, pause"],
  ["\u2190 \u2192", "slice"],
  ["Shift \u2190 \u2192", "one second"],
  ["\u2191 \u2193", "layer"],
  ["O", "overlay"],
  ["H", "head"],
  ["N P", "next, previous cube of the slice"],
  ["D", "3-D stack"],
  ["Esc", "let go"],
  ["?", "these keys"],
];

/**
 * Build the whole viewer inside `root`; returns its parts by name.
 * @param {HTMLElement} root
 * @param {Picks} on
 */
export function buildViewer(root, on) {
  const parts = {
    root,
    ...stageParts(),
    ...stackParts(),
    ...transportParts(),
    ...detailParts(on),
    ...laneParts(),
    modes: segments("Overlay", MODES, on.mode),
    kinds: segments("Whose attention", KINDS, on.kind),
    head: el("select", { "aria-label": "Head" }),
    words: el("div", { class: "words" }),
    inspector: el("section", { class: "inspector", "aria-label": "Selection", hidden: true }),
    keys: keyHelp(),
    live: el("p", { class: "live", "aria-live": "polite", role: "status" }),
  };
  const keptBy = el("span", { class: "name", text: "Kept by", "aria-hidden": "true" });
  root.append(
    el("div", { class: "bar" }, parts.modes, el("div", { class: "asked" }, keptBy, parts.kinds, parts.head)),
    ...[parts.stage, parts.stackBox, parts.note, parts.transport, parts.details, parts.dials, parts.laneBox],
    ...[parts.words, parts.inspector, parts.keys, parts.live],
  );
  return parts;
}

function stageParts() {
  const video = el("video", { muted: true, playsinline: true, preload: "auto", tabindex: -1, "aria-hidden": "true" });
  video.muted = true; // the attribute alone is for the parser
  const grey = el("canvas", { class: "grey", "aria-hidden": "true" });
  const overlay = el("canvas", { class: "overlay", "aria-hidden": "true" });
  const ribbon = el("p", { class: "ribbon", hidden: true });
  const tier = el("p", { class: "tier", hidden: true });
  const trouble = el("p", { class: "trouble", role: "alert", hidden: true });
  const empty = el(
    "div",
    { class: "empty" },
    el("p", { text: "Choose a video and ask a question." }),
    el("p", { text: "The cubes that each layer keeps are then drawn over the playing video." }),
  );
  const badges = el("div", { class: "badges" }, ribbon, tier);
  const stage = el("div", { class: "stage" }, video, grey, overlay, empty, badges, trouble);
  const note = el("p", { class: "note", hidden: true });
  return { stage, video, grey, overlay, ribbon, tier, trouble, empty, note };
}

function stackParts() {
  const stack = el("canvas", {
    class: "stack",
    tabindex: 0,
    role: "application",
    "aria-roledescription": "3-D view",
    "aria-label": "Cube stack: time runs to the back. Arrow keys turn it, Home turns it back.",
  });
  const caption = el("p", { text: "Time runs to the back \u00b7 drag to turn \u00b7 click a cube" });
  return { stack, stackBox: el("div", { class: "stack-box", hidden: true }, stack, caption) };
}

function transportParts() {
  const play = iconButton("play", "Play");
  const back = iconButton("back", "Previous slice");
  const forward = iconButton("forward", "Next slice");
  const seek = el("input", { type: "range", "aria-label": "Seek", min: 0, max: 1, step: "any", value: 0 });
  const clock = el("output", { class: "clock", "aria-hidden": "true" });
  const spatial = button("3-D", { class: "spatial", "aria-label": "3-D cube stack", "aria-pressed": "false" });
  const layer = slider("Layer", { min: 0, max: 0, step: 1, value: 0 });
  const threshold = slider("Kept from", { min: 0, max: 100, step: 1, value: 50 });
  const usual = button("Auto", { "aria-label": "Kept from the layer's average" });
  threshold.row.append(usual);
  const opacity = slider("Opacity", { min: 0, max: 100, step: 5, value: 100 });
  const transport = el("div", { class: "transport" }, play, back, forward, seek, clock, spatial);
  const dials = el("div", { class: "dials" }, layer.row, threshold.row, opacity.row);
  return { play, back, forward, seek, clock, spatial, layer, threshold, usual, opacity, transport, dials };
}

/** @param {Picks} on */
function detailParts(on) {
  const legend = el("p", { class: "legend" });
  const rescale = button("Rescale to this layer", { "aria-pressed": "false" });
  const compared = segments("What is compared", COMPARED, on.compared);
  const facts = el("p", { class: "facts" });
  const layerFacts = el("p", { class: "facts muted" });
  const row = el("div", { class: "legend-row" }, legend, rescale, compared);
  const details = el("div", { class: "details" }, row, facts, layerFacts);
  return { legend, rescale, compared, facts, layerFacts, details };
}

function laneParts() {
  const lanes = el("canvas", {
    class: "lanes",
    tabindex: 0,
    role: "application",
    "aria-roledescription": "map of layers by slices",
  });
  const laneTitle = el("p", { class: "lane-title" });
  const laneScale = el("span", { class: "lane-scale", "aria-hidden": "true" });
  const stretch = button("Stretch colours", { "aria-pressed": "false" });
  const laneLayers = el("div", { class: "lane-layers", "aria-hidden": "true" });
  const laneTimes = el("div", { class: "lane-times", "aria-hidden": "true" });
  const head = el("div", { class: "lane-head" }, laneTitle, laneScale, stretch);
  const grid = el("div", { class: "lane-grid" }, laneLayers, lanes, laneTimes);
  return {
    lanes,
    laneTitle,
    laneScale,
    stretch,
    laneLayers,
    laneTimes,
    laneBox: el("div", { class: "lane-box" }, head, grid),
  };
}

function keyHelp() {
  const rows = KEYS.map(([key, does]) =>
    el("div", {}, el("dt", {}, el("kbd", { text: key })), el("dd", { text: does })),
  );
  return el("details", { class: "keys" }, el("summary", { text: "Keyboard shortcuts" }), el("dl", {}, ...rows));
}
