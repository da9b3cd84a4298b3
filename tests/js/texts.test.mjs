import assert from "node:assert/strict";
import { test } from "node:test";
import { Difference } from "../../viz/static/difference.js";
import { grouped, percent, range, spans } from "../../viz/static/format.js";
import * as notes from "../../viz/static/notes.js";
import { occurrences } from "../../viz/static/search.js";
import { SceneData } from "../../viz/static/scene.js";
import { sentenceOf } from "../../viz/static/sentence.js";
import * as texts from "../../viz/static/texts.js";
import { firstView, fullView } from "../../viz/static/view.js";
import { smallScene, wholeScene } from "./scenes.mjs";

const viewOf = (change = {}, scene = {}, other = null) => {
  const data = new SceneData(smallScene(scene));
  const compared = other && new Difference(data, new SceneData(smallScene(other)), "A", "B");
  return fullView({ view: { ...firstView(), ...change }, data, other: compared });
};

test("numbers are written one way", () => {
  assert.deepEqual([percent(0.246), grouped(12345), range(2, 5), range(2, 3)], ["25 %", "12,345", "2-4", "2"]);
  assert.equal(range(0, 2, " to "), "0 to 1");
  assert.equal(spans([0, 2, 3, 4, 7]), "0, 2-4, 7");
  assert.equal(spans([]), "");
});

test("facts name the slice, its frames and its time", () => {
  const clip = { width: 640, height: 360, shown_width: 112, shown_height: 56 };
  assert.equal(
    texts.factsOf(viewOf({ slice: 1 }, { clip })),
    "slice 1 = frames 2-3, 0.50-0.75 s; 640 x 360 shown to the model as 112 x 56",
  );
  assert.equal(texts.factsOf(viewOf({ slice: 1 }, { frame_times: [] })), "slice 1 = frames 2-3, time unknown");
});

test("a layer's facts count what is kept, say where else, and leave out what is not known", () => {
  assert.equal(texts.layerFactsOf(viewOf()), "Layer 0, 1 of 2 cubes kept; attention density 0.50, FFN density 1.00");
  assert.match(texts.layerFactsOf(viewOf({ threshold: 0.4, layer: 1 })), /0 of 2 cubes kept \(none in any slice\)/);
  const elsewhere = viewOf({ slice: 2, threshold: 0.9 });
  assert.match(texts.layerFactsOf(elsewhere), /0 of 2 cubes kept \(kept in slices 0-1\)/);
  assert.match(texts.layerFactsOf(viewOf({ mode: "ffn" })), /^Layer 0, 100 % of tokens through the FFN/);
});

test("a cube's facts say whose share it is", () => {
  assert.equal(
    texts.layerFactsOf(viewOf({ pinned: 3 })),
    "Cube 3 (slices 2-3, 1.00-1.75 s, rows 0-1, columns 2-3): 50 % of the question's words attend to it in layer 0",
  );
  assert.match(texts.layerFactsOf(viewOf({ pinned: 3, query: { word: 0 } })), /of the heads of the word “cube” attend/);
  assert.match(texts.layerFactsOf(viewOf({ pinned: 3, query: { word: 0 }, head: 1 })), /the word “cube” \(head 1\)/);
});

test("a difference is counted by side", () => {
  const view = viewOf({ mode: "difference" }, {}, { kept: smallScene().kept });
  assert.equal(texts.keptCount(view), ": 1 kept by both, 0 only by A, 0 only by B, 1 by neither");
  assert.equal(texts.laneTitle(view), "Where A and B differ, by cubes");
});

test("lanes say what they show, by number too", () => {
  assert.equal(texts.laneTitle(viewOf()), "Share of the question's words that keep a cube");
  assert.equal(texts.laneTip(viewOf(), { layer: 0, slice: 0 }), "Layer 0, slice 0: 50 %");
  assert.match(texts.laneLabel(viewOf({ mode: "ffn" })), /^Tokens .* FFN: layers 0 to 1 by slices 0 to 3\./);
});

