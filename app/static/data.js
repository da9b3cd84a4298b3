/* The Data tab: the table twin of each figure, in full as CSV. */
(() => {
  "use strict";
  const studio = window.AdaSparkStudio;
  const { make } = studio;
  const MOST_ROWS = 200;
  const data = { key: "", shown: "" };

  function mountData(body, names) {
    data.choice = make("select", { "aria-label": "Table", on: { change: () => show() } },
      ...names.map((name) => make("option", { value: name, text: titleOf(name) })));
    data.note = make("p", { class: "table-note", role: "status" });
    data.place = make("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Rows" });
    body.append(make("label", { class: "table-choice" }, "The numbers of ", data.choice), data.note, data.place);
    data.choice.value = "layer_density";
  }

  const titleOf = (name) => {
    const words = name.replaceAll("_", " ").replace("ffn", "FFN").replace("flops", "FLOPs and time");
    return words[0].toUpperCase() + words.slice(1);
  };

  /** The table of a result (null: none), of one layer where it is one layer's. */
  function showData(result, layer) {
    data.key = result ? result.key : "";
    data.layer = layer;
    if (data.key) show();
    else clear("");
  }

  async function show() {
    const name = data.choice.value, wanted = [data.key, name, data.layer].join();
    if (!data.key || wanted === data.shown) return;
    data.shown = wanted;
    try {
      const rows = await (await studio.fetched(data.key, "table.json", { name, layer: data.layer })).json();
      if (wanted === data.shown) fill(titleOf(name), rows);
    } catch (error) {
      clear(error.message);
    }
  }

  function clear(note) {
    data.shown = "";
    data.note.textContent = note;
    data.place.replaceChildren();
  }

  function fill(title, rows) {
    const columns = Object.keys(rows[0] || {});
    const more = rows.length > MOST_ROWS ? `The first ${MOST_ROWS} of ${rows.length} rows; Export has them all as CSV.` : "";
    data.note.textContent = rows.length ? more : "This run has no such numbers.";
    const head = make("tr", {}, ...columns.map((text) => make("th", { scope: "col", text })));
    const body = rows.slice(0, MOST_ROWS).map((row) => make("tr", {}, ...columns.map((column, i) =>
      i ? make("td", { text: shown(row[column]) }) : make("th", { scope: "row", text: shown(row[column]) }))));
    data.place.replaceChildren(make("table", {}, make("caption", { text: title }),
      make("thead", {}, head), make("tbody", {}, ...body)));
  }

  const shown = (value) => {
    if (value == null) return "";
    return typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(4))) : String(value);
  };

  /** The table that the Data tab shows. */
  const tableInView = () => ({ name: data.choice.value, layer: data.layer });

  Object.assign(studio, { mountData, showData, tableInView });
})();
