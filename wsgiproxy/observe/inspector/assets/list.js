// The list: a listbox of which only the rows in sight are in the document.
//
// It is a listbox and no table, because one exchange is chosen from many: it is one stop of the
// Tab key, the arrow keys move the choice, and aria-setsize and aria-posinset tell a screen reader
// how long it is, though few rows exist.

import { fill, make, shown, tag } from "./dom.js";
import { clock, duration, shortType, size, statusClass, statusText } from "./format.js";

const BEYOND = 8; // rows above and below those in sight

const CELLS = ["status", "method", "target", "type", "upstream", "duration", "size", "clock"];

function newRow() {
  const row = make("div", { role: "option", class: "row" });
  row.cells = Object.fromEntries(CELLS.map((name) => [name, make("span", { class: name })]));
  row.append(...Object.values(row.cells));
  return row;
}

function kindTags(summary) {
  const tags = [];
  if (summary.kind === "websocket") tags.push(tag("ws", "kind"));
  if (summary.kind === "events") tags.push(tag("events", "kind"));
  if (summary.attempts > 1) tags.push(tag(`${summary.attempts} attempts`, "warn"));
  if (summary.replay_of) tags.push(tag("replay"));
  if (summary.source) tags.push(tag("file"));
  if (summary.error) tags.push(tag("error", "bad"));
  return tags;
}

function fillRow(row, summary) {
  const { cells } = row;
  row.dataset.number = summary.number;
  row.id = `row-${summary.number}`;
  cells.status.className = `status ${statusClass(summary)}`;
  cells.status.textContent = statusText(summary);
  cells.method.textContent = summary.method;
  cells.target.title = summary.host + summary.target;
  const target = make("span", { class: "path", dir: "ltr" }, shown(summary.target.slice(0, 500)));
  fill(cells.target, target, kindTags(summary));
  cells.type.textContent = shortType(summary.type);
  fill(cells.upstream, shown(summary.upstream));
  cells.duration.textContent = summary.seconds === null ? "under way" : duration(summary.seconds);
  cells.size.textContent = summary.kind === "websocket" ? `${summary.messages} msg` : size(summary.response_size);
  cells.clock.textContent = clock(summary.began);
}

export class List {
  /** @param takers open(number, isByKey), moved(number), seen(numberOfNewOnes). */
  constructor(box, store, takers) {
    this.box = box;
    this.store = store;
    this.takers = takers;
    this.space = box.querySelector(".space");
    this.rows = new Map();
    this.spare = [];
    this.chosen = null;
    this.newest = 0; // the newest number that has been in sight
    this.anchor = null;
    this.order = () => {
      this.waits ??= requestAnimationFrame(() => this.render());
    };
    box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    box.addEventListener("click", (event) => this.clicked(event));
    box.addEventListener("keydown", (event) => this.pressed(event));
    new ResizeObserver(() => this.measure()).observe(box);
    this.measure();
  }

  measure() {
    this.height = this.box.clientHeight;
    const before = this.rowHeight;
    this.rowHeight = parseFloat(getComputedStyle(this.box).getPropertyValue("--row")) || 30;
    if (before && before !== this.rowHeight) this.hold();
    this.order();
  }

  /** Whether the newest stay in sight as they come. */
  get isFollowing() {
    return this.chosen === null && this.box.scrollTop < this.rowHeight;
  }

  scrolled() {
    this.remember();
    this.order();
  }

  /** Note what is at the top, to hold it there. */
  remember() {
    const index = Math.floor(this.box.scrollTop / this.rowHeight);
    const entry = this.store.row(index);
    this.anchor = entry ? [entry.number, this.box.scrollTop - index * this.rowHeight] : null;
  }

  /** Keep what is in sight where it is, though rows have come above it. */
  hold() {
    if (this.isFollowing) this.box.scrollTop = 0;
    else if (this.anchor) {
      const [number, rest] = this.anchor;
      this.box.scrollTop = this.store.above(number) * this.rowHeight + rest;
    }
  }

  /** The exchanges have changed. */
  refresh() {
    const length = this.store.shown.length;
    this.space.style.setProperty("--height", `${length * this.rowHeight}px`);
    this.hold();
    this.order();
  }

