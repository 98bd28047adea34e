"""The page of the site: 60 assets, and a script that tries everything and reports it."""

from __future__ import annotations

from base64 import b64decode

__all__ = ["ASSETS", "PAGE", "PICTURE"]

PICTURE = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_KINDS = {
    "css": ("text/css", '<link rel="stylesheet" href="/assets/{}.css">'),
    "js": ("text/javascript", '<script src="/assets/{}.js"></script>'),
    "gif": ("image/gif", '<img alt="" src="/assets/{}.gif">'),
}


def _asset(number: int, ending: str) -> bytes:
    if ending == "css":
        return f":root {{ --asset-{number}: {number}; }}".encode()
    if ending == "js":
        return f"(window.loaded ||= []).push({number});".encode()
    return PICTURE


_NAMES = [(number, ending) for number in range(20) for ending in _KINDS]
#: Kind and content by path.
ASSETS = {f"/assets/{n}.{end}": (_KINDS[end][0], _asset(n, end)) for n, end in _NAMES}

_SCRIPT = """
"use strict";
const options = new URLSearchParams(location.search);
const two = byte => byte.toString(16).padStart(2, "0");
const hex = bytes => Array.from(new Uint8Array(bytes), two).join("");
const sha256 = async bytes => hex(await crypto.subtle.digest("SHA-256", bytes));
const json = async (url, init) => (await fetch(url, init)).json();
const ws = path => new WebSocket(location.origin.replace("http", "ws") + path);
const opened = socket => new Promise((ok, no) => { socket.onopen = ok; socket.onerror = no; });
const closed = socket => new Promise(ok => { socket.onclose = e => ok([e.code, e.wasClean]); });
const message = socket => new Promise((ok, no) => {
  socket.onmessage = e => ok(e.data);
  socket.onclose = no;
});

const checks = {
  async assets() {
    const style = getComputedStyle(document.documentElement);
    const numbers = [...Array(20).keys()];
    return {
      css: numbers.filter(n => style.getPropertyValue("--asset-" + n).trim() === String(n)).length,
      js: (window.loaded || []).length,
      gif: [...document.images].filter(image => image.naturalWidth === 1).length,
    };
  },
  async download() {
    const bytes = await (await fetch("/big")).arrayBuffer();
    return { size: bytes.byteLength, sha256: await sha256(bytes) };
  },
  async events() {
    const found = [];
    const source = new EventSource("/events");
    await new Promise((ok, no) => {
      source.onmessage = event => {
        found.push(event.data);
        if (found.length === 5) ok();
        fetch("/noted");
      };
      source.onerror = no;
    });
    source.close();
    return found;
  },
  async socket() {
    const socket = ws("/socket");
    socket.binaryType = "arraybuffer";
    await opened(socket);
    let answer = message(socket);
    socket.send("hello \\u2713");
    const text = await answer;
    const block = new Uint8Array(1 << 20).map((_, index) => index * 7);
    const parts = [];
    const whole = new Promise((ok, no) => {
      let size = 0;
      socket.onmessage = e => {
        parts.push(e.data);
        size += e.data.byteLength;
        if (size === block.length) ok();
      };
      socket.onclose = no;
    });
    socket.send(block);
    await whole;
    const same = await sha256(await new Blob(parts).arrayBuffer()) === await sha256(block);
    const end = closed(socket);
    socket.close(4000, "enough");
    return { text, same, closed: await end };
  },
  async left() {
    const socket = ws("/socket");
    await opened(socket);
    const end = closed(socket);
    socket.send("leave me");
    return await end;
  },
  async cookies() {
    await fetch("/cookies");
    const sent = (await json("/headers")).cookie;
    return { kept: document.cookie, sent };
  },
  async redirect() {
    const response = await fetch("/redirect");
    return [response.redirected, new URL(response.url).pathname, await response.text()];
  },
  async form() {
    const body = new URLSearchParams({ a: "1 2", b: "\\u00e9&=" });
    return await json("/form", { method: "POST", body });
  },
  async upload() {
    const block = new Uint8Array(5 << 20).map((_, index) => index * 11);
    const found = await json("/upload", { method: "POST", body: block });
    return { size: found.size, same: found.sha256 === await sha256(block) };
  },
  async missing() {
    const response = await fetch("/missing");
    return [response.status, await response.text()];
  },
};

// What may not be reached: the answer cannot be read, but whether there was one.
async function tried(url) {
  const image = new Promise(ok => {
    const element = new Image();
    element.onload = () => ok("image");
    element.onerror = () => ok("none");
    element.src = url;
  });
  const response = fetch(url, { mode: "no-cors" }).then(r => r.type, () => "failed");
  return [await image, await response];
}

addEventListener("load", async () => {
  const report = {};
  const wanted = options.getAll("check");
  for (const name of wanted.length ? wanted : options.has("try") ? [] : Object.keys(checks)) {
    try {
      report[name] = await checks[name]();
    } catch (error) {
      report[name] = "failed: " + error;
    }
  }
  for (const url of options.getAll("try")) report[url] = await tried(url);
  document.querySelector("pre").textContent = JSON.stringify(report, null, 1);
  document.title = "done";
  await fetch("/report", { method: "POST", body: JSON.stringify(report) });
});
"""

PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>busy</title><link rel="icon" href="data:,">
{"".join(_KINDS[end][1].format(n) for n, end in _NAMES if end == "css")}
{"".join(_KINDS[end][1].format(n) for n, end in _NAMES if end == "js")}
</head><body><h1>A page with 60 assets</h1><pre>busy</pre>
{"".join(_KINDS[end][1].format(n) for n, end in _NAMES if end == "gif")}
<script>{_SCRIPT}</script></body></html>
"""
