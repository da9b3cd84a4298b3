/* The table of many runs: sorted by any column, searched, a page at a time; names lead to the offline reports. */

import { button, el, find, scrollBox } from "./dom.js";

/** @typedef {string | number | boolean | null} Cell */
/** @typedef {Record<string, Cell>} Row */

const PAGE = 100;
const HEADS = {
  thumbnail: "",
  video: "Video",
  question: "Question",
  setting: "Setting",
  answer: "Answer",
  expected: "Expected",
  correct: "Right",
  attention_density: "Attention density",
  ffn_density: "FFN density",
  flops_reduction: "FLOPs reduction",
  seconds_decode: "Decode, s",
  seconds_vision: "Vision, s",
  seconds_prefill: "Prefill, s",
  seconds_generate: "Words, s",
};
const TEXT = ["video", "question", "setting", "answer", "expected"];

/** @returns {Row[]} */
function readRows() {
  const { columns, rows } = JSON.parse(find(document, "#rows").textContent ?? "");
  return rows.map((/** @type {Cell[]} */ row) =>
    Object.fromEntries(row.map((value, index) => [columns[index], value])),
  );
}

/**
 * Unknown values come last in both directions.
 * @param {Cell} a
 * @param {Cell} b
 * @param {number} sign
 */
function compare(a, b, sign) {
  if (a == null || b == null) return Number(a == null) - Number(b == null);
  if (typeof a === "string") return sign * a.localeCompare(String(b), undefined, { numeric: true });
  return sign * (Number(a) - Number(b));
}

/** @param {Row} row */
function videoCell(row) {
  const video = String(row.video);
  const name = video.split(/[\\/]/).at(-1) ?? "";
  const shown = row.report ? el("a", { href: row.report, text: name }) : name;
  return el("th", { scope: "row", title: video }, shown);
}

/** @param {Row} row */
function thumbnailCell(row) {
  if (!row.thumbnail) return el("td");
  const picture = el("img", { src: row.thumbnail, alt: "", loading: "lazy" });
  return el("td", {}, row.report ? el("a", { href: row.report, tabindex: -1 }, picture) : picture);
}

/**
 * A row of the table; one that failed has its sentence instead of answer and figures.
 * @param {Row} row
 */
function line(row) {
  const names = Object.keys(HEADS);
  const told = row.error ? names.slice(0, names.indexOf("answer")) : names;
  const cells = told.map((name) => cell(row, name));
  if (row.error) cells.push(el("td", { class: "error", colspan: names.length - told.length, text: String(row.error) }));
  return el("tr", {}, ...cells);
}

/**
 * @param {Row} row
 * @param {string} name
 */
function cell(row, name) {
  if (name === "thumbnail") return thumbnailCell(row);
  if (name === "video") return videoCell(row);
  const value = row[name];
  if (value == null) return el("td", { text: "" });
  if (typeof value === "number") return el("td", { class: "number", text: value.toFixed(3) });
  if (typeof value === "boolean") return el("td", { text: value ? "yes" : "no" });
  return el("td", { text: String(value) });
}

class Answers {
  /** @param {HTMLElement} host */
  constructor(host) {
    this.all = readRows();
    this.by = "";
    this.sign = 1;
    this.page = 0;
    this.search = el("input", {
      type: "search",
      "aria-label": "Search",
      placeholder: "Search",
      on: { input: () => this.turn(0) },
    });
    this.before = button("Previous", { on: { click: () => this.turn(this.page - 1) } });
    this.next = button("Next", { on: { click: () => this.turn(this.page + 1) } });
    this.place = el("span", { role: "status" });
    this.heads = Object.entries(HEADS).map(([name, text]) => this.head(name, text));
    this.body = el("tbody");
    const table = el("table", {}, el("thead", {}, el("tr", {}, ...this.heads)), this.body);
    host.append(el("div", { class: "answers-bar" }, this.search, this.before, this.next, this.place));
    host.append(scrollBox("Answers", "scroll", table));
    this.turn(0);
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  head(name, text) {
    if (!text) return el("td", { "data-column": name });
    return el("th", { scope: "col", "data-column": name }, button(text, { on: { click: () => this.sort(name) } }));
  }

  /** @param {string} name */
  sort(name) {
    this.sign = this.by === name ? -this.sign : 1;
    this.by = name;
    for (const head of this.heads) {
      const direction = this.sign > 0 ? "ascending" : "descending";
      if (head.dataset.column === name) head.setAttribute("aria-sort", direction);
      else head.removeAttribute("aria-sort");
    }
    this.all.sort((a, b) => compare(a[name] ?? null, b[name] ?? null, this.sign));
    this.turn(0);
  }

  found() {
    const wanted = this.search.value.toLowerCase();
    if (!wanted) return this.all;
    return this.all.filter((row) =>
      TEXT.some((name) =>
        String(row[name] ?? "")
          .toLowerCase()
          .includes(wanted),
      ),
    );
  }

  /** @param {number} page */
  turn(page) {
    const found = this.found();
    const pages = Math.max(Math.ceil(found.length / PAGE), 1);
    this.page = Math.min(Math.max(page, 0), pages - 1);
    const shown = found.slice(this.page * PAGE, (this.page + 1) * PAGE);
    this.body.replaceChildren(...shown.map(line));
    this.before.disabled = this.page === 0;
    this.next.disabled = this.page === pages - 1;
    this.place.textContent = `${found.length.toLocaleString("en")} rows, page ${this.page + 1} of ${pages}`;
  }
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => {
  document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
};
dark.addEventListener("change", follow);
follow();

new Answers(find(document, "#answers"));
