/* Details of the scene (a) and the one it is compared with (b), asked for when they are needed. No DOM. */

import { asksOf, asksOfCube, asksOfFfn } from "./asks.js";

/** @import { Ask, DetailSource } from "./types.js" */
/** @import { SceneData } from "./scene.js" */
/** @import { FullView } from "./view.js" */

/** Who takes in what was asked for. @typedef {{ take(ask: Ask, answer: any): void }} Taker */
/** Dropped attention stands beside both scenes. @typedef {"a" | "b" | "dropped"} Side */
/** @typedef {{ data: SceneData | null, into: Taker | null, source: DetailSource | null, asked: Set<string> }} Source */

const HOVER_RESTS_MS = 120;

export class Sources {
  /** @type {Map<Side, Source>} */
  #from = new Map();
  /** What waits until the pointer rests. */
  #waiting = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {() => void} onArrival hears that a detail is here */
  constructor(onArrival) {
    this.onArrival = onArrival;
  }

  /**
   * @param {"a" | "b"} side
   * @param {SceneData | null} data
   * @param {DetailSource | null} source
   */
  set(side, data, source) {
    this.#from.set(side, { data, into: data && data.choices, source, asked: new Set() });
  }

  /**
   * @param {Taker | null} into
   * @param {DetailSource | null} source
   */
  setDropped(into, source) {
    this.#from.set("dropped", { data: null, into, source, asked: new Set() });
  }

  /**
   * Ask for what drawing this view needs and does not have; what the pointer only passes over waits until it rests.
   * @param {FullView} view
   */
  fetchFor({ mode, layer, query, focus, hovered, hoveredWord, difference, dropped, named }) {
    const needed = [...this.#from].flatMap(([side, from]) => {
      if (side === "dropped") return dropped ? dropped.asks(named).map((ask) => ({ from, ask })) : [];
      if (!from.data || !from.source) return [];
      const mine = side === "b" && difference ? difference.queryOfB(query) : query;
      const { choices } = from.data;
      const ofCube =
        focus === null || side === "b" ? [] : [...asksOfCube(choices, focus), ...asksOfFfn(choices, layer)];
      const asks = [...(mode === "ffn" ? asksOfFfn(choices, layer) : asksOf(choices, mine, layer)), ...ofCube];
      return asks.map((ask) => ({ from, ask }));
    });
    this.#ask(
      needed.filter(({ from, ask }) => !from.asked.has(keyOf(ask))),
      hovered === null && hoveredWord === null,
    );
  }

  /**
   * @param {{ from: Source, ask: Ask }[]} needed
   * @param {boolean} rests the pointer is over nothing that is only passed over
   */
  #ask(needed, rests) {
    const fetch = () => needed.forEach(({ from, ask }) => this.#fetch(from, ask));
    const waiting = rests ? "" : needed.map(({ ask }) => keyOf(ask)).join();
    if (waiting && waiting === this.#waiting) return;
    this.#waiting = waiting;
    clearTimeout(this.#timer);
    if (waiting) this.#timer = setTimeout(fetch, HOVER_RESTS_MS);
    else fetch();
  }

  /**
   * @param {Source} from
   * @param {Ask} ask
   */
  async #fetch({ into, source, asked }, ask) {
    if (!into || !source || asked.has(keyOf(ask))) return;
    asked.add(keyOf(ask));
    try {
      into.take(ask, await source(ask));
    } catch {
      asked.delete(keyOf(ask)); // a later view asks again
      return;
    }
    this.onArrival();
  }
}

/** @param {Ask} ask */
function keyOf({ name, of }) {
  return name + JSON.stringify(of);
}
