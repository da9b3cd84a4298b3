/* A read-only copy of what is drawn. No DOM. */

import { fullView } from "./view.js";

/** @import { Query, Snapshot } from "./types.js" */
/** @import { SceneData } from "./scene.js" */
/** @import { FullView } from "./view.js" */
/** @import { Viewer } from "./viewer.js" */

/**
 * @param {Viewer} viewer
 * @param {SceneData} data the viewer's
 * @returns {Snapshot}
 */
export function snapshotOf(viewer, data) {
  const { parts, other } = viewer;
  const view = fullView(viewer);
  const shares = (/** @type {Query} */ query) =>
    Array.from({ length: data.layers }, (_, layer) =>
      data.choices.knows(query, layer) ? Array.from(data.choices.row(query, layer)) : null,
    );
  const mask = data.layers ? data.choices.ffnRow(view.layer) : [];
  const copy = structuredClone({
    state: parts.root.dataset.state ?? "",
    rev: Number(parts.root.dataset.rev),
    tier: parts.root.dataset.tier ?? "",
    layer: view.layer,
    slice: view.slice,
    mode: view.chosen,
    query: view.held,
    head: view.query.head ?? null,
    threshold: view.threshold,
    pinned: view.pinned,
    region: view.region,
    preview: data.choices.settings,
    grid: data.videoOf(view.slice)?.grid ?? [0, 0, 0],
    grids: data.videos.map((item) => item.grid),
    cubes: data.cubes,
    kinds: data.kinds,
    heads: data.scene.heads,
    kept: shares(view.query),
    kept_by_kind: Object.fromEntries(data.kinds.map((kind) => [kind, shares({ kind, head: null })])),
    ffn_mask: mask && Array.from(mask, (bit) => bit === 1),
    words: data.words,
    frame_times: data.times,
    question: data.scene.question,
    answer: data.scene.answer,
    config: data.scene.config,
    compared_with: other?.comparable ? other.labels[1] : null,
    compared: view.compared,
    dropped: droppedIn(view),
  });
  return deepFreeze(copy);
}

/** @param {FullView} view */
function droppedIn({ dropped, named }) {
  const shares = dropped?.shares(named);
  return shares ? { ...shares, rows: shares.rows.map((row) => Array.from(row)) } : null;
}

/**
 * @template T
 * @param {T} value
 * @returns {T}
 */
function deepFreeze(value) {
  if (value && typeof value === "object") Object.values(value).forEach(deepFreeze);
  return Object.freeze(value);
}
