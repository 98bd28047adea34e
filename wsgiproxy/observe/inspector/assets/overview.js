// The overview of one exchange: its facts, its times as bars, its attempts and its errors.

import { data, make, shown, tag } from "./dom.js";
import { count, duration, moment, size } from "./format.js";
import { differenceSummary, fieldsOf } from "./legs.js";

function facts(detail, open) {
  const replayed = detail.replay_of && make("a", { href: `#${detail.replay_of}` }, `exchange ${detail.replay_of}`);
  const rows = [
    ["Address", data(`${detail.scheme}://${detail.host}${detail.target}`)],
    ["Client", data(detail.client || "unknown")],
    ["Upstream", detail.upstream ? data(detail.upstream) : "none"],
    ["Began", moment(detail.began)],
    ["Took", detail.seconds === null ? "under way" : duration(detail.seconds)],
    ["Sizes", `${size(detail.request_size)} up, ${size(detail.response_size)} down`],
    replayed && ["Replay of", replayed],
    detail.source && ["From file", data(detail.source)],
  ];
  for (const leg of ["request", "response"]) {
    const summary = differenceSummary(leg, detail.differences[leg]);
    if (!summary) continue;
    const link = make("button", { type: "button", class: "link", click: () => open(leg) }, `Show the ${leg}`);
    rows.push([leg === "request" ? "Request" : "Response", [`${summary[1]} `, link]]);
  }
  return make("dl", { class: "facts" }, rows.filter(Boolean).map(([name, value]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

function bar(step, whole) {
  const end = step.to ?? whole;
  const line = make("span", { class: `step ${step.to === null ? "open" : ""}` });
  line.style.setProperty("--from", String(step.from / whole));
  line.style.setProperty("--part", String(Math.max(0, end - step.from) / whole));
  const text = step.to === null ? "under way" : duration(end - step.from);
  return make("tr", {}, make("th", { scope: "row" }, shown(step.name)),
    make("td", { class: "line" }, make("span", { class: "track", "aria-hidden": "true" }, line),
      make("span", { class: "hidden" }, `from ${duration(step.from)}`)),
    make("td", { class: "number" }, text));
}

/** The steps as bars on one scale. */
export function timing(detail) {
  const steps = detail.timing.filter((step) => step.from !== null);
  if (!steps.length) return null;
  const ends = steps.map((step) => step.to ?? step.from);
  const whole = Math.max(detail.seconds ?? 0, ...ends, 1e-6);
  const head = make("thead", { class: "hidden" }, make("tr", {}, ["Step", "When", "Took"].map((name) =>
    make("th", { scope: "col" }, name))));
  return make("section", {}, make("h3", {}, "Timing"),
    make("table", { class: "timing" }, head, make("tbody", {}, steps.map((step) => bar(step, whole)))));
}

function attemptHead(attempt, number) {
  const status = attempt.response ? `${attempt.response.status} ${attempt.response.reason}` : "no answer";
  const times = [
    `began at ${duration(attempt.began)}`,
    attempt.connected !== null && `connected at ${duration(attempt.connected)}`,
    attempt.sent !== null && `body sent at ${duration(attempt.sent)}`,
    attempt.answered !== null && `answered at ${duration(attempt.answered)}`,
    attempt.ended !== null && `ended at ${duration(attempt.ended)}`,
  ];
  return make("header", {}, make("strong", {}, `${number}. `, data(attempt.upstream || "upstream")),
    make("span", { class: attempt.error ? "bad" : "" }, ` ${status} `),
    attempt.own && tag("a hook's own request"), attempt.reused && tag("kept connection"),
    make("p", { class: "note" }, times.filter(Boolean).join(", ")));
}

function attemptItem(attempt, index) {
  const { request, response } = attempt;
  const heads = make("details", {}, make("summary", {}, "Its request and response heads"),
    make("p", { class: "data start", dir: "ltr" }, shown(`${request.method} ${request.target}`)),
    fieldsOf(request.headers), response && fieldsOf(response.headers));
  return make("li", {}, attemptHead(attempt, index + 1),
    attempt.error && make("p", { class: "problem data" }, shown(attempt.error)), heads);
}

function attempts(detail) {
  if (!detail.attempts.length) return null;
  const title = detail.attempts.length > 1 ? count(detail.attempts.length, "attempt") : "Attempt";
  return make("section", {}, make("h3", {}, title),
    make("ol", { class: "attempts" }, detail.attempts.map(attemptItem)));
}

function errors(detail) {
  const found = detail.errors.length ? detail.errors : [detail.error].filter(Boolean);
  if (!found.length) return null;
  return make("section", { class: "errors" }, make("h3", {}, found.length > 1 ? "Errors" : "Error"),
    found.map((text) => make("p", { class: "problem data", dir: "ltr" }, shown(text))));
}

/** All of it; open(tab) shows another tab. */
export const overview = (detail, open) =>
  [errors(detail), facts(detail, open), timing(detail), attempts(detail)].filter(Boolean);
