/* Signals that the page's parts send each other. No DOM. */

/** @import { Signals } from "./types.js" */

/** @type {{ [Name in keyof Signals]?: ((value: Signals[Name]) => unknown)[] }} */
const listeners = {};

/**
 * @template {keyof Signals} Name
 * @param {Name} signal
 * @param {(value: Signals[Name]) => unknown} listener
 */
export function on(signal, listener) {
  /** @type {((value: Signals[Name]) => unknown)[]} */
  const known = listeners[signal] ?? [];
  known.push(listener);
  Object.assign(listeners, { [signal]: known });
}

/**
 * @template {keyof Signals} Name
 * @param {Name} signal
 * @param {Signals[Name]} value
 */
export function emit(signal, value) {
  for (const listener of listeners[signal] ?? []) listener(value);
}
