/* The view in the page's address: what is asked, under which settings, and what is looked at. A reload, a link, back
   and forward come from it. */

import { onSelect } from "../../viz/static/selection.js";
import { questionText } from "./chips.js";
import { languageNow } from "./language.js";
import { LAST, remember } from "./memory.js";
import { resumeRun } from "./picker.js";
import { runInView, viewer } from "./run.js";
import { on } from "./signals.js";
import { isDark } from "./theme.js";
import { apply, viewOf } from "./view_names.js";

/** @import { HeaderProps, Mounted } from "./types.js" */

const RESTS_MS = 250;
const FIRST_TAB = "Layers and cubes";

/** @type {HeaderProps} */
let props;
/** @type {Mounted<HeaderProps>["trigger"]} */
let trigger = () => {};
/** The controls' values, in the order of their names in a link. @type {(string | number | null)[]} */
let values = [];
/** @type {{ sample: string | null, name: string, url: string } | null} */
let video = null;
let tab = "";
/** What the address asked for, until somebody looks elsewhere. @type {URLSearchParams | null} */
let wanted = new URLSearchParams(location.search);
/** The entry of the history that is in view: a change of it is a step back to come. */
let entry = "";
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/**
 * @param {HeaderProps} given
 * @param {Mounted<HeaderProps>["trigger"]} triggerEvent
 */
export function mountAddress(given, triggerEvent) {
  props = given;
  trigger = triggerEvent;
  on("video", (card) => {
    video = { sample: card.sample ?? null, name: card.name ?? "", url: card.url ?? "" };
    trigger("values");
  });
  on("asked", keep);
  on("tab", (name) => {
    tab = name;
    soon();
  });
  on("theme", soon);
  on("result", (result) => {
    if (!result) return;
    if (wanted) apply(viewer(), wanted);
    trigger("values");
  });
  onSelect(soon);
  on("viewer", (view) => view.parts.root.addEventListener("adaspark:view", soon));
  for (const act of ["pointerdown", "keydown"]) document.addEventListener(act, () => (wanted = null), true);
  window.addEventListener("popstate", goBack);
}

/**
 * The controls' values, asked for by the event "values".
 * @param {...(string | number | null)} now
 */
export function controlsAt(...now) {
  values = now;
  write();
}

/** The controls' values that the address holds, for the controls. */
export function restoredValues() {
  const query = new URLSearchParams(location.search);
  return props.link_names.map((name, i) => {
    const text = query.get(name);
    if (text === null) return values[i];
    return typeof values[i] === "string" ? text : Number(text);
  });
}

/** The tab that the address names. */
export function tabWanted() {
  return wanted?.get("tab") ?? "";
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(write, RESTS_MS);
}

/** Query parameters of what is in view. */
export function addressNow() {
  const query = new URLSearchParams();
  if (video?.sample) query.set(props.sample_name, video.sample);
  else if (video) query.set(props.clip_name, "own");
  props.link_names.forEach((name, i) => {
    const value = values[i];
    if (value !== "" && value != null) query.set(name, String(value));
  });
  for (const [name, value] of Object.entries(viewOf(viewer()))) query.set(name, value);
  if (tab && tab !== FIRST_TAB) query.set("tab", tab);
  if (languageNow()) query.set("lang", languageNow());
  if (isDark()) query.set("__theme", "dark");
  return query;
}

/** Whether what is in view is an upload, which no link holds. */
export function isUpload() {
  return Boolean(video && !video.sample);
}

function write() {
  const { key } = runInView();
  keep();
  if (!values.length || !video || !key) return; // a choice without a run is no place to go back to
  const search = `?${addressNow()}`;
  const now = [video.url, tab, key].join();
  const how = entry && entry !== now && !wanted ? "pushState" : "replaceState";
  entry = now;
  history[how]({ ...history.state, key }, "", search);
  keep();
}

/** Keep what a reload takes up again. */
function keep() {
  if (!video) return;
  const upload = video.sample ? { url: "", name: "" } : { url: video.url, name: video.name };
  const { key, ticket } = runInView();
  remember({ search: location.search, key, ticket, asked: ticket && questionText(), ...upload });
}

/** What the page remembers is handed to its first event, before the controls' values. */
export function remembered(/** @type {unknown} */ _, /** @type {...unknown} */ ...now) {
  return [LAST ? JSON.stringify({ ...LAST, asked: undefined }) : "", ...now];
}

/** Back and forward: the run of that entry, from the server; then its view. */
function goBack() {
  wanted = new URLSearchParams(location.search);
  const key = history.state?.key;
  trigger("restore");
  if (key && key !== runInView().key) resumeRun(key);
  else apply(viewer(), wanted);
}
