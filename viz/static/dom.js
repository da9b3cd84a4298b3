/* The viewer's elements. Text from data only ever becomes textContent. */

const MODES = [
  ["spotlight", "Spotlight"], ["outline", "Outline"], ["heat", "Heat"], ["ffn", "FFN"], ["difference", "Difference"],
];
const KIND_NAMES = { video: "Video", question: "Question", answer: "Answer" };
const COMPARED = [["cubes", "Cubes"], ["ffn", "FFN tokens"]];
const KEYS = [
  ["Space", "play, pause"], ["\u2190 \u2192", "slice"], ["Shift \u2190 \u2192", "one second"], ["\u2191 \u2193", "layer"],
  ["O", "overlay"], ["H", "head"], ["N P", "next, previous cube of the slice"], ["D", "3-D stack"], ["Esc", "let go"],
  ["?", "these keys"],
];

/** An element with properties, attributes (names with a dash, role, class) and children. */
function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node && !name.includes("-")) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function button(text, properties = {}) {
  return el("button", { type: "button", textContent: text, ...properties });
}

/** A button with a drawing instead of a word; which one is CSS's affair, by data-icon. */
function iconButton(name, label) {
  const made = button("", { className: "icon", "aria-label": label });
  made.dataset.icon = name;
  return made;
}

function slider(label, options) {
  const input = el("input", { type: "range", "aria-label": label, ...options });
  const output = el("output", { "aria-hidden": "true" });
  const name = el("span", { className: "name", textContent: label, "aria-hidden": "true" });
  return { input, output, row: el("div", { className: "dial" }, name, input, output) };
}

/** Buttons of which one is pressed; onPick gets its value. */
function segments(label, choices, onPick) {
  const group = el("div", { className: "segments", role: "group", "aria-label": label });
  for (const [value, text] of choices) {
    const choice = button(text, { "aria-pressed": "false" });
    choice.dataset.value = value;
    choice.addEventListener("click", () => onPick(value));
    group.append(choice);
  }
  return group;
}

function press(group, value) {
  for (const choice of group.children) choice.setAttribute("aria-pressed", String(choice.dataset.value === value));
}

/** Build the whole viewer inside `root`; returns its parts by name. `on` hears the segments. */
function buildViewer(root, on) {
  const parts = { root, ...stageParts(), ...stackParts(), ...transportParts(), ...detailParts(on), ...laneParts() };
  parts.modes = segments("Overlay", MODES, on.mode);
  parts.kinds = segments("Whose attention", Object.entries(KIND_NAMES), on.kind);
  parts.head = el("select", { "aria-label": "Head" });
  parts.words = el("div", { className: "words" });
  parts.inspector = el("section", { className: "inspector", "aria-label": "Selection", hidden: true });
  parts.keys = keyHelp();
  parts.live = el("p", { className: "live", "aria-live": "polite", role: "status" });
  const asked = el("div", { className: "asked" },
    el("span", { className: "name", textContent: "Kept by", "aria-hidden": "true" }), parts.kinds, parts.head);
  root.append(
    el("div", { className: "bar" }, parts.modes, asked),
    parts.stage, parts.stackBox, parts.note, parts.transport, parts.details, parts.dials, parts.laneBox,
    parts.words, parts.inspector, parts.keys, parts.live,
  );
  return parts;
}

function stageParts() {
  const video = el("video", { muted: true, playsInline: true, controls: false, preload: "auto" });
  for (const name of ["muted", "playsinline"]) video.setAttribute(name, "");
  video.tabIndex = -1;
  video.setAttribute("aria-hidden", "true");
  const grey = el("canvas", { className: "grey", "aria-hidden": "true" });
  const overlay = el("canvas", { className: "overlay", "aria-hidden": "true" });
  const ribbon = el("p", { className: "ribbon", hidden: true });
  const tier = el("p", { className: "tier", hidden: true });
  const trouble = el("p", { className: "trouble", role: "alert", hidden: true });
  const empty = el("div", { className: "empty" },
    el("p", { textContent: "Choose a video and ask a question." }),
    el("p", { textContent: "The cubes that each layer keeps are then drawn over the playing video." }));
  const stage = el("div", { className: "stage" }, video, grey, overlay, empty, el("div", { className: "badges" }, ribbon, tier), trouble);
  return { stage, video, grey, overlay, ribbon, tier, trouble, empty, note: el("p", { className: "note", hidden: true }) };
}

