// Numbers as people read them.

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Bytes, such as "1.2 kB". */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  let unit = 0;
  let value = bytes;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit && value < 99.5 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** Seconds, such as "40 µs", "12 ms", "1.25 s" or "3 min 5 s". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const milliseconds = seconds * 1000;
  if (milliseconds < 0.0995) return `${Math.round(milliseconds * 1000)} µs`;
  if (milliseconds < 9.95) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`;
  if (seconds < 59.995) return `${seconds.toFixed(seconds < 9.995 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

const two = (number) => String(number).padStart(2, "0");

/** The time of day of an epoch, such as "09:05:07". */
export function clock(epoch) {
  const date = new Date(epoch * 1000);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** The day and the time, with milliseconds. */
export function moment(epoch) {
  const date = new Date(epoch * 1000);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${clock(epoch)}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** A number with its noun: count(1, "field") is "1 field". */
export const count = (number, noun, plural = `${noun}s`) =>
  `${number.toLocaleString("en")} ${number === 1 ? noun : plural}`;

/** The class of style of an exchange's status. */
export function statusClass(summary) {
  if (summary.error) return "bad";
  if (summary.status === null) return summary.seconds === null ? "under-way" : "bad";
  return ["bad", "info", "good", "moved", "warn", "bad"][Math.floor(summary.status / 100)] ?? "bad";
}

/** The status as it stands in the list. */
export function statusText(summary) {
  if (summary.status !== null) return String(summary.status);
  return summary.seconds === null ? "…" : "none";
}

/** A media type without its first half where that says nothing new. */
export const shortType = (type) =>
  type === "text/plain" ? "text" : type.replace(/^(application|text)\/(x-)?/, "");
