/* The report: mount the viewer on the page's own scene; charts of one layer follow its layer. */
(() => {
  "use strict";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => { document.documentElement.dataset.theme = dark.matches ? "dark" : "light"; };
  dark.addEventListener("change", follow);
  follow();
  const host = document.getElementById("viewer-host");
  host.addEventListener("adaspark:view", ({ detail }) => {
    for (const chart of document.querySelectorAll("[data-of-layer]")) {
      chart.hidden = Number(chart.dataset.ofLayer) !== detail.layer;
    }
  });
  const scene = JSON.parse(document.getElementById("scene").textContent);
  const viewer = window.AdaSparkViewer.mount(host);
  viewer.setScene(scene, { rev: 1 });
  const other = document.getElementById("other");
  if (other) {
    const compared = JSON.parse(other.textContent);
    viewer.setOther(compared.scene, ...compared.labels);
  }
  viewer.lookFirst();
})();
