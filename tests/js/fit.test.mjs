import assert from "node:assert/strict";
import { test } from "node:test";

import { fitted } from "../../app/static/fit.js";

/** @param {string} title of the axis across */
const map = (title) => ({
  data: [{ z: [[0]] }],
  layout: {
    height: 340,
    margin: { t: 48, b: 48 },
    title: { text: "Cubes", pad: { t: 0 } },
    xaxis: { title: { text: title } },
    yaxis: {},
    coloraxis: { colorbar: { title: { text: "Cubes" } } },
  },
});

test("on a narrow page the colour bar lies under the axis with its title, and the map stays as high", () => {
  const { height, coloraxis } = fitted(map("Layer"), 320);
  assert.equal(coloraxis.colorbar.orientation, "h");
  assert.ok(coloraxis.colorbar.y * (height - 96) < -40);
  assert.ok(height >= 380);
});

test("without an axis' title it lies right under the map, and on a wide page it stands beside it", () => {
  assert.equal(fitted(map(""), 320).coloraxis.colorbar.y, 0);
  const wide = fitted(map("Layer"), 1200);
  assert.equal(wide.coloraxis.colorbar.orientation, undefined);
  assert.equal(wide.height, 340);
});
