// The page: what is new goes to the list, what is chosen to the detail.

import { post, Stream } from "./api.js";
import { Detail } from "./detail.js";
import { byId, fill, shown } from "./dom.js";
import { Edit } from "./edit.js";
import { Filters } from "./filters.js";
import { count } from "./format.js";
import { listenToKeys } from "./keys.js";
import { List } from "./list.js";
import { splitter } from "./splitter.js";
import { Store } from "./store.js";
import { clear, copyAs, placeMenus, replay, takeFiles, toast, trying } from "./tools.js";

const ANNOUNCED = 3000; // milliseconds between two announcements of new exchanges
const WAITING = 2000; // changes that wait for the next frame, at most

const store = new Store();
const pending = new Map();
let state = { title: "", paused: false };
let link = "waiting";
let unannounced = 0;
let frame = null;
let wanted = null; // the number of a replay that is not in the list yet

const list = new List(byId("list"), store, { open, moved, seen });
const detail = new Detail({ back, act });
const edit = new Edit(show);
const filters = new Filters((matches) => {
  store.filter(matches);
  list.refresh();
  tell();
});

const isWide = () => matchMedia("(min-width: 60rem)").matches;

// Live

const stream = new Stream({
  whole(summaries, now) {
    pending.clear();
    store.clear();
    filters.learn(summaries);
    store.put(summaries);
    if (detail.number !== null) detail.changed();
    list.refresh();
    setState(now);
  },
  changes({ exchanges, first }) {
    for (const summary of exchanges) pending.set(summary.number, summary);
    pending.first = first;
    if (document.hidden || pending.size > WAITING) apply();
    else frame ??= requestAnimationFrame(apply);
  },
  state(now) {
    if (now.kept === 0) forget();
    setState(now);
  },
  link(name) {
    if (link !== "waiting" && link !== name && name === "live") toast("Live again");
    link = name;
    tell();
  },
});

function forget() {
  pending.clear();
  store.clear();
  list.chosen = null;
  list.refresh();
  if (detail.number !== null) back();
}

function apply() {
  cancelAnimationFrame(frame);
  frame = null;
  const summaries = [...pending.values()];
  pending.clear();
  filters.learn(summaries);
  unannounced += store.put(summaries);
  store.dropBelow(pending.first);
  list.refresh();
  if (summaries.some(({ number }) => number === detail.number)) detail.changed();
  if (wanted !== null && store.get(wanted)) show(wanted);
  tell();
}

setInterval(() => {
  if (!unannounced) return;
  byId("said").textContent = `${unannounced.toLocaleString("en")} new`;
  unannounced = 0;
}, ANNOUNCED);

// What stands in the bar

function setState(now) {
  state = now;
  document.body.classList.toggle("no-replay", now.can_replay === false);
  document.body.classList.toggle("no-har", now.can_har === false);
  tell();
}

function linkState() {
  if (link === "live") return state.paused ? ["paused", "Paused"] : ["live", "Live"];
  const texts = { waiting: "Connecting", ended: "The proxy has ended", crowded: "Not live, trying again" };
  return [link, texts[link]];
}

function tell() {
  const [name, text] = linkState();
  const box = byId("link");
  if (box.dataset.state !== name) {
    box.dataset.state = name;
    box.textContent = text;
    document.body.dataset.link = name;
  }
  const title = state.title || "Inspector";
  if (byId("title").textContent !== title) fill(byId("title"), shown(state.title));
  document.title = name === "live" ? `${title} · Inspector` : `${text} · ${title}`;
  byId("pause").textContent = state.paused ? "Resume" : "Pause";
  const [some, all] = [store.shown.length, store.all.length];
  const kept = `${all.toLocaleString("en")} kept`;
  byId("count").textContent = some === all ? kept : `${some.toLocaleString("en")} of ${kept}`;
  byId("empty").hidden = some > 0 || link === "waiting";
  if (!some) tellEmpty(all);
}

