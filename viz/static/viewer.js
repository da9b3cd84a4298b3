/* The viewer: one state, one draw, and the events that change the state. */

class Viewer {
  constructor(element) {
    const root = el("section", { id: "viewer", tabIndex: 0, "aria-label": "Viewer" });
    Object.assign(root.dataset, { state: "empty", rev: 0, layer: 0, slice: 0 });
    this.parts = buildViewer(root, (mode) => this.set({ mode }), (kind) => this.set({ query: { kind } }));
    this.data = null;
    this.view = {
      layer: 0, slice: 0, mode: "spotlight", query: { kind: "question" },
      threshold: null, stretched: false, opacity: 1, hovered: null, pinned: null,
    };
    this.clock = new Clock(this.parts.video, (time) => this.#tick(time));
    element.append(root);
    this.#listen();
    this.#watchSizes();
    this.draw();
  }

  /** Draw a scene. A higher `rev` replaces a lower one; a late, lower one is dropped. */
  show(scene, { rev, state = "ready" } = {}) {
    const { root } = this.parts;
    const next = rev ?? Number(root.dataset.rev) + 1;
    if (next < Number(root.dataset.rev)) return false;
    this.data = new SceneData(scene);
    root.dataset.rev = next;
    const kinds = this.data.kinds, { query, layer, slice } = this.view;
    const stays = query.word === undefined && kinds.includes(query.kind);
    const first = kinds.includes("question") ? "question" : kinds[0];
    this.view.query = stays ? query : { kind: first };
    this.view.pinned = this.view.hovered = null;
    this.view.layer = Math.max(0, Math.min(layer, this.data.layers - 1));
    this.view.slice = Math.max(0, Math.min(slice, this.data.slices - 1));
    this.#fillWords();
    const video = this.data.videoOf(this.view.slice);
    if (video) this.clock.load(video.url, this.data.durationOf(video));
    this.setState(state);
    return true;
  }

  /** Show a video before anything has been run on it; forgets the scene. */
  preview(url, durationSecs = 0) {
    this.data = null;
    this.parts.words.replaceChildren();
    this.clock.load(url, durationSecs);
    this.setState("empty");
  }

  /** empty, running, ready, stale or error; what was drawn stays visible, under a ribbon. */
  setState(state, message = "") {
    const { root, ribbon, empty, video } = this.parts;
    const texts = { stale: "Settings changed: these pictures are of the last run", running: "Running" };
    root.dataset.state = state;
    ribbon.textContent = message || texts[state] || (state === "error" ? "The run failed" : "");
    ribbon.hidden = !ribbon.textContent;
    empty.hidden = Boolean(this.data) || Boolean(video.getAttribute("src"));
    this.#layOut();
  }

  /** Change what is looked at: layer, mode, query, threshold (null: usual), stretched, opacity, pinned. */
  set(change) {
    Object.assign(this.view, change);
    this.draw();
    const { layer, slice, mode, query, pinned } = this.view;
    const detail = { layer, slice, mode, query: { ...query }, cube: pinned };
    this.parts.root.dispatchEvent(new CustomEvent("adaspark:view", { detail, bubbles: true }));
  }

  /** A read-only copy of what is drawn. */
  snapshot() {
    const { data, parts } = this, view = fullView(this);
    if (!data) return null;
    const video = data.videoOf(view.slice);
    const shares = (query) => Array.from({ length: data.layers }, (_, layer) =>
      data.cubes.map((cube) => data.share(query, layer, cube.index)));
    return deepFreeze(structuredClone({
      state: parts.root.dataset.state, rev: Number(parts.root.dataset.rev),
      layer: view.layer, slice: view.slice, mode: view.mode, query: view.query,
      threshold: view.threshold, pinned: view.pinned,
      grid: video?.grid ?? [0, 0, 0], grids: data.videos.map((item) => item.grid),
      cubes: data.cubes, kinds: data.kinds, kept: shares(view.query),
      kept_by_kind: Object.fromEntries(data.kinds.map((kind) => [kind, shares({ kind })])),
      ffn_mask: data.layers ? data.ffnMask(view.layer) : [], words: data.words,
      frame_times: data.times, question: data.scene.question, answer: data.scene.answer,
      config: data.scene.config,
    }));
  }

  #tick(time) {
    const video = this.data?.videoOf(this.view.slice);
    if (video && this.data.hasTimes(video)) this.view.slice = this.data.sliceAt(time, video);
    this.draw();
  }

  goTo(slice, change = {}) {
    if (!this.data?.slices) return;
    const to = Math.max(0, Math.min(slice, this.data.slices - 1));
    const video = this.data.videoOf(to);
    this.set({ ...change, slice: to });
    this.clock.load(video.url, this.data.durationOf(video));
    const start = this.data.startOf(to);
    // A millisecond in: a seek to a frame's own time may show the frame before it.
    if (start !== null) this.clock.seek(start + 0.001);
  }

