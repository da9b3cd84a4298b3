/* The page's own namespace: small helpers, and the signals its parts send each other. */
(() => {
  "use strict";
  const listeners = {};

  /** An element with properties, `data`/`aria` attributes and children; text is never parsed. */
  function make(tag, options = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(options)) {
      if (name === "text") element.textContent = value;
      else if (name === "on") Object.entries(value).forEach((on) => element.addEventListener(...on));
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value != null) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  function on(signal, listener) {
    (listeners[signal] ||= []).push(listener);
  }

  function emit(signal, value) {
    for (const listener of listeners[signal] || []) listener(value);
  }

  const byId = (id) => document.getElementById(id);
  const percent = (share) => `${Math.round(100 * share)} %`;

  /** Address of a server path, wherever the page is mounted. */
  function address(path) {
    const root = (window.gradio_config && window.gradio_config.root) || "";
    return `${root.replace(/\/$/, "")}/${path}`;
  }

  function isDark() {
    return document.body.classList.contains("dark");
  }

  function say(text) {
    const place = byId("error");
    if (place) place.textContent = text || "";
  }

  /** Sliders get the names people know; Gradio calls them "range slider for ...". */
  function nameSliders() {
    for (const range of document.querySelectorAll('input[type="range"][aria-label]')) {
      const label = range.getAttribute("aria-label");
      if (label.startsWith("range slider for ")) range.setAttribute("aria-label", label.slice(17));
    }
  }

  function mountHeader(element, facts) {
    const chip = (name, value) =>
      make("li", {}, make("span", { class: "chip-name", text: name }), make("b", { text: value }));
    const list = element.querySelector(".chips");
    list.append(chip("model", facts.model), chip("device", `${facts.device}, ${facts.why_device}`));
    list.append(chip("numbers", facts.dtype), chip("backend", facts.backend));
    element.querySelector(".about-model").hidden = !facts.bundled;
    document.body.classList.add("adaspark-page");
    nameSliders();
    new MutationObserver(nameSliders).observe(document.body, { childList: true, subtree: true });
    new MutationObserver(() => emit("theme", isDark())).observe(document.body, {
      attributes: true,
      attributeFilter: ["class"],
    });
  }

  window.AdaSparkStudio = { make, on, emit, byId, percent, address, isDark, say, mountHeader };
})();
