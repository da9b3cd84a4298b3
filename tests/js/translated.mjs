/* What stays of texts and figures once the page shows them in Chinese: JSON in, JSON out. */

import { readFileSync } from "node:fs";
import { CHINESE } from "../../app/static/chinese.js";
import { inOtherWords } from "../../app/static/figure_language.js";
import { translator } from "../../app/static/translate.js";

const translate = translator(CHINESE);
const { texts, figures } = JSON.parse(readFileSync(0, "utf8"));
const shown = figures.map((figure) => textsOf(inOtherWords(figure, translate)));
process.stdout.write(JSON.stringify({ texts: texts.map(translate), figures: shown.flat() }));

function textsOf({ data, layout }) {
  const axes = Object.keys(layout).filter((name) => /axis/.test(name));
  const titles = [layout, ...axes.map((name) => layout[name]), layout.coloraxis?.colorbar].map((part) => part?.title);
  const said = data.flatMap(({ name, hovertemplate = "", x, y }) => [
    name,
    hovertemplate.replaceAll(/%\{[^}]*\}|<[^>]*>/g, " "),
    ...[x, y].flatMap((values) => (Array.isArray(values) ? values : [])),
  ]);
  const annotations = (layout.annotations ?? []).map(({ text }) => text);
  return [...titles.map((title) => title?.text), ...annotations, ...said].filter((text) => typeof text === "string");
}