function stackParts() {
  const stack = el("canvas", {
    className: "stack", tabIndex: 0, role: "application", "aria-roledescription": "3-D view",
    "aria-label": "Cube stack: time runs to the back. Arrow keys turn it, Home turns it back.",
  });
  const caption = el("p", { textContent: "Time runs to the back \u00b7 drag to turn \u00b7 click a cube" });
  return { stack, stackBox: el("div", { className: "stack-box", hidden: true }, stack, caption) };
}

function transportParts() {
  const play = iconButton("play", "Play");
  const back = iconButton("back", "Previous slice"), forward = iconButton("forward", "Next slice");
  const seek = el("input", { type: "range", "aria-label": "Seek", min: 0, max: 1, step: "any", value: 0 });
  const clock = el("output", { className: "clock", "aria-hidden": "true" });
  const spatial = button("3-D", { className: "spatial", "aria-label": "3-D cube stack", "aria-pressed": "false" });
  const layer = slider("Layer", { min: 0, max: 0, step: 1, value: 0 });
  const threshold = slider("Kept from", { min: 0, max: 100, step: 1, value: 50 });
  threshold.auto = button("Auto", { "aria-label": "Kept from the layer's average" });
  threshold.row.append(threshold.auto);
  const opacity = slider("Opacity", { min: 0, max: 100, step: 5, value: 100 });
  return {
    play, back, forward, seek, clock, spatial, layer, threshold, opacity,
    transport: el("div", { className: "transport" }, play, back, forward, seek, clock, spatial),
    dials: el("div", { className: "dials" }, layer.row, threshold.row, opacity.row),
  };
}

function detailParts(on) {
  const legend = el("p", { className: "legend" });
  const rescale = button("Rescale to this layer", { "aria-pressed": "false" });
  const compared = segments("What is compared", COMPARED, on.compared);
  const facts = el("p", { className: "facts" }), layerFacts = el("p", { className: "facts muted" });
  const row = el("div", { className: "legend-row" }, legend, rescale, compared);
  return { legend, rescale, compared, facts, layerFacts, details: el("div", { className: "details" }, row, facts, layerFacts) };
}

function laneParts() {
  const lanes = el("canvas", { className: "lanes", tabIndex: 0, role: "application", "aria-roledescription": "map of layers by slices" });
  const laneTitle = el("p", { className: "lane-title" }), laneScale = el("span", { className: "lane-scale", "aria-hidden": "true" });
  const stretch = button("Stretch colours", { "aria-pressed": "false" });
  const laneLayers = el("div", { className: "lane-layers", "aria-hidden": "true" });
  const laneTimes = el("div", { className: "lane-times", "aria-hidden": "true" });
  const laneBox = el("div", { className: "lane-box" },
    el("div", { className: "lane-head" }, laneTitle, laneScale, stretch),
    el("div", { className: "lane-grid" }, laneLayers, lanes, laneTimes));
  return { lanes, laneTitle, laneScale, stretch, laneLayers, laneTimes, laneBox };
}

function keyHelp() {
  const rows = KEYS.map(([key, does]) => el("div", {}, el("dt", {}, el("kbd", { textContent: key })), el("dd", { textContent: does })));
  return el("details", { className: "keys" }, el("summary", { textContent: "Keyboard shortcuts" }), el("dl", {}, ...rows));
}
