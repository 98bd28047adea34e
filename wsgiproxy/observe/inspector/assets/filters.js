// The search field and the filters: which exchanges the list shows.

import { byId, make } from "./dom.js";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

function wordsOf(entry) {
  if (entry.words === null) {
    const { method, scheme, host, target, status, reason, upstream, type, error } = entry.summary;
    const text = [
      `#${entry.number}`, method, `${scheme}://${host}${target}`, status ?? "", reason, upstream,
      type, error, entry.summary.kind,
    ];
    entry.words = text.join("\n").toLowerCase();
  }
  return entry.words;
}

function statusTest(wanted) {
  if (wanted === "error") return ({ error }) => error !== "";
  if (wanted === "open") return ({ seconds }) => seconds === null;
  return ({ status }) => status !== null && Math.floor(status / 100) === Number(wanted);
}

function wordTest(search) {
  const words = search.toLowerCase().split(/\s+/).filter((word) => word && word !== "-");
  return words.map((word) => {
    if (word.startsWith("-")) return (entry) => !wordsOf(entry).includes(word.slice(1));
    return (entry) => wordsOf(entry).includes(word);
  });
}

function elapsed(summary) {
  return summary.seconds ?? Date.now() / 1000 - summary.began;
}

/** What an entry has to be, by the values of the form. */
export function question(values) {
  const tests = wordTest(values.search);
  const over = (test) => tests.push((entry) => test(entry.summary));
  if (values.method) over((summary) => summary.method === values.method);
  if (values.status) over(statusTest(values.status));
  if (values.kind) over((summary) => summary.kind === values.kind);
  if (values.prefix) over((summary) => summary.target.startsWith(values.prefix));
  if (values.within) {
    const span = Number(values.within);
    over((summary) => summary.began >= Date.now() / 1000 - span);
  }
  const slower = Number(values.slower);
  if (slower > 0) over((summary) => elapsed(summary) * 1000 > slower);
  return (entry) => tests.every((test) => test(entry));
}

export class Filters {
  /** @param changed is called with the new question. */
  constructor(changed) {
    this.form = byId("filters");
    this.changed = changed;
    this.methods = new Set(METHODS);
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => this.apply());
    this.form.addEventListener("reset", () => setTimeout(() => this.apply()));
    byId("more-filters").addEventListener("click", () => this.unfold());
    setInterval(() => this.isOfTime && this.apply(), 1000);
  }

  get values() {
    return Object.fromEntries(new FormData(this.form));
  }

  /** Whether the time alone changes what is shown. */
  get isOfTime() {
    const { within, slower } = this.values;
    return Boolean(within || slower);
  }

  unfold() {
    const isOpen = this.form.classList.toggle("unfolded");
    byId("more-filters").setAttribute("aria-expanded", String(isOpen));
  }

  /** Offer the methods that have been seen. */
  learn(summaries) {
    for (const { method } of summaries) {
      if (this.methods.has(method) || this.methods.size > 40) continue;
      this.methods.add(method);
      this.form.elements.method.append(make("option", { value: method }, method));
    }
  }

  apply() {
    const values = this.values;
    const set = Object.entries(values).filter(([name, value]) => value && name !== "search");
    byId("reset").hidden = set.length === 0 && !values.search;
    byId("more-filters").textContent = set.length ? `Filters (${set.length})` : "Filters";
    this.changed(question(values));
  }
}
