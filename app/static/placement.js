/* Where the panel of the question stands: beside the viewer, or under its player where the page is narrow. */

import { byId } from "./status.js";
import { viewer } from "./run.js";

const NARROW = "(max-width: 1099px)";

/** Keep the panel where the page's width puts it; the element is moved, and keeps what was typed into it. */
export function placePanel() {
  const narrow = window.matchMedia(NARROW);
  const place = () => {
    const panel = byId("ask-panel");
    if (!panel) return;
    if (narrow.matches) viewer().parts.slot.append(panel);
    else byId("studio")?.prepend(panel);
  };
  narrow.addEventListener("change", place);
  place();
}
