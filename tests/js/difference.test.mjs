import assert from "node:assert/strict";
import { test } from "node:test";
import { Difference, sideOf } from "../../viz/static/difference.js";
import { SceneData } from "../../viz/static/scene.js";
import { cubesOf, packed, smallScene } from "./scenes.mjs";

const asked = { compared: "cubes", query: { kind: "question", head: null }, fixed: null };
const compared = (changes) => new Difference(new SceneData(smallScene()), new SceneData(smallScene(changes)), "A", "B");

test("of one thing both runs do the same or one of them alone does", () => {
  assert.deepEqual(
    [
      [true, true],
      [true, false],
      [false, true],
      [false, false],
    ].map(([a, b]) => sideOf({ a, b })),
    ["both", "a", "b", "none"],
  );
});

test("runs with the same cubes are compared cube by cube", () => {
  const difference = compared({ kept: packed([0, 255, 0, 255, 0, 0, 0, 0], 8, [1, 2, 4]) });
  assert.deepEqual(difference.counts(asked, 0, 0), { both: 0, a: 1, b: 1, none: 0 });
  assert.deepEqual(difference.counts(asked, 0, 2), { both: 1, a: 0, b: 0, none: 1 });
  assert.equal(difference.share(asked, 0, 0), 1);
  assert.equal(difference.sideOfCube(asked, 0, difference.a.cubes[1]), "b");
});

test("runs with other cubes are compared token by token", () => {
  const cubes = packed(cubesOf([4, 2, 4], [4, 2, 2]).flat(), 16, [2, 7]);
  const difference = compared({ cubes, kept: packed([255, 0, 0, 0], 8, [1, 2, 2]) });
  assert.equal(difference.sameCubes, false);
  assert.equal(difference.regions(asked, 0, 0).length, 8);
  assert.deepEqual(difference.counts(asked, 0, 0), { both: 4, a: 0, b: 0, none: 4 });
});

test("FFN tokens are compared one by one; what was pruned passes through nothing", () => {
  const difference = compared({ ffn_kept: packed(Array(64).fill(0), 1, [2, 32]) });
  assert.deepEqual(difference.counts({ ...asked, compared: "ffn" }, 0, 0), { both: 0, a: 8, b: 0, none: 0 });
  const left = packed(Array(32).fill(0).fill(1, 0, 2), 1);
  const pruned = compared({ pruned: { grid: [4, 2, 4], kept: left } });
  assert.deepEqual(pruned.counts({ ...asked, compared: "ffn" }, 0, 0), { both: 2, a: 6, b: 0, none: 0 });
});

test("other layers or grids cannot be compared", () => {
  assert.equal(compared({}).comparable, true);
  assert.equal(compared({ layers: 1 }).comparable, false);
  assert.equal(compared({ videos: [{ grid: [4, 4, 2], first_slice: 0, url: null }] }).comparable, false);
});

test("a word that B does not have is asked about by its kind, and so is a head", () => {
  const words = [{ index: 0, text: "other", kind: "question" }];
  assert.deepEqual(compared({ words }).queryOfB({ word: 0, head: 1 }), { kind: "question", head: 1 });
  assert.deepEqual(compared({ heads: 1 }).queryOfB({ word: 0, head: 1 }), { word: 0, head: null });
});
