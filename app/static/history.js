/* The runs of this visit: what was asked, answered and spent; any two of them side by side, in players that move
   together. */

import { button, el } from "../../viz/static/dom.js";
import { percent } from "../../viz/static/format.js";
import { Viewer } from "../../viz/static/viewer.js";
import { settingsText } from "./config_text.js";
import { resumeRun } from "./picker.js";
import { viewer } from "./run.js";
import { detailsOf, fetched } from "./server.js";
import { on } from "./signals.js";
import { messageOf } from "./status.js";

/** @import { Scene } from "../../viz/static/types.js" */
/** @import { Result } from "./types.js" */

/** A run of the visit. @typedef {{ key: string, card: HTMLElement, title: string }} Entry */

const MOST = 24;
const THUMB_PX = 132;
const DRAWN_MS = 400;
const ABOUT =
  "Every run of this visit. Show one again, or pin two: their players stand side by side and move together, so that " +
  "settings, questions, layers, words or videos can be compared.";

/** @type {Entry[]} */
const entries = [];
/** The pinned ones, at most two. @type {Entry[]} */
let pinned = [];

/** @param {HTMLElement} body */
export function mountHistory(body) {
  const list = el("div", { class: "history-list" });
  const pair = el("div", { class: "history-pair" });
  const note = el("p", { class: "beside-note", role: "status", text: "No run yet." });
  body.append(el("p", { class: "beside-about", text: ABOUT }), list, note, pair);
  on("result", (result) => {
    if (!result || entries.some(({ key }) => key === result.key)) return;
    note.textContent = "";
    const entry = made(result, (which) => pin(which, pair, note));
    entries.unshift(entry);
    for (const old of entries.splice(MOST)) old.card.remove();
    list.prepend(entry.card);
  });
}

/**
 * @param {Result} result
 * @param {(entry: Entry) => void} toggle
 * @returns {Entry}
 */
function made({ key, summary }, toggle) {
  const { data } = viewer();
  const question = data?.scene.question ?? "";
  const answer = (data?.scene.answer ?? "").trim();
  const settings = settingsText(summary.config);
  const cost = `${percent(summary.attention_density ?? 0)} of pairs, FLOPs −${percent(summary.flops?.reduction ?? 0)}`;
  const thumb = el("canvas", { class: "thumb", width: THUMB_PX, height: THUMB_PX * 0.75, "aria-hidden": "true" });
  const text = el(
    "div",
    {},
    el("b", { text: question }),
    el("p", { text: `“${answer}”` }),
    el("p", { text: settings }),
  );
  text.append(el("p", { text: cost }));
  const show = button("Show", { "aria-label": `Show: “${question}”`, on: { click: () => resumeRun(key) } });
  const hold = button("Pin", { "aria-pressed": "false", "aria-label": `Pin: “${question}”, ${settings}` });
  const card = el("article", { class: "history-card" }, thumb, text, el("div", { class: "menu-row" }, show, hold));
  const entry = { key, card, title: `${question} “${answer}”, ${settings}` };
  hold.addEventListener("click", () => toggle(entry));
  setTimeout(() => draw(thumb), DRAWN_MS);
  return entry;
}

/** @param {HTMLCanvasElement} thumb */
async function draw(thumb) {
  const blob = await viewer().picture("png", "overlay");
  if (!blob) return;
  const picture = await createImageBitmap(blob);
  const scale = Math.max(thumb.width / picture.width, thumb.height / picture.height);
  const [width, height] = [picture.width * scale, picture.height * scale];
  const place = /** @type {const} */ ([(thumb.width - width) / 2, (thumb.height - height) / 2, width, height]);
  thumb.getContext("2d")?.drawImage(picture, ...place);
}

/**
 * @param {Entry} entry
 * @param {HTMLElement} pair
 * @param {HTMLElement} note
 */
async function pin(entry, pair, note) {
  pinned = pinned.includes(entry) ? pinned.filter((each) => each !== entry) : [...pinned, entry].slice(-2);
  for (const { card } of entries) {
    const held = pinned.some((each) => each.card === card);
    card.querySelector("[aria-pressed]")?.setAttribute("aria-pressed", String(held));
  }
  note.textContent = pinned.length === 1 ? "Pin another one to set it beside this one." : "";
  const now = pinned;
  try {
    const sides = await Promise.all(now.length === 2 ? now.map(side) : []);
    if (now === pinned) pair.replaceChildren(...sides);
  } catch (error) {
    note.textContent = messageOf(error);
  }
}

/**
 * A player of its own for a run; it follows what is selected anywhere, as the page's own player does.
 * @param {Entry} entry
 */
async function side({ key, title }) {
  /** @type {Scene} */
  const scene = await (await fetched(key, "scene.json")).json();
  const host = el("section", { "aria-label": title }, el("h3", { text: title }));
  const player = new Viewer(host, { isCopy: true });
  player.setScene(scene, { source: detailsOf(key) });
  const { layer, slice, mode, query, head } = viewer().view;
  if (player.data) {
    const last = { layer: player.data.layers - 1, slice: player.data.slices - 1 };
    player.goTo(Math.min(slice, last.slice), { layer: Math.min(layer, last.layer), spatial: false });
    const [word, own] = [viewer(), player].map(({ data }) => data?.words[query.word ?? -1]?.text);
    const asked = word === own && query.cube === undefined ? { query, head } : {};
    player.set({ mode: mode === "difference" ? "spotlight" : mode, ...asked });
  }
  return host;
}