function tellEmpty(all) {
  const [head, text] = byId("empty").children;
  if (all) {
    head.textContent = "None of them matches";
    text.textContent = `${count(all, "exchange")} kept. Reset the filters to see them.`;
  } else if (state.paused) {
    head.textContent = "Paused";
    text.textContent = "What passes now is not kept. Resume to see it.";
  } else {
    head.textContent = "Nothing has passed yet";
    text.textContent = "Send a request through the proxy, or drop a HAR file here.";
  }
}

function seen(number) {
  const newer = byId("newer");
  newer.hidden = number === 0;
  if (number) newer.textContent = `↑ ${number.toLocaleString("en")} new`;
}

// Choosing

function show(number) {
  wanted = store.get(number) ? null : number;
  if (wanted === null) open(number, true);
}

function open(number, isByKey) {
  if (detail.number === number && isByKey) return detail.focus();
  // The list changes its width: what is chosen stays in sight.
  document.body.classList.add("opened");
  byId("splitter").hidden = false;
  list.choose(number);
  remember(number);
  const opened = detail.open(number);
  if (isByKey || !isWide()) opened.then(() => detail.number === number && detail.focus());
  requestAnimationFrame(() => list.choose(list.chosen));
  return opened;
}

function remember(number) {
  const hash = `#${number}`;
  if (location.hash === hash) return;
  if (location.hash) history.replaceState(history.state, "", hash);
  else history.pushState({ isOurs: true }, "", hash);
}

function moved(number) {
  if (detail.number === null) return;
  const isInside = byId("detail").contains(document.activeElement);
  clearTimeout(moved.timer);
  moved.timer = setTimeout(() => open(number, isInside && number !== detail.number), 60);
}

function back() {
  if (history.state?.isOurs) history.back();
  else {
    history.replaceState(null, "", location.pathname);
    close();
  }
}

function close() {
  if (detail.number === null) return;
  clearTimeout(moved.timer);
  detail.close();
  document.body.classList.remove("opened");
  byId("splitter").hidden = true;
  byId("list").focus();
  list.choose(list.chosen);
}

function route() {
  const number = Number(location.hash.slice(1));
  if (!number) close();
  else if (number !== detail.number) open(number, false);
}

addEventListener("popstate", route);

// Acting

async function act(name, number) {
  if (number === null || number === undefined) return;
  if ((name === "edit" || name === "replay") && state.can_replay === false) return;
  if (name === "edit") await trying(() => edit.open(number));
  else if (name === "replay") {
    const fresh = await replay(number);
    if (fresh) {
      toast(`Replayed as ${fresh}`);
      show(fresh);
    }
  } else await copyAs(number, name);
}

const pause = () => trying(async () => setState(await post("pause", { paused: !state.paused })));
const keys = () => byId("keys").showModal();
const chosen = () => detail.number ?? list.chosen;

byId("pause").addEventListener("click", pause);
byId("clear").addEventListener("click", () => clear(store.all.length));
byId("keys-button").addEventListener("click", keys);
byId("newer").addEventListener("click", () => {
  if (detail.number === null) list.follow();
  else byId("list").scrollTop = 0;
  byId("list").focus();
});

function escape(event) {
  if (event.target.id === "search" && event.target.value) return false;
  if (detail.number !== null) back();
  else if (list.chosen !== null) list.follow();
  else if (event.target.id === "search") byId("list").focus();
  else return false;
  return true;
}

const tab = (place) => () => detail.showPlace(place);
listenToKeys({
  j: () => list.move(1),
  k: () => list.move(-1),
  r: () => act("replay", chosen()),
  e: () => act("edit", chosen()),
  c: () => act("curl", chosen()),
  p: pause,
  "/": () => byId("search").select(),
  "?": keys,
  1: tab(0), 2: tab(1), 3: tab(2), 4: tab(3),
  Enter: (event) => (event.target === document.body && chosen() !== null ? open(chosen(), true) : false),
  Escape: escape,
});
byId("search").addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" && event.key !== "Enter") return;
  event.preventDefault();
  byId("list").focus();
  if (list.chosen === null) list.move(1);
});

takeFiles();
placeMenus();
splitter(byId("splitter"));
tell();
stream.open();
if (location.hash) route();
