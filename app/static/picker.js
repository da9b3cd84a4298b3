/* Choosing a video: sample cards, an upload with progress, what a run on it would cost. */
(() => {
  "use strict";
  const studio = window.AdaSparkStudio;
  const { make, say } = studio;
  const state = { pick: 0, answered: 0, waiting: [], own: null, frames: 0, unanswered: false };

  function mountPicker(element, { props, trigger, watch }) {
    state.trigger = trigger;
    state.limitBytes = props.limit_bytes;
    state.list = element.querySelector(".cards");
    state.facts = element.querySelector(".facts");
    for (const sample of props.samples) state.list.append(card(sample, () => chooseSample(sample)));
    const input = element.querySelector("input[type=file]");
    input.addEventListener("change", () => {
      if (input.files.length) upload(input.files[0]);
      input.value = "";
    });
    Object.assign(state, { note: element.querySelector(".note"), long: element.querySelector(".too-long") });
    state.long.querySelector("button").addEventListener("click", () => trigger("fit"));
    dropAnywhere(element.querySelector(".drop"));
    watch("value", () => receive(props.value));
    receive(props.value);
  }

  /** A file may be dropped anywhere on the page; the zone shows where it goes. */
  function dropAnywhere(zone) {
    const carriesFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const over = (event, isOver) => {
      if (!carriesFile(event)) return;
      event.preventDefault();
      zone.classList.toggle("over", isOver);
    };
    document.addEventListener("dragover", (event) => over(event, true));
    document.addEventListener("dragleave", (event) => over(event, event.relatedTarget !== null));
    document.addEventListener("drop", (event) => {
      over(event, false);
      if (carriesFile(event) && event.dataTransfer.files.length) upload(event.dataTransfer.files[0]);
    });
  }

  function card({ name, title, url, poster_secs: posterSecs = 0.1 }, choose) {
    const video = make("video", { src: `${url}#t=${posterSecs}`, muted: true, preload: "metadata", tabindex: -1, "aria-hidden": "true" });
    const caption = make("span", { text: title });
    const options = { type: "button", class: "card", "data-name": name, "aria-pressed": "false", title };
    return make("button", { ...options, on: { click: choose } }, video, caption);
  }

  /** A new choice: what is asked from now on waits until the server has answered it. */
  function begin(text) {
    state.pick += 1;
    state.facts.textContent = text;
    say("");
    return state.pick;
  }

  function chooseSample(sample) {
    state.trigger("sample", { pick: begin("Reading…"), name: sample.name });
  }

  function upload(file) {
    const pick = begin(`Uploading ${file.name}…`);
    if (file.size > state.limitBytes) {
      const most = Math.round(state.limitBytes / 1e6);
      const size = Math.ceil(file.size / 1e6);
      const error = `${file.name} has ${size} MB, the limit is ${most} MB; choose a shorter or smaller video.`;
      return state.trigger("refused", { pick, error });
    }
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append("files", file, file.name);
    request.open("POST", studio.address("gradio_api/upload"));
    request.upload.addEventListener("progress", (event) => {
      if (pick !== state.pick || !event.lengthComputable) return;
      const share = studio.percent(event.loaded / event.total);
      state.facts.textContent = event.loaded < event.total ? `Uploading ${share}` : "Checking…";
    });
    const failed = `${file.name} did not arrive; check the connection and choose it again.`;
    request.addEventListener("error", () => state.trigger("refused", { pick, error: failed }));
    request.addEventListener("load", () => {
      if (request.status !== 200) return state.trigger("refused", { pick, error: failed });
      state.trigger("upload", { pick, path: JSON.parse(request.responseText)[0], name: file.name });
    });
    return request.send(form);
  }

  /** A card, or a refusal, from the server; one that is not the newest choice's is dropped. */
  function receive(message) {
    if (!message || (message.pick ?? 0) < state.pick) return;
    if (message.progress) {
      state.facts.textContent = `Preparing ${studio.percent(message.progress)}`;
      if (message.preview) studio.emit("preview", message.preview);
      return;
    }
    state.answered = message.pick ?? 0;
    if (message.url) show(message);
    if (message.error) {
      say(message.error);
      if (!message.chosen) nothingChosen();
    }
    state.waiting.splice(0).forEach((go) => go());
  }

  function show(message) {
    state.facts.textContent = message.facts;
    state.unanswered = Boolean(message.unanswered);
    tell(state.note, message.note);
    showTooLong(message.too_long);
    if (!message.sample) keepOwn(message);
    mark(message.sample || "own");
    studio.emit("questions", message);
    studio.emit("video", message);
  }

  function nothingChosen() {
    state.facts.textContent = "No video is chosen.";
    tell(state.note, "");
    showTooLong(null);
    mark(null);
  }

  function tell(place, text) {
    place.textContent = text || "";
    place.hidden = !text;
  }

  /** More tokens than the model holds: said before anything runs, with the frames that fit. */
  function showTooLong(tooLong) {
    state.long.hidden = !tooLong;
    state.frames = tooLong ? tooLong.max_frames : 0;
    state.long.querySelector("p").textContent = tooLong ? tooLong.text : "";
    state.long.querySelector("button").textContent = `Show it ${state.frames} frames`;
  }

  function keepOwn(message) {
    if (state.own && state.own.dataset.url === message.url) return;
    if (state.own) state.own.remove();
    state.own = card({ name: "own", title: message.name, url: message.url }, () => {});
    state.own.dataset.url = message.url;
    state.own.addEventListener("click", () => state.trigger("again", { pick: begin("Reading…"), url: message.url }));
    state.list.append(state.own);
  }

  function mark(name) {
    for (const item of state.list.children) {
      item.setAttribute("aria-pressed", String(item.dataset.name === name));
    }
  }

  /** Resolves once the newest choice has been answered. */
  studio.videoSettled = () =>
    state.pick <= state.answered ? Promise.resolve() : new Promise((go) => state.waiting.push(go));

  /** Ask for the card again, under other sampling settings. */
  studio.describeAgain = () => state.trigger("describe", { pick: state.pick });

  /** The frames that fit, for the control that holds them. */
  studio.fittingFrames = () => state.frames;

  /** The first card and the controls are in place. */
  studio.greeted = () => studio.opened(state.unanswered && state.pick === 0);

  Object.assign(studio, { mountPicker });
})();
