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
    const panel = studio.besidePanel(body, { name: "compare", trigger, controls });
  }

  Object.assign(studio, { mountCompare });
})();