  /** To the top, and stay there. */
  follow() {
    this.choose(null);
    this.box.scrollTop = 0;
    this.anchor = null;
    this.order();
  }

  render() {
    this.waits = null;
    const length = this.store.shown.length;
    this.space.style.setProperty("--height", `${length * this.rowHeight}px`);
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.rowHeight) - BEYOND);
    const last = Math.min(length, first + Math.ceil(this.height / this.rowHeight) + 2 * BEYOND);
    const wanted = new Map();
    for (let index = first; index < last; index += 1) wanted.set(this.store.row(index), index);
    // The chosen one stays in the document: the listbox points to it.
    const chosen = this.chosen === null ? null : this.store.get(this.chosen);
    if (chosen?.isShown) wanted.set(chosen, this.store.above(chosen.number));
    this.recycle(wanted);
    this.place(wanted);
    this.point(chosen?.isShown ? chosen.number : null);
    this.count();
    this.remember();
  }

  recycle(wanted) {
    for (const [entry, row] of this.rows) {
      if (wanted.has(entry)) continue;
      this.rows.delete(entry);
      this.spare.push(row);
    }
  }

  place(wanted) {
    const entries = [...wanted].sort((one, other) => one[1] - other[1]);
    let before = this.space.firstElementChild;
    for (const [entry, index] of entries) {
      let row = this.rows.get(entry);
      if (!row) {
        row = this.spare.pop() ?? newRow();
        row.version = -1;
        this.rows.set(entry, row);
      }
      this.dress(row, entry, index);
      if (row === before) before = row.nextElementSibling;
      else this.space.insertBefore(row, before);
    }
    for (const row of this.spare) row.remove();
    this.spare.length = Math.min(this.spare.length, 50);
  }

  dress(row, entry, index) {
    if (row.version !== entry.version) {
      fillRow(row, entry.summary);
      row.version = entry.version;
    }
    const isChosen = String(entry.number === this.chosen);
    if (row.ariaSelected !== isChosen) row.ariaSelected = isChosen;
    row.ariaPosInSet = index + 1;
    row.ariaSetSize = this.store.shown.length;
    row.style.setProperty("--top", `${index * this.rowHeight}px`);
  }

  point(number) {
    if (number === null) this.box.removeAttribute("aria-activedescendant");
    else this.box.setAttribute("aria-activedescendant", `row-${number}`);
  }

  /** How many new ones are above what is in sight. */
  count() {
    const index = Math.floor(this.box.scrollTop / this.rowHeight + 0.5);
    const top = this.store.row(index);
    if (top && top.number > this.newest) this.newest = top.number;
    this.takers.seen(this.store.above(this.newest));
  }

  clicked(event) {
    const row = event.target.closest("[role=option]");
    if (row) this.takers.open(Number(row.dataset.number), false);
  }

  pressed(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.height / this.rowHeight) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) this.move(steps[event.key]);
    else if (event.key === "Enter" && this.chosen !== null) this.takers.open(this.chosen, true);
    else return;
    event.preventDefault();
  }

  /** Move the choice by so many rows. */
  move(step) {
    const length = this.store.shown.length;
    if (!length) return;
    const at = this.chosen === null ? -1 : this.store.above(this.chosen);
    const index = this.chosen === null && step > 0 && step !== Infinity ? 0 : at + step;
    const entry = this.store.row(Math.min(length - 1, Math.max(0, index)));
    this.choose(entry.number);
    this.takers.moved(entry.number);
  }

  /** Choose one, and bring it into sight; null for none. */
  choose(number) {
    this.chosen = number;
    if (number !== null && this.store.get(number)?.isShown) this.reveal(number);
    this.order();
  }

  reveal(number) {
    const top = this.store.above(number) * this.rowHeight;
    const { scrollTop } = this.box;
    if (top < scrollTop) this.box.scrollTop = top;
    else if (top + this.rowHeight > scrollTop + this.height) {
      this.box.scrollTop = top + this.rowHeight - this.height;
    }
  }
}
