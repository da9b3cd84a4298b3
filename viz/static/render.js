/* State -> screen: pictures, facts, pressed buttons, the live region; and the keys. */

/** The view with what follows from it: data, focused cube, threshold in use, top of the colours. */
function fullView({ view, data }) {
  const usual = data?.slices ? data.usualThreshold(view.query, view.layer) : 0.5;
  const stretched = view.stretched && view.mode !== "ffn" && data?.slices;
  return {
    ...view, data, usual: view.threshold === null, threshold: view.threshold ?? usual,
    focus: view.hovered ?? view.pinned, top: stretched ? data.largestShare(view.query) : 1,
  };
}

function renderViewer(viewer) {
  const { parts, data } = viewer, view = fullView(viewer);
  Object.assign(parts.root.dataset, { layer: view.layer, slice: view.slice, mode: view.mode });
  parts.root.toggleAttribute("data-drawn", Boolean(data));
  press(parts.modes, view.mode);
  press(parts.kinds, view.query.kind);
  for (const button of parts.kinds.children) {
    button.disabled = !data?.kinds.includes(button.dataset.value);
  }
  renderDials(parts, view, data);
  renderTransport(parts, viewer.clock);
  renderPictures(viewer, view);
  renderWords(parts, view);
  renderTexts(parts, view);
}

function renderPictures({ parts, rect }, view) {
  if (!rect) return;
  const area = fitCanvas(parts.overlay, rect.width, rect.height);
  const grey = fitCanvas(parts.grey, rect.width, rect.height);
  parts.overlay.style.opacity = parts.grey.style.opacity = view.opacity;
  parts.stage.classList.toggle("plain", !parts.video.videoWidth);
  if (!view.data?.slices) return;
  drawOverlay(area, grey, view);
  const height = Math.min(200, Math.max(72, view.data.layers * 14));
  parts.lanes.style.height = `${height}px`;
  drawLanes(parts.lanes, view, parts.lanes.clientWidth, height);
}

function renderDials(parts, view, data) {
  const { layer, threshold, opacity } = parts;
  layer.input.max = Math.max((data?.layers ?? 1) - 1, 0);
  layer.input.value = view.layer;
  layer.output.textContent = data ? `${view.layer} / ${layer.input.max}` : "";
  threshold.input.value = Math.round(view.threshold * 100);
  threshold.output.textContent = `${threshold.input.value} %`;
  threshold.auto.setAttribute("aria-pressed", String(view.usual));
  parts.stretch.setAttribute("aria-pressed", String(view.stretched));
  parts.stretch.hidden = view.mode === "ffn";
  threshold.row.hidden = view.mode === "heat" || view.mode === "ffn";
  opacity.input.value = Math.round(view.opacity * 100);
  opacity.output.textContent = `${opacity.input.value} %`;
}

function renderTransport(parts, clock) {
  parts.play.dataset.icon = clock.playing ? "pause" : "play";
  parts.play.setAttribute("aria-label", clock.playing ? "Pause" : "Play");
  parts.seek.max = clock.duration || 1;
  parts.seek.value = clock.time;
  parts.seek.setAttribute("aria-valuetext", `${clock.time.toFixed(2)} s`);
  parts.clock.textContent = `${clock.time.toFixed(2)} / ${clock.duration.toFixed(2)} s`;
}

/** Words: which one is asked about, and which chose the focused cube in this layer. */
function renderWords(parts, view) {
  for (const button of parts.words.querySelectorAll(".word")) {
    const position = Number(button.dataset.position);
    button.setAttribute("aria-pressed", String(view.query.word === position));
    const used = view.focus === null ? 0 : view.data.share({ word: position }, view.layer, view.focus);
    button.style.setProperty("--used", used.toFixed(3));
    button.classList.toggle("used", used > 0);
  }
}

