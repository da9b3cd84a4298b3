/* The report: the viewer on the page's own scene; charts of one layer follow its layer. */

import { find } from "./dom.js";
import { mount } from "./mount.js";

/** @param {string} id of a script element with JSON; null where the page has none */
function data(id) {
  const element = document.getElementById(id);
  return element && JSON.parse(element.textContent ?? "");
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => {
  document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
};
dark.addEventListener("change", follow);
follow();

const host = find(document, "#viewer-host");
host.addEventListener("adaspark:view", (event) => {
  const { detail } = /** @type {CustomEvent<{ layer: number }>} */ (event);
  for (const chart of document.querySelectorAll("[data-of-layer]")) {
    chart.toggleAttribute("hidden", chart.getAttribute("data-of-layer") !== String(detail.layer));
  }
});

const viewer = mount(host);
viewer.setScene(data("scene"), { rev: 1 });
const other = data("other");
if (other) viewer.setOther(other.scene, ...other.labels);
viewer.lookFirst();
