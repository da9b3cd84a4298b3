import assert from "node:assert/strict";
import { test } from "node:test";
import { brief } from "../../app/static/facts.js";

test("a narrow page says what a video costs, and what is said after that", () => {
  const clip = "1280 x 720, 9.6 s, H.264; shown to the model as";
  assert.equal(
    brief(`${clip} 38 frames of 280 x 168 = 1,140 visual tokens, about 2.5 s`),
    "38 frames = 1,140 visual tokens, about 2.5 s",
  );
  const late = "Its picture starts 1.0 s after its sound; times here count from it.";
  assert.equal(brief(`${clip} 1 frame of 28 x 28 = 1 visual tokens. ${late}`), `1 frame = 1 visual tokens. ${late}`);
  assert.equal(brief("Recorded run of a model, without its video"), "Recorded run of a model, without its video");
});
