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
  const below = -coloraxis.colorbar.y * (height - 50 - 96 - 76);
  assert.ok(below > 45 && below < 60);
  assert.ok(height >= 380);
});

test("without an axis' title it lies right under the map, and on a wide page it stands beside it", () => {
  assert.equal(fitted(map(""), 320).coloraxis.colorbar.y, 0);
  const wide = fitted(map("Layer"), 1200);
  assert.equal(wide.coloraxis.colorbar.orientation, undefined);
  assert.equal(wide.height, 340);
});

test("long names along the axis stand in lines, of all lines that are drawn; numbers are left alone", () => {
  const lines = (/** @type {unknown[][]} */ xs) => {
    const { layout } = map("Length");
    return fitted({ data: xs.map((x) => ({ x })), layout: { ...layout, coloraxis: undefined } }, 1200).xaxis;
  };
  const { tickvals, ticktext } = lines([["16x224"], ["16x224", "384x112, longer than trained"]]);
  assert.deepEqual(tickvals, ["16x224", "384x112, longer than trained"]);
  assert.deepEqual(ticktext, ["16x224", "384x112,<br>longer than<br>trained"]);
  assert.deepEqual(lines([["unbelievably-long"]]).ticktext, ["unbelievably-long"]);
  assert.equal(lines([[0, 1, 2]]).tickvals, undefined);
});