function renderTexts(parts, view) {
  const { data } = view;
  parts.legend.replaceChildren(...(data?.slices ? legendOf(view) : []));
  parts.laneTitle.textContent = data?.slices ? laneTitle(view) : "";
  parts.laneEnds.textContent = data?.slices ? laneEnds(view) : "";
  parts.facts.textContent = data ? factsOf(view) : "";
  parts.layerFacts.textContent = data?.slices ? layerFactsOf(view) : "";
  parts.lanes.setAttribute("aria-label", data?.slices ? laneTitle(view) : "No lanes yet");
  if (data?.slices) announce(parts, view);
}

/** Say where we are once things are still: not at every frame of a playing video. */
function announce(parts, view) {
  const text = `Layer ${view.layer}, slice ${view.slice}, ${timeRange(view)}${keptCount(view)}`;
  clearTimeout(parts.announcing);
  parts.announcing = setTimeout(() => {
    if (parts.live.textContent !== text) parts.live.textContent = text;
  }, 300);
}

const percent = (share) => `${Math.round(share * 100)} %`;

function timeRange({ data, slice }) {
  const start = data.startOf(slice), end = data.endOf(slice);
  if (start === null) return "time unknown";
  return start === end ? `${start.toFixed(2)} s` : `${start.toFixed(2)}-${end.toFixed(2)} s`;
}

function keptCount(view) {
  const { data, layer, slice } = view;
  if (view.mode === "ffn") return `, ${percent(data.ffnSliceShare(layer, slice))} of tokens through the FFN`;
  const cubes = data.cubesFromSlice[slice];
  const kept = cubes.filter((cube) => isKept(data.share(view.query, layer, cube.index), view.threshold));
  return `, ${kept.length} of ${cubes.length} cubes kept`;
}

function queryName({ query, data }) {
  if (query.word !== undefined) return `the word "${data.words[query.word].text.trim()}"`;
  return { video: "the video tokens", question: "the question", answer: "the answer" }[query.kind];
}

function factsOf(view) {
  const { data, slice } = view, video = data.videoOf(slice);
  if (!video) return "This run had no video: there are no cubes to draw.";
  const frames = data.times[slice]?.length ?? 2, local = slice - video.first_slice;
  const span = frames > 1 ? `frames ${local * frames}-${(local + 1) * frames - 1}` : `frame ${local}`;
  const of = data.videos.length > 1 ? `video ${data.videos.indexOf(video)}, ` : "";
  const clip = data.scene.clip;
  const sizes = clip?.shown_width
    ? `; ${clip.width} x ${clip.height} shown to the model as ${clip.shown_width} x ${clip.shown_height}` : "";
  return `${of}slice ${slice} = ${span}, ${timeRange(view)}${sizes}`;
}

function layerFactsOf(view) {
  if (view.focus !== null) return cubeFacts(view);
  const { data, layer } = view, { density, entropy } = data.scene;
  const known = [
    ["attention density", density.attention_by_layer[layer]],
    ["FFN density", density.ffn_by_layer[layer]],
    ["attention entropy", entropy.attention_by_layer[view.query.kind ?? "question"]?.[layer]],
    ["FFN entropy", entropy.ffn_by_layer[layer]],
  ].filter(([, value]) => typeof value === "number");
  const texts = known.map(([name, value]) => `${name} ${value.toFixed(2)}`);
  return `Layer ${layer}${keptCount(view)}${keptElsewhere(view)}; ${texts.join(", ")}`;
}

/** Where to look when this slice shows nothing, and for a word always: its slices and times. */
function keptElsewhere(view) {
  const { data, layer, query, threshold } = view;
  if (view.mode === "ffn") return "";
  const keeps = (slice) => data.cubesFromSlice[slice].some((cube) =>
    isKept(data.share(query, layer, cube.index), threshold));
  if (query.word === undefined && keeps(view.slice)) return "";
  const runs = [];
  for (let slice = 0; slice < data.slices; slice++) {
    if (!keeps(slice)) continue;
    if (runs.at(-1)?.[1] === slice - 1) runs.at(-1)[1] = slice;
    else runs.push([slice, slice]);
  }
  const named = runs.slice(0, 4).map(([from, to]) => spanName(data, from, to));
  if (!named.length) return " (none in any slice)";
  return ` (kept in slices ${named.join(", ")}${runs.length > 4 ? ", \u2026" : ""})`;
}

