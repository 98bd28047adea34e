// Bodies: pretty JSON that folds, forms, images, text and bytes. Never as a page.

import { ask, read } from "./api.js";
import { data, fill, make, shown } from "./dom.js";
import { size } from "./format.js";

// Lines of JSON that fold, and the longest of them that is coloured.
const FOLDED = 4000;
const COLOURED = 5000;
const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*)|\b(true|false|null)\b/g;

// What has been fetched, so that a body is not fetched again when its exchange goes on.
const fetched = new Map();

function fetchedOnce(path, stamp) {
  const known = fetched.get(path);
  if (known?.stamp === stamp) return known.promise;
  if (fetched.size > 30) fetched.clear();
  const promise = read(path);
  promise.catch(() => fetched.delete(path));
  fetched.set(path, { stamp, promise });
  return promise;
}

function coloured(line) {
  if (line.length > COLOURED) return shown(line);
  const pieces = [];
  let last = 0;
  for (const found of line.matchAll(TOKENS)) {
    const [, string, colon, number] = found;
    const kind = colon ? "key" : string ? "string" : number ? "number" : "word";
    const text = string ?? found[0];
    pieces.push(shown(line.slice(last, found.index)));
    pieces.push(make("span", { class: `j-${kind}` }, shown(text)));
    last = found.index + text.length;
  }
  pieces.push(shown(line.slice(last)));
  return pieces;
}

/** Pretty JSON, of which each object and array folds. */
export function folded(text) {
  const lines = text.split("\n");
  const box = make("div", { class: "json data", dir: "ltr" });
  if (lines.length > FOLDED) return fill(box, make("pre", {}, shown(text)));
  const open = [box];
  for (const line of lines) {
    const inner = open[open.length - 1];
    if (/[[{]$/.test(line)) {
      const part = make("details", { open: true }, make("summary", {}, coloured(line)));
      const kind = line.endsWith("[") ? "array" : "object";
      part.dataset.kind = kind;
      inner.append(part);
      open.push(part);
    } else {
      inner.append(make("div", {}, coloured(line)));
      if (/^\s*[\]}]/.test(line) && open.length > 1) open.pop();
    }
  }
  return box;
}

function form(fields) {
  const rows = fields.map(([name, value]) =>
    make("tr", {}, make("th", { scope: "row" }, data(name)), make("td", {}, data(value))));
  const head = make("tr", {}, make("th", { scope: "col" }, "Name"), make("th", { scope: "col" }, "Value"));
  return make("table", { class: "form" }, make("thead", {}, head), make("tbody", {}, rows));
}

function image(path, alt) {
  const picture = make("img", { src: `./api/${path}/image`, alt });
  const note = make("p", { class: "note" });
  picture.addEventListener("load", () => {
    note.textContent = `${picture.naturalWidth} × ${picture.naturalHeight} pixels`;
  });
  picture.addEventListener("error", () => {
    fill(note, "The image cannot be shown.");
    picture.remove();
  });
  return make("div", { class: "picture" }, picture, note);
}

function view(body, path, info) {
  if (body.kind === "empty") return make("p", { class: "note" }, "Empty.");
  if (body.kind === "form" && body.fields) return form(body.fields);
  if (body.kind === "image") return image(path, `The body, an image of type ${info.type}`);
  if (body.kind === "json") return folded(body.text);
  return make("pre", { class: `data ${body.kind}`, dir: "ltr" }, shown(body.text));
}

function notes(info, body) {
  const found = [];
  if (info.kept < info.size) found.push(`Cut: ${size(info.kept)} of ${size(info.size)} are kept.`);
  else if (body.cut) found.push("Only its beginning is shown; the download has all of it.");
  if (!info.whole) found.push("Its end has not passed.");
  const notices = found.map((text) => make("p", { class: "notice" }, text));
  return [...notices, body.note && make("p", { class: "note" }, shown(body.note))];
}

/** The part of the page that shows one body. */
export function bodyOf(number, info, title) {
  const heading = make("h4", {}, title);
  if (!info || !info.size) {
    return make("section", { class: "body" }, make("header", {}, heading, make("span", { class: "note" }, "none")));
  }
  const path = `exchanges/${number}/bodies/${encodeURIComponent(info.name)}`;
  const facts = [size(info.size), info.type, info.coding && `coded as ${info.coding}`];
  const raw = make("a", { href: `./api/${path}/raw`, download: true, class: "button" }, "Download");
  const wrap = make("button", { type: "button", "aria-pressed": "true" }, "Wrap");
  const box = make("div", { class: "content wrapped", "aria-busy": "true" }, "…");
  wrap.addEventListener("click", () => {
    wrap.setAttribute("aria-pressed", String(box.classList.toggle("wrapped")));
  });
  const said = make("span", { class: "note" }, shown(facts.filter(Boolean).join(", ")));
  const head = make("header", {}, heading, said, make("span", { class: "tools" }, wrap, raw));
  load(path, info, box, wrap);
  return make("section", { class: "body" }, head, box);
}

async function load(path, info, box, wrap) {
  try {
    const body = await fetchedOnce(path, `${info.size} ${info.kept} ${info.whole}`);
    wrap.hidden = !["json", "text"].includes(body.kind);
    if (!["json", "text", "form"].includes(body.kind)) box.classList.remove("wrapped");
    fill(box, notes(info, body), view(body, path, info));
    if (box.querySelector("pre")) box.tabIndex = 0;
  } catch (error) {
    fill(box, make("p", { class: "problem" }, error.message));
  }
  box.removeAttribute("aria-busy");
}

/** Text of the API, such as a command to copy. */
export const textOf = async (path) => (await ask(path)).text();
