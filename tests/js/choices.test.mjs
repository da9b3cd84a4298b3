import assert from "node:assert/strict";
import { test } from "node:test";
import { Choices, isKept } from "../../viz/static/choices.js";
import { packed, smallDetail, smallScene } from "./scenes.mjs";

const question = { kind: "question", head: null };
const rounded = (row) => [...row].map((share) => Math.round(share * 1000) / 1000);
const made = (scene = {}, ...details) => {
  const choices = new Choices(smallScene(scene), 4);
  details.forEach((detail) => choices.add(detail));
  return choices;
};

test("a cube is kept from the threshold upwards, and never by nobody", () => {
  assert.ok(isKept(0.5, 0.5) && isKept(0.499, 0.5) && !isKept(0.49, 0.5));
  assert.ok(!isKept(0, 0));
});

test("rows are the recorded shares", () => {
  const choices = made();
  assert.deepEqual(rounded(choices.row(question, 0)), [1, 0, 0, 0.502]);
  assert.deepEqual(rounded(choices.row({ word: 0, head: null }, 1)), [0.251, 0.251, 0.251, 0.251]);
  assert.deepEqual(rounded(choices.row({ kind: "video", head: null }, 0)), [0, 0, 0, 0]);
});

test("a head's row counts its own choices at the layer's own threshold", () => {
  const choices = made({}, smallDetail(0));
  assert.deepEqual(rounded(choices.row({ word: 0, head: 0 }, 0)), [1, 1, 0, 0]);
  assert.deepEqual(rounded(choices.row({ word: 0, head: 1 }, 0)), [0, 1, 0, 1]);
  assert.deepEqual(choices.headsOf(0, 0, 1), [0, 1]);
  assert.equal(choices.headsOf(0, 1, 1), null);
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

test("a kind's own table answers for a kind in a preview", () => {
  const table = packed([0, 0, 0, 0, 255, 0, 0, 0], 8, [1, 2, 4]);
  const choices = made({}, smallDetail(0, { kind_share: { kinds: ["question"], steps: [0.3, 0.9], table } }));
  choices.preview({ attn_top_p: 0.8 });
  assert.deepEqual(rounded(choices.row(question, 0)), [1, 0, 0, 0]);
});

test("a detail is needed for heads, previews and what the scene had no room for, and not twice", () => {
  assert.equal(made().needsDetail(question, 0), false);
  assert.equal(made().needsDetail({ word: 0, head: 1 }, 0), true);
  assert.equal(made({ word_kept: null }).needsDetail({ word: 0, head: null }, 0), true);
  assert.equal(made({ ffn_kept: null }).needsDetail({ kind: "video", head: null }, 0), true);
  const choices = made({}, smallDetail(0));
  choices.preview({ attn_top_p: 0.9 });
  assert.equal(choices.needsDetail(question, 0), false);
  assert.equal(choices.needsDetail(question, 1), true);
  assert.equal(choices.complete, false);
});

test("without a record or a detail the FFN's row is not known", () => {
  assert.equal(made({ ffn_kept: null }).ffnRow(0), null);
  assert.deepEqual([...made().ffnRow(1)], Array(32).fill(0).fill(1, 0, 8));
});
