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
  ["dropped", "Dropped"],
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
  ["R", "the held cube joins the region, or leaves it; Shift and a click do so too"],
  ["D", "3-D stack"],
  ["+ \u2212", "fewer, more slices in the lanes"],
  ["Esc", "hold no cube or word"],
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
    slot: el("div", { class: "slot" }),
    modes: segments("Overlay", MODES, on.mode),
    kinds: segments("Whose attention", KINDS, on.kind),
    head: el("select", { "aria-label": "Head" }),
    search: el("input", { type: "search", "aria-label": "Find a word", placeholder: "Find a word", hidden: true }),
    words: el("div", { class: "words" }),
    inspector: el("section", { class: "inspector", "aria-label": "Selection", hidden: true }),
    keys: keyHelp(),
    live: el("p", { class: "live", "aria-live": "polite", role: "status" }),
  };
  const keptBy = el("span", { class: "name", text: "Kept by", "aria-hidden": "true" });
  root.append(
    parts.slot,
    el("div", { class: "bar" }, parts.modes, el("div", { class: "asked" }, keptBy, parts.kinds, parts.head)),
    ...[
      parts.stage,
      parts.stackBox,
      parts.transport,
      parts.dials,
      parts.sentence,
      parts.search,
      parts.words,
      parts.legendRow,
      parts.laneBox,
    ],
    ...[parts.details, parts.inspector, parts.keys, parts.live],
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
  return { stage, video, grey, overlay, ribbon, tier, trouble, empty };
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
  const compared = segments("What is compared", COMPARED, on.compared);
  const sentence = el("p", { class: "sentence" });
  const facts = el("p", { class: "facts" });
  const layerFacts = el("p", { class: "facts muted" });
  const note = el("p", { class: "note", hidden: true });
  const legendRow = el("div", { class: "legend-row" }, legend, compared);
  const details = el("div", { class: "details" }, facts, layerFacts, note);
  return { legend, compared, sentence, legendRow, facts, layerFacts, note, details };
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
  const apart = button("Sinks apart", {
    "aria-pressed": "false",
    title: "Sets the cubes that nearly every query keeps apart: they say nothing of the question",
  });
  const full = button("Colours to 100 %", { "aria-pressed": "false" });
  const zoomIn = button("+", { "aria-label": "Show fewer slices" });
  const zoomOut = button("\u2212", { "aria-label": "Show more slices" });
  const laneLayers = el("div", { class: "lane-layers", "aria-hidden": "true" });
  const laneTimes = el("div", { class: "lane-times", "aria-hidden": "true" });
  const zoom = el("span", { class: "lane-zoom" }, zoomOut, zoomIn);
  const head = el("div", { class: "lane-head" }, laneTitle, laneScale, apart, full, zoom);
  const grid = el("div", { class: "lane-grid" }, laneLayers, lanes, laneTimes);
  return {
    lanes,
    laneTitle,
    laneScale,
    apart,
    full,
    zoomIn,
    zoomOut,
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
