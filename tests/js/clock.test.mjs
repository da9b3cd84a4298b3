import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Clock } from "../../viz/static/clock.js";

/** What a clock uses of a video. */
class FakeVideo extends EventTarget {
  videoWidth = 0;
  currentTime = 0;
  duration = NaN;
  paused = true;
  ended = false;
  seeking = false;
  src = "";

  getAttribute() {
    return this.src;
  }
  removeAttribute() {
    this.src = "";
  }
  load() {}
  pause() {
    this.paused = true;
  }
  async play() {
    this.paused = false;
  }
  requestVideoFrameCallback(present) {
    this.present = (mediaTime) => present(0, { mediaTime });
  }
  becomeReady(duration = 4) {
    Object.assign(this, { videoWidth: 64, duration });
    this.dispatchEvent(new Event("loadedmetadata"));
  }
}

let video, ticks, clock, steps, moved;

beforeEach(() => {
  video = new FakeVideo();
  ticks = [];
  steps = [];
  globalThis.requestAnimationFrame = (step) => steps.push(step);
  moved = new Map();
  clock = new Clock(
    video,
    (secs) => ticks.push(secs),
    (url) => moved.get(url) ?? url,
  );
});

test("without a video it is a plain clock that stops at its end", () => {
  clock.load(null, 0.02);
  clock.play();
  assert.ok(clock.playing);
  const until = performance.now() + 1000;
  while (steps.length && performance.now() < until) steps.shift()();
  assert.deepEqual([clock.playing, clock.time, ticks.at(-1)], [false, 0.02, 0.02]);
});

test("a seek is told at once and stays within the video", () => {
  clock.load(null, 3);
  clock.seek(9);
  assert.deepEqual([clock.time, ticks.at(-1)], [3, 3]);
  clock.seek(-1);
  assert.equal(clock.time, 0);
});

test("a place that was sought before the video was there is kept", () => {
  clock.load("a.mp4", 3);
  clock.seek(2);
  video.becomeReady();
  assert.equal(video.currentTime, 2);
  assert.deepEqual([clock.playable, clock.duration], [true, 4]);
});

test("a frame of an earlier seek that comes late does not move a paused video's place", () => {
  clock.load("a.mp4", 3);
  video.becomeReady();
  clock.seek(2);
  video.present(0.5);
  assert.equal(ticks.at(-1), 2);
});

test("a playing video's frames are told as they are presented", async () => {
  clock.load("a.mp4", 3);
  video.becomeReady();
  clock.play();
  video.present(1.25);
  assert.equal(ticks.at(-1), 1.25);
  assert.ok(clock.playing);
});

test("the same address is not loaded again, and a lost video leaves the plain clock", () => {
  clock.load("a.mp4", 3);
  video.becomeReady();
  clock.seek(1);
  clock.load("a.mp4", 5);
  assert.ok(clock.playable);
  video.dispatchEvent(new Event("error"));
  assert.deepEqual([clock.playable, clock.time, clock.duration], [false, 1, 5]);
});

test("a video that lies elsewhere now is loaded from there, at the same place", () => {
  clock.load("a.mp4", 3);
  video.becomeReady();
  clock.seek(2);
  moved.set("a.mp4", "copy.mp4");
  clock.reload();
  assert.deepEqual([video.src, ticks.at(-1)], ["copy.mp4", 2]);
  video.becomeReady();
  assert.equal(video.currentTime, 2);
});
