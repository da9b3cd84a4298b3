/* What each of our terms means, beside the control that bears it, by pointer and by keyboard. */

import { el } from "../../viz/static/dom.js";
import { named } from "./language.js";

/** Controls and what they mean, the narrower ones first. @type {[string, string][]} */
const TIPS = [
  [fieldOf("Top-p attention"), "Each query keeps the fewest cubes whose share of attention reaches this. 1 keeps all."],
  [
    fieldOf("Top-p FFN"),
    "In each cube, the fewest tokens that hold this share of the norm pass through the FFN. 1: all.",
  ],
  [
    fieldOf("Top-p of the question"),
    "Top-p attention for the words; at 1 they read every cube. " +
      "Where both are equal it follows that dial until it is moved; the paper has one for both.",
  ],
  [
    ".ffn-importance",
    "A token counts as important by its size: as it comes to the FFN (paper), or after the FFN's own RMSNorm (ours).",
  ],
  [
    ".budget-dial",
    "A share of what a dense run would compute; both Top-p are set to what was measured to cost so much.",
  ],
  [fieldOf("Cube t"), "Slices that a cube spans in time. A slice is two frames that share their tokens."],
  [fieldOf("Cube h"), "Rows of tokens that a cube spans."],
  [fieldOf("Cube w"), "Columns of tokens that a cube spans."],
  [`.dial:has(${named("Layer")})`, "The model's steps, one after the other; each chooses anew what it reads."],
  [
    `.dial:has(${named("Kept from")})`,
    "A cube is shown as kept if at least this share of the words and heads chose it.",
  ],
  [`.dial:has(${named("Opacity")})`, "How strongly the overlay covers the picture."],
  ['[data-value="spotlight"]', "What is kept stays bright; what is dropped is dark."],
  ['[data-value="outline"]', "What is kept is framed."],
  ['[data-value="heat"]', "The share of words and heads that chose each cube, as a colour."],
  ['[data-value="ffn"]', "Hatched tokens skip the FFN, the half of a layer that works on each token alone."],
  [
    '[data-value="difference"]',
    "What only one of two compared runs keeps; against Dense, the attention that was dropped.",
  ],
  ['[data-value="video"]', "What the tokens of the video themselves read."],
  ['[data-value="question"]', "What the words of the question read."],
  ['[data-value="answer"]', "What the words of the answer read."],
  [`select${named("Head")}`, "Parts of a layer that attend apart; or the mean of all."],
  [".tier", "Exact: a run with these settings. Preview: recorded scores under other settings, until the run is there."],
  [".spatial", "The cubes of the whole clip in space and time."],
  ['[data-name="attention"]', "Pairs of a query and a key that were computed, of those that dense attention computes."],
  ['[data-name="ffn"]', "Video tokens that passed through the FFN; the others move by the mean of their cube."],
  [
    '[data-name="flops"]',
    "Arithmetic of reading video and question (prefill), against a dense run; counted, not timed.",
  ],
  ['[data-name="seconds"]', "Time from the encoded video to the first word, on the machine that ran it."],
  [".facts", "A visual token is a patch of the picture in two frames."],
];
const ABOVE_PX = 8;

/** Show a term's meaning while the pointer or the focus is on it. */
export function mountTips() {
  const tip = el("p", { id: "tip", role: "tooltip", hidden: true });
  (document.querySelector("main") ?? document.body).append(tip);
  /** @type {Element | null} */
  let shown = null;
  const show = (/** @type {Event} */ { target }) => {
    const [place, text] = meant(/** @type {Element} */ (target));
    if (place === shown) return;
    shown?.removeAttribute("aria-describedby");
    shown = place;
    tip.hidden = !place;
    if (!place) return;
    tip.textContent = text;
    put(place);
  };
  const put = (/** @type {Element} */ place) => {
    const box = place.getBoundingClientRect();
    const left = Math.min(Math.max(8, box.left), innerWidth - tip.offsetWidth - 8);
    const above = box.top - tip.offsetHeight - ABOVE_PX;
    Object.assign(tip.style, { left: `${left}px`, top: `${above > 0 ? above : box.bottom + ABOVE_PX}px` });
  };
  const hide = () => {
    shown = null;
    tip.hidden = true;
  };
  for (const event of ["pointerover", "focusin"]) document.addEventListener(event, show);
  document.addEventListener("keydown", ({ key }) => key === "Escape" && hide());
  document.addEventListener("scroll", hide, { capture: true, passive: true });
  const follow = () => shown && (shown.isConnected ? put(shown) : hide());
  new ResizeObserver(follow).observe(document.body); // what comes or goes moves the controls
}

/**
 * The nearest element of a term, and its meaning.
 * @param {Element} target
 * @returns {[Element | null, string]}
 */
function meant(target) {
  for (const [selector, text] of TIPS) {
    const place = target.closest?.(selector);
    if (place?.closest("main")) return [place, text];
  }
  return [null, ""];
}

/**
 * A control of Gradio's with its label: the innermost block, since on a narrow page the player's holds all of them.
 * @param {string} name
 */
function fieldOf(name) {
  return `.block:not(:has(.block)):has(${named(name)})`;
}
