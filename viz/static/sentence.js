/* One sentence under the player that says what is seen. Pure functions of the view. No DOM. */

import { isKept } from "./choices.js";
import { percent } from "./format.js";
import { rowOf } from "./view.js";
import { standsFor } from "./notes.js";
import { MISSING, cubeSlices, isOneChoice, spanTime, unit, wordName } from "./texts.js";

/** @import { Dropped } from "./dropped.js" */
/** @import { Cube } from "./types.js" */
/** @import { SceneData } from "./scene.js" */
/** @import { DrawnView } from "./view.js" */

/**
 * One sentence that says what is seen: whose choices, how much of the clip they keep in this layer, and when.
 * @param {DrawnView} view
 */
export function sentenceOf(view) {
  const { data, layer, mode, threshold } = view;
  if (view.difference) return "";
  if (view.dropped) return droppedSentence(view, view.dropped);
  if (!view.known) return `What layer ${layer} keeps is ${MISSING}.`;
  if (mode === "ffn") {
    return `In layer ${layer}, ${percent(data.ffnShare(layer))} of all video tokens pass through the FFN.`;
  }
  const row = rowOf(view);
  const kept = data.cubes.filter((cube) => isKept(row[cube.index], threshold));
  const which = isOneChoice(view.query) ? `head ${view.query.head} of layer ${layer}` : `layer ${layer}`;
  const share = standsFor(view);
  const counted = `${kept.length} of ${data.cubes.length} cubes`;
  const does = share === null ? "keeps" : `has ${percent(share)} of its attention in`;
  const found = `${which} ${does} ${counted}`;
  if (isOneChoice(view.query)) return `${subject(view)}, ${found}${whenOf(data, kept)}.${sinkText(view)}`;
  const by = `by ${percent(Math.max(threshold, 0.01))} of ${crowd(view)} or more`;
  return `${subject(view)}, ${found} ${by}${whenOf(data, kept)}${held(view)}.${sinkText(view)}`;
}

/**
 * How much of dense attention the kept cubes hold, and where most of the rest lies.
 * @param {DrawnView} view
 * @param {Dropped} dropped
 */
function droppedSentence(view, dropped) {
  const { data, layer, named } = view;
  const shares = dropped.shares(named);
  if (shares === undefined && named) return `What layer ${layer} dropped of dense attention is ${MISSING}.`;
  const kept = shares?.held[layer];
  if (!shares || kept == null) {
    return `The dense run does not say what ${unit(view)} attend to: choose the question, the answer or a word.`;
  }
  const row = shares.rows[layer];
  const most = row.indexOf(Math.max(...row));
  const where = ` Most of the rest lies on cube ${most}, ${cubeSlices(data, data.cubes[most])}: ${percent(row[most])}.`;
  const how = shares.measured ? "measured in the dense run" : "estimated by the dense run\u2019s mean keys";
  const least = shares.least ? "at least " : "";
  const some = `; ${shares.words} of ${shares.asked} words: then the dense answer differs`;
  const fewer = shares.words < shares.asked ? some : "";
  const head = view.query.head == null ? "" : `head ${view.query.head} of `;
  const found = `${head}layer ${layer} keeps ${least}${percent(kept)} of dense attention to the video`;
  return `${subject(view)}, ${found} (${how}${fewer}).${row[most] > 0 ? where : ""}`;
}

const MOST_NAMED = 4;

/**
 * The layer's cubes that nearly every query keeps, whatever it asks.
 * @param {DrawnView} view
 */
function sinkText({ data, layer, apart }) {
  const sinks = data.sinksOf(layer);
  if (!sinks.length) return "";
  const named = sinks.slice(0, MOST_NAMED).join(", ") + (sinks.length > MOST_NAMED ? ", \u2026" : "");
  const cubes = `${sinks.length} cube${sinks.length > 1 ? "s" : ""} (${named})`;
  return ` Nearly every query keeps ${cubes}, whatever it asks${apart ? ": set apart" : ""}.`;
}

const SUBJECTS = {
  video: "For the video\u2019s own tokens",
  question: "For the question",
  answer: "To give the answer",
};

/** @param {DrawnView} view */
function subject({ query, data }) {
  const { kind = "question", word, cube, said } = query;
  if (cube !== undefined) return `For the tokens of cube ${cube} themselves`;
  if (word === undefined) return SUBJECTS[kind];
  const name = `\u201c${wordName(data.words[word])}\u201d`;
  if (data.words[word].kind !== "answer") return `For the word ${name}`;
  return said ? `After it said ${name}` : `To say ${name}`;
}

/** @param {DrawnView} view */
function crowd({ query }) {
  if (query.kind === "video" || query.cube !== undefined) return "them";
  if (query.head != null) return `head ${query.head} over the words`;
  return query.word === undefined ? "words and heads" : "its heads";
}

const MOST_SPANS = 3;

/**
 * When some cubes are on screen; empty where that is most of the clip, or not known.
 * @param {SceneData} data
 * @param {Cube[]} cubes
 */
function whenOf(data, cubes) {
  const spans = cubes.map((cube) => [data.firstSlice(cube), data.endSlice(cube)]).sort(([a], [b]) => a - b);
  /** @type {number[][]} */
  const runs = [];
  for (const [first, end] of spans) {
    const last = runs.at(-1);
    if (last && last[1] >= first) last[1] = Math.max(last[1], end);
    else runs.push([first, end]);
  }
  const times = runs.map(([first, end]) => spanTime(data, first, end - 1));
  if (!times.length || times.length > MOST_SPANS || times.includes("")) return "";
  return `, at ${times.join(" and ")}`;
}

/**
 * How much attention the lit cubes hold, where the run says so: at its opening.
 * @param {DrawnView} view
 */
function held(view) {
  const { data, layer, query, threshold } = view;
  const { opening } = data.scene;
  const same = opening && layer === opening.layer && threshold === opening.threshold && query.head == null;
  if (!same || standsFor(view) !== null) return "";
  if (query.said || query.word === undefined || data.words[query.word].index !== opening.word) return "";
  return data.choices.settings ? "" : `: ${percent(opening.mass)} of its attention`;
}
