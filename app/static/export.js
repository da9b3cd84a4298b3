/* What can be taken away: pictures, a film, tables, the trace, a report; and a link to the recipe. */
(() => {
  "use strict";
  const studio = window.AdaSparkStudio;
  const { make } = studio;
  const link = {};
  const menu = { result: null };

  const PANELS = {
    overlay: "the video with its overlay", lanes: "the lanes", stack: "the 3-D stack",
    figures: "the figures in the open tab",
  };
  const FILES = [
    ["Film with the overlay (MP4)", saveFilm],
    ["Tables of the open tab (CSV)", saveTables],
    ["Trace (NPZ)", () => saveFile("trace.npz")],
    ["Report that opens offline (HTML)", () => saveFile("report.html")],
  ];

  function mountExport(panel) {
    menu.note = make("p", { class: "menu-note", role: "status", "aria-live": "polite" });
    const choice = make("select", { "aria-label": "Picture of" },
      ...Object.entries(PANELS).map(([value, text]) => make("option", { value, text })));
    const pictures = ["PNG", "SVG"].map((format) =>
      item(format, () => savePicture(choice.value, format.toLowerCase())));
    panel.append(
      make("div", { role: "group", "aria-label": "Picture" },
        make("label", { class: "menu-title" }, "Picture of", choice), make("div", { class: "menu-row" }, ...pictures)),
      make("div", { role: "group", "aria-label": "File" }, ...FILES.map(([text, work]) => item(text, work))),
      menu.note);
    studio.on("result", (result) => {
      menu.result = result;
      for (const button of panel.querySelectorAll("button")) button.disabled = !result;
    });
    panel.addEventListener("closed", () => { menu.note.textContent = ""; });
  }

  const item = (text, work) =>
    make("button", { type: "button", text, disabled: true, on: { click: () => run(text, work) } });

  async function run(text, work) {
    menu.note.textContent = `Writing: ${text}…`;
    try {
      await work();
      menu.note.textContent = `Saved: ${text}`;
    } catch (error) {
      menu.note.textContent = error.message;
    }
  }

  function save(blob, name) {
    const url = URL.createObjectURL(blob);
    make("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }

  const stem = () => {
    const plain = menu.result.name.replace(/\.\w+$/, "").replace(/[^A-Za-z0-9]+/g, "-").toLowerCase();
    return `adaspark-${plain.replace(/^-|-$/g, "") || "video"}`;
  };

  async function saveFile(name, query = {}, detail = "") {
    const response = await studio.fetched(menu.result.key, name, query);
    save(await response.blob(), `${stem()}${detail}.${name.split(".").at(-1)}`);
  }

  /** What the viewer looks at: the film shows the same layer, kind of query and overlay. */
  async function saveFilm() {
    const { layer, mode, query, words, compared } = window.adaspark.scene();
    const kind = query.word === undefined ? query.kind : words[query.word].kind;
    const [name, drawn] = mode === "difference"
      ? ["difference.mp4", { compared, other: studio.beside }] : ["overlay.mp4", { mode }];
    await saveFile(name, { layer, kind, ...drawn }, `-${mode}-layer-${layer}`);
  }

  async function savePicture(panel, format) {
    if (panel === "figures") return saveFigures(format);
    const blob = await studio.viewer().picture(format, panel);
    if (!blob) throw new Error("That part of the viewer is hidden; show it first.");
    const { layer, slice } = window.adaspark.scene();
    return save(blob, `${stem()}-${panel}-layer-${layer}-slice-${slice}.${format}`);
  }

  async function saveFigures(format) {
    for (const { name, place } of await studio.figuresInView()) {
      const { width, height } = place.getBoundingClientRect();
      const url = await window.Plotly.toImage(place, { format, width, height, scale: format === "png" ? 2 : 1 });
      save(await (await fetch(url)).blob(), `${stem()}-${name}.${format}`);
    }
  }

  async function saveTables() {
    for (const { name, layer } of studio.tablesInView()) {
      await saveFile("table.csv", { name, layer }, `-${name}`);
    }
  }

  function mountLink(panel, props, request) {
    Object.assign(link, { props, box: panel.querySelector("input"), note: panel.querySelector(".link-note") });
    panel.addEventListener("opened", request);
    studio.on("video", ({ sample }) => { link.sample = sample; });
  }

  /** The recipe as an address: sample, question and settings, in the order of the link's names. */
  async function showLink(values) {
    const { link_names: names, link_base: base, sample_name: sampleName } = link.props;
    const query = new URLSearchParams(link.sample ? { [sampleName]: link.sample } : {});
    names.forEach((name, i) => { if (values[i] !== "" && values[i] != null) query.set(name, values[i]); });
    link.box.value = `${base || location.origin + location.pathname}?${query}`;
    const told = link.sample ? "" : " It holds the question and the settings; an uploaded video is never in a link.";
    link.box.focus();
    link.box.select();
    const copied = await copy(link.box.value);
    link.note.textContent = (copied ? "Copied." : "Copy it from the box: this browser does not let a page copy.") + told;
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return false;
    }
  }

  Object.assign(studio, { mountExport, mountLink, showLink });
})();
