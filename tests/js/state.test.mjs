import assert from "node:assert/strict";
import { test } from "node:test";
import { changeOf, nextCube, withoutWord } from "../../viz/static/picks.js";
import { SceneData } from "../../viz/static/scene.js";
import { sharpest } from "../../viz/static/sharpest.js";
import { Sources } from "../../viz/static/sources.js";
import { firstView, fullView, isDrawn, laneShare, placeIn } from "../../viz/static/view.js";
import { smallDetail, smallScene } from "./scenes.mjs";

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

test("stretched lanes and a rescaled heat go by the largest share", () => {
  const view = fullView({ view: { ...firstView(), layer: 1, stretched: true, rescaled: true }, data, other: null });
  assert.ok(Math.abs(view.top - 64 / 255) < 1e-6 && view.laneTop === 1);
  assert.equal(laneShare(view, 0, 0), 0.5);
});

test("another scene keeps the place as far as it has one", () => {
  const place = placeIn({ ...firstView(), layer: 9, slice: 9, query: { word: 0 }, pinned: 3 }, data);
  assert.deepEqual([place.layer, place.slice, place.query, place.pinned], [1, 3, { kind: "question" }, null]);
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

test("the sharpest place is where the question's cubes differ most", () => {
  const kept_by_kind = { question: [0, 1].map((layer) => [...data.choices.row({ kind: "question" }, layer)]) };
  assert.deepEqual(sharpest({ kept_by_kind, cubes: data.cubes }), { layer: 0, slice: 1, threshold: 0.75 });
  assert.deepEqual(sharpest({ kept_by_kind: {}, cubes: [] }), { layer: 0, slice: 0, threshold: null });
});

test("details are asked for once, with the layers beside, and again where they failed", async () => {
  const scene = new SceneData(smallScene());
  const asked = [];
  let arrived = 0;
  const sources = new Sources(() => (arrived += 1));
  sources.set("a", scene, async (layer) => {
    asked.push(layer);
    if (asked.length === 1) throw new Error("lost");
    return smallDetail(layer);
  });
  const view = { layer: 0, query: { word: 0, head: 1 } };
  sources.fetchFor(view);
  sources.fetchFor(view);
  assert.deepEqual(asked, [0, 1]);
  await new Promise((go) => setTimeout(go));
  sources.fetchFor(view);
  await new Promise((go) => setTimeout(go));
  assert.deepEqual([asked, arrived, scene.choices.complete], [[0, 1, 0], 2, true]);
});
