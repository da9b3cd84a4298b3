/* What Gradio writes into a field of its own, in the page's language. It is written as a property, which no observer
   sees; Gradio itself goes on reading what it wrote. */

const VALUE = /** @type {PropertyDescriptor & { get: () => string, set: (value: string) => void }} */ (
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value")
);
const written = new WeakMap();

/**
 * Show in a field, now and whenever its value is set, what `translate` makes of it.
 * @param {HTMLInputElement} field that nobody types in
 * @param {(text: string) => string} translate into the page's language of that moment
 */
export function writeInLanguage(field, translate) {
  const show = (/** @type {string} */ english) => {
    written.set(field, english);
    VALUE.set.call(field, translate(english));
  };
  if (written.has(field)) {
    show(written.get(field));
    return;
  }
  show(field.value);
  Object.defineProperty(field, "value", { get: () => written.get(field), set: show, configurable: true });
}
