/* What is said of the view: facts, legends, titles. Pure functions of the view. */

const percent = (share) => `${Math.round(share * 100)} %`;

function timeRange({ data, slice }) {
  return spanTime(data, slice, slice) || "time unknown";
}

/** "1.50-1.75 s" of slices from..to; empty where times are not known. */
function spanTime(data, from, to) {
  const start = data.startOf(from), end = data.endOf(to);
  if (start === null || end === null) return "";
  return start === end ? `${start.toFixed(2)} s` : `${start.toFixed(2)}-${end.toFixed(2)} s`;
}

function keptCount(view) {
  const { data, layer, slice } = view;
  if (view.mode === "ffn") return `, ${percent(data.ffnSliceShare(layer, slice))} of tokens through the FFN`;
  if (view.mode === "difference") return differenceCount(view);
  const cubes = data.cubesFromSlice[slice];
  const kept = cubes.filter((cube) => isKept(data.share(view.query, layer, cube.index), view.threshold));
  return `, ${kept.length} of ${cubes.length} cubes kept`;
}

function differenceCount(view) {
  const counts = { both: 0, a: 0, b: 0, none: 0 };
  for (const region of view.difference.regions(view, view.layer, view.slice)) counts[sideOf(region)] += 1;
  return `: ${counts.both} kept by both, ${counts.a} only by A, ${counts.b} only by B, ${counts.none} by neither`;
}

function queryName({ query, data }) {
  if (query.word !== undefined) return `the word \u201c${wordName(data.words[query.word])}\u201d`;
  return { video: "the video tokens", question: "the question", answer: "the answer" }[query.kind];
}

function unit(view) {
  const { kind, word, head } = view.query, one = head == null ? "" : ` (head ${head})`;
  if (word !== undefined) return head == null ? `the heads of ${queryName(view)}` : `${queryName(view)}${one}`;
  return { video: "the video tokens", question: "the question's words", answer: "the answer's words" }[kind] + one;
}

function factsOf(view) {
  const { data, slice } = view, video = data.videoOf(slice);
  if (!video) return "This run had no video: there are no cubes to draw.";
  const frames = data.times[slice]?.length ?? 2, local = slice - video.first_slice;
  const span = frames > 1 ? `frames ${local * frames}-${(local + 1) * frames - 1}` : `frame ${local}`;
  const of = data.videos.length > 1 ? `video ${data.videos.indexOf(video)}, ` : "";
  const clip = data.scene.clip;
  const sizes = clip?.shown_width
    ? `; ${clip.width} x ${clip.height} shown to the model as ${clip.shown_width} x ${clip.shown_height}` : "";
  return `${of}slice ${slice} = ${span}, ${timeRange(view)}${sizes}`;
}

function layerFactsOf(view) {
  if (view.focus !== null) return cubeFacts(view);
  const { data, layer } = view, { density, entropy } = data.scene, preview = data.choices.settings;
  const known = [
    ["attention density", density.attention_by_layer[layer]], ["FFN density", density.ffn_by_layer[layer]],
    ["attention entropy", entropy.attention_by_layer[view.query.kind ?? "question"]?.[layer]],
    ["FFN entropy", entropy.ffn_by_layer[layer]],
  ].filter(([, value]) => typeof value === "number" && !preview && view.mode !== "difference");
  const texts = known.map(([name, value]) => `${name} ${value.toFixed(2)}`).join(", ");
  return `Layer ${layer}${keptCount(view)}${keptElsewhere(view)}${texts && `; ${texts}`}`;
}

/** Where to look when this slice shows nothing. */
function keptElsewhere(view) {
  const { data, layer, query, threshold } = view;
  if (view.mode === "ffn" || view.mode === "difference") return "";
  const row = data.choices.row(query, layer);
  const keeps = (slice) => data.cubesFromSlice[slice].some((cube) => isKept(row[cube.index], threshold));
  if (keeps(view.slice)) return "";
  const slices = Array.from({ length: data.slices }, (_, slice) => slice).filter(keeps);
  return slices.length ? ` (kept in slices ${spans(slices)})` : " (none in any slice)";
}

