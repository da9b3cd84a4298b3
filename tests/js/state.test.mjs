import assert from "node:assert/strict";
import { test } from "node:test";
import { changeOf, nextCube, withoutWord } from "../../viz/static/picks.js";
import { SceneData } from "../../viz/static/scene.js";
import { robustTop } from "../../viz/static/ranges.js";
import { Sources } from "../../viz/static/sources.js";
import { firstView, fullView, isDrawn, laneShare, placeIn } from "../../viz/static/view.js";
import { following, zoomed } from "../../viz/static/zoom.js";
import { packed, smallDetail, smallScene } from "./scenes.mjs";

const data = new SceneData(smallScene());

test("before there is a scene nothing is drawn", () => {
  const view = fullView({ view: firstView(), data: null, other: null });
  assert.deepEqual([isDrawn(view), view.threshold, view.query.head], [false, 0.5, null]);
});

test("a hovered word is drawn, and what was chosen is still held", () => {
  const view = fullView({ view: { ...firstView(), hoveredWord: 0, head: 1 }, data, other: null });
  assert.deepEqual([view.query, view.held, view.kind], [{ word: 0, head: 1 }, { kind: "question" }, "question"]);
  const none = fullView({ view: { ...firstView(), head: 2 }, data, other: null });
  assert.equal(none.query.head, null);
});

test("difference without another run is spotlight", () => {
  assert.equal(fullView({ view: { ...firstView(), mode: "difference" }, data, other: null }).mode, "spotlight");
});

test("colours end where nearly all shares lie below, or at 100 %", () => {
  const view = fullView({ view: { ...firstView(), layer: 1 }, data, other: null });
  assert.deepEqual([view.top, view.laneTop], [0.26, 0.5]);
  assert.equal(laneShare(view, 0, 0), 0.5);
  const full = fullView({ view: { ...firstView(), layer: 1, full: true }, data, other: null });
  assert.deepEqual([full.top, full.laneTop], [1, 1]);
  assert.equal(robustTop([...Array(99).fill(0.1), 1, NaN, 0]), 0.1);
  assert.equal(robustTop([0, NaN]), 1);
});

test("lanes zoom around the slice that is looked at, and follow it", () => {
  assert.deepEqual(zoomed(null, 100, 40, 1), [15, 65]);
  assert.deepEqual(zoomed([0, 10], 100, 2, 1), [0, 8]);
  assert.deepEqual(zoomed([90, 100], 100, 99, -1), [80, 100]);
  assert.equal(zoomed([0, 60], 100, 5, -1), null);
  assert.equal(zoomed(null, 6, 2, 1), null);
  assert.deepEqual(following([10, 20], 100, 12), [10, 20]);
  assert.deepEqual(following([10, 20], 100, 50), [45, 55]);
  assert.equal(following([10, 20], 8, 3), null);
});

test("another scene keeps the place in the clip, and the word that it has too", () => {
  const view = { ...firstView(), layer: 9, slice: 2, query: { word: 0 }, pinned: 3 };
  const place = placeIn(view, data, data, 1);
  assert.deepEqual([place.layer, place.slice, place.query, place.pinned], [1, 2, { word: 0 }, null]);
  const words = [{ index: 5, text: "other", kind: "question", query: 0 }];
  assert.deepEqual(placeIn(view, new SceneData(smallScene({ words })), data, 1).query, { kind: "question" });
  const faster = new SceneData(smallScene({ frame_times: [0, 1, 2, 3].map((i) => [i / 4, i / 4 + 0.1]) }));
  assert.equal(placeIn({ ...view, slice: 1 }, faster, data, 0.6).slice, 2);
  const untimed = new SceneData(smallScene({ frame_times: Array(4).fill([null, null]) }));
  assert.equal(placeIn({ ...view, slice: 9 }, untimed, data, 1).slice, 3);
});

test("a selection names words by their index; letting one go leaves its kind", () => {
  assert.deepEqual(changeOf({ word: 5, cube: 2, layer: 1 }, firstView(), data), {
    layer: 1,
    pinned: 2,
    query: { word: 0 },
  });
  const held = { ...firstView(), query: { word: 0 } };
  assert.deepEqual(changeOf({ word: null }, held, data).query, { kind: "question" });
  assert.deepEqual(withoutWord({ kind: "answer" }, data), { kind: "answer" });
});

test("the next cube of a slice goes around", () => {
  const from = (pinned, step) => nextCube({ ...firstView(), slice: 2, pinned }, data, step);
  assert.deepEqual([from(null, 1), from(2, 1), from(3, 1), from(null, -1), from(2, -1)], [2, 3, 2, 3, 3]);
  assert.equal(nextCube(firstView(), null, 1), null);
});

test("details are asked for once, again where they failed, and for the pointer once it rests", async () => {
  const scene = new SceneData(smallScene());
  const asked = [];
  let arrived = 0;
  const sources = new Sources(() => (arrived += 1));
  sources.set("a", scene, async ({ name, of }) => {
    asked.push(name === "layer.json" ? of.layer : name);
    if (asked.length === 1) throw new Error("lost");
    return name === "layer.json" ? smallDetail(of.layer) : { of: 1, table: packed(Array(8).fill(1), 1, [2, 4]) };
  });
  const unhovered = { focus: null, hovered: null, hoveredWord: null };
  const view = { layer: 0, query: { word: 0, head: 1 }, difference: null, ...unhovered };
  sources.fetchFor({ ...view, hoveredWord: 0 });
  assert.deepEqual(asked, []);
  sources.fetchFor(view);
  sources.fetchFor(view);
  assert.deepEqual(asked, [0, 1, "query.json"]);
  await new Promise((go) => setTimeout(go));
  sources.fetchFor(view);
  await new Promise((go) => setTimeout(go));
  assert.deepEqual([asked, arrived], [[0, 1, "query.json", 0], 3]);
  assert.ok(scene.choices.knowsAll(view.query));
});
