/* A run: ask, stop, re-tune; its phases, its words, its pictures. Newest wins, late replies drop. */
(() => {
  "use strict";
  const studio = window.AdaSparkStudio;
  const { make, byId, say, percent } = studio;
  const DEBOUNCE_MS = 150;
  const PHASES = ["decode", "vision", "prefill", "generate"];
  const run = { newest: 0, active: false, rev: 0, shown: null, asked: false, timer: 0 };

  function mountViewer(element, { props, trigger, server, watch }) {
    run.trigger = trigger;
    run.server = server;
    run.view = window.AdaSparkViewer.mount(element.querySelector(".viewer-host"));
    studio.on("video", preview);
    watch("value", () => receive(props.value));
    setActive(false);
  }

  /** A newly chosen video is seen at once, without cubes. */
  function preview({ url, duration_secs: durationSecs, pick }) {
    if (url === run.url) return;
    run.url = url;
    run.asked = false;
    run.view.preview(url, durationSecs);
    clear();
    if (run.waiting) return run.view.setState("running"); // asked about this very video
    // The first pick is the page's own, for the result that it opens with.
    if (pick > 0) run.newest += 1;
    if (run.active) stop();
    return setActive(false);
  }

  /** What was said and counted of another video goes with its pictures. */
  function clear() {
    run.shown = null;
    byId("answer").textContent = "";
    byId("cards").replaceChildren();
    phaseLine("");
    studio.emit("result", null);
  }

  async function ask() {
    clearTimeout(run.timer);
    const number = start("running");
    run.waiting = true;
    await studio.videoSettled();
    run.waiting = false;
    if (number === run.newest) run.trigger("ask", { run: number });
  }

  function start(state) {
    run.newest += 1;
    run.view.setState(state);
    say("");
    setActive(true);
    progress(null);
    return run.newest;
  }

  function stop() {
    clearTimeout(run.timer);
    run.trigger("stop");
  }

  /** A dial moved: what is drawn no longer fits it; run again when it has come to rest. */
  function settingsTouched() {
    if (!run.asked) return;
    clearTimeout(run.timer);
    if (!run.active) run.view.setState("stale");
    run.timer = setTimeout(() => run.trigger("retune", { run: start("stale") }), DEBOUNCE_MS);
  }

  function samplingTouched() {
    clearTimeout(run.describing);
    run.describing = setTimeout(studio.describeAgain, DEBOUNCE_MS);
    settingsTouched();
  }

  async function receive(message) {
    // Gradio sends an event's last value once more when the event ends.
    if (!message || message.run < run.newest || (message.key && message.key === run.key)) return;
    run.key = message.key || run.key;
    if (message.answer !== undefined) byId("answer").textContent = message.answer;
    if (message.state === "running") return progress(message.phase);
    if (message.state === "error") return fail(message.error);
    if (message.key) await draw(message);
    else finish(run.shown ? "stale" : "empty");
    return undefined;
  }

  async function draw(message) {
    run.url = message.url;
    const text = await run.server.scene({ key: message.key });
    if (message.run < run.newest) return;
    if (!text) return fail("This result is no longer on the server; ask again.");
    run.rev += 1;
    run.shown = message;
    run.asked = true;
    run.view.show(JSON.parse(text), { rev: run.rev, state: "ready" });
    finish(null);
    facts(message.summary);
    phaseLine(doneText(message));
    studio.emit("result", { key: message.key, summary: message.summary, server: run.server });
  }

  function fail(sentence) {
    say(sentence);
    finish("error");
  }

  function finish(state) {
    if (state) {
      run.view.setState(state);
      phaseLine(state === "error" ? "Failed" : "Stopped");
    }
    setActive(false);
  }

  /** The server could not be reached, or refused the request as a whole. */
  function lost() {
    if (run.active) fail("The server did not answer; check the connection and ask again.");
  }

  function setActive(active) {
    run.active = active;
    const strip = byId("progress");
    if (strip) strip.classList.toggle("active", active);
    const button = byId("stop");
    if (button) button.disabled = !active;
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

  function doneText({ state, summary }) {
    const times = Object.values(summary.seconds || {});
    const total = times.reduce((sum, secs) => sum + (secs || 0), 0).toFixed(2);
    return state === "stopped" ? `Stopped after ${total} s` : `Done in ${total} s`;
  }

  function phaseText(phase) {
    if (!phase) return "Starting";
    if (phase.name === "waiting") return `Waiting for ${phase.total} other question(s)`;
    const unit = { decode: "frame", vision: "frame", prefill: "layer", generate: "word" }[phase.name];
    const of = phase.total ? ` ${unit} ${phase.done} of ${phase.total}` : "";
    const label = { decode: "Decode", vision: "Vision", prefill: "Prefill", generate: "Words" };
    return `${label[phase.name] || phase.name}${of}`;
  }

  function facts(summary) {
    const flops = summary.flops || {};
    const seconds = summary.seconds || {};
    const values = {
      attention: [percent(summary.attention_density), "of query-key pairs computed"],
      ffn: [percent(summary.ffn_density), "of video tokens through the FFN"],
      flops: [`−${percent(flops.reduction ?? 0)}`, "prefill FLOPs, counted"],
      seconds: [`${(seconds.prefill ?? 0).toFixed(2)} s`, "prefill, measured"],
    };
    byId("cards").replaceChildren(...Object.entries(values).map(([name, [value, label]]) =>
      make("div", { class: "figure-card", "data-name": name },
        make("dd", { text: value }), make("dt", { text: label }))));
  }

  Object.assign(studio, { mountViewer, ask, stop, settingsTouched, samplingTouched, lost });
  Object.assign(studio, { lastRun: () => ({ ...run.shown, rev: run.rev }) });
})();
