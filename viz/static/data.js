/* The scene, decoded: what is kept where, for any query, layer and slice. No DOM here. */

/** Decode {dtype, shape, data}: whole numbers, `top` the largest code of the dtype. */
function unpack(packed) {
  const bits = Number(packed.dtype.slice(1));
  const bytes = Uint8Array.from(atob(packed.data), (char) => char.charCodeAt(0));
  const count = packed.shape.reduce((a, b) => a * b, 1);
  const values = new Uint16Array(count);
  for (let i = 0; i < count; i++) {
    if (bits === 16) values[i] = bytes[2 * i] | (bytes[2 * i + 1] << 8);
    else values[i] = (bytes[(i * bits) >> 3] >> (8 - bits - ((i * bits) & 7))) & ((1 << bits) - 1);
  }
  return { values, shape: packed.shape, top: 2 ** bits - 1 };
}

class SceneData {
  constructor(scene) {
    this.scene = scene;
    this.layers = scene.layers;
    this.kinds = scene.kinds;
    this.words = scene.words;
    this.times = scene.frame_times;
    this.kept = unpack(scene.kept);
    this.wordKept = unpack(scene.word_kept);
    this.ffn = unpack(scene.ffn_kept);
    this.importance = scene.importance ? unpack(scene.importance) : null;
    this.entropyBySlice = unpack(scene.entropy.attention_by_slice);
    this.videos = this.#videos();
    this.slices = this.videos.reduce((sum, video) => sum + video.grid[0], 0);
    this.cubes = this.#cubes();
    this.cubesFromSlice = this.#cubesFromSlice();
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
      const first = this.videos[cube.video].first_slice;
      for (let t = cube.t0; t < cube.t1; t++) lists[first + t].push(cube);
    }
    return lists;
  }

  /** The video a slice belongs to (undefined in a trace without video). */
  videoOf(slice) {
    return this.videos.findLast((video) => video.first_slice <= slice);
  }

  /** Share of a query's attention decisions that kept a cube; query is {kind} or {word}. */
  share(query, layer, cube) {
    const { values, shape, top } = query.word === undefined ? this.kept : this.wordKept;
    const row = query.word === undefined ? this.kinds.indexOf(query.kind) : query.word;
    if (row < 0) return 0;
    const [first, second] = query.word === undefined ? [row, layer] : [layer, row];
    return values[(first * shape[1] + second) * shape[2] + cube] / top;
  }

  /** From which share a cube counts as kept unless someone says: the layer's mean, at most half. */
  usualThreshold(query, layer) {
    const shares = this.cubes.map((cube) => this.share(query, layer, cube.index));
    const mean = shares.reduce((a, b) => a + b, 0) / Math.max(shares.length, 1);
    return Math.min(mean, 0.5);
  }

  /** The largest share of any layer and cube, so that stretched layers still compare. */
  largestShare(query) {
    let largest = 0;
    for (let layer = 0; layer < this.layers; layer++) {
      for (const cube of this.cubes) largest = Math.max(largest, this.share(query, layer, cube.index));
    }
    return largest || 1;
  }

  /** Area-weighted mean share over the cubes of a slice. */
  sliceShare(query, layer, slice) {
    let sum = 0, area = 0;
    for (const cube of this.cubesFromSlice[slice]) {
      const weight = (cube.r1 - cube.r0) * (cube.c1 - cube.c0);
      sum += weight * this.share(query, layer, cube.index);
      area += weight;
    }
    return area ? sum / area : 0;
  }

  /** Index in the FFN tables of a token of a slice. */
  token(slice, row, column) {
    const { grid, first_slice, first_token } = this.videoOf(slice);
    return first_token + ((slice - first_slice) * grid[1] + row) * grid[2] + column;
  }

  ffnKept(layer, token) {
    return this.ffn.values[layer * this.ffn.shape[1] + token] === 1;
  }

  ffnMask(layer) {
    const count = this.ffn.shape[1];
    return Array.from(this.ffn.values.subarray(layer * count, (layer + 1) * count), (bit) => bit === 1);
  }

  ffnSliceShare(layer, slice) {
    const [, rows, columns] = this.videoOf(slice).grid;
    const first = this.token(slice, 0, 0);
    let kept = 0;
    for (let i = 0; i < rows * columns; i++) kept += this.ffnKept(layer, first + i);
    return kept / (rows * columns);
  }

  /** The slice on screen: the last of a video whose first frame has been presented. */
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
