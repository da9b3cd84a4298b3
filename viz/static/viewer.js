/* The viewer: one state, one draw, and what changes the state. */

import { Clock } from "./clock.js";
import { Difference } from "./difference.js";
import { choicesOf, el } from "./dom.js";
import { listen } from "./links.js";
import { FirstLook } from "./look.js";
import { layOut, watchSizes } from "./layout.js";
import { buildViewer } from "./parts.js";
import { CubePicks, changeOf, withoutWord } from "./picks.js";
import { pictureOf } from "./picture.js";
import { Playback } from "./playback.js";
import { renderViewer } from "./render.js";
import { renderState } from "./ribbon.js";
import { SceneData } from "./scene.js";
import { Selection } from "./selection.js";
import { snapshotOf } from "./snapshot.js";
import { Sources } from "./sources.js";
import { CubeStack } from "./stack.js";
import { firstView, fullView, placeIn } from "./view.js";
import { following, zoomed } from "./zoom.js";
import { wordRows } from "./words.js";

/** @import { DetailSource, Scene, Selected, Thresholds, ViewerState } from "./types.js" */
/** @import { SafeCopy } from "./playback.js" */
/** @import { View } from "./view.js" */

export class Viewer {
  /** @type {SceneData | null} */
  data = null;
  /** @type {Difference | null} */
  other = null;
  /** @type {{ left: number, top: number, width: number, height: number } | null} */
  rect = null;
  /** @type {ViewerState} */
  state = "empty";
  message = "";
  /** @type {DetailSource | null} */
  #droppedSource = null;

  /**
   * @param {HTMLElement} element it is put into
   * @param {{ safeCopy?: SafeCopy | null, isCopy?: boolean }} [options] `isCopy`: one beside the page's own
   */
  constructor(element, { safeCopy = null, isCopy = false } = {}) {
    const name = isCopy ? { class: "viewer-copy" } : { id: "viewer" };
    const about = { "data-state": "empty", "data-rev": 0, "data-layer": 0, "data-slice": 0 };
    const root = el("section", { ...name, tabindex: 0, "aria-label": "Viewer", ...about });
    this.parts = buildViewer(root, {
      mode: (mode) => this.set({ mode }),
      kind: (kind) => this.set({ query: { kind } }),
      compared: (compared) => this.set({ compared }),
    });
    this.on = {
      pick: (/** @type {number} */ word) => this.pickWord(word),
      goTo: (/** @type {number} */ slice) => this.goTo(slice),
      said: (/** @type {boolean} */ said) => this.set({ said }),
      askCube: (/** @type {number} */ cube) => this.set({ query: { cube } }),
      join: (/** @type {number} */ cube) => this.cubes.join(cube),
      release: () => this.clearPicks(),
    };
    this.sources = new Sources(() => this.draw());
    this.view = { ...firstView(), spatial: window.innerWidth >= 700 };
    this.playback = new Playback(this, safeCopy);
    this.clock = new Clock(
      this.parts.video,
      (time) => this.#tick(time),
      (url) => this.playback.addressOf(url),
    );
    this.cubes = new CubePicks(this);
    const picked = (/** @type {number | null} */ cube, /** @type {boolean} */ lock) =>
      lock ? this.cubes.holdAndGo(cube) : this.cubes.hover(cube);
    this.stack = new CubeStack(this.parts.stack, picked, () => this.draw());
    this.#compareWith(null);
    element.append(root);
    this.selection = new Selection(this);
    this.firstLook = new FirstLook(this);
    listen(this);
    watchSizes(this);
    this.parts.video.addEventListener("loadedmetadata", () => this.setState(this.state));
    this.draw();
  }

  /**
   * Draw a scene. A higher `rev` replaces a lower one; a late, lower one is dropped.
   * @param {Scene} scene
   * @param {{ rev?: number, state?: ViewerState, source?: DetailSource | null }} [options] `source` promises what a
   *   scene without details lacks
   */
  setScene(scene, { rev, state = "ready", source = null } = {}) {
    const { root } = this.parts;
    const next = rev ?? Number(root.dataset.rev) + 1;
    if (next < Number(root.dataset.rev)) return false;
    const data = new SceneData(scene);
    const before = this.data;
    this.data = data;
    this.sources.set("a", data, source);
    root.dataset.rev = String(next);
    Object.assign(this.view, placeIn(this.view, data, before, this.clock.time));
    this.firstLook.check(data);
    if (this.other) this.#compareWith(this.other.b, ...this.other.labels);
    const hover = (/** @type {number | null} */ position) => this.hoverWord(position);
    this.parts.words.replaceChildren(...wordRows(data.words, { ...this.on, hover, shown: () => this.draw() }));
    const video = data.videoOf(this.view.slice);
    if (video) this.clock.load(video.url, data.durationOf(video));
    this.setState(state);
    return true;
  }

  /**
   * Compare with another scene of the same video: "Difference" joins the overlays. null: no more.
   * @param {Scene | null} scene
   * @param {string} [labelA]
   * @param {string} [labelB]
   * @param {{ source?: DetailSource | null, dropped?: DetailSource | null }} [options] `dropped` promises what this run
   *   dropped of a dense one's attention
   */
  setOther(scene, labelA = "A", labelB = "B", { source = null, dropped = null } = {}) {
    const data = scene && new SceneData(scene);
    this.sources.set("b", data, source);
    this.#droppedSource = dropped;
    this.#compareWith(data, labelA, labelB);
    this.view.compared = this.other?.dropped ? "dropped" : "cubes";
    this.draw();
    return Boolean(this.other?.comparable);
  }

