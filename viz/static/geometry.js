/* Where the cubes, slices and tokens of a scene lie in picture and time. No DOM. */

import { unpack } from "./packed.js";

/** @import { Cube, Scene, SceneVideo } from "./types.js" */
/** @typedef {SceneVideo & { first_token: number }} Video */

export class Geometry {
  /** @param {Scene} scene */
  constructor(scene) {
    this.scene = scene;
    this.times = scene.frame_times;
    this.videos = numbered(scene.videos);
    this.slices = this.videos.reduce((sum, video) => sum + video.grid[0], 0);
    this.cubes = cubesOf(scene);
    this.cubesFromSlice = this.#cubesFromSlice();
  }

  #cubesFromSlice() {
    /** @type {Cube[][]} */
    const lists = Array.from({ length: this.slices }, () => []);
    for (const cube of this.cubes) {
      for (let t = this.firstSlice(cube); t < this.endSlice(cube); t++) lists[t].push(cube);
    }
    return lists;
  }

  /** @param {Cube} cube */
  firstSlice(cube) {
    return this.videos[cube.video].first_slice + cube.t0;
  }

  /** @param {Cube} cube */
  endSlice(cube) {
    return this.videos[cube.video].first_slice + cube.t1;
  }

  /**
   * The video that a slice belongs to; undefined in a trace without video.
   * @param {number} slice
   */
  videoOf(slice) {
    return this.videos.findLast((video) => video.first_slice <= slice);
  }

  /**
   * The video that a slice of this scene belongs to.
   * @param {number} slice
   * @returns {Video}
   */
  #videoOf(slice) {
    const video = this.videoOf(slice);
    if (!video) throw new RangeError(`This run has no slice ${slice}.`);
    return video;
  }

  /**
   * [slices, rows, columns] of the video that a slice of this scene belongs to.
   * @param {number} slice
   */
  gridOf(slice) {
    return this.#videoOf(slice).grid;
  }

  /**
   * Index in the FFN tables of a token of a slice.
   * @param {number} slice
   * @param {number} row
   * @param {number} column
   */
  token(slice, row, column) {
    const { grid, first_slice, first_token } = this.#videoOf(slice);
    return first_token + ((slice - first_slice) * grid[1] + row) * grid[2] + column;
  }

  /**
   * The tokens of a cube, slice by slice and row by row.
   * @param {Cube} cube
   */
  tokensOf(cube) {
    const tokens = [];
    for (let slice = this.firstSlice(cube); slice < this.endSlice(cube); slice++) {
      for (let row = cube.r0; row < cube.r1; row++) {
        for (let column = cube.c0; column < cube.c1; column++) tokens.push(this.token(slice, row, column));
      }
    }
    return tokens;
  }

  /**
   * The slice on screen: the last of a video whose first frame has been presented.
   * @param {number} timeSecs
   * @param {Video} video
   */
  sliceAt(timeSecs, video) {
    const end = video.first_slice + video.grid[0];
    let found = video.first_slice;
    for (let s = video.first_slice; s < end; s++) {
      const start = this.startOf(s);
      // A container may round presentation times to its own clock; no frame is as short as 2 ms.
      if (start !== null && start <= timeSecs + 0.002) found = s;
    }
    return found;
  }

  /**
   * When the last frame began, of those shown to the model, that has begun by a time; else 0.
   * @param {number} timeSecs
   * @param {number} slice of the video that is meant
   */
  lastTimeBefore(timeSecs, slice) {
    const video = this.videoOf(slice);
    const end = video ? video.first_slice + video.grid[0] : 0;
    const times = this.times.slice(video?.first_slice ?? 0, end).flat();
    return times.reduce((/** @type {number} */ last, time) => {
      return time !== null && time <= timeSecs ? Math.max(last, time) : last;
    }, 0);
  }

  /**
   * Seconds of a slice's first frame; null where they are not known.
   * @param {number} slice
   */
  startOf(slice) {
    return (this.times[slice] || []).find((time) => time !== null) ?? null;
  }

  /**
   * Seconds of a slice's last frame; null where they are not known.
   * @param {number} slice
   */
  endOf(slice) {
    return (this.times[slice] || []).findLast((time) => time !== null) ?? null;
  }

  /**
   * Seconds of a video's own timeline, from the clip or its last frame.
   * @param {Video} video
   */
  durationOf(video) {
    const last = this.endOf(video.first_slice + video.grid[0] - 1) ?? video.grid[0] - 1;
    const stated = video.first_slice === 0 ? this.scene.clip?.duration_secs : null;
    return Math.max(stated ?? 0, last, 0.001);
  }

  /** @param {Video} video */
  hasTimes(video) {
    return this.startOf(video.first_slice) !== null;
  }
}

/**
 * Videos with the number of their first token.
 * @param {SceneVideo[]} videos
 * @returns {Video[]}
 */
function numbered(videos) {
  let token = 0;
  return videos.map((video) => {
    const first = token;
    token += video.grid.reduce((a, b) => a * b, 1);
    return { ...video, first_token: first };
  });
}

/**
 * @param {Scene} scene
 * @returns {Cube[]}
 */
function cubesOf(scene) {
  const { values, shape } = unpack(scene.cubes);
  return Array.from({ length: shape[0] }, (_, i) => {
    const [video, t0, t1, r0, r1, c0, c1] = values.subarray(7 * i, 7 * i + 7);
    return { index: i, video, t0, t1, r0, r1, c0, c1 };
  });
}
