/* The tab of the paper: its figures as questions, what was measured here beside each, where both can be read. */

import { el, scrollBox, table } from "../../viz/static/dom.js";
import { drawPlot, loadPlotly } from "./plots.js";
import { answeredJson } from "./server.js";
import { on } from "./signals.js";
import { messageOf } from "./status.js";
import { isDark } from "./theme.js";

/** A question as app/web/measured.py tells it.
    @typedef {{ figure: number, question: string, paper: string, how?: string }} Question */
/** @typedef {Record<string, unknown>} Row */

const ARXIV = "https://arxiv.org/abs/2604.08077";
const BIBTEX = `@inproceedings{adaspark2026,
  title     = {AdaSpark: Adaptive Sparsity for Efficient Long-Video Understanding},
  booktitle = {CVPR},
  year      = {2026},
  note      = {arXiv:2604.08077; authors as listed there}
}`;
const OURS = "Measured with the small bundled model on synthetic video: the shape can be compared, not the number.";

let loaded = false;
/** @type {(() => Promise<void>)[]} */
const drawings = [];

/**
 * @param {HTMLElement} body
 * @param {string} plotlyUrl
 * @param {string} code where the code of this page lies; empty: with whoever runs it
 */
export function mountPaper(body, plotlyUrl, code) {
  on("tab", async (name) => {
    if (name !== "Paper and results" || loaded) return;
    loaded = true;
    try {
      await fill(body, plotlyUrl, code);
    } catch (error) {
      loaded = false;
      body.replaceChildren(el("p", { class: "paper-about", text: messageOf(error) }));
    }
  });
  const redraw = () => drawings.forEach((draw) => draw());
  on("theme", redraw);
  on("language", redraw);
}

/**
 * @param {HTMLElement} body
 * @param {string} plotlyUrl
 * @param {string} code
 */
async function fill(body, plotlyUrl, code) {
  const { questions, fidelity } = await answeredJson("studio/measured/questions.json");
  const link = (/** @type {string} */ href, /** @type {string} */ text) =>
    el("a", { href, text, target: "_blank", rel: "noopener" });
  const links = [link(ARXIV, "Paper (arXiv 2604.08077, CVPR 2026)"), link("studio/model-card.md", "Model card")];
  if (code) links.push(link(code, "Code"));
  const cite = el("details", {}, el("summary", { text: "BibTeX" }), el("pre", { text: BIBTEX }));
  const asked = Object.entries(questions).map(([name, question]) => questionPart(name, question, plotlyUrl));
  const about = el("p", { class: "paper-about", text: OURS });
  body.replaceChildren(
    el("p", { class: "paper-links" }, ...spaced(links)),
    cite,
    about,
    ...asked,
    ...faithful(fidelity),
  );
  await Promise.all(drawings.map((draw) => draw()));
}

/** @param {Node[]} nodes */
function spaced(nodes) {
  return nodes.flatMap((node, i) => (i ? [" · ", node] : [node]));
}

/**
 * @param {string} name
 * @param {Question} question
 * @param {string} plotlyUrl
 */
function questionPart(name, { figure, question, paper, how }, plotlyUrl) {
  const plot = el("div", { class: "plot paper-plot", "data-measured": name });
  const said = el("p", { class: "paper-said", role: "status" });
  const size = el("select", { "aria-label": `Clips, ${question}`, on: { change: () => draw() } });
  const rows = el("details", {}, el("summary", { text: "Numbers" }));
  const draw = async () => {
    const asked = new URLSearchParams({ theme: isDark() ? "dark" : "light", clips: size.value });
    const answer = await answeredJson(`studio/measured/${name}.json?${asked}`);
    if (!size.options.length) {
      size.append(
        ...answer.sizes.map((/** @type {string} */ value) => el("option", { value, text: `clips ${value}` })),
      );
      size.hidden = answer.sizes.length < 2;
    }
    said.textContent = answer.sentence;
    rows.replaceChildren(rows.children[0], rowsTable(question, answer.rows));
    await drawPlot(await loadPlotly(plotlyUrl), plot, name, answer.figure);
    plot.setAttribute("aria-label", question);
  };
  if (how) drawings.push(draw);
  const heads = [
    el("h3", { text: question }),
    el("p", {}, el("b", { text: `Figure ${figure} of the paper. ` }), paper),
    el("p", {}, el("b", { text: "Here. " }), said),
    el("p", { class: "paper-how" }, how ? el("code", { text: how }) : "Not part of this installation."),
    size,
    rows,
  ];
  return el("section", { class: "paper-question", "aria-label": question }, el("div", {}, ...heads), plot);
}

/** @param {{ rows: string[][], measured: Row[] }} fidelity */
function faithful({ rows, measured }) {
  const parts = [el("h3", { text: "Fidelity: what the paper says, and what was decided where it is silent" })];
  if (rows.length) {
    const caption = el("caption", { text: "As far as the paper is public" });
    const made = table(caption, ["", "Paper", "Here"], rows);
    made.tBodies[0].lang = "en"; // the README's own words
    parts.push(scrollBox("Fidelity", "table-scroll fidelity", made));
  }
  if (measured.length) parts.push(rowsTable("Answers: how far from dense, mean with its 95 % interval", measured));
  return parts;
}

/**
 * @param {string} title
 * @param {Row[]} rows
 */
function rowsTable(title, rows) {
  const columns = Object.keys(rows[0] ?? {});
  const cells = rows.map((row) => columns.map((column) => shown(row[column])));
  return scrollBox(title, "table-scroll", table(el("caption", { text: title }), columns, cells));
}

/** @param {unknown} value a number, or one with its interval @returns {string} */
function shown(value) {
  if (value == null) return "";
  if (Array.isArray(value)) return `${shown(value[0])} (${shown(value[1])} to ${shown(value[2])})`;
  return typeof value === "number" ? String(Number(value.toPrecision(3))) : String(value);
}
