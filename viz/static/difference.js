/* Two scenes of one video, side by side in one picture: what only A keeps, only B, both, neither. */

class Difference {
  #cells = new Map();

  constructor(a, b, labelA, labelB) {
    Object.assign(this, { a, b, labels: [labelA, labelB] });
    const shape = (data) => JSON.stringify([data.layers, data.pruned ? [data.pruned.grid] : data.videos.map((video) => video.grid)]);
    const layout = (data) => JSON.stringify(data.cubes);
    this.comparable = shape(a) === shape(b);
    this.sameCubes = this.comparable && !b.pruned && layout(a) === layout(b);
  }

  /** The same words of B as a query of A's asks about: a word goes by its kind where B has another. */
  queryOfB(query) {
    const same = query.word === undefined || this.#sameWord(query.word);
    const head = query.head != null && query.head < this.b.scene.heads ? query.head : null;
    return same ? { ...query, head } : { kind: this.a.words[query.word].kind, head };
  }

  #sameWord(position) {
    const [mine, other] = [this.a.words[position], this.b.words[position]];
    return Boolean(other) && mine.text === other.text && mine.kind === other.kind;
  }

  /** Rectangles of a slice with what A and B do there: {r0, r1, c0, c1, a, b}; cubes or tokens. */
  regions(view, layer, slice) {
    const test = view.compared === "ffn" ? this.#passes(layer) : this.#keeps(view, layer);
    if (view.compared !== "ffn" && this.sameCubes) {
      return this.a.cubesFromSlice[slice].map((cube) => ({ ...cube, ...test.cube(cube.index) }));
    }
    const [, rows, columns] = this.a.videoOf(slice).grid, cells = [];
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        cells.push({ r0: r, r1: r + 1, c0: c, c1: c + 1, ...test.cell(slice, r, c) });
      }
    }
    return cells;
  }

  /** Share of a slice's picture where the two differ. */
  share(view, layer, slice) {
    let differs = 0, area = 0;
    for (const region of this.regions(view, layer, slice)) {
      const size = (region.r1 - region.r0) * (region.c1 - region.c0);
      area += size;
      if (region.a !== region.b) differs += size;
    }
    return area ? differs / area : 0;
  }

  /** What most of a cube of A's is: "a", "b", "both" or "none". */
  sideOfCube(view, layer, cube) {
    const counts = { both: 0, a: 0, b: 0, none: 0 }, inside = (region) =>
      cube.r0 <= region.r0 && region.r0 < cube.r1 && cube.c0 <= region.c0 && region.c0 < cube.c1;
    const slice = this.a.firstSlice(cube);
    for (const region of this.regions(view, layer, slice)) if (inside(region)) counts[sideOf(region)] += 1;
    return Object.keys(counts).reduce((best, side) => (counts[side] > counts[best] ? side : best));
  }

  #keeps(view, layer) {
    const [one, other] = [[this.a, view.query], [this.b, this.queryOfB(view.query)]].map(([data, query]) => {
      const threshold = view.fixed ?? data.usualThreshold(query, layer), row = data.choices.row(query, layer);
      return (cube) => isKept(row[cube], threshold);
    });
    const inB = (slice, r, c) => (this.b.pruned ? this.#isLeft(slice, r, c) : other(this.#cubeAt(this.b, slice, r, c)));
    return {
      cube: (index) => ({ a: one(index), b: other(index) }),
      cell: (slice, r, c) => ({ a: one(this.#cubeAt(this.a, slice, r, c)), b: inB(slice, r, c) }),
    };
  }

  #passes(layer) {
    const [one, other] = [this.a, this.b].map((data) => data.choices.ffnRow(layer));
    return {
      cell: (slice, r, c) => {
        const token = this.a.token(slice, r, c);
        return { a: Boolean(one?.[token]), b: this.b.pruned ? this.#isLeft(slice, r, c) : Boolean(other?.[token]) };
      },
    };
  }

  /** Whether B, whose tokens were pruned before its first layer, still has a token: then all of it
      reads that token, and it passes through every FFN. */
  #isLeft(slice, row, column) {
    return Boolean(this.b.pruned.left[this.a.token(slice, row, column)]);
  }

  /** Index of the cube that holds a cell of a slice. */
  #cubeAt(data, slice, row, column) {
    const key = `${data === this.a}/${slice}`;
    if (!this.#cells.has(key)) this.#cells.set(key, cubeMap(data, slice));
    return this.#cells.get(key)[row * data.videoOf(slice).grid[2] + column];
  }
}

function cubeMap(data, slice) {
  const [, rows, columns] = data.videoOf(slice).grid, map = new Uint32Array(rows * columns);
  for (const cube of data.cubesFromSlice[slice]) {
    for (let row = cube.r0; row < cube.r1; row++) map.fill(cube.index, row * columns + cube.c0, row * columns + cube.c1);
  }
  return map;
}

/** "both", "a", "b" or "none". */
function sideOf(region) {
  if (region.a && region.b) return "both";
  if (region.a) return "a";
  return region.b ? "b" : "none";
}
