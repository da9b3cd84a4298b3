/* The strip of phases while a run is under way, and what it cost once it is done. */
(() => {
  "use strict";
  const studio = window.AdaSparkStudio;
  const { make, byId, percent } = studio;
  const PHASES = ["decode", "vision", "prefill", "generate"];
  const NAMES = { decode: "Decode", vision: "Vision", prefill: "Prefill", generate: "Words" };
  const UNITS = { decode: "frame", vision: "frame", prefill: "layer", generate: "word" };

  function mountOutcome(element, { bundled }) {
    element.querySelector(".about-model").hidden = !bundled;
  }

  function progress(phase) {
    const strip = byId("progress");
    const at = phase ? PHASES.indexOf(phase.name) : -1;
    strip.querySelectorAll("li").forEach((item, index) => {
      item.classList.toggle("past", index < at);
      item.classList.toggle("now", index === at);
    });
    const share = phase && phase.total ? phase.done / phase.total : 0;
    const bar = strip.querySelector(".bar");
    bar.setAttribute("aria-valuenow", String(Math.round(100 * share)));
    bar.firstElementChild.style.width = `${100 * share}%`;
    phaseLine(phaseText(phase));
  }

  function phaseLine(text) {
    byId("progress").querySelector(".phase-text").textContent = text;
  }

  function phaseText(phase) {
    if (!phase) return "Starting";
    if (phase.name === "loading") return "Waiting for the model, which is still loading";
    if (phase.name === "waiting") return `Waiting for ${phase.total} other question(s)`;
    const of = phase.total ? ` ${UNITS[phase.name]} ${phase.done} of ${phase.total}` : "";
    return `${NAMES[phase.name] || phase.name}${of}`;
  }

  /** The figures of a finished run: counted FLOPs, and measured seconds, never mixed. */
  function costs({ state, recorded, summary }) {
    const flops = summary.flops || {}, seconds = summary.seconds || {};
    const values = {
      attention: [percent(summary.attention_density), "of query-key pairs computed"],
      ffn: [percent(summary.ffn_density), "of video tokens through the FFN"],
      flops: [`−${percent(flops.reduction ?? 0)}`, "prefill FLOPs, counted"],
      seconds: [`${(seconds.prefill ?? 0).toFixed(2)} s`, "prefill, measured"],
    };
    byId("cards").replaceChildren(...Object.entries(values).map(([name, [value, label]]) =>
      make("div", { class: "figure-card", "data-name": name },
        make("dd", { text: value }), make("dt", { text: label }))));
    phaseLine(doneText(state, recorded, summary));
  }

  function doneText(state, recorded, { model, device, seconds = {} }) {
    const total = Object.values(seconds).reduce((sum, secs) => sum + (secs || 0), 0).toFixed(2);
    if (recorded) return `Recorded earlier: ${model} on ${device}, ${total} s`;
    if (state === "stopped") return `Stopped after ${total} s`;
    const reused = seconds.vision === 0 ? ", reusing what was already read of the video" : "";
    return `Done in ${total} s${reused}`;
  }

  Object.assign(studio, { mountOutcome, progress, phaseLine, phaseText, costs });
})();
