/* The viewer: one state, one draw, and the events that change the state. */

const TEXTS = { stale: "Settings changed: these pictures are of the last run", running: "Running", error: "No new result: see the message" };

class Viewer {
  constructor(element, { safeCopy = null } = {}) {
    const root = el("section", { id: "viewer", tabIndex: 0, "aria-label": "Viewer" });
    Object.assign(this, { state: "empty", message: "" });
    Object.assign(root.dataset, { state: "empty", rev: 0, layer: 0, slice: 0 });
    this.parts = buildViewer(root, {
      mode: (mode) => this.set({ mode }), kind: (kind) => this.set({ query: { kind } }),
      compared: (compared) => this.set({ compared }),
    });
    this.on = { pick: (word) => this.pickWord(word), goTo: (slice) => this.goTo(slice), release: () => this.clearPicks() };
    this.data = null;
    this.sources = new Sources(() => this.draw());
    this.view = {
      layer: 0, slice: 0, mode: "spotlight", query: { kind: "question" }, head: null, compared: "cubes",
      threshold: null, stretched: false, rescaled: false, opacity: 1, spatial: window.innerWidth >= 700,
      hovered: null, pinned: null, hoveredWord: null,
    };
    this.playback = new Playback(this, safeCopy);
    this.clock = new Clock(this.parts.video, (time) => this.#tick(time), (url) => this.playback.addressOf(url));
    this.stack = new CubeStack(this.parts.stack, (cube, lock) => (lock ? this.#pinAndGo(cube) : this.#hover(cube)), () => this.draw());
    this.#compareWith(null);
    element.append(root);
    this.selection = new Selection(this);
    this.firstLook = new FirstLook(this);
    listen(this);
    this.#watchSizes();
    this.draw();
  }

  /** Draw a scene. A higher `rev` replaces a lower one; a late, lower one is dropped.
      `layerSource(layer)` gives a promise of that layer's detail, for a scene without details. */
  setScene(scene, { rev, state = "ready", layerSource = null } = {}) {
    const { root } = this.parts, next = rev ?? Number(root.dataset.rev) + 1;
    if (next < Number(root.dataset.rev)) return false;
    this.data = new SceneData(scene);
    this.sources.set("a", this.data, layerSource);
    root.dataset.rev = next;
    this.#keepPlace();
    this.firstLook.check();
    if (this.other) this.#compareWith(this.other.b, ...this.other.labels);
    this.#fillWords();
    const video = this.data.videoOf(this.view.slice);
    if (video) this.clock.load(video.url, this.data.durationOf(video));
    this.setState(state);
    return true;
  }

  /** Compare with another scene of the same video: "Difference" joins the overlays. null: no more. */
  setOther(scene, labelA = "A", labelB = "B", { layerSource = null } = {}) {
    const data = scene && new SceneData(scene);
    this.sources.set("b", data, layerSource);
    this.#compareWith(data, labelA, labelB);
    this.draw();
    return Boolean(this.other?.comparable);
  }

  #compareWith(data, labelA, labelB) {
    this.other = data && this.data ? new Difference(this.data, data, labelA, labelB) : null;
    const choice = [...this.parts.modes.children].find((made) => made.dataset.value === "difference");
    choice.hidden = !this.other?.comparable;
    if (choice.hidden && this.view.mode === "difference") this.view.mode = "spotlight";
  }

  /** Show at once what this run's scores give at {attn_top_p, ffn_top_p}; null: as it was recorded. */
  preview(settings) {
    if (!this.data) return;
    this.data.choices.preview(settings);
    this.setState(this.state);
  }

  /** Show a video before anything has been run on it, from `at` on; forgets the scene. */
  open(url, durationSecs = 0, at = 0) {
    this.firstLook.leave();
    this.data = null;
    this.setOther(null);
    Object.assign(this.view, { slice: 0, pinned: null, hovered: null, hoveredWord: null });
    this.parts.words.replaceChildren();
    this.clock.load(url, durationSecs);
    if (at) this.clock.seek(at);
    this.setState("empty");
  }

  /** empty, running, ready, stale or error; what was drawn stays visible, under a ribbon. Without a
      picture, while a safe copy of the video is on its way, the page reads "error" whatever it is. */
  setState(state, message = "") {
    const { root, ribbon, empty, trouble, video } = this.parts, { waits, sentence } = this.playback;
    const preview = state === "stale" && this.data?.choices.settings;
    this.message = message || (state === this.state ? this.message : "");
    this.state = state;
    root.dataset.state = waits ? "error" : state;
    ribbon.textContent = this.message || (preview ? "Settings changed: the exact run follows" : TEXTS[state] ?? "");
    ribbon.hidden = !ribbon.textContent;
    trouble.textContent = sentence;
    trouble.hidden = !sentence;
    empty.hidden = Boolean(this.data) || Boolean(video.getAttribute("src")) || Boolean(sentence);
    this.layOut();
  }

  /** Change what is looked at: any of `view`'s names. */
  set(change) {
    Object.assign(this.view, change);
    this.draw();
    const { layer, slice, mode, query, head, pinned } = this.view;
    const detail = { layer, slice, mode, query: { ...query }, head, cube: pinned };
    this.parts.root.dispatchEvent(new CustomEvent("adaspark:view", { detail, bubbles: true }));
  }

  /** Go where another panel points: any of {layer, head, slice, cube, word}; word is its `index`. */
  select({ slice, word, cube, ...change }) {
    if (!this.data) return;
    const position = word == null ? -1 : this.data.words.findIndex((item) => item.index === word);
    if (position >= 0) change.query = { word: position };
    else if (word === null && this.view.query.word !== undefined) change.query = { kind: this.data.words[this.view.query.word].kind };
    if (cube !== undefined) change.pinned = cube;
    if (slice !== undefined && slice !== this.view.slice) this.goTo(slice, change);
    else this.set(change);
  }

  /** Go where the question chose most sharply, to a threshold that shows it. */
  lookFirst() {
    if (this.data?.slices) this.firstLook.take();
  }

  snapshot() {
    return this.data && snapshotOf(this);
  }

  /** A "png" or "svg" of the "overlay" (with its frame), the "lanes" or the "stack": promises a Blob. */
  picture(format = "png", panel = "overlay") {
    return pictureOf(this, format, panel);
  }

  #tick(time) {
    const { data, view } = this, video = data?.videoOf(view.slice);
    if (video && data.hasTimes(video)) view.slice = data.sliceAt(time, video, view.slice);
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
    this.set({ hoveredWord: null, query: same ? { kind: this.data.words[position].kind } : { word: position } });
  }

  hoverWord(position) {
    this.view.hoveredWord = position;
    this.draw();
  }

  clearPicks() {
    const { query } = this.view, { word } = query;
    this.set({
      pinned: null, hovered: null, hoveredWord: null,
      query: word === undefined ? query : { kind: this.data.words[word].kind },
    });
  }

  #keepPlace() {
    const { kinds, layers, slices } = this.data, { query, layer, slice } = this.view;
    const stays = query.word === undefined && kinds.includes(query.kind);
    const first = kinds.includes("question") ? "question" : kinds[0];
    this.view.query = stays ? query : { kind: first };
    this.view.pinned = this.view.hovered = this.view.hoveredWord = null;
    this.view.layer = Math.max(0, Math.min(layer, layers - 1));
    this.view.slice = Math.max(0, Math.min(slice, slices - 1));
  }

