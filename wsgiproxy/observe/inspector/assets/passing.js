// WebSocket messages and events of a stream, as they pass.

import { button, data, fill, make, shown, tag } from "./dom.js";
import { count, duration, size } from "./format.js";

const EVENTS = 1000; // events that are told of, the first ones
const LONG = 400; // characters of a message that are in sight before it is opened

const seconds = (value) => (value === null ? "" : `+${duration(value)}`);

function pretty(text) {
  if (!/^\s*[[{]/.test(text)) return text;
  try {
    const value = JSON.parse(text);
    // A number or a name given twice may not come back as it was.
    const isSame = JSON.stringify(value).replace(/\s/g, "") === text.replace(/\s/g, "");
    return isSame ? JSON.stringify(value, null, 2) : text;
  } catch {
    return text;
  }
}

/** A text in one line, that opens to all of it where it is long, or can be laid out. */
function opening(text, laid = pretty(text)) {
  const isShort = text.length <= LONG && !text.includes("\n");
  if (isShort && laid === text) return data(text, "div");
  const line = text.slice(0, LONG).split("\n")[0];
  const summary = make("summary", {}, data(line === text ? line : `${line} …`));
  const details = make("details", {}, summary);
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) {
      details.append(make("pre", { class: "data", dir: "ltr" }, shown(laid)));
    }
  });
  return details;
}

/** Bytes, a dozen a line, beside what they are in ASCII. */
function dump(hex) {
  const bytes = hex.split(/\s+/).filter(Boolean);
  const lines = [];
  for (let at = 0; at < bytes.length; at += 12) {
    const some = bytes.slice(at, at + 12);
    const codes = some.map((each) => parseInt(each, 16));
    const text = codes.map((code) => (code > 31 && code < 127 ? String.fromCharCode(code) : "."));
    lines.push(`${some.join(" ").padEnd(36)} ${text.join("")}`);
  }
  return lines.join("\n");
}

function messageText(message) {
  if (message.text === null) {
    const bytes = dump(message.hex ?? "");
    return opening(bytes, bytes);
  }
  return message.text === "" ? make("span", { class: "note" }, "empty") : opening(message.text);
}

function messageRow(message) {
  const isClient = message.from === "client";
  const arrow = make("span", { class: "arrow", "aria-hidden": "true" }, isClient ? "↑" : "↓");
  const kind = message.kind === "text" ? null : tag(message.kind, message.kind === "close" ? "warn" : "kind");
  const facts = make("span", { class: "note" }, size(message.size));
  return make("li", { class: isClient ? "client" : "upstream" },
    make("span", { class: "at" }, seconds(message.seconds)),
    make("span", { class: "way" }, arrow, isClient ? "client" : "upstream"),
    make("div", { class: "what" }, messageText(message)),
    make("span", { class: "facts" }, kind, message.cut && tag("cut", "warn"), facts));
}

function eventRow(event) {
  const name = event.event && event.event !== "message" ? tag(event.event, "kind") : null;
  return make("li", { class: "upstream" },
    make("span", { class: "at" }, seconds(event.seconds)),
    make("span", { class: "way" }, name ?? "event"),
    make("div", { class: "what" }, opening(event.data)),
    make("span", { class: "facts" }, event.cut && tag("cut", "warn"),
      event.id && make("span", { class: "note" }, "id ", data(event.id))));
}

/** A list that grows; what is in it already is left alone. */
export class Passing {
  constructor() {
    this.newestFirst = false;
    this.note = make("p", { class: "tally" });
    this.list = make("ol", { class: "passing" });
    const order = button("Newest first", () => {
      this.newestFirst = !this.newestFirst;
      order.setAttribute("aria-pressed", String(this.newestFirst));
      this.list.append(...[...this.list.children].reverse());
    }, { "aria-pressed": "false" });
    this.element = make("div", {}, make("div", { class: "over-legs" }, this.note, order), this.list);
    this.until = 0;
  }

  /** The detail has been fetched again. */
  update(detail) {
    const isSocket = detail.kind === "websocket" || detail.messages.length > 0;
    const rows = isSocket ? detail.messages : detail.events;
    const dropped = isSocket ? detail.messages_dropped : 0;
    if (this.until > dropped + rows.length) {
      fill(this.list);
      this.until = 0;
    }
    const fresh = rows.slice(Math.max(0, this.until - dropped)).map(isSocket ? messageRow : eventRow);
    if (this.newestFirst) this.list.prepend(...fresh.reverse());
    else this.list.append(...fresh);
    this.until = dropped + rows.length;
    while (this.list.childElementCount > rows.length) {
      (this.newestFirst ? this.list.lastElementChild : this.list.firstElementChild).remove();
    }
    this.tell(detail, isSocket, rows.length, dropped);
  }

  tell(detail, isSocket, number, dropped) {
    const words = [count(number + dropped, isSocket ? "message" : "event")];
    if (dropped) words.push(`the last ${number.toLocaleString("en")} are kept`);
    if (!isSocket && number >= EVENTS) words.push("which are the first ones; the body has the others");
    words.push(detail.seconds === null ? "still open" : "closed");
    this.note.textContent = words.join(", ");
  }
}
