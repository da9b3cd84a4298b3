/* The figures under the viewer: tabs, each drawn when it is in sight, from the newest result. */
(() => {
  "use strict";
  const studio = window.AdaSparkStudio;
  const { make, percent } = studio;
  const TABS = [
    ["Entropy", ["entropy_by_layer", "entropy_over_time"]],
    ["Density by layer", ["layer_density"]],
    ["Selection maps", ["selection_maps"]],
    ["FFN masks", ["ffn_masks"]],
    ["FLOPs and time", ["flops"]],
    ["Table", []],
  ];
  const BY_LAYER = new Set(["entropy_over_time", "ffn_masks"]);
  const CONFIG = {
    responsive: true, displaylogo: false, scrollZoom: false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],  // none that leaves the page
  };
  const panel = { tab: 0, result: null, drawn: new Map(), visible: false, loading: null };

  function mountFigures(element, { props }) {
    panel.plotly = props.plotly_url;
    panel.tabs = element.querySelector("[role=tablist]");
    panel.bodies = element.querySelector(".figure-panels");
    TABS.forEach(([title, names], index) => build(title, names, index));
    panel.tabs.addEventListener("keydown", move);
    select(0);
    new IntersectionObserver(([entry]) => {
      panel.visible = entry.isIntersecting;
      refresh();
    }, { rootMargin: "200px" }).observe(element);
    studio.on("result", (result) => {
      panel.result = result;
      if (result) table(result.summary);
      else clear();
      refresh();
    });
    studio.on("theme", refresh);
    watchLayer();
  }

  function build(title, names, index) {
    const tab = make("button", {
      type: "button", role: "tab", id: `tab-${index}`, "aria-controls": `panel-${index}`, text: title,
      on: { click: () => select(index) },
    });
    const body = make("div", { role: "tabpanel", id: `panel-${index}`, "aria-labelledby": `tab-${index}`, tabindex: 0 });
    body.append(...names.map((name) => make("div", { class: "plot", "data-figure": name })));
    if (title === "FLOPs and time") body.append(make("div", { class: "times" }));
    if (!names.length) body.append(make("div", { class: "table-scroll" }));
    panel.tabs.append(tab);
    panel.bodies.append(body);
  }

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

  function currentLayer() {
    const viewer = document.getElementById("viewer");
    return Number((viewer && viewer.dataset.layer) || 0);
  }

  /** The viewer owns the layer; figures of one layer follow it. */
  function watchLayer() {
    let timer = 0;
    const follow = () => {
      clearTimeout(timer);
      timer = setTimeout(refresh, 120);
    };
    const viewer = document.getElementById("viewer");
    if (!viewer) return setTimeout(watchLayer, 100);
    return new MutationObserver(follow).observe(viewer, { attributeFilter: ["data-layer"] });
  }

  async function refresh() {
    if (!panel.result || !panel.visible) return;
    const theme = studio.isDark() ? "dark" : "light";
    const plots = panel.bodies.children[panel.tab].querySelectorAll(".plot");
    if (!plots.length) return;
    const ready = loadPlotly();
    await Promise.all([...plots].map(async (place) => {
      const name = place.dataset.figure;
      const layer = BY_LAYER.has(name) ? currentLayer() : 0;
      const wanted = [panel.result.key, layer, theme].join();
      if (panel.drawn.get(name) === wanted) return;
      panel.drawn.set(name, wanted);
      const answer = await studio.fetched(panel.result.key, "figure.json", { name, layer, theme });
      const figure = await answer.json();
      await ready;
      if (panel.result && panel.drawn.get(name) === wanted) draw(place, figure);
    }));
  }

  function draw(place, figure) {
    const title = figure.layout.title;
    place.setAttribute("role", "group");
    place.setAttribute("aria-label", (title && title.text) || place.dataset.figure);
    window.Plotly.react(place, figure.data, figure.layout, CONFIG);
  }

  function clear() {
    for (const place of panel.bodies.querySelectorAll(".plot")) {
      if (panel.drawn.delete(place.dataset.figure) && window.Plotly) window.Plotly.purge(place);
    }
    for (const place of panel.bodies.querySelectorAll(".times, .table-scroll")) place.replaceChildren();
  }

  function loadPlotly() {
    panel.loading ||= new Promise((resolve, reject) => {
      const script = make("script", { src: panel.plotly, on: { load: resolve, error: reject } });
      document.head.append(script);
    });
    return panel.loading;
  }

  /** The table twin of the charts, and the measured seconds beside the counted FLOPs. */
  function table(summary) {
    const rows = (summary.layers || []).map((layer, index) => [
      String(index), share(layer.attention_density), share(layer.ffn_density),
      number(layer.attention_entropy), number(layer.ffn_entropy),
    ]);
    const heads = ["Layer", "Attention density", "FFN density", "Attention entropy", "FFN entropy"];
    const scroll = panel.bodies.querySelector(".table-scroll");
    scroll.replaceChildren(grid("Each layer of the run in view", heads, rows));
    const seconds = Object.entries(summary.seconds || {});
    const times = seconds.map(([name, value]) => [name, value == null ? "" : `${value.toFixed(3)} s`]);
    panel.bodies.querySelector(".times").replaceChildren(
      grid("Measured on this machine", ["Phase", "Time"], times));
  }

  const share = (value) => (value == null ? "" : percent(value));
  const number = (value) => (value == null || Number.isNaN(value) ? "" : value.toFixed(3));

  function grid(caption, heads, rows) {
    const cells = (values, tag, scope) => values.map((text, i) =>
      i === 0 && tag === "td" ? make("th", { scope: "row", text }) : make(tag, { scope, text }));
    return make("table", {}, make("caption", { text: caption }),
      make("thead", {}, make("tr", {}, ...cells(heads, "th", "col"))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...cells(row, "td")))));
  }

  Object.assign(studio, { mountFigures });
})();
