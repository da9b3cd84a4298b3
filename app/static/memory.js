/* What the page remembers of itself over a reload, in this tab alone; and the last upload, to send it again. */

const NAME = "adaspark";

/** What is remembered: of which address, the finished run's key, the upload, the run under way and its question.
    @typedef {{ search: string, key: string, url: string, name: string, ticket: string, asked: string }} Memory */

/** @param {Memory} memory */
export function remember(memory) {
  try {
    sessionStorage.setItem(NAME, JSON.stringify(memory));
  } catch {
    // Without storage a reload starts from the address alone.
  }
}

/** What was remembered of the address when the page was loaded; null: nothing. */
export const LAST = recall();

/** @returns {Memory | null} */
function recall() {
  try {
    const memory = JSON.parse(sessionStorage.getItem(NAME) ?? "null");
    return memory?.search === location.search ? memory : null;
  } catch {
    return null;
  }
}

/** @returns {Promise<IDBDatabase>} */
function database() {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(NAME, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("files");
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
}

/**
 * Keep an upload in this browser; it goes nowhere else.
 * @param {File} file
 */
export async function keepFile(file) {
  try {
    const files = (await database()).transaction("files", "readwrite").objectStore("files");
    files.put(file, "upload");
  } catch {
    // Then it has to be chosen again by hand.
  }
}

/**
 * The kept upload of a name; null: it is not here.
 * @param {string} name
 * @returns {Promise<File | null>}
 */
export async function keptFile(name) {
  try {
    const files = (await database()).transaction("files").objectStore("files");
    const asked = files.get("upload");
    await new Promise((resolve, reject) => {
      asked.onsuccess = resolve;
      asked.onerror = reject;
    });
    return asked.result?.name === name ? asked.result : null;
  } catch {
    return null;
  }
}
