/* The scene, decoded: where the cubes lie in picture and time, and shares over them. No DOM. */

import { Choices } from "./choices.js";
import { unpack, unpackExcess } from "./packed.js";

/** @import { Cube, Query, Scene, SceneVideo } from "./types.js" */
/** @import { Excess } from "./packed.js" */
/** @typedef {SceneVideo & { first_token: number }} Video */

export class SceneData {
  /** Peaks of cubes, by the importance of a layer that they are of. @type {WeakMap<Excess, Float32Array>} */
  #peaks = new WeakMap();

  /** @param {Scene} scene */
  constructor(scene) {
    this.scene = scene;
    this.layers = scene.layers;
    this.kinds = scene.kinds;
    this.words = scene.words;
    this.times = scene.frame_times;
    this.videos = numbered(scene.videos);
    this.pruned = scene.pruned && { grid: scene.pruned.grid, left: unpack(scene.pruned.kept).values };
    this.slices = this.videos.reduce((sum, video) => sum + video.grid[0], 0);
    this.cubes = cubesOf(scene);
    this.cubesFromSlice = this.#cubesFromSlice();
    this.choices = new Choices(scene, this.cubes.length);
    this.ffnShares = unpack(scene.ffn_share);
    this.sinks = unpack(scene.sinks);
    this.ffnPeaks = unpackExcess(scene.ffn_peak);
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
   * Share of a query's attention decisions that kept a cube; null where it is not known.
   * @param {Query} query
   * @param {number} layer
   * @param {number} cube
   */
  share(query, layer, cube) {
    if (this.choices.knows(query, layer)) return this.choices.row(query, layer)[cube];
    const heads = query.word === undefined || query.said ? null : this.choices.headsByLayer(query.word, cube)[layer];
    if (!heads) return null;
    return query.head == null ? heads.length / this.scene.heads : Number(heads.includes(query.head));
  }

  /**
   * From which share a cube counts as kept unless someone says: the layer's mean, at most half.
   * @param {Query} query
   * @param {number} layer
   */
  usualThreshold(query, layer) {
    const shares = this.choices.row(query, layer);
    return Math.min(shares.reduce((a, b) => a + b, 0) / Math.max(shares.length, 1), 0.5);
  }

  /**
   * The largest share of a layer's cubes.
   * @param {Query} query
   * @param {number} layer
   */
  largestIn(query, layer) {
    return this.choices.row(query, layer).reduce((a, b) => Math.max(a, b), 0) || 1;
  }

  /**
   * Area-weighted mean shares over the cubes of each slice, layer by layer; NaN where they are not known. At other
   * settings only where every layer can be told at them, so that layers compare.
   * @param {Query} query
   * @param {boolean} [apart] without the sinks
   */
  sliceShares(query, apart = false) {
    const { choices } = this;
    const table = new Float32Array(this.layers * this.slices).fill(NaN);
    const previewed = choices.previewsAll(query);
    for (let layer = 0; layer < this.layers; layer++) {
      if (!choices.knows(query, layer)) continue;
      const row = previewed ? choices.row(query, layer) : choices.recorded(query, layer);
      for (let slice = 0; slice < this.slices; slice++) {
        let sum = 0;
        let area = 0;
        for (const { index, r0, r1, c0, c1 } of this.cubesFromSlice[slice]) {
          const weight = (r1 - r0) * (c1 - c0);
          if (apart && this.isSink(layer, index)) continue;
          sum += weight * row[index];
          area += weight;
        }
        table[layer * this.slices + slice] = area ? sum / area : 0;
      }
    }
    return table;
  }

  /**
   * The cube nearest to one, in number, whose own tokens' choices are recorded; null: none is.
   * @param {number} cube
   */
  nearestQueryCube(cube) {
    const recorded = this.scene.query_cubes;
    if (!recorded) return cube;
    return recorded.reduce(
      (/** @type {number | null} */ best, each) =>
        best === null || Math.abs(each - cube) < Math.abs(best - cube) ? each : best,
      null,
    );
  }

  /**
   * Whether nearly every query keeps a cube in a layer, whatever it asks.
   * @param {number} layer
   * @param {number} cube
   */
  isSink(layer, cube) {
    return this.sinks.values[layer * this.cubes.length + cube] === 1;
  }

  /**
   * The cubes of a layer that nearly every query keeps.
   * @param {number} layer
   */
  sinksOf(layer) {
    return this.cubes.flatMap(({ index }) => (this.isSink(layer, index) ? [index] : []));
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
   * Share of a slice's tokens that pass through the FFN.
   * @param {number} layer
   * @param {number} slice
   */
  ffnSliceShare(layer, slice) {
    const mask = this.choices.previewsAllFfn ? this.choices.ffnRow(layer) : null;
    if (!mask) return this.ffnShares.values[layer * this.slices + slice] / this.ffnShares.top;
    const [, rows, columns] = this.gridOf(slice);
    const first = this.token(slice, 0, 0);
    let passing = 0;
    for (const bit of mask.subarray(first, first + rows * columns)) passing += bit;
    return passing / (rows * columns);
  }

  /**
   * How far the most important token of a slice lies above its cube's mean: 0 there, 1 at the end of the range; 0 where
   * it was not recorded.
   * @param {number} layer
   * @param {number} slice
   */
  ffnPeak(layer, slice) {
    return this.ffnPeaks ? this.ffnPeaks.values[layer * this.slices + slice] / this.ffnPeaks.top : 0;
  }

  /**
   * Share of a layer's video tokens that pass through the FFN.
   * @param {number} layer
   */
  ffnShare(layer) {
    let passing = 0;
    let tokens = 0;
    for (let slice = 0; slice < this.slices; slice++) {
      const [, rows, columns] = this.gridOf(slice);
      passing += this.ffnSliceShare(layer, slice) * rows * columns;
      tokens += rows * columns;
    }
    return tokens ? passing / tokens : 0;
  }

  /**
   * How far the most important token of each cube lies above the cube's mean: 0 there, 1 at the end of the range; null
   * where that is not known.
   * @param {number} layer
   */
  ffnCubePeaks(layer) {
    const excess = this.choices.details.importance(layer);
    if (!excess) return null;
    const known = this.#peaks.get(excess) ?? Float32Array.from(this.cubes, (cube) => this.#peakOf(excess, cube));
    this.#peaks.set(excess, known);
    return known;
  }

  /**
   * @param {Excess} excess
   * @param {Cube} cube
   */
  #peakOf({ values, top }, cube) {
    const peak = this.tokensOf(cube).reduce((most, token) => Math.max(most, values[token]), 0);
    return peak / top;
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
