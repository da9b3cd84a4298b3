/* Which languages the page speaks, which one is asked for, and its table of sentences. No DOM. */

/** @import { Table } from "./translate.js" */

const KEPT = "adaspark-language";
/** Loaded when they are asked for. @type {Record<string, () => Promise<Table>>} */
const TABLES = { zh: async () => (await import("./chinese.js")).CHINESE };

/** The language of the address, or the one chosen before. */
export function wantedLanguage() {
  const asked = new URLSearchParams(location.search).get("lang");
  try {
    return asked ?? localStorage.getItem(KEPT) ?? "en";
  } catch {
    return asked ?? "en";
  }
}

/** @param {string} language that a further visit begins with */
export function keepLanguage(language) {
  try {
    localStorage.setItem(KEPT, language);
  } catch {
    // Without storage the address alone keeps it.
  }
}

/**
 * A language's table; undefined for English, and for one that the page does not speak.
 * @param {string} language
 */
export async function tableOf(language) {
  return Object.hasOwn(TABLES, language) ? TABLES[language]() : undefined;
}
