/* State -> screen: pictures, pressed buttons, texts that changed, the live region. */

/** The view with what follows from it; `fixed` is the chosen threshold, null for the usual one. */
function fullView({ view, data, other }) {
  const difference = view.mode === "difference" && other?.comparable ? other : null;
  const mode = view.mode === "difference" && !difference ? "spotlight" : view.mode;
  const asked = view.hoveredWord === null ? view.query : { word: view.hoveredWord };
  const kind = asked.word === undefined ? asked.kind : data?.words[asked.word].kind;
  const query = { ...asked, head: kind === "video" || view.head >= (data?.scene.heads ?? 0) ? null : view.head };
  const usual = data?.slices ? data.usualThreshold(query, view.layer) : 0.5;
  const cubes = data?.slices && mode !== "ffn" && mode !== "difference";
  return {
    ...view, data, mode, difference, query, kind, held: view.query,
    fixed: view.threshold, threshold: view.threshold ?? usual, focus: view.hovered ?? view.pinned,
    top: view.rescaled && cubes ? data.largestIn(query, view.layer) : 1,
    laneTop: view.stretched && cubes ? data.largestShare(query) : 1,
  };
}

function renderViewer(viewer) {
  const { parts, data } = viewer, view = fullView(viewer);
  Object.assign(parts.root.dataset, {
    layer: view.layer, slice: view.slice, mode: view.mode, head: view.query.head ?? "mean",
    tier: data?.choices.settings ? "preview" : "exact",
  });
  parts.root.toggleAttribute("data-drawn", Boolean(data));
  renderChoices(parts, view);
  renderDials(parts, view);
  renderTransport(parts, viewer.clock);
  renderPictures(viewer, view);
  if (data?.slices) renderWords(parts, view);
  renderInspector(parts, view, viewer.on);
  renderTexts(parts, view);
}

function renderChoices(parts, view) {
  const { data } = view, heads = data?.scene.heads ?? 0;
  press(parts.modes, view.mode);
  press(parts.kinds, view.held.word === undefined ? view.held.kind : null);
  press(parts.compared, view.compared);
  for (const choice of parts.kinds.children) choice.disabled = !data?.kinds.includes(choice.dataset.value);
  if (parts.head.options.length !== heads + 1) {
    const options = Array.from({ length: heads }, (_, head) => el("option", { value: head, textContent: `head ${head}` }));
    parts.head.replaceChildren(el("option", { value: "", textContent: "all heads" }), ...options);
  }
  parts.head.value = view.query.head ?? "";
  parts.head.disabled = !heads || view.kind === "video";
  parts.head.title = view.kind === "video" ? "The heads of video tokens are not recorded apart" : "One attention head, or the mean of all";
  parts.rescale.hidden = view.mode !== "heat";
  parts.rescale.setAttribute("aria-pressed", String(view.rescaled));
  parts.compared.hidden = view.mode !== "difference";
}

function renderPictures({ parts, rect, stack }, view) {
  if (!rect) return;
  const area = fitCanvas(parts.overlay, rect.width, rect.height);
  const grey = fitCanvas(parts.grey, rect.width, rect.height);
  parts.overlay.style.opacity = parts.grey.style.opacity = view.opacity;
  parts.stage.classList.toggle("plain", !parts.video.videoWidth);
  const spatial = view.spatial && Boolean(view.data?.slices);
  parts.stackBox.hidden = !spatial;
  if (!view.data?.slices) return;
  drawOverlay(area, grey, view);
  const height = Math.min(200, Math.max(72, view.data.layers * 14));
  parts.lanes.style.height = `${height}px`;
  drawLanes(parts.lanes, view, parts.lanes.clientWidth, height);
  if (spatial) stack.draw(view, parts.video);
}

function renderDials(parts, view) {
  const { layer, threshold, opacity } = parts, { data } = view;
  layer.input.max = Math.max((data?.layers ?? 1) - 1, 0);
  layer.input.value = view.layer;
  setText(layer.output, data ? `${view.layer} / ${layer.input.max}` : "");
  threshold.input.value = Math.round(view.threshold * 100);
  setText(threshold.output, `${threshold.input.value} %`);
  threshold.auto.setAttribute("aria-pressed", String(view.fixed === null));
  parts.stretch.setAttribute("aria-pressed", String(view.stretched));
  parts.stretch.hidden = view.mode === "ffn" || view.mode === "difference";
  threshold.row.hidden = view.mode === "heat" || view.mode === "ffn";
  opacity.input.value = Math.round(view.opacity * 100);
  setText(opacity.output, `${opacity.input.value} %`);
  parts.spatial.setAttribute("aria-pressed", String(view.spatial));
}

function renderTransport(parts, clock) {
  parts.play.dataset.icon = clock.playing ? "pause" : "play";
  parts.play.setAttribute("aria-label", clock.playing ? "Pause" : "Play");
  parts.seek.max = clock.duration || 1;
  parts.seek.value = clock.time;
  parts.seek.setAttribute("aria-valuetext", `${clock.time.toFixed(2)} s`);
  setText(parts.clock, `${clock.time.toFixed(2)} / ${clock.duration.toFixed(2)} s`);
}

function renderTexts(parts, view) {
  const { data } = view, drawn = Boolean(data?.slices), preview = Boolean(data?.choices.settings);
  setText(parts.facts, data ? factsOf(view) : "");
  setText(parts.layerFacts, drawn ? layerFactsOf(view) : "");
  parts.tier.hidden = !preview && !(drawn && parts.root.dataset.state === "ready");
  setText(parts.tier, preview ? "preview" : "exact");
  parts.note.hidden = !preview;
  setText(parts.note, preview ? previewNote(view) : "");
  setText(parts.laneTitle, drawn ? laneTitle(view) : "");
  parts.lanes.setAttribute("aria-label", drawn ? laneLabel(view) : "No lanes yet");
  const legend = drawn ? legendOf(view) : [];
  if (parts.legend.textContent !== legend.map((part) => part.textContent).join("")) parts.legend.replaceChildren(...legend);
  if (drawn) renderLaneScales(parts, view);
  if (drawn) announce(parts, view);
}

function renderLaneScales(parts, view) {
  const { data, laneTop } = view, key = [data.layers, data.slices, laneTop, data.startOf(0)].join();
  if (parts.laneBox.key === key) return;
  parts.laneBox.key = key;
  const ends = [0, data.slices - 1].map((slice) => {
    const start = data.startOf(slice);
    return el("span", { textContent: `slice ${slice}${start === null ? "" : `, ${start.toFixed(1)} s`}` });
  });
  parts.laneTimes.replaceChildren(...ends);
  const layers = data.layers > 1 ? [data.layers - 1, 0] : [0];
  parts.laneLayers.replaceChildren(...layers.map((layer) => el("span", { textContent: layer })));
  parts.laneScale.replaceChildren("0", el("i"), percent(laneTop));
}

/** Say where we are once things are still: not at every frame of a playing video. */
function announce(parts, view) {
  const preview = view.data.choices.settings ? "Preview. " : "";
  const text = `${preview}Layer ${view.layer}, slice ${view.slice}, ${timeRange(view)}${keptCount(view)}`;
  clearTimeout(parts.announcing);
  parts.announcing = setTimeout(() => setText(parts.live, text), 300);
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
