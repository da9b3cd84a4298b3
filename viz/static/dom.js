/* The viewer's elements. Text from data only ever becomes textContent. */

const MODES = [["spotlight", "Spotlight"], ["outline", "Outline"], ["heat", "Heat"], ["ffn", "FFN"]];
const KIND_NAMES = { video: "Video", question: "Question", answer: "Answer" };
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

/** A button with a drawing instead of a word; which one is CSS's affair, by data-icon. */
function iconButton(name, label) {
  const button = el("button", { type: "button", className: "icon", "aria-label": label });
  button.dataset.icon = name;
  return button;
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
    const button = el("button", { type: "button", textContent: text, "aria-pressed": "false" });
    button.dataset.value = value;
    button.addEventListener("click", () => onPick(value));
    group.append(button);
  }
  return group;
}

function press(group, value) {
  for (const button of group.children) {
    button.setAttribute("aria-pressed", String(button.dataset.value === value));
  }
}

/** Build the whole viewer inside `root`; returns its parts by name. */
function buildViewer(root, onMode, onKind) {
  const parts = { root, ...stageParts(), ...transportParts() };
  parts.modes = segments("Overlay", MODES, onMode);
  parts.kinds = segments("Whose attention", Object.entries(KIND_NAMES), onKind);
  parts.legend = el("p", { className: "legend" });
  parts.facts = el("p", { className: "facts" });
  parts.layerFacts = el("p", { className: "facts muted" });
  parts.lanes = el("canvas", { className: "lanes", role: "img", "aria-label": "Lanes" });
  parts.laneTitle = el("p", { className: "lane-title" });
  parts.stretch = el("button", { type: "button", textContent: "Stretch colours" });
  parts.laneEnds = el("p", { className: "lane-ends" });
  parts.words = el("div", { className: "words" });
  parts.live = el("p", { className: "live", "aria-live": "polite", role: "status" });
  root.append(
    el("div", { className: "bar" }, parts.modes, parts.kinds),
    parts.stage, parts.transport,
    el("div", { className: "details" }, parts.legend, parts.facts, parts.layerFacts),
    parts.dials,
    el("div", { className: "lane-box" },
      el("div", { className: "lane-head" }, parts.laneTitle, parts.stretch), parts.lanes, parts.laneEnds),
    parts.words, parts.live,
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
  const empty = el("div", { className: "empty" },
    el("p", { textContent: "Choose a video and ask a question." }),
    el("p", { textContent: "The cubes that each layer keeps are then drawn over the playing video." }));
  const stage = el("div", { className: "stage" }, video, grey, overlay, empty, ribbon);
  return { stage, video, grey, overlay, ribbon, empty };
}

function transportParts() {
  const play = iconButton("play", "Play");
  const back = iconButton("back", "Previous slice"), forward = iconButton("forward", "Next slice");
  const seek = el("input", { type: "range", "aria-label": "Seek", min: 0, max: 1, step: "any", value: 0 });
  const clock = el("output", { className: "clock", "aria-hidden": "true" });
  const layer = slider("Layer", { min: 0, max: 0, step: 1, value: 0 });
  const threshold = slider("Kept from", { min: 0, max: 100, step: 1, value: 50 });
  threshold.auto = el("button", { type: "button", textContent: "Auto", "aria-label": "Kept from the layer's average" });
  threshold.row.append(threshold.auto);
  const opacity = slider("Opacity", { min: 0, max: 100, step: 5, value: 100 });
  return {
    play, back, forward, seek, clock, layer, threshold, opacity,
    transport: el("div", { className: "transport" }, play, back, forward, seek, clock),
    dials: el("div", { className: "dials" }, layer.row, threshold.row, opacity.row),
  };
}

/** The words of one kind as buttons, in order, by index: repeated words stay apart. */
function wordRow(kind, words, onWord) {
  const row = el("div", { className: "word-row", role: "group", "aria-label": `${KIND_NAMES[kind]} words` });
  row.append(el("span", { className: "name", textContent: KIND_NAMES[kind], "aria-hidden": "true" }));
  words.forEach((word, position) => {
    if (word.kind !== kind) return;
    const text = word.text.trim() || (word.text.includes("\n") ? "\u21b5" : "\u2423");
    const className = /^(<\|.*\|>|\W)$/u.test(text) ? "word minor" : "word";
    const button = el("button", { type: "button", className, textContent: text, "aria-pressed": "false" });
    button.dataset.index = word.index;
    button.dataset.position = position;
    button.addEventListener("click", () => onWord(position));
    row.append(button);
  });
  return row;
}
