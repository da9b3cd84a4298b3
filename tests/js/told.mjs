/* What the viewer's modules make of a run that a server keeps, asked for as the page asks: on standard output as JSON.

   Arguments: the run's address and thresholds to preview at. */

import { asksOf, asksOfCube } from "../../viz/static/asks.js";
import { SceneData } from "../../viz/static/scene.js";
import { laneTip } from "../../viz/static/texts.js";
import { firstView, fullView, laneShare } from "../../viz/static/view.js";

const [address, topP] = process.argv.slice(2);
const LATE = "UND_ERR_HEADERS_TIMEOUT";

/** A machine may stand still for minutes; then whatever waits has waited too long, and is asked for again. */
async function fetched(name, of = {}) {
  for (let left = 2; ; left -= 1) {
    try {
      return await (await fetch(`${address}/${name}?${new URLSearchParams(of)}`)).json();
    } catch (error) {
      if (!left || error.cause?.code !== LATE) throw error;
      await new Promise((go) => setTimeout(go, 2000)); // until Node's own clock has caught up
    }
  }
}

const data = new SceneData(await fetched("scene.json"));
const { choices, layers } = data;
const every = (count) => Array.from({ length: count }, (_, i) => i);

/** Fetch until nothing is needed any more. */
async function settle(asks) {
  for (let wanted = asks(); wanted.length; wanted = asks()) {
    for (const ask of wanted) choices.take(ask, await fetched(ask.name, ask.of));
  }
}

/** What is drawn of a query in each layer, and of its lanes. */
async function drawn(query) {
  const rows = [];
  for (const layer of every(layers)) {
    await settle(() => asksOf(choices, query, layer));
    const known = choices.settings ? choices.previews(query, layer) : choices.knows(query, layer);
    rows.push(known ? [...choices.row(query, layer)] : null);
  }
  const view = { ...fullView({ view: firstView(), data, other: null }), query };
  const lanes = every(layers).map((layer) => every(data.slices).map((slice) => laneShare(view, layer, slice)));
  return { query, rows, lanes, tip: laneTip(view, { layer: layers - 1, slice: data.slices - 1 }) };
}

/** Every kind, word and head that the page offers. */
function queries() {
  const heads = [null, ...every(data.scene.heads)];
  const kinds = data.kinds.flatMap((kind) => (kind === "video" ? [null] : heads).map((head) => ({ kind, head })));
  const words = data.words.flatMap(({ kind }, word) =>
    heads.flatMap((head) =>
      kind === "answer"
        ? [
            { word, head },
            { word, head, said: true },
          ]
        : [{ word, head }],
    ),
  );
  return [...kinds, ...words];
}

/** The heads of each word that kept a cube, by layer. */
async function usersOf(cube) {
  await settle(() => asksOfCube(choices, cube));
  return data.words.map((_, word) => choices.headsByLayer(word, cube));
}

/** The tokens that pass through the FFN of each layer, and the share of each slice. */
async function passed() {
  const rows = [];
  for (const layer of every(layers)) {
    await settle(() => asksOf(choices, { word: 0, head: null }, layer));
    rows.push([...(choices.ffnRow(layer) ?? [])]);
  }
  return { rows, lanes: every(layers).map((layer) => every(data.slices).map((s) => data.ffnSliceShare(layer, s))) };
}

const recorded = [];
for (const query of queries()) recorded.push(await drawn(query));
const sources = every(choices.cubes).filter((cube) => data.nearestQueryCube(cube) === cube);
for (const cube of sources) recorded.push(await drawn({ cube, head: null }));
const users = [];
for (const cube of every(choices.cubes)) users.push(await usersOf(cube));
const ffn = await passed();
choices.preview({ attn_top_p: Number(topP) });
const previewed = [];
for (const query of queries()) previewed.push(await drawn(query));
process.stdout.write(JSON.stringify({ recorded, users, ffn, previewed, words: data.words }));