function spanName(data, from, to) {
  const start = data.startOf(from), end = data.endOf(to);
  const times = start === null || end === null ? "" : ` at ${start.toFixed(2)}-${end.toFixed(2)} s`;
  return `${from === to ? from : `${from}-${to}`}${times}`;
}

function cubeFacts(view) {
  const cube = view.data.cubes[view.focus];
  const range = (name, first, end) => `${name} ${first}${end - first > 1 ? `-${end - 1}` : ""}`;
  const place = [range("slices", cube.t0, cube.t1), range("rows", cube.r0, cube.r1), range("columns", cube.c0, cube.c1)];
  const share = percent(view.data.share(view.query, view.layer, cube.index));
  return `Cube ${cube.index} (${place.join(", ")}): ${share} of ${unit(view)} attend to it in layer ${view.layer}`;
}

function unit(view) {
  if (view.query.word !== undefined) return `the heads of ${queryName(view)}`;
  return { video: "the video tokens", question: "the question's words", answer: "the answer's words" }[view.query.kind];
}

function laneTitle(view) {
  if (view.mode === "ffn") return "Share of tokens that pass through the FFN, 0 to 100 %";
  return `Share of ${unit(view)} that keep a cube, 0 to ${percent(view.top)}`;
}

function laneEnds({ data }) {
  return `layers 0-${data.layers - 1} down \u00b7 slices 0-${data.slices - 1} across \u00b7 click to go there`;
}

/** One entry of the legend: a sample and what it means, kept on one line. */
function entry(sample, text) {
  const swatch = el("span", { className: `swatch ${sample}`, "aria-hidden": "true" });
  return el("span", { className: "entry" }, swatch, text);
}

function legendOf(view) {
  const average = view.usual && view.threshold < 0.5 ? " (the layer's average)" : "";
  const from = `${percent(Math.max(view.threshold, 0.01))} of ${unit(view)}${average}`;
  if (view.mode === "heat") return [entry("cividis", `0 to ${percent(view.top)} of ${unit(view)} attend`)];
  if (view.mode === "ffn") return [entry("hatch", "skips the FFN (mean compensated)"), entry("clear", "passes through")];
  if (view.mode === "outline") return [entry("outline", `kept by at least ${from}`)];
  return [entry("clear", `kept by at least ${from}`), entry("dim", "dropped")];
}

/** Keys work while the viewer has focus; sliders and buttons keep their own. */
function onKey(viewer, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { view, data } = viewer, own = event.target.tagName;
  const lastLayer = (data?.layers ?? 1) - 1;
  const steps = {
    ArrowLeft: () => (event.shiftKey ? viewer.clock.seek(viewer.clock.time - 1) : viewer.goTo(view.slice - 1)),
    ArrowRight: () => (event.shiftKey ? viewer.clock.seek(viewer.clock.time + 1) : viewer.goTo(view.slice + 1)),
    ArrowUp: () => viewer.set({ layer: Math.min(view.layer + 1, lastLayer) }),
    ArrowDown: () => viewer.set({ layer: Math.max(view.layer - 1, 0) }),
    " ": () => viewer.togglePlay(),
    o: () => viewer.set({ mode: nextMode(view.mode) }),
    Escape: () => viewer.clearPicks(),
  };
  const act = steps[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || !data || (own === "INPUT" && event.key.startsWith("Arrow"))) return;
  if (own === "BUTTON" && event.key === " ") return;
  event.preventDefault();
  act();
}

function nextMode(mode) {
  const names = MODES.map(([name]) => name);
  return names[(names.indexOf(mode) + 1) % names.length];
}
