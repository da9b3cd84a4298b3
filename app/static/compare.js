/* Compare: the run in view against another way to answer, at its own density or cost. */
(() => {
  "use strict";
  const studio = window.AdaSparkStudio;
  const { make } = studio;

  function mountCompare(body, rivals, trigger) {
    const choice = make("select", { "aria-label": "Compare with" },
      ...Object.entries(rivals).map(([value, text]) => make("option", { value, text })));
    const button = make("button", { type: "button", text: "Compare", on: { click: () => panel.start({ rival: choice.value }) } });
    const controls = [make("label", {}, "This run against ", choice), button];
    const panel = studio.besidePanel(body, { name: "compare", trigger, controls, told });
  }

  /** What token pruning is, where it is the rival. */
  function told({ sides: [, { tokens, pruned_from: all }] }) {
    if (!all) return [];
    const [left, of] = [tokens, all].map((count) => count.toLocaleString("en"));
    const text = `Token pruning shows the language model ${left} of ${of} visual tokens, those of largest norm ` +
      "after the vision tower. The others are gone for every layer and word; what is left keeps its place.";
    return [make("p", { class: "beside-about", text })];
  }

  Object.assign(studio, { mountCompare });
})();
