/* Words and cubes, both ways: the words as buttons, and the panel of what is held. */

const SHOWN_TIMES = 24;

/** The words of one kind as buttons, in order, by index: repeated words stay apart. */
function wordRow(kind, words, on) {
  const row = el("div", { className: "word-row", role: "group", "aria-label": `${KIND_NAMES[kind]} words` });
  row.append(el("span", { className: "name", textContent: KIND_NAMES[kind], "aria-hidden": "true" }));
  words.forEach((word, position) => {
    if (word.kind === kind) row.append(wordButton(word, position, on));
  });
  return row;
}

/** `on.pick(position)` hears a click, `on.hover(position | null)` the mouse. */
function wordButton(word, position, on) {
  const text = shownText(word);
  const made = button(text, { className: /^(<\|.*\|>|[^\p{L}\p{N}\p{Emoji_Presentation}])$/u.test(text) ? "word minor" : "word", "aria-pressed": "false" });
  if (text.includes("\ufffd")) made.title = "part of a character";
  if (word.name) Object.assign(made, { title: word.name, ariaLabel: word.name });
  Object.assign(made.dataset, { index: word.index, position });
  made.addEventListener("click", () => on.pick(position));
  made.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && on.hover(position));
  made.addEventListener("pointerleave", () => on.hover(null));
  return made;
}

function shownText(word) {
  return word.text.trim() || (word.text.includes("\n") ? "\u21b5" : "\u2423");
}

/** What a word is called where it does not stand in its row. */
function wordName(word) {
  return word.name ?? shownText(word);
}

/** Words: which one is asked about, and which chose the focused cube in this layer. */
function renderWords(parts, view) {
  for (const made of parts.words.querySelectorAll(".word")) {
    const position = Number(made.dataset.position);
    made.setAttribute("aria-pressed", String(view.held.word === position));
    const asked = { word: position, head: view.query.head };
    const used = view.focus === null ? 0 : view.data.share(asked, view.layer, view.focus);
    made.style.setProperty("--used", used.toFixed(3));
    made.classList.toggle("used", used > 0);
  }
}

/** The panel of the held cube, or else of the held word; rebuilt only when it would differ. */
function renderInspector(parts, view, on) {
  const { data, pinned, held, layer, query } = view;
  const shown = Boolean(data?.slices) && (pinned !== null || held.word !== undefined);
  const key = shown && JSON.stringify([pinned, held.word, layer, query.head, view.threshold, data.choices.version]);
  if (parts.inspector.key === key && parts.inspector.data === data) return;
  Object.assign(parts.inspector, { key, data, hidden: !shown });
  parts.inspector.replaceChildren(...(shown ? (pinned === null ? wordPanel(view, on) : cubePanel(view, on)) : []));
}

function cubePanel(view, on) {
  const { data, layer } = view, cube = data.cubes[view.pinned];
  const head = el("div", { className: "inspector-head" },
    el("h2", { textContent: `Cube ${cube.index}: ${cubePlace(data, cube)}` }), button("Let go", { onclick: on.release }));
  const users = usersOf(data, cube.index);
  if (!users.length) return [head, el("p", { textContent: "No word of the question or the answer chose it in any layer." })];
  const heads = ["Word", "Layers that used it", `Heads in layer ${layer}`, "Share"];
  const rows = users.map(({ word, layers, shares }) => [
    wordLink(data, word, on), spans(layers), headsText(data, word, layer, cube.index), percent(shares[layer]),
  ]);
  return [head, table(`Words that chose cube ${cube.index}`, heads, rows)];
}

/** The words that chose a cube in some layer, those that did most first. */
function usersOf(data, cube) {
  const users = data.words.map((_, word) => {
    const shares = Array.from({ length: data.layers }, (__, layer) => data.share({ word }, layer, cube));
    return { word, shares, layers: shares.flatMap((share, layer) => (share > 0 ? [layer] : [])) };
  });
  const total = ({ shares }) => shares.reduce((a, b) => a + b, 0);
  return users.filter(({ layers }) => layers.length).sort((a, b) => total(b) - total(a));
}

function wordLink(data, word, on) {
  const made = button(wordName(data.words[word]), { className: "link" });
  made.addEventListener("click", () => on.pick(word));
  return el("span", {}, made, ` ${data.words[word].kind}`);
}

function headsText(data, word, layer, cube) {
  const heads = data.choices.headsOf(word, layer, cube);
  if (heads === null) return "\u2026";
  return heads.length ? `${spans(heads)} (of ${data.scene.heads})` : "none";
}

/** The cubes that the held word chose in this layer, by time; a click goes there. */
function wordPanel(view, on) {
  const { data, layer } = view, word = data.words[view.held.word];
  const row = data.choices.row({ ...view.held, head: view.query.head }, layer);
  const kept = data.cubes.filter((cube) => isKept(row[cube.index], view.threshold));
  const runs = slabsOf(kept);
  const times = runs.slice(0, SHOWN_TIMES).map(({ cube, count }) => {
    const made = button(`${spanTime(data, data.firstSlice(cube), data.endSlice(cube) - 1)} \u00b7 ${count} cube${count > 1 ? "s" : ""}`, { className: "time" });
    made.setAttribute("aria-label", `Go to ${cubeSlices(data, cube)}, ${count} cubes`);
    made.addEventListener("click", () => on.goTo(data.firstSlice(cube)));
    return made;
  });
  const more = runs.length > SHOWN_TIMES ? [`and ${runs.length - SHOWN_TIMES} more`] : [];
  return [
    el("div", { className: "inspector-head" },
      el("h2", { textContent: `\u201c${wordName(word)}\u201d keeps ${kept.length} of ${data.cubes.length} cubes in layer ${layer}` }),
      button("Let go", { onclick: on.release })),
    el("div", { className: "times", role: "group", "aria-label": "Where its cubes lie in time" }, ...times, ...more),
  ];
}

/** The slabs of some cubes in time, with how many of the cubes each holds. */
function slabsOf(cubes) {
  const slabs = new Map();
  for (const cube of cubes) {
    const key = `${cube.video}/${cube.t0}`;
    slabs.set(key, { cube, count: (slabs.get(key)?.count ?? 0) + 1 });
  }
  return [...slabs.values()];
}

function table(caption, heads, rows) {
  const cells = (tag, values, scope) => values.map((value, i) =>
    el(i === 0 ? "th" : tag, i === 0 || scope === "col" ? { scope } : {}, value));
  const made = el("table", {}, el("caption", { className: "live", textContent: caption }),
    el("thead", {}, el("tr", {}, ...cells("th", heads, "col"))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...cells("td", row, "row")))));
  return el("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": caption }, made);
}

/** "0, 2-4" of [0, 2, 3, 4]. */
function spans(numbers) {
  const runs = [];
  for (const number of numbers) {
    if (runs.length && runs.at(-1)[1] === number - 1) runs.at(-1)[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(", ");
}
