/* The figures under the viewer: tabs, each drawn when it is in sight, from the newest result. */
(() => {
  "use strict";
  const studio = window.AdaSparkStudio;
  const { make } = studio;
  const TABS = [
    ["Layers and cubes", ["selection_maps", "selection_map"]],
    ["FFN tokens", ["ffn_masks", "ffn_inertia"]],
    ["Entropy", ["entropy_by_layer", "effective_cubes", "entropy_over_time"]],
    ["Layer statistics", ["layer_statistics", "layer_density"]],
    ["Concentration", ["concentration"]],
    ["FLOPs and time", ["flops"]],
    ["Compare", []],
    ["Ablate", []],
    ["Data", []],
    ["How it works", []],
  ];
  const FIRST = 0;
  const OF_ONE_LAYER = new Set(["selection_map", "ffn_masks", "entropy_over_time"]);
  const WIDE = new Set(["selection_maps", "selection_map", "ffn_masks", "layer_statistics", "layer_density", "concentration", "ffn_inertia", "flops"]);
  /** Where a click on a point leads; elsewhere it leads nowhere. */
  const byLayer = ({ x }) => ({ layer: x });
  const PLACES = {
    selection_maps: ({ curveNumber, x }) => ({ layer: curveNumber, slice: Number(x) }),
    entropy_over_time: ({ pointIndex }) => ({ slice: pointIndex }),
    entropy_by_layer: byLayer, effective_cubes: byLayer, layer_statistics: byLayer,
    layer_density: byLayer, concentration: byLayer, ffn_inertia: byLayer,
  };
  const CONFIG = {
    responsive: true, displaylogo: false, scrollZoom: false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],  // none that leaves the page
  };
  const panel = { tab: FIRST, result: null, layer: 0, drawn: new Map(), visible: false, loading: null, timer: 0 };

  function mountFigures(element, { props, trigger, watch }) {
    panel.plotly = props.plotly_url;
    panel.tabs = element.querySelector("[role=tablist]");
    panel.bodies = element.querySelector(".figure-panels");
    TABS.forEach(([title, names], index) => build(title, names, index, props.words));
    studio.mountData(bodyOf("Data"), TABS.flatMap(([, names]) => names));
    studio.mountCompare(bodyOf("Compare"), props.rivals, trigger);
    studio.mountAblate(bodyOf("Ablate"), trigger);
    watch("value", () => props.value && studio.emit("beside", props.value));
    bodyOf("How it works").append(element.querySelector("template").content);
    panel.tabs.addEventListener("keydown", move);
    select(FIRST);
    new IntersectionObserver(([entry]) => {
      panel.visible = entry.isIntersecting;
      refresh();
    }, { rootMargin: "80px" }).observe(element);
    studio.on("result", (result) => {
      panel.result = result;
      if (!result) clear();
      refresh();
    });
    studio.on("theme", refresh);
    window.addEventListener("adaspark:select", ({ detail }) => follow(detail.layer));
  }

  /** A tab and its body; `words` has the words of a figure and what they mean, to stand under it. */
  function build(title, names, index, words) {
    const tab = make("button", {
      type: "button", role: "tab", id: `tab-${index}`, "aria-controls": `panel-${index}`, text: title,
      on: { click: () => select(index) },
    });
    const body = make("div", { role: "tabpanel", id: `panel-${index}`, "aria-labelledby": `tab-${index}`, tabindex: 0 });
    body.append(...names.map((name) =>
      make("div", { class: WIDE.has(name) ? "plot wide" : "plot", "data-figure": name })));
    body.append(...names.filter((name) => words[name]).map((name) => meanings(words[name])));
    panel.tabs.append(tab);
    panel.bodies.append(body);
  }

  function meanings(words) {
    return make("dl", { class: "plot-words" }, ...Object.entries(words).map(([word, meaning]) =>
      make("div", {}, make("dt", { text: word }), make("dd", { text: meaning }))));
  }

  const bodyOf = (title) => panel.bodies.children[TABS.findIndex(([name]) => name === title)];

  function select(index) {
    panel.tab = index;
    [...panel.tabs.children].forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === index));
      tab.tabIndex = i === index ? 0 : -1;
      panel.bodies.children[i].hidden = i !== index;
    });
    refresh();
  }

  function move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const last = TABS.length - 1;
    const to = { Home: 0, End: last }[event.key] ?? (step && (panel.tab + step + TABS.length) % TABS.length);
    if (to === undefined) return;
    event.preventDefault();
    select(to);
    panel.tabs.children[to].focus();
  }

  /** The viewer owns the layer; figures of one layer follow it once it rests. */
  function follow(layer) {
    if (layer === undefined || layer === panel.layer) return;
    panel.layer = layer;
    clearTimeout(panel.timer);
    panel.timer = setTimeout(refresh, 120);
  }

  const plotsInView = () => [...panel.bodies.children[panel.tab].querySelectorAll(".plot")];

  /** Draw what is open and in sight; what is drawn already for this run, layer and theme stays. */
  async function refresh() {
    if (!panel.result || !panel.visible) return;
    if (TABS[panel.tab][0] === "Data") studio.showData(panel.result, panel.layer);
    try {
      await Promise.all(plotsInView().map(fill));
    } catch (error) {
      studio.say(error.message);
    }
  }

  /** Resolves once a figure is drawn for the run, layer and theme in force. */
  function fill(place) {
    const name = place.dataset.figure, { key } = panel.result;
    const theme = studio.isDark() ? "dark" : "light", layer = OF_ONE_LAYER.has(name) ? panel.layer : 0;
    const wanted = [key, layer, theme].join();
    if (panel.drawn.get(name)?.wanted !== wanted) {
      panel.drawn.set(name, { wanted, done: drawn(place, name, wanted, { name, layer, theme }) });
    }
    return panel.drawn.get(name).done;
  }

  async function drawn(place, name, wanted, query) {
    const ready = loadPlotly();
    try {
      const answer = await studio.fetched(panel.result.key, "figure.json", query);
      const figure = await answer.json();
      await ready;
      if (panel.drawn.get(name)?.wanted === wanted) await draw(place, name, figure);
    } catch (error) {
      // A later look asks again.
      if (panel.drawn.get(name)?.wanted === wanted) panel.drawn.delete(name);
      throw error;
    }
  }

  async function draw(place, name, figure) {
    const title = figure.layout.title;
    place.setAttribute("role", "group");
    place.setAttribute("aria-label", (title && title.text) || name);
    await window.Plotly.react(place, figure.data, studio.fitted(figure, place.clientWidth), CONFIG);
    if (!PLACES[name]) return;
    place.removeAllListeners("plotly_click");
    place.on("plotly_click", ({ points: [point] }) => {
      window.dispatchEvent(new CustomEvent("adaspark:select", { detail: PLACES[name](point) }));
    });
  }

  function clear() {
    for (const place of panel.bodies.querySelectorAll(".plot")) {
      if (panel.drawn.delete(place.dataset.figure) && window.Plotly) window.Plotly.purge(place);
    }
    studio.showData(null, 0);
  }

  function loadPlotly() {
    panel.loading ||= new Promise((resolve, reject) => {
      const lost = () => reject(new Error("The figures' library did not load; reload the page."));
      document.head.append(make("script", { src: panel.plotly, on: { load: resolve, error: lost } }));
    });
    return panel.loading;
  }

  /** The figures of the open tab, drawn: what exports of figures are made of. */
  async function figuresInView() {
    const places = plotsInView();
    if (!places.length) throw new Error("The open tab has no figure; open another one.");
    await Promise.all(places.map(fill));
    return places.map((place) => ({ name: place.dataset.figure, layer: panel.layer, place }));
  }

  /** The tables of the open tab: those of its figures, or the one that the Data tab shows. */
  function tablesInView() {
    const names = TABS[panel.tab][1];
    return names.length ? names.map((name) => ({ name, layer: panel.layer })) : [studio.tableInView()];
  }

  Object.assign(studio, { mountFigures, figuresInView, tablesInView });
})();
