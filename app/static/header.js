/* The masthead: what is running, and the two menus with what can be taken away. */
(() => {
  "use strict";
  const studio = window.AdaSparkStudio;
  const { make } = studio;
  const LOADING = "Replay: model loading";
  const REPLAYS = { waiting: LOADING, loading: LOADING, replay: "Replay: recorded runs only", failed: "Replay: model failed" };

  function mountHeader(element, { props, trigger, watch }) {
    const list = element.querySelector(".chips");
    const refresh = () => {
      studio.engine = props.value;
      list.replaceChildren(...chips(props.value));
    };
    watch("value", refresh);
    refresh();
    Object.assign(studio, { calibration: props.calibration, presets: props.presets });
    document.body.classList.add("adaspark-page");
    element.querySelectorAll(".menu").forEach(disclose);
    studio.mountExport(element.querySelector("#export-menu"));
    studio.mountLink(element.querySelector("#link-panel"), props, () => trigger("link"));
    watchPage();
  }

  /** Where answers come from: this machine's processor, or recorded runs; then what computes. */
  function chips({ model, state, device, dtype, backend }) {
    const chip = (name, value, options = {}) => value &&
      make("li", { title: value, ...options },
        make("span", { class: "chip-name", text: name }), make("b", { text: value }));
    return [
      chip("runs on", REPLAYS[state] ?? `${device.startsWith("cpu") ? "CPU" : "GPU"}, ${dtype}`, { "data-state": state, class: "status-chip" }),
      chip("model", model), chip("backend", backend),
    ].filter(Boolean);
  }

  /** A button that shows and hides its panel; Escape, a click and the focus elsewhere hide it. */
  function disclose(menu) {
    const [button, panel] = menu.children;
    const open = (shown) => {
      panel.hidden = !shown;
      button.setAttribute("aria-expanded", String(shown));
      panel.dispatchEvent(new CustomEvent(shown ? "opened" : "closed"));
    };
    button.addEventListener("click", () => open(panel.hidden));
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || panel.hidden) return;
      open(false);
      button.focus();
    });
    for (const elsewhere of ["pointerdown", "focusin"]) {
      document.addEventListener(elsewhere, (event) => {
        if (!panel.hidden && !menu.contains(event.target)) open(false);
      });
    }
  }

  /** Gradio names its range inputs "range slider for ...": people know them by their labels. */
  function nameSliders() {
    for (const range of document.querySelectorAll('input[type="range"][aria-label]')) {
      const label = range.getAttribute("aria-label");
      if (label.startsWith("range slider for ")) range.setAttribute("aria-label", label.slice(17));
    }
  }

  function watchPage() {
    nameSliders();
    new MutationObserver(nameSliders).observe(document.body, { childList: true, subtree: true });
    new MutationObserver(() => studio.emit("theme", studio.isDark())).observe(document.body, {
      attributes: true,
      attributeFilter: ["class"],
    });
  }

  Object.assign(studio, { mountHeader });
})();
