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

  /** A file of a finished run; throws the server's sentence where it has none. */
  async function fetched(key, name, query = {}) {
    const asked = new URLSearchParams(query).toString();
    const lost = "The server did not answer; check the connection and try again.";
    const response = await fetch(address(`studio/${key}/${name}${asked ? `?${asked}` : ""}`))
      .catch(() => { throw new Error(lost); });
    if (!response.ok) throw new Error(response.status < 500 ? await response.text() : lost);
    return response;
  }

  function isDark() {
    return document.body.classList.contains("dark");
  }

  function say(text) {
    const place = byId("error");
    if (place) place.textContent = text || "";
  }

  window.AdaSparkStudio = { make, on, emit, byId, percent, address, fetched, isDark, say };
})();
