import assert from "node:assert/strict";
import { test } from "node:test";
import { Difference } from "../../viz/static/difference.js";
import { SceneData } from "../../viz/static/scene.js";
import { sentenceOf } from "../../viz/static/sentence.js";
import { firstView, fullView, laneShare } from "../../viz/static/view.js";
import { packed, smallScene } from "./scenes.mjs";

const config = { cube: [2, 2, 2], attn_top_p: 1, ffn_top_p: 1 };
const sparse = { ...config, attn_top_p: 0.5 };
const compared = (a = sparse, b = config) =>
  new Difference(new SceneData(smallScene({ config: a })), new SceneData(smallScene({ config: b })), "A", "B");
const answer = {
  held: [0.75, null],
  tops: [0.2, 0],
  table: packed([255, 0, 64, 0, 0, 0, 0, 0], 8, [2, 4]),
  measured: true,
  least: false,
  words: 1,
  asked: 2,
};
const viewOf = (other, change = {}) =>
  fullView({ view: { ...firstView(), mode: "difference", compared: "dropped", ...change }, data: other.a, other });

test("what was dropped is shown against a run that keeps everything alone", () => {
  assert.ok(compared().dropped);
  assert.equal(compared(sparse, sparse).dropped, null);
  assert.equal(compared(config, config).dropped, null);
  assert.equal(compared(sparse, { ...config, attn_rule: "uniform" }).dropped, null);
  assert.equal(compared(sparse, { ...config, text_top_p: 0.5 }).dropped, null);
  assert.ok(compared(sparse, { ...config, attn_top_p: [1, 1] }).dropped);
  assert.equal(viewOf(compared(sparse, sparse)).mode, "difference");
});

test("a query is asked for once, and its shares are in cubes, slices and the sentence", () => {
  const other = compared();
  const { named } = viewOf(other);
  const [ask] = other.dropped.asks(named);
  assert.deepEqual(ask, { name: "dropped.json", of: { kind: "question" } });
  assert.match(sentenceOf(viewOf(other)), /not here yet/);
  other.dropped.take(ask, answer);
  assert.deepEqual(other.dropped.asks(named), []);
  const view = viewOf(other);
  assert.equal(view.mode, "dropped");
  assert.equal(view.known, true);
  const row = other.dropped.shares(named).rows[0];
  assert.ok(Math.abs(row[0] - 0.2) < 1e-6 && Math.abs(row[2] - (0.2 * 64) / 255) < 1e-6);
  assert.ok(Math.abs(laneShare(view, 0, 0) - 0.1) < 1e-6, "a cube of two slices gives each the half");
  assert.equal(laneShare(view, 1, 0), null);
  const told = sentenceOf(view);
  assert.ok(told.startsWith("For the question, layer 0 keeps 75 % of dense attention to the video (measured in"), told);
  assert.match(told, /; 1 of 2 words: .*\)\. Most of the rest lies on cube 0, .*: 20 %\.$/);
  assert.match(sentenceOf(viewOf(other, { layer: 1 })), /does not say/);
});

test("what the dense run does not say is not said", () => {
  const other = compared();
  const view = viewOf(other, { query: { kind: "answer" } });
  other.dropped.take({ of: view.named }, null);
  assert.match(sentenceOf(viewOf(other, { query: { kind: "answer" } })), /The dense run does not say/);
  assert.equal(viewOf(other, { query: { kind: "answer" } }).known, false);
});
