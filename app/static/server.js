/* The server's side, as the page knows it: what it runs, and how its files are fetched. */

/** @import { DetailSource, EngineFacts } from "../../viz/static/types.js" */
/** @import { CalibrationPoint } from "./types.js" */

/**
 * What the server said of itself when the page was opened, the engine also since.
 * @type {{ engine: EngineFacts | null, calibration: CalibrationPoint[], opening: CalibrationPoint | null,
 *   presets: string[] }}
 */
export const server = { engine: null, calibration: [], opening: null, presets: [] };

/** Whether the server has no model, only recorded runs. */
export function replays() {
  return server.engine?.state === "replay";
}

/**
 * Address of a server path, wherever the page is mounted.
 * @param {string} path
 */
export function address(path) {
  const root = window.gradio_config?.root ?? "";
  return `${root.replace(/\/$/, "")}/${path}`;
}

/** What a file is asked for with. @typedef {Record<string, string | number>} Query */

/**
 * The path of a file of a finished run on the server.
 * @param {string} key
 * @param {string} name
 * @param {Query} [query]
 */
export function filePath(key, name, query = {}) {
  const given = Object.entries(query).map(([each, value]) => [each, String(value)]);
  const asked = new URLSearchParams(given).toString();
  return `studio/${key}/${name}${asked ? `?${asked}` : ""}`;
}

/**
 * A file of a finished run; throws the server's sentence where it has none.
 * @param {string} key
 * @param {string} name
 * @param {Query} [query]
 */
export async function fetched(key, name, query = {}) {
  return answered(filePath(key, name, query), "The server did not answer; check the connection and try again.");
}

/**
 * The address of another copy of a video, one that every browser plays; throws the server's sentence.
 * @param {string} url of the video
 */
export async function safeCopyOf(url) {
  const lost = "The server did not answer; check the connection and choose the video again.";
  return (await answered(`studio/safe-copy?${new URLSearchParams({ of: url })}`, lost, { method: "POST" })).text();
}

/**
 * An answer; throws the server's sentence, or `lost` where it has none.
 * @param {string} path
 * @param {string} lost
 * @param {RequestInit} [options]
 */
async function answered(path, lost, options) {
  const response = await fetch(address(path), options).catch(() => {
    throw new Error(lost);
  });
  if (!response.ok) throw new Error(response.status < 500 ? await response.text() : lost);
  return response;
}

/**
 * A JSON file of the server's own; throws its sentence.
 * @param {string} path
 * @returns {Promise<any>}
 */
export async function answeredJson(path) {
  return (await answered(path, "The server did not answer; check the connection and open the tab again.")).json();
}

/**
 * What a run dropped of a dense one's attention.
 * @param {string} key
 * @param {string} dense
 * @returns {DetailSource}
 */
export function droppedOf(key, dense) {
  return async ({ name, of }) => (await fetched(key, name, { ...of, dense })).json();
}

/**
 * What a large run's scene lacks is fetched when the viewer looks at it.
 * @param {string} key
 * @returns {DetailSource}
 */
export function detailsOf(key) {
  return async ({ name, of }) => (await fetched(key, name, of)).json();
}