  /**
   * @param {SceneData | null} data
   * @param {string} [labelA]
   * @param {string} [labelB]
   */
  #compareWith(data, labelA = "A", labelB = "B") {
    this.other = data && this.data ? new Difference(this.data, data, labelA, labelB) : null;
    if (this.other && !this.#droppedSource) this.other.dropped = null;
    this.sources.setDropped(this.other?.dropped ?? null, this.#droppedSource);
    const comparable = Boolean(this.other?.comparable);
    for (const choice of choicesOf(this.parts.modes)) {
      if (choice.dataset.value === "difference") choice.hidden = !comparable;
    }
    if (!comparable && this.view.mode === "difference") this.view.mode = "spotlight";
  }

  /**
   * Show at once what this run's scores give at other thresholds; null: as it was recorded.
   * @param {Thresholds | null} settings
   */
  preview(settings) {
    if (!this.data) return;
    this.data.choices.preview(settings);
    this.setState(this.state);
  }

  /**
   * Show a video before anything has been run on it; forgets the scene.
   * @param {string | null} url
   * @param {number} [durationSecs]
   * @param {number} [at] seconds, from where on
   */
  open(url, durationSecs = 0, at = 0) {
    this.firstLook.leave();
    this.data = null;
    this.setOther(null);
    Object.assign(this.view, { slice: 0, region: [], pinned: null, hovered: null, hoveredWord: null });
    this.parts.words.replaceChildren();
    this.clock.load(url, durationSecs);
    if (at) this.clock.seek(at);
    this.setState("empty");
  }

  /**
   * What was drawn stays visible, under a ribbon. Without a picture, while a safe copy of the video is on its way, the
   * page reads "error" whatever the state is.
   * @param {ViewerState} state
   * @param {string} [message] instead of the state's own
   */
  setState(state, message = "") {
    this.message = message || (state === this.state ? this.message : "");
    this.state = state;
    renderState(this);
    this.layOut();
  }

  /**
   * Change what is looked at.
   * @param {Partial<View>} change
   */
  set(change) {
    Object.assign(this.view, change);
    this.draw();
    const { layer, slice, mode, query, head, pinned } = this.view;
    const detail = { layer, slice, mode, query: { ...query }, head, cube: pinned };
    this.parts.root.dispatchEvent(new CustomEvent("adaspark:view", { detail, bubbles: true }));
  }

  /**
   * Go where another panel points.
   * @param {Selected} selected
   * @param {number | null} [secs] which of the slice's frames; null: the first one, or the one in view
   */
  select({ slice, ...others }, secs = null) {
    if (!this.data) return;
    const change = changeOf(others, this.view, this.data);
    if (slice !== undefined && (slice !== this.view.slice || secs !== null)) this.goTo(slice, change, secs);
    else this.set(change);
  }

  /** Go where what produced the answer's first word shows best, with a threshold that shows it. */
  lookFirst() {
    if (this.data?.slices) this.firstLook.take();
  }

  /** Whose choices are in view, as the server knows it. */
  get asked() {
    const query = fullView({ ...this, view: { ...this.view, hoveredWord: null } }).query;
    return this.data?.choices.details.named(query) ?? {};
  }

  snapshot() {
    return this.data && snapshotOf(this, this.data);
  }

  /**
   * A "png" or "svg" of the overlay (with its frame), the lanes or the stack.
   * @param {string} [format]
   * @param {import("./picture.js").Panel} [panel]
   */
  picture(format = "png", panel = "overlay") {
    return pictureOf(this, format, panel);
  }

  /** @param {number} time */
  #tick(time) {
    const { data, view } = this;
    const video = data?.videoOf(view.slice);
    if (data && video && data.hasTimes(video)) {
      const found = data.sliceAt(time, video);
      // Of slices that begin with the same frame, the one that is looked at stays.
      if (data.startOf(found) !== data.startOf(view.slice)) view.slice = found;
    }
    this.draw();
  }

  /**
   * @param {number} slice
   * @param {Partial<View>} [change] of the view besides
   * @param {number | null} [secs] of one of its frames; null: its first
   */
  goTo(slice, change = {}, secs = null) {
    if (!this.data?.slices) return;
    const to = Math.max(0, Math.min(slice, this.data.slices - 1));
    const video = this.data.videoOf(to);
    this.set({ ...change, slice: to });
    if (video) this.clock.load(video.url, this.data.durationOf(video));
    const start = secs ?? this.data.startOf(to);
    // A millisecond in: a seek to a frame's own time may show the frame before it.
    if (start !== null) this.clock.seek(start + 0.001);
  }

  /** @param {number} position */
  pickWord(position) {
    const same = this.view.query.word === position && !this.firstLook.holds;
    if (this.view.query.word === position) this.firstLook.settle();
    this.set({ hoveredWord: null, query: same ? withoutWord(this.view.query, this.data) : { word: position } });
  }

  /** @param {number | null} position */
  hoverWord(position) {
    this.view.hoveredWord = position;
    this.draw();
  }

  clearPicks() {
    const query = withoutWord(this.view.query, this.data);
    this.set({ region: [], pinned: null, hovered: null, hoveredWord: null, query });
  }

  /** @param {1 | -1} step fewer slices in the lanes, or more */
  zoom(step) {
    if (this.data) this.set({ zoom: zoomed(this.view.zoom, this.data.slices, this.view.slice, step) });
  }

  togglePlay() {
    if (this.clock.playing) this.clock.pause();
    else this.clock.play();
    this.draw();
  }

  layOut() {
    this.rect = layOut(this);
    this.draw();
  }

  draw() {
    this.view.zoom = this.data && following(this.view.zoom, this.data.slices, this.view.slice);
    renderViewer(this);
    this.sources.fetchFor(fullView(this));
    this.selection.tell();
  }
}
