/* Light and dark, as Gradio's page has them. */

import { emit, on } from "./signals.js";

export function isDark() {
  return document.body.classList.contains("dark");
}

/** @param {HTMLElement} button that turns dark colours on and off */
export function mountTheme(button) {
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  button.addEventListener("click", () => document.body.classList.toggle("dark"));
  on("theme", show);
  show();
}

export function watchTheme() {
  const observer = new MutationObserver(() => emit("theme", isDark()));
  observer.observe(document.body, { attributes: true, attributeFilter: ["class"] });
}
