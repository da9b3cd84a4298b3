/* Light and dark, as Gradio's page has them. */

import { emit } from "./signals.js";

export function isDark() {
  return document.body.classList.contains("dark");
}

export function watchTheme() {
  const observer = new MutationObserver(() => emit("theme", isDark()));
  observer.observe(document.body, { attributes: true, attributeFilter: ["class"] });
}