test("a preview says what it is not", () => {
  const settings = { attn_top_p: 0.7, ffn_top_p: 0.5 };
  const note = (view) => notes.previewNote(view, settings);
  assert.match(note(viewOf()), /^As recorded: .* on their way\.$/);
  assert.match(note(viewOf({ query: { kind: "video" } })), /^As recorded: the scores of video tokens are not kept/);
  const previewed = (given) => {
    const view = viewOf({}, wholeScene());
    view.data.choices.preview(given);
    return notes.previewNote({ ...view, previewed: true }, given);
  };
  assert.match(previewed(settings), /Shown at the nearest recorded step, 0\.5\.$/);
  assert.match(previewed({ attn_top_p: 0.9 }), /see other inputs\.$/);
});

test("a word without letters is shown by a sign", () => {
  const shown = ["  cube ", "\n", "  "].map((text) => texts.shownText({ index: 0, kind: "question", text }));
  assert.deepEqual(shown, ["cube", "↵", "␣"]);
  assert.equal(texts.wordName({ index: 0, kind: "question", text: "·", name: "é (part 2 of 2)" }), "é (part 2 of 2)");
});

test("one sentence says what is seen", () => {
  assert.equal(
    sentenceOf(viewOf()),
    "For the question, layer 0 keeps 2 of 4 cubes by 38 % of words and heads or more, at 0.00-1.75 s.",
  );
  assert.equal(sentenceOf(viewOf({ query: { word: 0 } })), "What layer 0 keeps is not here yet.");
  const words = [{ index: 6, text: "red", kind: "answer", query: 0, said: 0 }];
  const opening = { word: 6, layer: 0, slice: 0, threshold: 1, cubes: 1, mass: 0.634 };
  const scene = { ...wholeScene(), words, opening };
  assert.equal(
    sentenceOf(viewOf({ query: { word: 0 }, threshold: 1 }, scene)),
    "To say “red”, layer 0 keeps 1 of 4 cubes by 100 % of its heads or more, at 0.00-0.75 s: 63 % of its attention.",
  );
  assert.match(sentenceOf(viewOf({ query: { word: 0 }, said: true }, scene)), /^After it said “red”, layer 0/);
  assert.match(
    sentenceOf(viewOf({ query: { word: 0 }, head: 0 }, scene)),
    /^To say “red”, head 0 of layer 0 keeps \d of 4 cubes, at [^%]*\.$/,
  );
});

test("words are found by their joined text, kinds apart", () => {
  const words = ["Which", " jack", "et", " is", " on", " jacket"].map((text, i) => ({
    text,
    kind: i < 5 ? "question" : "answer",
  }));
  assert.deepEqual(occurrences(words, "Jacket"), [[1, 2], [5]]);
  assert.deepEqual(occurrences(words, "is on"), [[3, 4]]);
  assert.deepEqual([...occurrences(words, " "), ...occurrences(words, "onjack")], []);
});

test("of words that read everything it says what is lit", () => {
  const readsAll = (query, change = {}) => viewOf({ query, ...change }, { drawn_top_p: [0.6, 0.7] });
  const question = readsAll({ kind: "question" });
  assert.match(notes.lensNote(question), /^These words read every cube .* hold 60 % of their attention/);
  assert.match(notes.lensNote(readsAll({ kind: "question" }, { layer: 1 })), /hold 70 % of their attention/);
  assert.match(sentenceOf(question), /layer 0 has 60 % of its attention in \d of 4 cubes by/);
  for (const other of [viewOf(), readsAll({ kind: "video" }), readsAll({ kind: "question" }, { mode: "ffn" })]) {
    assert.equal(notes.lensNote(other), "");
  }
});

test("a preview in which words read everything is drawn by the video's share, others by their own", () => {
  const { data } = viewOf({}, wholeScene());
  const query = { kind: "question" };
  const at = (settings) => {
    data.choices.preview(settings);
    return [notes.standsFor({ data, query, layer: 0 }), Array.from(data.choices.row(query, 0))];
  };
  const [half, one] = [at({ attn_top_p: 0.5, text_top_p: 1 }), at({ attn_top_p: 0.5, text_top_p: 0.5 })];
  assert.equal(half[0], 0.5);
  assert.equal(one[0], null);
  assert.deepEqual(half[1], one[1]);
  assert.equal(at({ attn_top_p: 1, text_top_p: 1 })[0], null);
  assert.equal(at({ attn_top_p: 0.5, text_top_p: 0.9 })[0], null);
  assert.equal(at(null)[0], null);
});