  pickWord(position) {
    const same = this.view.query.word === position;
    this.set({ query: same ? { kind: this.data.words[position].kind } : { word: position } });
  }

  clearPicks() {
    const { query } = this.view;
    const kind = query.word === undefined ? query.kind : this.data.words[query.word].kind;
    this.set({ query: { kind }, pinned: null });
  }

  #fillWords() {
    const { words } = this.parts;
    const kinds = ["question", "answer"].filter((kind) => this.data.kinds.includes(kind));
    words.replaceChildren(...kinds.map((kind) => wordRow(kind, this.data.words, (i) => this.pickWord(i))));
  }

  #listen() {
    const { parts } = this;
    parts.play.addEventListener("click", () => this.togglePlay());
    parts.back.addEventListener("click", () => this.goTo(this.view.slice - 1));
    parts.forward.addEventListener("click", () => this.goTo(this.view.slice + 1));
    parts.seek.addEventListener("input", () => this.clock.seek(Number(parts.seek.value)));
    parts.layer.input.addEventListener("input", (e) => this.set({ layer: Number(e.target.value) }));
    parts.threshold.input.addEventListener("input", (e) => this.set({ threshold: e.target.value / 100 }));
    parts.threshold.auto.addEventListener("click", () => this.set({ threshold: null }));
    parts.stretch.addEventListener("click", () => this.set({ stretched: !this.view.stretched }));
    parts.opacity.input.addEventListener("input", (e) => this.set({ opacity: e.target.value / 100 }));
    parts.lanes.addEventListener("click", (event) => this.#pickLane(event));
    parts.stage.addEventListener("pointermove", (event) => this.#hover(this.#cubeUnder(event)));
    parts.stage.addEventListener("pointerleave", () => this.#hover(null));
    parts.stage.addEventListener("click", (event) => this.#pin(this.#cubeUnder(event)));
    parts.root.addEventListener("keydown", (event) => onKey(this, event));
  }

  togglePlay() {
    if (this.clock.playing) this.clock.pause();
    else this.clock.play();
    this.draw();
  }

  #pickLane(event) {
    if (!this.data?.slices) return;
    const box = event.currentTarget.getBoundingClientRect();
    const slice = Math.floor(((event.clientX - box.left) / box.width) * this.data.slices);
    const layer = Math.floor(((event.clientY - box.top) / box.height) * this.data.layers);
    this.goTo(slice, { layer: Math.max(0, Math.min(layer, this.data.layers - 1)) });
  }

  #cubeUnder(event) {
    const video = this.data?.videoOf(this.view.slice);
    if (!video) return null;
    const box = this.parts.overlay.getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height) * video.grid[1]);
    const column = Math.floor(((event.clientX - box.left) / box.width) * video.grid[2]);
    const under = (c) => c.r0 <= row && row < c.r1 && c.c0 <= column && column < c.c1;
    return this.data.cubesFromSlice[this.view.slice].find(under)?.index ?? null;
  }

  #hover(cube) {
    if (cube === this.view.hovered) return;
    this.view.hovered = cube;
    this.draw();
  }

  #pin(cube) {
    if (this.data) this.set({ pinned: cube === this.view.pinned ? null : cube });
  }

  #watchSizes() {
    new ResizeObserver(() => this.#layOut()).observe(this.parts.stage);
    this.parts.video.addEventListener("loadedmetadata", () => this.setState(this.parts.root.dataset.state));
  }

  #layOut() {
    const { stage, video, grey, overlay } = this.parts, clip = this.data?.scene.clip ?? {};
    const grid = this.data?.videoOf(this.view.slice)?.grid ?? [1, 9, 16];
    const width = video.videoWidth || clip.width || grid[2];
    const height = video.videoHeight || clip.height || grid[1];
    stage.style.aspectRatio = `${width} / ${height}`;
    const rect = contentRect(stage.clientWidth, stage.clientHeight, width, height);
    for (const canvas of [grey, overlay]) {
      for (const side of Object.keys(rect)) canvas.style[side] = `${rect[side]}px`;
    }
    this.rect = rect;
    this.draw();
  }

  draw() {
    renderViewer(this);
  }
}

function deepFreeze(value) {
  if (value && typeof value === "object") Object.values(value).forEach(deepFreeze);
  return Object.freeze(value);
}

window.AdaSparkViewer = {
  /** Put a viewer into an element; returns it. `window.adaspark.scene()` reads the newest one. */
  mount(element) {
    const viewer = new Viewer(element);
    window.adaspark = { ...window.adaspark, scene: () => viewer.snapshot() };
    return viewer;
  },
};
