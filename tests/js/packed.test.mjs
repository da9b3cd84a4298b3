import assert from "node:assert/strict";
import { test } from "node:test";
import { nearestStep, topPIn, unpack, unpackLevels } from "../../viz/static/packed.js";
import { packed } from "./scenes.mjs";

for (const bits of [1, 2, 4, 8, 16]) {
  test(`u${bits} is what was packed`, () => {
    const top = 2 ** bits - 1;
    const values = Array.from({ length: 19 }, (_, i) => (i * 2654435761) % (top + 1));
    const table = unpack(packed(values, bits, [19]));
    assert.deepEqual([...table.values], values);
    assert.equal(table.top, top);
    assert.deepEqual(table.shape, [19]);
  });
}

test("the first value lies in the highest bits", () => {
  assert.deepEqual([...unpack({ dtype: "u1", shape: [9], data: "gIA=" }).values], [1, 0, 0, 0, 0, 0, 0, 0, 1]);
  assert.deepEqual([...unpack({ dtype: "u16", shape: [1], data: "AQI=" }).values], [0x0201]);
});

test("levels keep their steps, and none stay none", () => {
  const levels = unpackLevels({ steps: [0.1, 0.9], table: packed([0, 1, 2], 4), kinds: ["question"] });
  assert.deepEqual([[...levels.values], levels.steps, levels.kinds], [[0, 1, 2], [0.1, 0.9], ["question"]]);
  assert.equal(unpackLevels(null), null);
});

test("a threshold is one for all layers, or one for each", () => {
  assert.equal(topPIn(1, [0.5, 0.7]), 0.7);
  assert.equal(topPIn(1, 0.5), 0.5);
  assert.equal(topPIn(1, undefined), undefined);
});

test("the nearest step is the first of two as near", () => {
  assert.equal(nearestStep([0, 0.5, 1], 0.6), 1);
  assert.equal(nearestStep([0, 1], 0.5), 0);
  assert.equal(nearestStep([0.2, 0.4], 9), 1);
});
