// The two legs of an exchange side by side: the client's, and the upstream's.

import { bodyOf } from "./bodies.js";
import { data, make, tag } from "./dom.js";
import { count } from "./format.js";

const MARKS = { same: "", changed: "≠", added: "+", removed: "−" };

/** The last attempt that was the client's own request. */
export const lastAttempt = (detail) => detail.attempts.filter((attempt) => !attempt.own).at(-1);

/** How many fields of a leg differ, by state. */
export function tally(differences) {
  const states = ["changed", "added", "removed"];
  const numbers = states.map((state) => [differences.filter((each) => each.state === state).length, state]);
  return numbers.filter(([number]) => number).map(([number, state]) => `${number} ${state}`).join(", ");
}

function maskedNames(...heads) {
  const fields = heads.flatMap((head) => head?.headers ?? []);
  return new Set(fields.filter((field) => field.masked).map((field) => field.name.toLowerCase()));
}

function value(text, isMasked, side) {
  const label = make("span", { class: "side", "aria-hidden": "true" }, side);
  if (text === null || text === undefined) {
    return make("td", { class: "absent" }, label, make("span", { class: "hidden" }, "absent"), make("span", { "aria-hidden": "true" }, "—"));
  }
  return make("td", {}, label, data(text), isMasked && [" ", tag("masked")]);
}

function differenceRow(difference, masked, sides) {
  const { name, state, client, upstream, why } = difference;
  const isMasked = masked.has(name.toLowerCase());
  const mark = make("span", { class: "mark", "aria-hidden": "true" }, MARKS[state] ?? "");
  const word = state === "same" ? make("span", { class: "hidden" }, "same") : tag(state, state);
  const head = make("th", { scope: "row" }, mark, data(name), " ", word);
  if (why) head.append(make("p", { class: "why" }, why));
  return make("tr", { class: state }, head, value(client, isMasked, state === "same" ? "both" : sides[0]), value(upstream, isMasked, sides[1]));
}

function header(...names) {
  return make("thead", {}, make("tr", {}, names.map((name) => make("th", { scope: "col" }, name))));
}

// Whether fields that are the same are left out; it holds for the next exchange as well.
let isShort = false;

function onlyDifferent(table) {
  const change = () => {
    isShort = box.checked;
    table.classList.toggle("only-different", isShort);
  };
  const box = make("input", { type: "checkbox", change });
  box.checked = isShort;
  table.classList.toggle("only-different", isShort);
  return make("label", { class: "check" }, box, " Only differences");
}

function bothLegs(differences, masked, columns, sides) {
  const rows = differences.map((difference) => differenceRow(difference, masked, sides));
  const table = make("table", { class: "legs" }, make("caption", { class: "hidden" }, "Both legs"), header(...columns), make("tbody", {}, rows));
  const said = tally(differences);
  const isSame = said === "";
  const note = make("p", { class: "tally" }, isSame ? "Both legs are the same." : said);
  const hasSame = differences.some((each) => each.state === "same");
  return [make("div", { class: "over-legs" }, note, !isSame && hasSame && onlyDifferent(table)), table];
}

/** The fields of one head alone. */
export function fieldsOf(headers) {
  if (!headers.length) return make("p", { class: "note" }, "No header fields.");
  const rows = headers.map((field) =>
    make("tr", {}, make("th", { scope: "row" }, data(field.name)), make("td", {}, data(field.value), field.masked && [" ", tag("masked")])));
  return make("table", { class: "fields" }, header("Field", "Value"), make("tbody", {}, rows));
}

function lineOf([label, text], isChanged) {
  const name = make("span", { class: "label" }, label, isChanged && tag("≠ changed", "changed"));
  return make("div", { class: isChanged ? "changed" : "" }, name, data(text, "code", "data start"));
}

function startLines(first, second, isChanged) {
  const theirs = second && lineOf(second, isChanged);
  return make("div", { class: `start-lines ${second ? "two" : ""}` }, lineOf(first, false), theirs);
}

const requestLine = (head, version = "") => `${head.method} ${head.target} ${version}`.trim();
const statusLine = (head) => `${head.status} ${head.reason}`.trim();

function bodies(detail, own, theirs, titles) {
  if (!theirs) return bodyOf(detail.number, own, titles[0]);
  return make("div", { class: "two-bodies" }, bodyOf(detail.number, own, titles[1]), bodyOf(detail.number, theirs, titles[2]));
}

/** The request: what the client sent, and what the upstream got. */
export function requestLegs(detail) {
  const attempt = lastAttempt(detail);
  const { request, differences } = detail;
  const first = ["The client sent", requestLine(request, request.version)];
  const second = attempt && [`${attempt.upstream || "The upstream"} got`, requestLine(attempt.request)];
  const sides = ["client", "upstream"];
  const legs = attempt && differences.request.length
    ? bothLegs(differences.request, maskedNames(request, attempt.request), ["Field", "The client sent", "The upstream got"], sides)
    : fieldsOf(request.headers);
  const titles = ["Body", "Body from the client", "Body as the upstream got it"];
  const isChanged = attempt && requestLine(request) !== requestLine(attempt.request);
  return [startLines(first, second, isChanged), legs, bodies(detail, request.body, attempt?.request.body, titles)];
}

/** The response: what the upstream sent, and what the client got. */
export function responseLegs(detail) {
  const attempt = lastAttempt(detail);
  const { response, differences } = detail;
  if (!response) {
    const text = detail.seconds === null ? "No answer yet." : "The client got no answer.";
    return [make("p", { class: "note" }, text), attempt?.response && fieldsOf(attempt.response.headers)];
  }
  const theirs = attempt?.response;
  const first = ["The client got", statusLine(response)];
  const second = theirs && [`${attempt.upstream || "The upstream"} sent`, statusLine(theirs)];
  const legs = theirs && differences.response.length
    ? bothLegs(differences.response, maskedNames(response, theirs), ["Field", "The client got", "The upstream sent"], ["client", "upstream"])
    : fieldsOf(response.headers);
  const titles = ["Body", "Body as the client got it", "Body from the upstream"];
  const isChanged = theirs && statusLine(response) !== statusLine(theirs);
  return [startLines(first, second, isChanged), legs, bodies(detail, response.body, theirs?.body, titles)];
}

/** A sentence about the differences of a leg. */
export function differenceSummary(name, differences) {
  const number = differences.filter((each) => each.state !== "same").length;
  if (!differences.length) return null;
  const text = number ? `${tally(differences)} (${count(differences.length, "field")})` : "the same on both legs";
  return [name, text];
}
