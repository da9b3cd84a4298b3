/* Compare: the run in view against another way to answer, or against an earlier run of it. */
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
    const pin = make("button", { type: "button", "aria-pressed": "false", disabled: true, on: { click: () => toggle() } });
    const held = make("p", { class: "pinned", role: "status" });
    const controls = [make("label", {}, "This run against ", choice), button, pin, held];
    const panel = studio.besidePanel(body, { name: "compare", about: ABOUT, trigger, controls, told });
    const state = { inView: null, pinned: null };

    /** Hold on to the run in view, or let go of it: runs that follow are compared with it. */
    function toggle() {
      hold(state.pinned ? null : state.inView);
      if (!state.pinned) panel.clear();
    }

    function hold(result) {
      state.pinned = result;
      pin.setAttribute("aria-pressed", String(Boolean(result)));
      pin.textContent = result ? "Let the pinned run go" : "Pin this run";
      held.textContent = result ? `Pinned: ${settingsOf(result)}. Move a dial: the player shows what changes.` : "";
    }

    studio.on("result", (result) => {
      state.inView = result;
      pin.disabled = !result;
      if (!result) hold(null);
      else if (state.pinned) panel.start({ pinned: state.pinned.key });
    });
    hold(null);
  }

  function settingsOf({ summary: { config } }) {
    return `Top-p ${config.attn_top_p} and ${config.ffn_top_p}, cubes ${config.cube.join(" x ")}`;
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
