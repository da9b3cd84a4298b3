/* Whether the server answers: said within about a second, over the page, without moving it. */

import { el } from "../../viz/static/dom.js";
import { address } from "./server.js";
import { emit } from "./signals.js";

const EVERY_MS = 1000;
const PATIENCE_MS = 4000; // a busy server is slow; one that is gone refuses at once
const LOST = "The server does not answer. Everything here is kept; the page goes on by itself when the server is back.";

let start = "";
let connected = true;
const banner = el("p", { id: "connection", role: "alert", hidden: true });

/** Ask the server once a second, while the page is looked at, whether it is there. */
export function watchConnection() {
  document.body.append(banner);
  for (const event of ["online", "offline"]) window.addEventListener(event, look);
  setInterval(() => document.hidden || look(), EVERY_MS);
}

async function look() {
  const answer = await asked();
  const changed = answer && start && answer !== start;
  start = answer || start;
  if (changed) location.reload(); // a server that was started anew knows nothing of this page
  if (Boolean(answer) === connected) return;
  connected = Boolean(answer);
  banner.hidden = connected;
  banner.textContent = connected ? "" : LOST;
  emit("connected", connected);
}

/** Which start of the server answers; empty: none does. */
async function asked() {
  try {
    const response = await fetch(address("studio/alive"), { signal: AbortSignal.timeout(PATIENCE_MS) });
    return response.ok ? /** @type {string} */ ((await response.json()).start) : "";
  } catch {
    return "";
  }
}
