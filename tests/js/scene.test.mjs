import assert from "node:assert/strict";
import { test } from "node:test";
import { SceneData } from "../../viz/static/scene.js";
import { cubesOf, packed, smallScene } from "./scenes.mjs";

const question = { kind: "question", head: null };

test("cubes lie in the slices they cover", () => {
  const data = new SceneData(smallScene());
  assert.deepEqual(
    data.cubesFromSlice.map((cubes) => cubes.map((cube) => cube.index)),
    [
      [0, 1],
      [0, 1],
      [2, 3],
      [2, 3],
    ],
  );
  assert.deepEqual([data.firstSlice(data.cubes[2]), data.endSlice(data.cubes[2])], [2, 4]);
});

test("a second video goes on where the first one ends, in slices and in tokens", () => {
  const videos = [
    { grid: [2, 1, 2], first_slice: 0, url: null },
    { grid: [3, 2, 2], first_slice: 2, url: null },
  ];
  const cubes = [...cubesOf([2, 1, 2], [2, 1, 2], 0), ...cubesOf([3, 2, 2], [3, 2, 2], 1)];
  const data = new SceneData(smallScene({ videos, cubes: packed(cubes.flat(), 16, [2, 7]) }));
  assert.equal(data.slices, 5);
  assert.equal(data.videoOf(1), data.videos[0]);
  assert.equal(data.videoOf(2), data.videos[1]);
  assert.equal(data.token(2, 0, 0), 4);
  assert.equal(data.token(4, 1, 1), 15);
  assert.equal(data.firstSlice(data.cubes[1]), 2);
});

test("the usual threshold is the layer's mean, at most a half", () => {
  const data = new SceneData(smallScene());
  assert.ok(Math.abs(data.usualThreshold(question, 0) - (1 + 128 / 255) / 4) < 1e-6);
  const full = new SceneData(smallScene({ kept: packed(Array(8).fill(255), 8, [1, 2, 4]) }));
  assert.equal(full.usualThreshold(question, 0), 0.5);
});

test("shares of slices weigh cubes by their area, and tokens one by one", () => {
  const data = new SceneData(smallScene());
  const lanes = data.sliceShares(question);
  assert.equal(lanes[0], 0.5);
  assert.ok(Math.abs(lanes[4] - 64 / 255) < 1e-6 && data.largestIn(question, 1) === lanes[4]);
  assert.ok(Number.isNaN(data.sliceShares({ word: 0, head: 1 })[0]));
  assert.equal(data.ffnSliceShare(1, 0), 1);
  assert.equal(data.ffnSliceShare(1, 2), 0);
  assert.equal(data.ffnShare(1), 8 / 32);
  const importance = { top: 0.5, table: packed(Array(32).fill(0).fill(255, 31), 8, [32]) };
  data.choices.take({ name: "importance.json", of: { layer: 1 } }, importance);
  assert.deepEqual([...data.ffnCubePeaks(1)], [0, 0, 0, 1]);
  assert.equal(data.ffnCubePeaks(0), null);
});

test("the slice on screen is the last that has begun", () => {
  const data = new SceneData(smallScene());
  const at = (secs) => data.sliceAt(secs, data.videos[0]);
  assert.deepEqual([0, 0.4, 0.499, 0.5, 9].map(at), [0, 0, 1, 1, 3]);
  const unknown = new SceneData(smallScene({ frame_times: Array(4).fill([null, null]) }));
  assert.equal(unknown.sliceAt(9, unknown.videos[0]), 0);
  assert.equal(unknown.hasTimes(unknown.videos[0]), false);
});

test("a video lasts as long as its file says, or till its last frame", () => {
  const data = new SceneData(smallScene());
  assert.equal(data.durationOf(data.videos[0]), 1.75);
  const stated = new SceneData(smallScene({ clip: { duration_secs: 2.5 } }));
  assert.equal(stated.durationOf(stated.videos[0]), 2.5);
});
