/* Elements, for the viewer and the page around it. Text from data only ever becomes text. */

/**
 * What an element starts with: `text`, `on` (listeners by event), anything else is an attribute. True is a bare
 * attribute; false, null and undefined leave it out.
 * @typedef {Record<string, unknown> & { text?: string | number, on?: Record<string, (event: any) => unknown> }} Options
 */

/**
 * An element with options and children.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Options} [options]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "text") node.textContent = String(value);
    else if (name === "on") listen(node, options.on ?? {});
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, String(value));
  }
  node.append(...children);
  return node;
}

/**
 * @param {HTMLElement} node
 * @param {Record<string, (event: any) => unknown>} listeners
 */
function listen(node, listeners) {
  for (const [event, listener] of Object.entries(listeners)) node.addEventListener(event, listener);
}

/**
 * @param {string} text
 * @param {Options} [options]
 */
export function button(text, options = {}) {
  return el("button", { type: "button", text, ...options });
}

/**
 * A button with a drawing instead of a word; which one is CSS's affair, by data-icon.
 * @param {string} name
 * @param {string} label
 */
export function iconButton(name, label) {
  return button("", { class: "icon", "aria-label": label, "data-icon": name });
}

/**
 * A slider with its name and what it stands at.
 * @param {string} label
 * @param {Options} options
 */
export function slider(label, options) {
  const input = el("input", { type: "range", "aria-label": label, ...options });
  const output = el("output", { "aria-hidden": "true" });
  const name = el("span", { class: "name", text: label, "aria-hidden": "true" });
  return { input, output, row: el("div", { class: "dial" }, name, input, output) };
}

/**
 * Buttons of which one is pressed; `onPick` gets its value.
 * @template {string} T
 * @param {string} label
 * @param {[T, string][]} choices value and text
 * @param {(value: T) => void} onPick
 */
export function segments(label, choices, onPick) {
  const made = choices.map(([value, text]) =>
    button(text, { "aria-pressed": "false", "data-value": value, on: { click: () => onPick(value) } }),
  );
  return el("div", { class: "segments", role: "group", "aria-label": label }, ...made);
}

/**
 * @param {HTMLElement} group of `segments`
 * @returns {HTMLButtonElement[]}
 */
export function choicesOf(group) {
  return [...group.querySelectorAll("button")];
}

/**
 * Press the button of a value (null: none).
 * @param {HTMLElement} group of `segments`
 * @param {string | null | undefined} value
 */
export function press(group, value) {
  for (const choice of choicesOf(group)) choice.setAttribute("aria-pressed", String(choice.dataset.value === value));
}

/**
 * Change a text only where it differs: a live region speaks at every change.
 * @param {Element} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * A table whose rows begin with their heading; an empty heading of a column is no heading.
 * @param {HTMLTableCaptionElement} caption
 * @param {string[]} heads
 * @param {(Node | string)[][]} rows
 */
export function table(caption, heads, rows) {
  const columns = heads.map((text) => (text ? el("th", { scope: "col", text }) : el("td")));
  const lines = rows.map(([first, ...cells]) =>
    el("tr", {}, el("th", { scope: "row" }, first), ...cells.map((cell) => el("td", {}, cell))),
  );
  return el("table", {}, caption, el("thead", {}, el("tr", {}, ...columns)), el("tbody", {}, ...lines));
}

/**
 * A region that scrolls by itself, by keys too.
 * @param {string} label
 * @param {string} className
 * @param {...Node} children
 */
export function scrollBox(label, className, ...children) {
  return el("div", { class: className, tabindex: 0, role: "region", "aria-label": label }, ...children);
}

/**
 * An element that the page's own templates have.
 * @template {Element} [T=HTMLElement]
 * @param {ParentNode} parent
 * @param {string} selector
 * @returns {T}
 */
export function find(parent, selector) {
  const found = parent.querySelector(selector);
  if (!found) throw new Error(`The page has no ${selector}; reload it.`);
  return /** @type {T} */ (found);
}
