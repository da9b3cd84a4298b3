/* The login form of Gradio says nothing of a login that is refused for too many tries: this does. */

import { tableOf, wantedLanguage } from "./languages.js";
import { translator } from "./translate.js";

const REFUSED = 429;
const fetchOnce = window.fetch.bind(window);

Object.assign(window, { fetch: watched });

/** @type {typeof fetch} */
async function watched(...request) {
  const response = await fetchOnce(...request);
  if (response.url.endsWith("/login")) {
    tell(response.status === REFUSED ? await inLanguage((await response.clone().json()).detail) : "");
  }
  return response;
}

/** @param {string} english */
async function inLanguage(english) {
  const table = await tableOf(wantedLanguage());
  return table ? translator(table)(english) : english;
}

/** @param {string} text empty: nothing any more */
function tell(text) {
  let place = document.getElementById("login-refused");
  if (!place) {
    place = document.createElement("p");
    Object.assign(place, { id: "login-refused", role: "alert" });
    Object.assign(place.style, { position: "fixed", inset: "0 0 auto", margin: "0", padding: "12px 16px" });
    Object.assign(place.style, { background: "#fff3d6", color: "#6b4300", textAlign: "center", font: "inherit" });
    document.body.append(place);
  }
  place.textContent = text;
  place.hidden = !text;
}
