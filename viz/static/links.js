/* What the viewer hears and says: its own controls, linked panels, and layers that come on demand. */

function listen(viewer) {
  const { parts, clock } = viewer;
  parts.play.addEventListener("click", () => viewer.togglePlay());
  parts.back.addEventListener("click", () => viewer.goTo(viewer.view.slice - 1));
  parts.forward.addEventListener("click", () => viewer.goTo(viewer.view.slice + 1));
  parts.seek.addEventListener("input", () => clock.seek(Number(parts.seek.value)));
  parts.layer.input.addEventListener("input", (e) => viewer.set({ layer: Number(e.target.value) }));
  parts.threshold.input.addEventListener("input", (e) => viewer.set({ threshold: e.target.value / 100 }));
  parts.threshold.auto.addEventListener("click", () => viewer.set({ threshold: null }));
  parts.opacity.input.addEventListener("input", (e) => viewer.set({ opacity: e.target.value / 100 }));
  parts.head.addEventListener("change", () => viewer.set({ head: parts.head.value === "" ? null : Number(parts.head.value) }));
  for (const [part, name] of [[parts.stretch, "stretched"], [parts.rescale, "rescaled"], [parts.spatial, "spatial"]]) {
    part.addEventListener("click", () => viewer.set({ [name]: !viewer.view[name] }));
  }
  parts.lanes.addEventListener("click", (event) => {
    if (!viewer.data?.slices) return;
    const { slice, layer } = laneAt(event, viewer.data);
    viewer.goTo(slice, { layer });
  });
  parts.lanes.addEventListener("pointermove", (event) => {
    if (viewer.data?.slices) parts.lanes.title = laneTip(fullView(viewer), laneAt(event, viewer.data));
  });
  parts.stage.addEventListener("pointermove", (event) => viewer.hoverAt(event));
  parts.stage.addEventListener("pointerleave", () => viewer.hoverAt(null));
  parts.stage.addEventListener("click", (event) => viewer.pin(cubeUnder(viewer, event)));
  parts.root.addEventListener("keydown", (event) => onKey(viewer, event));
}

/** The cube of the current slice under a pointer event on the picture, or null. */
function cubeUnder({ parts, data, view }, event) {
  const video = data?.videoOf(view.slice);
  if (!video) return null;
  const box = parts.overlay.getBoundingClientRect();
  const row = Math.floor(((event.clientY - box.top) / box.height) * video.grid[1]);
  const column = Math.floor(((event.clientX - box.left) / box.width) * video.grid[2]);
  const under = (c) => c.r0 <= row && row < c.r1 && c.c0 <= column && column < c.c1;
  return data.cubesFromSlice[view.slice].find(under)?.index ?? null;
}

/** `adaspark:select` on window: said when the selection changes, obeyed when another says it. */
class Selection {
  #last = "";
  #telling = false;

  constructor(viewer) {
    this.viewer = viewer;
    window.addEventListener("adaspark:select", ({ detail }) => {
      if (!this.#telling && viewer.parts.root.isConnected) viewer.select(detail);
    });
  }

  tell() {
    const { data, view } = this.viewer;
    if (!data) return;
    const { layer, head, slice, pinned, query } = view;
    const word = query.word === undefined ? null : data.words[query.word].index;
    const detail = { layer, head, slice, cube: pinned, word }, said = JSON.stringify(detail);
    if (said === this.#last) return;
    this.#last = said;
    this.#telling = true;
    window.dispatchEvent(new CustomEvent("adaspark:select", { detail }));
    this.#telling = false;
  }
}

/** Layers' details of the scene (a) and the one it is compared with (b), asked for when wanted. */
class Sources {
  #from = {};

  constructor(onArrival) {
    this.onArrival = onArrival;
  }

  set(side, data, source) {
    this.#from[side] = { data, source, asked: new Set() };
  }

  /** Ask for what drawing this view wants and does not have, and for the layers beside it. */
  fetchFor({ layer, query }) {
    for (const { data, source, asked } of Object.values(this.#from)) {
      if (!data || !source) continue;
      for (const near of [layer, layer + 1, layer - 1]) {
        const exists = near >= 0 && near < data.layers;
        if (exists && !asked.has(near) && data.choices.wants(query, near)) this.#fetch(data, source, asked, near);
      }
    }
  }

  async #fetch(data, source, asked, layer) {
    asked.add(layer);
    try {
      const detail = await source(layer);
      if (detail) data.choices.add(detail);
    } catch {
      asked.delete(layer); // a later view asks again
      return;
    }
    this.onArrival();
  }
}
