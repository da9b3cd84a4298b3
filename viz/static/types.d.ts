/** What Python sends and the scripts hand on. Keys as Python writes them: `tests/test_page_messages.py` compares. */

export type Kind = "video" | "question" | "answer";
export type Mode = "spotlight" | "outline" | "heat" | "ffn" | "difference";
/** How the picture is drawn: a mode, or what was dropped of dense attention, which Difference shows too. */
export type Drawn = Mode | "dropped";
export type Compared = "dropped" | "cubes" | "ffn";
export type Side = "both" | "a" | "b" | "none";
/** Where on the page an error is said: at what was chosen, typed or set. */
export type Field = "video" | "question" | "dials";
export type ViewerState = "empty" | "running" | "ready" | "stale" | "error";

/** An array of viz/data/packing.py: base64, little-endian; u1 to u4 with the first value in the highest bits. */
export interface Packed {
  dtype: "u1" | "u2" | "u4" | "u8" | "u16";
  shape: number[];
  data: string;
}

/** Levels of viz/data/thresholds.py: indices into `steps`, sorted thresholds; a level past the last is never kept. */
export interface PackedLevels {
  steps: number[];
  table: Packed;
}

/** Shares of viz/data/queries.py: counts out of `of`. */
export interface PackedCounts {
  of: number;
  table: Packed;
}

/** A layer's detail of viz/data/layer_detail.py; a table is null where it did not fit. */
export interface LayerDetail {
  layer: number;
  word_level: PackedLevels | null;
  word_share: PackedCounts | null;
  ffn_level: PackedLevels | null;
  importance: PackedExcess | null;
}

/** How far values lie above 1, of viz/data/importance.py: `top` is the code 255. */
export interface PackedExcess {
  top: number;
  table: Packed;
}

/** A file of a run that is asked for when it is looked at, and what of: a layer, a query, a cube. */
export interface Ask {
  name: "layer.json" | "query.json" | "preview.json" | "cube.json" | "importance.json" | "dropped.json";
  of: { layer?: number; kind?: Kind; row?: number; head?: number; cube?: number };
}

/** What was dropped of dense attention, of viz/data/dropped.py: code 255 of a layer is its `tops`. */
export interface PackedDropped {
  held: (number | null)[];
  tops: number[];
  table: Packed;
  /** Else estimated by the means of keys. */
  measured: boolean;
  /** `held` is of the cubes that are listed alone. */
  least: boolean;
  /** How many of the `asked` words are the same in both runs. */
  words: number;
  asked: number;
}

/** A word of viz/data/queries.py: the places of the query that produced it, and of its own if it is of the answer. */
export interface Word {
  index: number;
  text: string;
  kind: Kind;
  query: number | null;
  said?: number;
  /** Only of a part of a character. */
  name?: string;
}

/** A video of the prompt; `grid` is [slices, rows, columns]. */
export interface SceneVideo {
  grid: [number, number, number];
  first_slice: number;
  url: string | null;
}

/** What is known of the clip as a file, and the size in which the model saw it. */
export interface Clip {
  name?: string;
  width?: number;
  height?: number;
  duration_secs?: number;
  shown_width?: number;
  shown_height?: number;
}

/** One Top-p for all layers, or one for each. */
export type TopP = number | number[];

export interface RunConfig {
  cube: number[];
  attn_top_p: TopP;
  ffn_top_p: TopP;
  /** Of text; without it, that of attention. */
  text_top_p?: TopP;
  /** Without it, Top-p. */
  attn_rule?: string;
  /** Whose norm says how important a token is to the FFN: without it, the residual's. */
  ffn_importance?: string;
}