  #fillWords() {
    const kinds = ["question", "answer"].filter((kind) => this.data.words.some((word) => word.kind === kind));
    const on = { pick: this.on.pick, hover: (position) => this.hoverWord(position) };
    this.parts.words.replaceChildren(...kinds.map((kind) => wordRow(kind, this.data.words, on)));
  }

  togglePlay() {
    if (this.clock.playing) this.clock.pause();
    else this.clock.play();
    this.draw();
  }

  #hover(cube) {
    if (cube === this.view.hovered) return;
    this.view.hovered = cube;
    this.draw();
  }

  hoverAt(event) {
    this.#hover(event ? cubeUnder(this, event) : null);
  }

  pin(cube) {
    if (this.data) this.set({ pinned: cube === this.view.pinned ? null : cube });
  }

  /** A cube picked in the stack may lie in another slice. */
  #pinAndGo(cube) {
    if (cube === null) return;
    const { data, view } = this, item = data.cubes[cube];
    this.pin(cube);
    if (view.slice < data.firstSlice(item) || view.slice >= data.endSlice(item)) this.goTo(data.firstSlice(item));
  }

  /** Hold the next cube of the slice (step 1) or the one before (-1). */
  pinNext(step) {
    const cubes = this.data.cubesFromSlice[this.view.slice] ?? [];
    const at = cubes.findIndex((cube) => cube.index === this.view.pinned);
    const next = at < 0 ? (step > 0 ? 0 : cubes.length - 1) : (at + step + cubes.length) % cubes.length;
    if (cubes.length) this.set({ pinned: cubes[next].index });
  }

  #watchSizes() {
    const sizes = new ResizeObserver(() => this.layOut());
    for (const part of ["root", "stage", "stackBox"]) sizes.observe(this.parts[part]);
    this.parts.video.addEventListener("loadedmetadata", () => this.setState(this.state));
  }

  layOut() {
    const { root, stage, grey, overlay } = this.parts, [width, height] = pictureSize(this);
    root.dataset.layout = root.clientWidth < 540 ? "single" : width / height < 1.3 ? "beside" : "below";
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
    this.sources.fetchFor(fullView(this));
    this.selection.tell();
  }
}

window.AdaSparkViewer = {
  /** Put a viewer into an element; returns it. `window.adaspark.scene()` reads the newest one.
      `safeCopy(url)` promises the address of a copy of a video that this browser cannot play. */
  mount(element, options) {
    const viewer = new Viewer(element, options);
    window.adaspark = { ...window.adaspark, scene: () => viewer.snapshot() };
    return viewer;
  },
};
