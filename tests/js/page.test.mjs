import assert from "node:assert/strict";
import { test } from "node:test";
import { fitted } from "../../app/static/fit.js";
import { emit, on } from "../../app/static/signals.js";

const layoutOf = (axes) => ({
  title: { text: "Kept cubes in every layer of the model", pad: { t: 0 } },
  margin: { t: 60, b: 40 },
  annotations: [],
  ...Object.fromEntries(axes.flatMap((end) => [`xaxis${end}`, `yaxis${end}`]).map((name) => [name, {}])),
});

test("a wide figure is left as it is", () => {
  const layout = layoutOf(["", "2"]);
  assert.deepEqual(fitted({ data: [], layout: structuredClone(layout) }, 900), layout);
});

test("on a narrow screen subplots lie under each other and the title breaks", () => {
  const layout = fitted({ data: [], layout: layoutOf(["", "2"]) }, 300);
  assert.deepEqual(
    [layout.xaxis.domain, layout.xaxis2.domain],
    [
      [0, 1],
      [0, 1],
    ],
  );
  assert.ok(layout.yaxis.domain[0] > layout.yaxis2.domain[1]);
  assert.equal(layout.title.text, "Kept cubes in every<br>layer of the model");
  assert.equal(layout.title.text.replaceAll("<br>", " "), layoutOf([]).title.text);
});

test("a signal reaches everyone who listens, in order", () => {
  const heard = [];
  on("theme", (dark) => heard.push(["first", dark]));
  on("theme", (dark) => heard.push(["second", dark]));
  emit("theme", true);
  emit("result", null);
  assert.deepEqual(heard, [
    ["first", true],
    ["second", true],
  ]);
});
