/* The scene, decoded: where the cubes lie in picture and time, and shares over them. No DOM here. */

class SceneData {
  constructor(scene) {
    this.scene = scene;
    this.layers = scene.layers;
    this.kinds = scene.kinds;
    this.words = scene.words;
    this.times = scene.frame_times;
    this.videos = this.#videos();
    this.pruned = scene.pruned && { grid: scene.pruned.grid, left: unpack(scene.pruned.kept).values };
    this.slices = this.videos.reduce((sum, video) => sum + video.grid[0], 0);
    this.cubes = this.#cubes();
    this.cubesFromSlice = this.#cubesFromSlice();
    this.choices = new Choices(scene, this.cubes.length);
    this.ffnShares = unpack(scene.ffn_share);
  }

  #videos() {
    let token = 0;
    return this.scene.videos.map((video) => {
      const first = token;
      token += video.grid.reduce((a, b) => a * b, 1);
      return { ...video, first_token: first };
    });
  }

  #cubes() {
    const { values, shape } = unpack(this.scene.cubes);
    return Array.from({ length: shape[0] }, (_, i) => {
      const [video, t0, t1, r0, r1, c0, c1] = values.subarray(7 * i, 7 * i + 7);
      return { index: i, video, t0, t1, r0, r1, c0, c1 };
    });
  }

  #cubesFromSlice() {
    const lists = Array.from({ length: this.slices }, () => []);
    for (const cube of this.cubes) {
      for (let t = this.firstSlice(cube); t < this.endSlice(cube); t++) lists[t].push(cube);
    }
    return lists;
  }

  firstSlice(cube) {
    return this.videos[cube.video].first_slice + cube.t0;
  }

  endSlice(cube) {
    return this.videos[cube.video].first_slice + cube.t1;
  }

  /** The video a slice belongs to (undefined in a trace without video). */
  videoOf(slice) {
    return this.videos.findLast((video) => video.first_slice <= slice);
  }

  /** Share of a query's attention decisions that kept a cube. */
  share(query, layer, cube) {
    return this.choices.row(query, layer)[cube];
  }

  /** From which share a cube counts as kept unless someone says: the layer's mean, at most half. */
  usualThreshold(query, layer) {
    const shares = this.choices.row(query, layer);
    return Math.min(shares.reduce((a, b) => a + b, 0) / Math.max(shares.length, 1), 0.5);
  }

  /** The largest share of a layer's cubes. */
  largestIn(query, layer) {
    return this.choices.row(query, layer).reduce((a, b) => Math.max(a, b), 0) || 1;
  }

  /** The largest share of any layer and cube, so that stretched layers still compare. */
  largestShare(query) {
    let largest = 0;
    for (let layer = 0; layer < this.layers; layer++) {
      largest = this.choices.row(query, layer).reduce((a, b) => Math.max(a, b), largest);
    }
    return largest || 1;
  }

  /** Area-weighted mean share over the cubes of a slice. */
  sliceShare(query, layer, slice) {
    const row = this.choices.row(query, layer);
    let sum = 0, area = 0;
    for (const cube of this.cubesFromSlice[slice]) {
      const weight = (cube.r1 - cube.r0) * (cube.c1 - cube.c0);
      sum += weight * row[cube.index];
      area += weight;
    }
    return area ? sum / area : 0;
  }

  /** Index in the FFN tables of a token of a slice. */
  token(slice, row, column) {
    const { grid, first_slice, first_token } = this.videoOf(slice);
    return first_token + ((slice - first_slice) * grid[1] + row) * grid[2] + column;
  }

  /** Share of a slice's tokens that pass through the FFN. */
  ffnSliceShare(layer, slice) {
    const mask = this.choices.settings && this.choices.details[layer] ? this.choices.ffnRow(layer) : null;
    if (!mask) return this.ffnShares.values[layer * this.slices + slice] / this.ffnShares.top;
    const [, rows, columns] = this.videoOf(slice).grid, first = this.token(slice, 0, 0);
    return mask.subarray(first, first + rows * columns).reduce((a, b) => a + b, 0) / (rows * columns);
  }

  /** Share of a cube's tokens that pass through the FFN. */
  ffnCubeShare(layer, cube) {
    const mask = this.choices.ffnRow(layer);
    if (!mask) return 0;
    let sum = 0;
    for (let slice = this.firstSlice(cube); slice < this.endSlice(cube); slice++) {
      for (let row = cube.r0; row < cube.r1; row++) {
        for (let column = cube.c0; column < cube.c1; column++) sum += mask[this.token(slice, row, column)];
      }
    }
    return sum / ((cube.t1 - cube.t0) * (cube.r1 - cube.r0) * (cube.c1 - cube.c0));
  }

  /** The slice on screen: the last of a video whose first frame has been presented. Of slices that
      begin with the same frame, the one that is looked at stays. */
  sliceAt(timeSecs, video, looked) {
    const end = video.first_slice + video.grid[0];
    let found = video.first_slice;
    for (let s = video.first_slice; s < end; s++) {
      const start = this.startOf(s);
      // A container may round presentation times to its own clock; no frame is as short as 2 ms.
      if (start !== null && start <= timeSecs + 0.002) found = s;
    }
    return this.startOf(looked) === this.startOf(found) ? looked : found;
  }

  /** When the last frame began, of those shown to the model, that has begun by a time; else 0. */
  lastTimeBefore(timeSecs, slice) {
    const video = this.videoOf(slice), end = video ? video.first_slice + video.grid[0] : 0;
    const times = this.times.slice(video?.first_slice ?? 0, end).flat();
    return times.reduce((last, time) => (time !== null && time <= timeSecs ? Math.max(last, time) : last), 0);
  }

  startOf(slice) {
    return (this.times[slice] || []).find((time) => time !== null) ?? null;
  }

  endOf(slice) {
    return (this.times[slice] || []).findLast((time) => time !== null) ?? null;
  }

  /** Seconds of a video's own timeline, from the clip or its last frame. */
  durationOf(video) {
    const last = this.endOf(video.first_slice + video.grid[0] - 1) ?? video.grid[0] - 1;
    const stated = video.first_slice === 0 ? this.scene.clip?.duration_secs : null;
    return Math.max(stated ?? 0, last, 0.001);
  }

  hasTimes(video) {
    return this.startOf(video.first_slice) !== null;
  }
}