function cubeSlices(data, cube) {
  const [first, end] = [data.firstSlice(cube), data.endSlice(cube)], time = spanTime(data, first, end - 1);
  return `slice${end - first > 1 ? "s" : ""} ${range(first, end)}${time && `, ${time}`}`;
}

function cubePlace(data, cube) {
  return `${cubeSlices(data, cube)}, rows ${range(cube.r0, cube.r1)}, columns ${range(cube.c0, cube.c1)}`;
}

function range(first, end) {
  return end - first > 1 ? `${first}-${end - 1}` : `${first}`;
}

function cubeFacts(view) {
  const { data, layer } = view, cube = data.cubes[view.focus], share = percent(data.share(view.query, layer, cube.index));
  return `Cube ${cube.index} (${cubePlace(data, cube)}): ${share} of ${unit(view)} attend to it in layer ${layer}`;
}

function laneTitle(view) {
  if (view.mode === "difference") return `Where A and B differ, by ${view.compared === "ffn" ? "FFN tokens" : "cubes"}`;
  const recorded = view.data.choices.settings && !view.data.choices.complete ? ", as recorded" : "";
  if (view.mode === "ffn") return `Tokens that pass through the FFN${recorded}`;
  return `Share of ${unit(view)} that keep a cube${recorded}`;
}

function laneTip(view, { layer, slice }) {
  return `Layer ${layer}, slice ${slice}: ${percent(laneShare(view, layer, slice))}`;
}

function laneLabel(view) {
  const { layers, slices } = view.data;
  return `${laneTitle(view)}: layers 0 to ${layers - 1} by slices 0 to ${slices - 1}. Arrow keys move, a click goes there.`;
}

/** One line of honesty under a preview. */
function previewNote(view) {
  const { settings, details, scene } = view.data.choices, detail = details[view.layer];
  const steps = detail?.levels?.steps ?? [], used = steps[nearestStep(steps, settings.attn_top_p ?? 1)];
  const parts = ["Preview from this run\u2019s recorded scores: exact for the first affected layer only, later layers would see other inputs."];
  if (view.query.kind === "video" && view.mode !== "ffn") parts.push("The video tokens\u2019 own choices are shown as recorded.");
  else if (!detail) parts.push("This layer\u2019s scores are on their way.");
  else if (steps.length > 1 && Math.abs(used - (settings.attn_top_p ?? topPIn(view.layer, scene.config?.attn_top_p) ?? used)) > 1e-6) {
    parts.push(`Shown at the nearest recorded step, ${used}.`);
  }
  return parts.join(" ");
}

/** One entry of the legend: a sample and what it means, kept on one line. */
function entry(sample, text) {
  const swatch = el("span", { className: `swatch ${sample}`, "aria-hidden": "true" });
  return el("span", { className: "entry" }, swatch, text);
}

function legendOf(view) {
  const average = view.fixed === null && view.threshold < 0.5 ? " (the layer's average)" : "";
  const from = `${percent(Math.max(view.threshold, 0.01))} of ${unit(view)}${average}`;
  if (view.mode === "heat") return [entry("cividis", `0 to ${percent(view.top)} of ${unit(view)} attend`)];
  if (view.mode === "ffn") return [entry("hatch", "skips the FFN, moves by its cube\u2019s mean"), entry("clear", "passes through")];
  if (view.mode === "outline") return [entry("outline", `kept by at least ${from}`)];
  if (view.mode === "difference") return differenceLegend(view);
  return [entry("clear", `kept by at least ${from}`), entry("dim", "dropped")];
}

function differenceLegend({ difference, compared }) {
  const [a, b] = difference.labels, verb = compared === "ffn" ? "passes" : "keeps";
  return [
    entry("only-a", `only A ${verb}: ${a}`), entry("only-b", `only B ${verb}: ${b}`),
    entry("clear", "both"), entry("dim", "neither"),
  ];
}
