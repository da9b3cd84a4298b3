/* Ablate: the cube picked in the player, forced on or off; how the answer's probability moves. */
(() => {
  "use strict";
  const studio = window.AdaSparkStudio;
  const { make } = studio;
  const ABOUT = "Forces one cube off or on in every layer and asks again: does the answer change, and how likely is the first one still?";

  function mountAblate(body, trigger) {
    const picked = make("p", { class: "ablate-cube" });
    const force = (on) => panel.start({ cube: picked.cube, on });
    const buttons = [["Force off", false], ["Force on", true]].map(([text, on]) =>
      make("button", { type: "button", text, on: { click: () => force(on) } }));
    const panel = studio.besidePanel(body, { name: "ablate", about: ABOUT, trigger, controls: [picked, ...buttons], told });

    function pick(cube) {
      const data = studio.viewer()?.data;
      picked.cube = cube ?? null;
      picked.textContent = data && cube != null ? describe(data, cube) : "No cube chosen: click one in the player.";
      for (const button of buttons) button.disabled = picked.cube === null;
    }

    studio.on("result", () => pick(null));
    window.addEventListener("adaspark:select", ({ detail }) => {
      if (detail.cube !== undefined) pick(detail.cube);
    });
    pick(null);
  }

  function describe(data, index) {
    const cube = data.cubes[index];
    const span = (first, end) => (end - first > 1 ? `s ${first} to ${end - 1}` : ` ${first}`);
    return `Cube ${index}: slice${span(data.firstSlice(cube), data.endSlice(cube))}, ` +
      `row${span(cube.r0, cube.r1)}, column${span(cube.c0, cube.c1)}`;
  }

  /** How likely the first answer still is. */
  function told({ sides: [{ label }, forced], before, after }) {
    if (before == null || after == null) return [make("p", { text: "The first answer's probability was not recorded." })];
    const change = after - before;
    const times = Math.exp(change).toPrecision(3);
    const text = `With ${forced.label.toLowerCase()}, the answer of ${label} is ${times} times as likely: its log-probability ` +
      `is ${signed(after)} instead of ${signed(before)}, a change of ${signed(change)} nats.`;
    return [make("p", { class: "ablate-change", text })];
  }

  /** To three decimals; a smaller value, as a sure answer's is, to two digits. */
  const signed = (nats) => {
    const size = Math.abs(nats);
    return `${nats < 0 ? "−" : "+"}${size && size < 0.0005 ? size.toPrecision(2) : size.toFixed(3)}`;
  };

  Object.assign(studio, { mountAblate });
})();
