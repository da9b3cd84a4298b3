/* Runs beside the one in view: what Compare and Ablate share. Newest wins, late replies drop. */
(() => {
  "use strict";
  const studio = window.AdaSparkStudio;
  const { make, percent } = studio;
  const grouped = (count) => count.toLocaleString("en");
  const ROWS = [
    ["Visual tokens", ({ tokens, pruned_from: all }) => grouped(tokens) + (all ? ` of ${grouped(all)}` : "")],
    ["Query-key pairs computed", ({ attention_density: density, pruned_from: all }) =>
      percent(density) + (all ? " of what is left" : "")],
    ["Video tokens through the FFN", ({ ffn_density: density }) => percent(density)],
    ["Prefill FLOPs, counted", ({ flops }) => `${(flops / 1e9).toPrecision(3)}\u00a0GFLOP`],
    ["Prefill, measured", ({ seconds, recorded }) =>
      `${(seconds ?? 0).toFixed(2)}\u00a0s${recorded ? ", when it was recorded" : ""}`],
  ];

  /** The key of the run that the player's Difference is drawn against, if there is one. */
  studio.beside = null;

  /** A panel of `body` that runs things beside the run in view; `about` says what it is for,
      `controls` are its own elements,
      `told(message)` returns more elements to show under both sides. */
  function besidePanel(body, { name, about, trigger, controls, told = () => [] }) {
    const panel = { key: "", number: 0, done: true };
    const note = make("p", { class: "beside-note", role: "status" });
    const place = make("div", { class: "beside" });
    body.append(make("p", { class: "beside-about", text: about }),
      make("div", { class: "beside-controls" }, ...controls), note, place);

    /** Ask the server for a run; `request` says which. */
    panel.start = (request) => {
      if (!panel.key) return;
      panel.number += 1;
      panel.done = false;
      clear("Running…");
      trigger(name, { run: panel.number, key: panel.key, ...request });
    };

    panel.clear = (text = "") => {
      panel.number += 1;
      clear(text);
    };

    function clear(text) {
      note.textContent = text;
      place.replaceChildren();
      studio.beside = null;
      studio.viewer().setOther(null);
    }

    async function receive(message) {
      // Gradio sends an event's last value once more when the event ends.
      if (message.panel !== name || message.run !== panel.number || panel.done) return;
      panel.done = message.state !== "running";
      if (message.state === "running") note.textContent = studio.phaseText(message.phase);
      else if (message.sides) await show(message);
      else note.textContent = message.error || "Ended before there was an answer; run it again.";
    }

    async function show({ key, run, state, sides, ...more }) {
      place.replaceChildren(answers(sides), ...told({ sides, ...more }), table(sides));
      note.textContent = state === "stopped" ? "Stopped early: the second answer is cut." : sameness(sides);
      try {
        const scene = await (await studio.fetched(key, "scene.json")).json();
        if (run !== panel.number) return;
        const view = studio.viewer(), labels = sides.map(({ label }) => label);
        const comparable = view.setOther(scene, ...labels, { layerSource: studio.layersOf(key) });
        studio.beside = comparable ? key : null;
        if (comparable) view.set({ mode: "difference" });
        else note.textContent += " Their slices differ, so the player shows no differences.";
      } catch (error) {
        note.textContent = error.message;
      }
    }

    studio.on("result", (result) => {
      panel.key = result ? result.key : "";
      panel.clear();
    });
    studio.on("beside", receive);
    return panel;
  }

  const sameness = (sides) =>
    (sides.every(({ answer }) => answer.every(({ same }) => same)) ? "Both answers are the same." : "The answers differ where they are underlined.");

  function answers(sides) {
    return make("div", { class: "beside-answers" }, ...sides.map(({ label, answer }) =>
      make("section", { "aria-label": `Answer, ${label}` }, make("h3", { text: label }),
        make("p", {}, ...answer.map(({ text, same }) => make(same ? "span" : "mark", { text }))))));
  }

  function table(sides) {
    const head = ["", ...sides.map(({ label }) => label)].map((text) => make(text ? "th" : "td", { scope: text ? "col" : null, text }));
    const rows = ROWS.map(([title, value]) =>
      make("tr", {}, make("th", { scope: "row", text: title }), ...sides.map((side) => make("td", { text: value(side) }))));
    return make("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Both runs" },
      make("table", {}, make("caption", { text: "The same video and question" }), make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)));
  }

  Object.assign(studio, { besidePanel });
})();