/** viz/data/scene.py: all that the viewer draws of a run at first. What the trace's record lacks is left out. */
export interface Scene {
  version: number;
  config?: RunConfig;
  model?: string;
  device?: string;
  dtype?: string;
  backend?: string;
  clip?: Clip;
  question?: string;
  answer?: string;
  seconds?: Record<string, number>;
  flops?: Record<string, unknown>;
  shape?: Record<string, unknown>;
  sampled_query_cubes?: boolean;
  /** viz/data/lens.py: only where question and answer read everything. */
  drawn_top_p?: number | number[];
  layers: number;
  heads: number;
  videos: SceneVideo[];
  /** Seconds, by slice; null where a time is not known. */
  frame_times: (number | null)[][];
  cubes: Packed;
  kinds: Kind[];
  kept: Packed | null;
  words: Word[];
  /** Rows of the trace's word tables, axis Q of a detail's. */
  queries: number[];
  opening: Opening | null;
  query_cubes: number[] | null;
  ffn_kept: Packed | null;
  ffn_share: Packed;
  ffn_peak: PackedExcess | null;
  sinks: Packed;
  density: SceneDensity;
  pruned: { grid: number[]; kept: Packed } | null;
  entropy: SceneEntropy;
  details: LayerDetail[] | null;
}

/** viz/data/opening.py: where to look first; `cubes` are lit there, which hold `mass` of the word's attention. */
export interface Opening {
  word: number;
  layer: number;
  slice: number;
  threshold: number;
  cubes: number;
  mass: number;
  /** The layer's sinks are set apart: they are not among the cubes that are lit. */
  apart: boolean;
}

export interface SceneDensity {
  attention: number | null;
  ffn: number | null;
  attention_by_layer: (number | null)[];
  ffn_by_layer: (number | null)[];
}

export interface SceneEntropy {
  attention_by_layer: Partial<Record<Kind, (number | null)[]>>;
  effective_by_layer: Partial<Record<Kind, (number | null)[]>>;
  ffn_by_layer: (number | null)[];
}

/** Cells and slices of a cube in its video; ends are exclusive. */
export interface Cube {
  index: number;
  video: number;
  t0: number;
  t1: number;
  r0: number;
  r1: number;
  c0: number;
  c1: number;
}

/** Grid rows [r0, r1) and columns [c0, c1). */
export type Cells = Pick<Cube, "r0" | "r1" | "c0" | "c1">;

/**
 * Whose attention is asked about: a kind of word, a cube, or the word at a position of the scene's (of an answer's word the
 * query that produced it, or what it attended to once it was `said`); null head: the mean.
 */
export interface Query {
  kind?: Kind;
  word?: number;
  said?: boolean;
  /** The tokens of a cube, all heads. */
  cube?: number;
  head?: number | null;
}

/** Thresholds under which recorded scores are drawn. */
export interface Thresholds {
  attn_top_p?: number;
  ffn_top_p?: number;
  text_top_p?: number;
}

/** `adaspark:select`: any of these, said by whoever changes it. A word is its `index` in the trace. */
export interface Selected {
  layer?: number;
  head?: number | null;
  slice?: number;
  cube?: number | null;
  word?: number | null;
  threshold?: number | null;
}

/** `window.adaspark.scene()`: what is drawn, frozen. */
export interface Snapshot {
  state: string;
  rev: number;
  tier: string;
  layer: number;
  slice: number;
  mode: Mode;
  query: Query;
  head: number | null;
  threshold: number | null;
  pinned: number | null;
  region: number[];
  preview: Thresholds | null;
  grid: number[];
  grids: number[][];
  cubes: Cube[];
  kinds: Kind[];
  heads: number;
  /** By layer; null where a layer's is not known yet. */
  kept: (number[] | null)[];
  kept_by_kind: Partial<Record<Kind, (number[] | null)[]>>;
  ffn_mask: boolean[] | null;
  words: Word[];
  frame_times: (number | null)[][];
  question?: string;
  answer?: string;
  config?: RunConfig;
  compared_with: string | null;
  compared: Compared;
  /** What is drawn of dense attention that was dropped, by layer and cube. */
  dropped: { held: (number | null)[]; rows: number[][]; measured: boolean } | null;
}

/** Promises what a scene came without. */
export type DetailSource = (ask: Ask) => Promise<any>;

/** How far a run is. */
export interface Phase {
  name: string;
  done: number;
  total: number | null;
  secs?: number | null;
}

