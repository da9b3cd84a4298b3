/* A run: ask, stop, re-tune, replay; its words, its pictures. Newest wins, late replies drop. */
(() => {
  "use strict";
  const studio = window.AdaSparkStudio;
  const { byId, say } = studio;
  const DEBOUNCE_MS = 150;
  const run = { newest: 0, active: false, rev: 0, key: "", asked: false, timer: 0, touched: -Infinity };

  function mountViewer(element, { props, trigger, watch }) {
    run.trigger = trigger;
    run.view = window.AdaSparkViewer.mount(element.querySelector(".viewer-host"), { safeCopy });
    studio.on("video", chosen);
    studio.on("preview", previewed);
    watch("value", () => receive(props.value));
    setActive(false);
  }

  /** Another copy of a video, one that every browser plays; throws the server's sentence. */
  async function safeCopy(url) {
    if (run.isPreview) return new Promise(() => {}); // it is on its way
    const lostLine = "The server did not answer; check the connection and choose the video again.";
    const response = await fetch(studio.address(`studio/safe-copy?${new URLSearchParams({ of: url })}`), { method: "POST" })
      .catch(() => { throw new Error(lostLine); });
    const text = await response.text();
    if (!response.ok) throw new Error(response.status < 500 ? text : lostLine);
    return text;
  }

  function show(url, durationSecs, name) {
    const at = run.isPreview ? run.view.clock.time : 0;
    Object.assign(run, { url, name, asked: false, isPreview: false });
    run.view.open(url, durationSecs, at);
    clear();
  }

  /** A video that is still being prepared plays as far as it has come. */
  function previewed({ url, duration_secs: durationSecs }) {
    if (url === run.url) return;
    if (run.active) stop();
    show(url, durationSecs, "");
    run.isPreview = true;
  }

  /** A newly chosen video is seen at once; where it has a recorded run, with that. */
  async function chosen({ url, name, duration_secs: durationSecs, pick, recorded, unanswered }) {
    if (url === run.url && !recorded) return;
    if (url !== run.url) show(url, durationSecs, name);
    if (run.waiting) return run.view.setState("running"); // asked about this very video
    // The first pick is the page's own; any other ends what is under way.
    if (pick > 0) run.newest += 1;
    if (run.active) stop();
    setActive(false);
    run.drawn = recorded && draw({ ...recorded, run: run.newest });
    await run.drawn;
    if (unanswered && pick > 0) retune();
  }

  /** The page's own first video and settings are in place: a link's recipe may still be to run. */
  async function opened(unanswered) {
    if (!unanswered) return;
    if (replays()) await run.drawn;
    retune();
  }

  /** What was said and counted of another video goes with its pictures. */
  function clear() {
    run.key = "";
    byId("answer").textContent = "";
    byId("cards").replaceChildren();
    studio.phaseLine("");
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

  /** Whether the server has no model, only recorded runs. */
  const replays = () => studio.engine?.state === "replay";

  function retune() {
    if (replays()) return run.view.setState("stale", "Other settings than the recorded run's; this server has no model to run them");
    return run.trigger("retune", { run: start(run.asked ? "stale" : "running") });
  }

  function start(state) {
    run.newest += 1;
    run.view.setState(state);
    say("");
    setActive(true);
    studio.progress(null);
    return run.newest;
  }

  function stop() {
    clearTimeout(run.timer);
    run.trigger("stop");
  }

  /** A dial moved: what is drawn no longer fits it. The first move runs at once, the moves that
      follow it closely when they have come to rest: each ends the run before it. */
  function settingsTouched() {
    if (!run.asked) return;
    clearTimeout(run.timer);
    if (!run.active) run.view.setState("stale");
    const now = performance.now(), rests = now - run.touched > DEBOUNCE_MS;
    run.touched = now;
    run.timer = setTimeout(retune, rests ? 0 : DEBOUNCE_MS);
  }

  function samplingTouched() {
    clearTimeout(run.describing);
    run.describing = setTimeout(studio.describeAgain, DEBOUNCE_MS);
    settingsTouched();
  }

  /** Recorded probabilities at other thresholds, drawn at once; true where a replay has them exact. */
  function previewAt(thresholds) {
    if (!run.asked) return false;
    const recorded = run.view.data.scene.config;
    const exact = replays() && Object.entries(thresholds).every(([name, value]) => recorded[name] === value);
    run.view.preview(exact ? null : thresholds);
    if (exact) run.view.setState("ready");
    return exact;
  }

  async function receive(message) {
    // Gradio sends an event's last value once more when the event ends.
    if (!message || message.run < run.newest || (message.key && message.key === run.key)) return;
    if (message.answer !== undefined) byId("answer").textContent = message.answer;
    if (message.state === "running") return studio.progress(message.phase);
    if (message.state === "error") return fail(message.error);
    if (message.key) await draw(message);
    else finish(run.key ? "stale" : "empty");
    return undefined;
  }

  async function draw(message) {
    run.key = message.key;
    try {
      const scene = await (await studio.fetched(message.key, "scene.json")).json();
      if (message.run < run.newest) return;
      run.rev += 1;
      Object.assign(run, { url: message.url, asked: true });
      run.view.setScene(scene, { rev: run.rev, state: "ready", layerSource: layersOf(message.key) });
    } catch (error) {
      return fail(error.message);
    }
    if (message.recorded) run.view.lookFirst();
    byId("answer").textContent = message.answer;
    finish(null);
    studio.costs(message);
    return studio.emit("result", { key: message.key, name: run.name, summary: message.summary });
  }

  /** A large run's layers are fetched when the viewer looks at them. */
  const layersOf = (key) => async (layer) => (await studio.fetched(key, "layer.json", { layer })).json();

  function fail(sentence) {
    say(sentence);
    finish("error");
  }

  function finish(state) {
    if (state) {
      run.view.setState(state);
      studio.phaseLine(state === "error" ? "No new result" : "Stopped");
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

  Object.assign(studio, { mountViewer, ask, stop, opened, settingsTouched, samplingTouched, previewAt, lost });
  Object.assign(studio, { layersOf, viewer: () => run.view, runInView: () => ({ key: run.key, rev: run.rev }) });
})();
