/* Compare: the run in view against another way to answer, at its own density or cost. */
(() => {
  "use strict";
  const studio = window.AdaSparkStudio;
  const { make } = studio;
  const ABOUT = "Asks the same question of the same video another way. Both answers, their cost and, where the slices match, " +
    "the cubes that only one of them keeps are then set side by side; the player shows them as Difference.";

  function mountCompare(body, rivals, trigger) {
    const choice = make("select", { "aria-label": "Compare with" },
      ...Object.entries(rivals).map(([value, text]) => make("option", { value, text })));
    const button = make("button", { type: "button", text: "Compare", on: { click: () => panel.start({ rival: choice.value }) } });
    const controls = [make("label", {}, "This run against ", choice), button];
    const panel = studio.besidePanel(body, { name: "compare", about: ABOUT, trigger, controls });
  }

  Object.assign(studio, { mountCompare });
})();