/** `summary()` of adaspark/trace/summary.py. */
export interface Summary {
  answer: string;
  model: string;
  device: string;
  tokens: { video: number; text: number };
  grid: number[];
  cubes: number;
  config: RunConfig;
  attention_density: number;
  ffn_density: number;
  flops: { dense: number; sparse: number; executed: number; reduction: number; reduction_with_vision: number };
  seconds: Record<string, number | null>;
  layers: Record<string, number | null>[];
  /** Of the prompt, those that an earlier question had left in the model's cache. */
  cached_tokens?: number;
  /** What is to be known of the answer. */
  warnings?: string[];
}

/** app/service/results.py: the last message of a run. */
export interface FinishedMessage {
  state: "done" | "stopped";
  answer: string;
  question: string;
  url: string;
  key: string;
  /** What the run's files are called, without an ending. */
  stem: string;
  recorded: boolean;
  /** What a word took after the first one. */
  word_secs: number | null;
  summary: Summary;
}

/** What a run's event streams: phases and words, then how it ended. `run` is the page's own number of it. */
export interface RunMessage extends Partial<Omit<FinishedMessage, "state">> {
  state: "running" | "done" | "stopped" | "superseded" | "error";
  run: number;
  phase?: Phase | null;
  error?: string;
  field?: Field | null;
}

/** A piece of an answer, and whether the other answer has it too. */
export interface Piece {
  text: string;
  same: boolean;
}

/** app/service/side_by_side.py: what is shown of each of two runs. */
export interface RunSide {
  label: string;
  answer: Piece[];
  tokens: number;
  pruned_from: number | null;
  attention_density: number;
  ffn_density: number;
  flops: number;
  seconds: number | null;
  recorded: boolean;
}

/** app/service/compare.py: the share of dense attention to the video on the cubes that the first run kept. */
export interface HeldShare {
  kind: Kind;
  share: number;
  measured: boolean;
}

/** A message of Compare or Ablate, app/service/compare.py and app/service/ablate.py. */
export interface BesideMessage {
  state: "running" | "done" | "stopped" | "superseded" | "error";
  run: number;
  panel: string;
  key?: string;
  phase?: Phase | null;
  error?: string;
  field?: Field | null;
  sides?: [RunSide, RunSide];
  held?: HeldShare[];
  /** Log-probability in nats of the first answer, as it was and with cubes forced. */
  before?: number | null;
  after?: number | null;
}

/** app/media/videos.py and app/service/service.py: a chosen video, or why it was refused. */
export interface CardMessage {
  name: string;
  sample: string | null;
  note: string;
  url: string;
  questions: string[];
  facts: string;
  duration_secs: number;
  video_tokens: number;
  seconds: number | null;
  too_long: { text: string; max_frames: number } | null;
  /** About the answer to expect. */
  warnings: string[];
  question?: string;
  needs: ModelNeeds[];
  unanswered?: boolean;
  missing?: string;
  recorded?: FinishedMessage;
}

/** What the picker's events answer. `pick` is the page's own number of the choice, `progress` a share of it. */
export interface ModelNeeds {
  model: string;
  video_tokens: number;
  weight_bytes: number;
  cache_bytes: number;
  dense_flops: number;
  seconds: number | null;
}

export interface PickMessage extends Partial<CardMessage> {
  pick?: number | null;
  progress?: number;
  /** The upload that is being prepared, as far as it plays already. */
  preview?: Preview | null;
  opened?: FinishedMessage;
  error?: string;
  field?: Field | null;
  /** The refusal leaves the chosen video as it is. */
  chosen?: boolean;
}

/** app/media/videos.py: an upload that is still being prepared. */
export interface Preview {
  url: string;
  duration_secs: number;
}

/** app/service/messages.py: what is running, as far as it is known. */
export interface EngineFacts {
  model: string;
  state: "waiting" | "loading" | "ready" | "failed" | "replay";
  device?: string;
  dtype?: string;
  backend?: string;
  /** Settings whose kernels are compiled, of how many, while they are. */
  compiling?: string;
}
