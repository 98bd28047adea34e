// Elements, and text that can do no harm. What comes from an exchange goes in as text nodes only.

// Control characters, and those that turn the direction of writing or are not seen at all.
const UNSEEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
// Pieces of one text; beyond that many strange characters the rest is shown as it is.
const PIECES = 2000;

/** The element of the page with this id. */
export const byId = (id) => document.getElementById(id);

/** A new element; functions among its attributes listen to the event of their name. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(key, value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.flat(2).filter((child) => child || child === 0 || child === ""));
  return element;
}

/** Text of an exchange, in which characters that are not seen stand as their code points. */
export function shown(text) {
  const value = String(text ?? "");
  if (value.search(UNSEEN) < 0) return [value];
  const pieces = [];
  let last = 0;
  for (const found of value.matchAll(UNSEEN)) {
    if (pieces.length > PIECES) break;
    pieces.push(value.slice(last, found.index), unseen(found[0]));
    last = found.index + 1;
  }
  pieces.push(value.slice(last));
  return pieces.filter((piece) => piece !== "");
}

function unseen(character) {
  const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  return make("span", { class: "unseen" }, `U+${code}`);
}

/** The same in one element. */
export const data = (text, name = "span", className = "data") =>
  make(name, { class: className, dir: "ltr" }, shown(text));

/** Put new children in place of the old ones. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(2).filter((child) => child || child === ""));
  return element;
}

/** A button with a text. */
export const button = (text, click, attributes = {}) =>
  make("button", { type: "button", ...attributes, click }, text);

/** A short mark beside something. */
export const tag = (text, className = "") => make("span", { class: `tag ${className}` }, text);
