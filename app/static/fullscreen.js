/* Any panel on the whole screen. */

import { iconButton } from "../../viz/static/dom.js";

const PANELS = "#viewer .stage, #viewer .stack-box, #viewer .lane-box, .figures, .outcome";

/** Give each panel a button that shows it on the whole screen, and back. */
export function offerFullScreen() {
  if (!document.fullscreenEnabled) return;
  for (const panel of document.querySelectorAll(PANELS)) {
    const open = iconButton("full", "Full screen");
    open.classList.add("full-screen");
    open.title = "Full screen";
    open.addEventListener("click", (event) => {
      event.stopPropagation();
      if (document.fullscreenElement === panel) document.exitFullscreen();
      else panel.requestFullscreen();
    });
    panel.append(open);
  }
}
