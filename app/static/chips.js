/* Suggested questions: those that the bundled model, or the chosen sample, is made for. */
(() => {
  "use strict";
  const studio = window.AdaSparkStudio;
  const { make, byId } = studio;
  const SHOWN_CHIPS = 3;
  const state = { questions: new Set(), next: "" };

  function mountChips(element, { trigger }) {
    const list = element.querySelector(".question-chips");
    studio.on("questions", ({ questions, question, pick }) => {
      const current = byId("question").querySelector("textarea, input").value.trim();
      const typed = current && !state.questions.has(current);
      questions.forEach((text) => state.questions.add(text));
      const take = (text) => {
        state.next = text;
        trigger("chip");
      };
      const chip = (text) => make("button", { type: "button", text, on: { click: () => take(text) } });
      const chips = questions.map(chip);
      list.replaceChildren(...chips.slice(0, SHOWN_CHIPS), ...moreChips(list, chips.slice(SHOWN_CHIPS)));
      // The page's own first card comes with the box filled in.
      const wanted = question ?? questions[0];
      if (pick !== undefined && !typed && wanted && current !== wanted) take(wanted);
    });
  }

  /** The rest of the suggestions, behind a button. */
  function moreChips(list, chips) {
    if (!chips.length) return [];
    const open = (event) => {
      event.currentTarget.remove();
      list.append(...chips);
      chips[0].focus();
    };
    return [make("button", { type: "button", class: "more", text: `${chips.length} more…`, on: { click: open } })];
  }

  studio.chosenQuestion = () => state.next;
  Object.assign(studio, { mountChips });
})();
