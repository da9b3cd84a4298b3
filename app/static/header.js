/* The masthead: what is running, and the two menus with what can be taken away. */

import { el, find } from "../../viz/static/dom.js";
import { mountAddress } from "./address.js";
import { watchConnection } from "./connection.js";
import { followRuns } from "./dials.js";
import { mountExport } from "./export.js";
import { mountLanguage } from "./language.js";
import { mountLink } from "./link.js";
import { server } from "./server.js";
import { Story } from "./story.js";
import { mountTips } from "./tips.js";
import { mountTheme, watchTheme } from "./theme.js";

/** @import { EngineFacts } from "../../viz/static/types.js" */
/** @import { HeaderProps, Mounted } from "./types.js" */

const LOADING = "Replay: model loading";
/** @type {Partial<Record<EngineFacts["state"], string>>} */
const REPLAYS = {
  waiting: LOADING,
  loading: LOADING,
  replay: "Replay: recorded runs only",
  failed: "Replay: model failed",
};
/** Of a chip's value, what a narrow masthead has room for, and the rest. */
const BEGIN = /^([^,:]*)(.*)$/s;
const GRADIO_PREFIX = "range slider for ";

/**
 * @param {HTMLElement} element
 * @param {Mounted<HeaderProps>} mounted
 */
export function mountHeader(element, { props, trigger, watch }) {
  const lists = element.querySelectorAll(".chips"); // a narrow page has the whole one in a menu
  const refresh = () => {
    server.engine = props.value;
    lists.forEach((list) => list.replaceChildren(...chips(props.value)));
  };
  watch("value", refresh);
  refresh();
  server.calibration = props.calibration;
  server.opening = props.opening;
  server.presets = props.presets;
  followRuns();
  document.body.classList.add("adaspark-page");
  element.querySelectorAll(".menu").forEach(disclose);
  mountExport(find(element, "#export-menu"));
  mountLink(find(element, "#link-panel"), props);
  mountAddress(props, trigger);
  watchConnection();
  new Story(find(element, ".story-opener"));
  mountLanguage(find(element, ".language"));
  mountTips();
  mountTheme(find(element, ".theme"));
  find(element, ".skip-link").addEventListener("click", (event) => {
    event.preventDefault();
    /** @type {HTMLElement | null} */ (document.querySelector("#question :is(textarea, input)"))?.focus();
  });
  nameSliders();
  new MutationObserver(nameSliders).observe(document.body, { childList: true, subtree: true });
  watchTheme();
}

/**
 * Where answers come from: this machine's processor, or recorded runs; then what computes.
 * @param {EngineFacts} facts
 */
function chips({ model, state, device, dtype, backend, compiling }) {
  const source = REPLAYS[state] ?? `${device?.startsWith("cpu") ? "CPU" : "GPU"}, ${dtype}`;
  return [
    ...chip("runs on", source, { "data-state": state, class: "status-chip" }),
    ...chip("model", model),
    ...chip("backend", backend),
    ...chip("compiling kernels", compiling),
  ];
}

/**
 * A chip; nothing where its value is not known.
 * @param {string} name
 * @param {string | undefined} value
 * @param {Record<string, string>} [options]
 */
function chip(name, value, options = {}) {
  if (!value) return [];
  const [, first, rest] = /** @type {RegExpExecArray} */ (BEGIN.exec(value));
  const said = el("b", {}, first, el("span", { class: "chip-rest", text: rest }));
  return [el("li", { title: value, ...options }, el("span", { class: "chip-name", text: name }), said)];
}

/**
 * A button that shows and hides its panel; Escape, a click and the focus elsewhere hide it.
 * @param {Element} menu
 */
function disclose(menu) {
  const button = find(menu, ".menu-button");
  const panel = find(menu, ".menu-panel");
  const open = (/** @type {boolean} */ shown) => {
    panel.hidden = !shown;
    button.setAttribute("aria-expanded", String(shown));
    panel.dispatchEvent(new CustomEvent(shown ? "opened" : "closed"));
  };
  button.addEventListener("click", () => open(Boolean(panel.hidden)));
  menu.addEventListener("keydown", (event) => {
    if (/** @type {KeyboardEvent} */ (event).key !== "Escape" || panel.hidden) return;
    open(false);
    button.focus();
  });
  for (const elsewhere of ["pointerdown", "focusin"]) {
    document.addEventListener(elsewhere, (event) => {
      if (!panel.hidden && !menu.contains(/** @type {Node} */ (event.target))) open(false);
    });
  }
}

/** Gradio names its range inputs "range slider for ...": people know them by their labels. */
function nameSliders() {
  for (const range of document.querySelectorAll(`input[type="range"][aria-label^="${GRADIO_PREFIX}"]`)) {
    range.setAttribute("aria-label", (range.getAttribute("aria-label") ?? "").slice(GRADIO_PREFIX.length));
  }
}
