/* Looking sentences up in a table. No DOM. */

/** A table: English and the other language. In English {} stands for what changes and is looked up itself, {#} for a
    number or a span of numbers, {=} for what stays as it is: names, words of a run.
    @typedef {[string, string][]} Table */

const CHANGES = /(\{[#=]?\})/;
const BETWEEN_SENTENCES = /(?<=[.?!…]) (?=[A-Z“])/;
const REMEMBERED = 5000;
/** @type {Record<string, string>} */
const PARTS = {
  "{}": "([^;]+?)",
  "{=}": "(.+?)",
  "{#}": "([−+-]?\\d[\\d.,]*(?:-[\\d.,]+)?(?:e[+-]?\\d+)?)",
};

/**
 * What translates a text by a table; a text that is not in it stays as it is. Spaces around it are kept. What says more
 * exactly what it is of goes before what says less; of several sentences, or parts between semicolons, each may
 * stand in the table by itself.
 * @param {Table} table
 * @returns {(text: string) => string}
 */
export function translator(table) {
  const whole = new Map(table.filter(([english]) => !CHANGES.test(english)));
  const patterns = table
    .filter(([english]) => CHANGES.test(english))
    .map(([english, other]) => new Pattern(english, other))
    .sort((a, b) => b.size - a.size);
  /** @type {Map<string, string>} */
  const found = new Map();
  const one = (/** @type {string} */ text) => {
    const own = whole.get(text);
    if (own !== undefined) return own;
    for (const pattern of patterns) {
      const filled = pattern.filled(text, translate);
      if (filled !== null) return filled;
    }
    return null;
  };
  const clauses = (/** @type {string} */ text) => {
    const parts = text.replace(/\.$/, "").split("; ");
    const each = parts.length > 1 ? parts.map(one) : [null];
    if (each.some((part) => part === null)) return text;
    return each.join("；") + (text.endsWith(".") ? "。" : "");
  };
  const lookUp = (/** @type {string} */ text) => {
    if (whole.has(text)) return /** @type {string} */ (whole.get(text));
    const sentences = text.split(BETWEEN_SENTENCES);
    if (sentences.length === 1) return one(text) ?? clauses(text);
    const each = sentences.map(one);
    if (each.every((sentence) => sentence !== null)) return each.join("");
    return one(text) ?? each.map((sentence, i) => sentence ?? sentences[i]).join(" ");
  };
  const translate = (/** @type {string} */ text) => {
    const bare = text.trim();
    if (!/[A-Za-z]/.test(bare)) return text;
    if (!found.has(bare)) {
      if (found.size > REMEMBERED) found.clear();
      found.set(bare, lookUp(bare.replace(/\s+/g, " ")));
    }
    return text.replace(bare, () => /** @type {string} */ (found.get(bare)));
  };
  return translate;
}

/** A sentence with places for what changes. */
class Pattern {
  /** @type {RegExp | null} */
  #matches = null;

  /**
   * @param {string} english
   * @param {string} other
   */
  constructor(english, other) {
    this.other = other;
    this.parts = english.split(CHANGES);
    this.fixed = this.parts.filter((part) => part && !(part in PARTS));
    this.kept = this.parts.filter((part) => part in PARTS).map((part) => part === "{=}");
    /** How much of it is fixed. */
    this.size = this.fixed.reduce((sum, part) => sum + part.length, 0) + this.parts.filter((p) => p === "{#}").length;
  }

  /**
   * The other language's sentence for a text; null where the text is another one.
   * @param {string} text
   * @param {(text: string) => string} translate what may change
   */
  filled(text, translate) {
    if (!this.fixed.every((part) => text.includes(part))) return null;
    this.#matches ??= new RegExp(`^${this.parts.map(expression).join("")}$`, "s");
    const parts = this.#matches.exec(text)?.slice(1);
    if (!parts) return null;
    const texts = parts.map((part, i) => (this.kept[i] ? part : translate(part)));
    let at = 0;
    return this.other.replace(/\{(\d?)\}/g, (_, index) => texts[index === "" ? at++ : Number(index)]);
  }
}

/** @param {string} part */
function expression(part) {
  return PARTS[part] ?? part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
