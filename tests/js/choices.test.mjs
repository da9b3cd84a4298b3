import assert from "node:assert/strict";
import { test } from "node:test";
import { asksOf, asksOfCube } from "../../viz/static/asks.js";
import { Choices, isKept } from "../../viz/static/choices.js";
import { packed, smallDetail, smallScene, wholeScene } from "./scenes.mjs";

const question = { kind: "question", head: null };
const word = { word: 0, head: null };
const rounded = (row) => [...row].map((share) => Math.round(share * 1000) / 1000);
const made = (scene = {}, ...details) => {
  const choices = new Choices(smallScene(scene), 4);
  details.forEach((detail) => choices.take({ name: "layer.json", of: { layer: detail.layer } }, detail));
  return choices;
};
const table = (values, of, shape = [2, 4], bits = 8) => ({ of, table: packed(values, bits, shape) });

test("a cube is kept from the threshold upwards, and never by nobody", () => {
  assert.ok(isKept(0.5, 0.5) && isKept(0.499, 0.5) && !isKept(0.49, 0.5));
  assert.ok(!isKept(0, 0));
});

test("rows are the recorded shares", () => {
  const choices = made();
  assert.deepEqual(rounded(choices.row(question, 0)), [1, 0, 0, 0.502]);
  assert.deepEqual(rounded(choices.row({ kind: "video", head: null }, 0)), [0, 0, 0, 0]);
});

test("what has not come is not known, and is known layer by layer or for all at once", () => {
  const choices = made();
  assert.deepEqual([choices.knows(question, 0), choices.knows(word, 0), choices.knowsAll(word)], [true, false, false]);
  choices.take({ name: "layer.json", of: { layer: 0 } }, smallDetail(0));
  assert.deepEqual([choices.knows(word, 0), choices.knows(word, 1)], [true, false]);
  choices.take({ name: "query.json", of: { row: 5 } }, table([0, 0, 0, 0, 2, 1, 0, 0], 2));
  assert.ok(choices.knowsAll(word) && !choices.knowsAll({ word: 0, head: 1 }));
  assert.deepEqual(rounded(choices.row(word, 1)), [1, 0.5, 0, 0]);
});

test("a head's row counts its own choices at the layer's own threshold", () => {
  const choices = made({}, smallDetail(0));
  assert.deepEqual(rounded(choices.row({ word: 0, head: 0 }, 0)), [1, 1, 0, 0]);
  assert.deepEqual(rounded(choices.row({ word: 0, head: 1 }, 0)), [0, 1, 0, 1]);
  assert.deepEqual(choices.headsByLayer(0, 1), [[0, 1], null]);
});

test("a cube's own table says in every layer who kept it", () => {
  const choices = made();
  assert.deepEqual(choices.headsByLayer(0, 3), [null, null]);
  choices.take({ name: "cube.json", of: { cube: 3 } }, packed([0, 1, 0, 0], 1, [2, 1, 2]));
  assert.deepEqual(choices.headsByLayer(0, 3), [[1], []]);
  assert.deepEqual(choices.headsByLayer(0, 2), [null, null]);
});

test("a word of the answer is asked about by what produced it, or by itself once it was said", () => {
  const words = [{ index: 6, text: "red", kind: "answer", query: 0, said: 1 }];
  const kept = packed([0, 0, 0, 0], 8, [0, 2, 4]);
  const share = { of: 2, table: packed([2, 0, 0, 0, 0, 1, 0, 0], 2, [2, 4]) };
  const detail = smallDetail(0, { word_level: null, word_share: share });
  const choices = made({ words, queries: [5, 6], kept, kinds: [] }, detail);
  assert.deepEqual(rounded(choices.row(word, 0)), [1, 0, 0, 0]);
  assert.deepEqual(rounded(choices.row({ word: 0, said: true, head: null }, 0)), [0, 0.5, 0, 0]);
  const unknown = made({ words: [{ ...words[0], query: null }], queries: [6] }, smallDetail(0));
  assert.deepEqual([unknown.knows(word, 0), asksOf(unknown, word, 0).length], [false, 1]);
});

test("a preview re-thresholds and can be taken back", () => {
  const choices = made({}, smallDetail(0));
  const before = choices.version;
  choices.preview({ attn_top_p: 0.9, ffn_top_p: 0.3 });
  assert.ok(choices.version > before);
  assert.deepEqual(rounded(choices.row(question, 0)), [1, 1, 0, 0.5]);
  assert.deepEqual([...choices.ffnRow(0)], Array(32).fill(0));
  choices.preview({ attn_top_p: 0.9, ffn_top_p: 0.5 });
  assert.deepEqual([...choices.ffnRow(0)], Array(32).fill(1));
  choices.preview(null);
  assert.deepEqual(rounded(choices.row(question, 0)), [1, 0, 0, 0.502]);
});

test("what cannot be previewed stays as recorded and says so", () => {
  const choices = made({}, smallDetail(0, { word_level: null }));
  choices.preview({ attn_top_p: 0.3 });
  assert.deepEqual(rounded(choices.row(question, 0)), [1, 0, 0, 0.502]);
  assert.equal(choices.previews(question, 0), false);
  const of = { kind: "question", layer: 0 };
  choices.take({ name: "preview.json", of }, { steps: [0.3, 0.9], ...table([0, 4, 0, 0, 4, 4, 0, 0], 4) });
  assert.deepEqual([choices.previews(question, 0), choices.previews(question, 1)], [true, false]);
  assert.deepEqual(rounded(choices.row(question, 0)), [0, 1, 0, 0]);
  choices.take({ name: "preview.json", of }, null);
  assert.equal(choices.previews(question, 0), false);
});

test("what is needed is asked for: layers, the query, its preview, the cube; nothing of a whole scene", () => {
  const names = (choices, query = question, layer = 0) => asksOf(choices, query, layer).map(({ name }) => name);
  assert.deepEqual(names(made()), []);
  assert.deepEqual(asksOf(made(), { word: 0, head: 1 }, 0), [
    { name: "layer.json", of: { layer: 0 } },
    { name: "layer.json", of: { layer: 1 } },
    { name: "query.json", of: { row: 5, head: 1 } },
  ]);
  assert.deepEqual(names(made({ ffn_kept: null }), { kind: "video", head: null }), ["layer.json", "layer.json"]);
  assert.deepEqual(names(made({ kept: null }), { kind: "video", head: null }), ["query.json"]);
  const coarse = made({}, ...[0, 1].map((layer) => smallDetail(layer, { word_level: null })));
  coarse.preview({ attn_top_p: 0.9 });
  assert.deepEqual(asksOf(coarse, question, 1), [{ name: "preview.json", of: { kind: "question", layer: 1 } }]);
  assert.deepEqual(asksOfCube(made(), 2), [{ name: "cube.json", of: { cube: 2 } }]);
  const whole = new Choices(wholeScene(), 4);
  assert.deepEqual([...asksOf(whole, { word: 0, head: 1 }, 0), ...asksOfCube(whole, 2)], []);
});

test("without a record or a detail the FFN's row is not known", () => {
  assert.equal(made({ ffn_kept: null }).ffnRow(0), null);
  assert.deepEqual([...made().ffnRow(1)], Array(32).fill(0).fill(1, 0, 8));
});
