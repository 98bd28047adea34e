// One exchange: its head, its tabs, and that it is fetched again while it goes on.

import { read } from "./api.js";
import { button, byId, data, fill, make, tag } from "./dom.js";
import { clock, duration, size, statusClass, statusText } from "./format.js";
import { requestLegs, responseLegs } from "./legs.js";
import { overview } from "./overview.js";
import { Passing } from "./passing.js";

const TABS = { overview: "Overview", request: "Request", response: "Response", passing: "Messages" };
const NAMES = Object.keys(TABS);
const REST = 250; // milliseconds between two fetches, at least; more where they take long

export class Detail {
  /** @param takers back(), act(name, number). */
  constructor(takers) {
    this.box = byId("detail");
    this.takers = takers;
    this.number = null;
    this.tab = "overview";
    this.build();
  }

  build() {
    this.title = make("h2", { tabindex: "-1", id: "detail-title" });
    this.line = make("p", { class: "summary" });
    this.tabs = make("div", { role: "tablist", "aria-label": "Parts of the exchange" });
    this.panel = make("div", { role: "tabpanel", id: "panel", tabindex: "0" });
    const back = button("Back", () => this.takers.back(), { id: "back", "aria-label": "Back to the list" });
    const head = make("header", { class: "head" }, back, this.title, this.line, this.tools());
    for (const name of NAMES) this.tabs.append(this.newTab(name));
    this.tabs.addEventListener("keydown", (event) => this.turn(event));
    this.problem = make("p", { class: "problem", role: "alert", hidden: true });
    fill(this.box, head, this.tabs, this.problem, this.panel);
  }

  newTab(name) {
    const click = () => this.show(name);
    return button(TABS[name], click, { role: "tab", id: `tab-${name}`, "aria-controls": "panel" });
  }

  tools() {
    const act = (name) => () => this.takers.act(name, this.number);
    const copies = ["curl", "requests", "webob", "pytest"].map((kind) => {
      const names = { curl: "curl", requests: "Python requests", webob: "WebOb", pytest: "pytest test" };
      return button(names[kind], act(kind), { "data-copy": kind });
    });
    const menu = make("div", { class: "menu", id: "copy-menu", popover: "auto" }, copies);
    const copy = button("Copy as", () => {}, { popovertarget: "copy-menu", id: "copy-button" });
    copy.append(make("span", { class: "chevron", "aria-hidden": "true" }));
    this.har = make("a", { class: "button", download: true, id: "har-one" }, "HAR");
    return make("div", { class: "tools", role: "group", "aria-label": "This exchange" },
      button("Replay", act("replay"), { id: "replay", class: "first" }),
      button("Edit and replay", act("edit"), { id: "edit-button" }), copy, menu, this.har);
  }

  /** Fetch and show one. */
  async open(number, tab = this.tab) {
    clearTimeout(this.timer);
    this.number = number;
    this.tab = tab;
    this.box.hidden = false;
    this.har.href = `./api/har?numbers=${number}`;
    await this.fetch();
  }

  close() {
    clearTimeout(this.timer);
    this.asked?.abort();
    this.number = this.detail = this.drawn = null;
    this.box.hidden = true;
  }

  /** Its summary has changed: fetch it again, but not too often. */
  changed() {
    if (this.number === null) return;
    this.isStale = true;
    if (!this.isFetching && !this.isDue) {
      this.isDue = true;
      this.timer = setTimeout(() => this.fetch(), Math.max(REST, 3 * (this.took ?? 0)));
    }
  }

  async fetch() {
    this.asked?.abort();
    const asked = new AbortController();
    this.asked = asked;
    this.isFetching = true;
    this.isStale = this.isDue = false;
    const before = performance.now();
    try {
      const detail = await read(`exchanges/${this.number}`, { signal: asked.signal });
      if (asked.signal.aborted) return;
      this.took = performance.now() - before;
      this.problem.hidden = true;
      this.draw(detail);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.problem.textContent = error.message;
      this.problem.hidden = false;
    }
    this.isFetching = false;
    if (this.isStale) this.changed();
  }

  draw(detail) {
    const isOther = this.detail?.number !== detail.number;
    this.detail = detail;
    this.head(detail);
    const hasPassing = this.hasPassing(detail);
    const last = this.tabs.lastElementChild;
    last.hidden = !hasPassing;
    last.textContent = this.passingName(detail);
    if (isOther) {
      this.passing = new Passing();
      this.drawn = null;
    }
    const tab = this.tab === "passing" && !hasPassing ? "overview" : this.tab;
    this.render(tab, isOther);
  }

  hasPassing({ kind, messages, events }) {
    return kind !== "http" || messages.length > 0 || events.length > 0;
  }

  passingName({ kind, messages, messages_dropped: dropped, events }) {
    const isSocket = kind === "websocket" || messages.length > 0;
    return isSocket ? `Messages ${messages.length + dropped}` : `Events ${events.length}`;
  }

  head(detail) {
    // Its handshake alone would be no conversation: the proxy does not send it again.
    this.box.classList.toggle("no-replay", detail.kind === "websocket");
    fill(this.title, make("span", { class: "method" }, detail.method), " ", data(detail.target));
    const status = make("span", { class: `status ${statusClass(detail)}` },
      statusText(detail), detail.reason && ` ${detail.reason}`);
    const took = detail.seconds === null ? "under way" : duration(detail.seconds);
    const facts = [`#${detail.number}`, clock(detail.began), took];
    if (detail.response_size) facts.push(size(detail.response_size));
    fill(this.line, status, make("span", { class: "note" }, facts.join(" · ")),
      detail.replay_of > 0 && tag(`replay of ${detail.replay_of}`),
      detail.attempts.length > 1 && tag(`${detail.attempts.length} attempts`, "warn"),
      detail.source && tag("from a file"));
  }

  /** Show a tab. */
  show(name) {
    if (!this.detail || (name === "passing" && !this.hasPassing(this.detail))) return;
    this.tab = name;
    this.render(name, true);
  }

  render(name, isNew) {
    for (const tab of this.tabs.children) {
      const isChosen = tab.id === `tab-${name}`;
      tab.ariaSelected = String(isChosen);
      tab.tabIndex = isChosen ? 0 : -1;
    }
    this.panel.setAttribute("aria-labelledby", `tab-${name}`);
    this.passing.update(this.detail);
    const { messages, events, ...rest } = this.detail;
    const drawn = name + (name === "passing" ? this.number : JSON.stringify(rest));
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const top = this.panel.scrollTop;
    fill(this.panel, this.content(name));
    this.panel.scrollTop = isNew ? 0 : top;
  }

  content(name) {
    if (name === "request") return requestLegs(this.detail);
    if (name === "response") return responseLegs(this.detail);
    if (name === "passing") return [this.passing.element];
    return overview(this.detail, (tab) => {
      this.show(tab);
      byId(`tab-${tab}`).focus();
    });
  }

  turn(event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -9, End: 9 };
    if (!(event.key in steps)) return;
    const there = [...this.tabs.children].filter((tab) => !tab.hidden);
    const at = there.findIndex((tab) => tab.ariaSelected === "true");
    const next = there[Math.min(there.length - 1, Math.max(0, at + steps[event.key]))];
    this.show(next.id.slice(4));
    next.focus();
    event.preventDefault();
  }

  /** The tab in this place from 0. */
  showPlace(place) {
    if (NAMES[place]) this.show(NAMES[place]);
  }

  focus() {
    this.title.focus();
  }
}
