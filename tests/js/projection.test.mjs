import assert from "node:assert/strict";
import { test } from "node:test";
import { Projection, REST, StackShape, inPolygon, quadOf } from "../../viz/static/projection.js";
import { SceneData } from "../../viz/static/scene.js";
import { smallScene } from "./scenes.mjs";

const data = new SceneData(smallScene());
const shape = new StackShape(data, data.videos[0], 2);
const area = { width: 400, height: 300, ratio: 1 };

test("the stack is as wide as the picture, one slab behind the other", () => {
  assert.deepEqual([shape.width, shape.height, shape.slabs], [1, 0.5, [0, 2]]);
  assert.deepEqual(shape.box(data.cubes[0]).slice(0, 2), [
    [-0.5, 0],
    [-0.25, 0.25],
  ]);
  assert.ok(shape.plane(0)[2][0] < shape.plane(2)[2][0]);
});

for (const angles of [REST, { yaw: 0, pitch: 0 }, { yaw: -2, pitch: 1.4 }]) {
  test(`everything lies inside the area, turned by ${angles.yaw} and ${angles.pitch}`, () => {
    const turned = new Projection(area, shape, angles);
    const points = data.cubes.flatMap((cube) => turned.faces(shape.box(cube)).flat());
    assert.ok(points.every(([x, y]) => x >= 17.9 && x <= 382.1 && y >= 17.9 && y <= 282.1));
  });
}

test("seen from the front, x runs right, y down, and the far slab comes first", () => {
  const turned = new Projection(area, shape, { yaw: 0, pitch: 0 });
  const [left, right] = [turned.point([-0.5, 0, 0]), turned.point([0.5, 0, 0])];
  assert.ok(left[0] < right[0] && Math.abs(left[1] - right[1]) < 1e-9);
  assert.ok(turned.point([0, 0.2, 0])[1] > turned.point([0, -0.2, 0])[1]);
  const slabs = [0, 2].map((t0) => ({ t0, box: shape.plane(t0) }));
  assert.deepEqual(
    turned.sorted(slabs).map(({ t0 }) => t0),
    [2, 0],
  );
});

test("a flat box has four corners in turn, and a point lies in it or not", () => {
  const corners = quadOf(
    [
      [0, 2],
      [0, 1],
      [5, 5],
    ],
    2,
  ).map(([x, y]) => [x, y]);
  assert.deepEqual(corners, [
    [0, 0],
    [2, 0],
    [2, 1],
    [0, 1],
  ]);
  assert.ok(inPolygon([1, 0.5], corners) && !inPolygon([3, 0.5], corners) && !inPolygon([1, 2], corners));
});
