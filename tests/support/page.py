"""A page in Chromium, used as a person would: looked at, clicked, typed into.

It is driven by the DevTools protocol over its WebSocket. Names other than 127.0.0.1 do not resolve.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.support.chromium import Chromium, chromium

__all__ = ["LIMIT", "Page", "PageError", "browser_page"]

#: Seconds for anything that has to happen; heavy programs start slowly on a loaded machine.
LIMIT = 60
_FLAGS = (
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--window-size=1100,800",
)
_LOOK = 0.05  # seconds between two looks at a condition
# The middle of an element that is seen there, and not covered; null if there is none as yet.
_MIDDLE = """(() => {
  const found = %s;
  if (!found) return null;
  found.scrollIntoView({block: "center", inline: "nearest", behavior: "instant"});
  const box = found.getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const there = document.elementFromPoint(x, y);
  return there && (found.contains(there) || there.contains(found)) ? [x, y] : null;
})()"""
_KEYS = {"Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, "")}
_SHIFT = 8


class PageError(Exception):
    """The browser could not do what it was told."""


class Page:
    """The only page of a browser."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        #: Addresses of all requests and WebSockets so far.
        self.requests: list[str] = []
        self.sockets: list[str] = []
        #: What its WebSockets have received, text or Base64.
        self.received: list[str] = []
        #: What the page has complained about.
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._ask(f"{domain}.enable")

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        deadline = time.monotonic() + LIMIT
        while True:
            message = json.loads(self._connection.recv(deadline - time.monotonic()))
            if message.get("id") == number:
                break
            self._note(message)
        if "error" in message:
            raise PageError(f"{method}: {message['error']['message']}")
        result: dict[str, Any] = message["result"]
        return result

    def _note(self, event: dict[str, Any]) -> None:
        kind, what = event["method"], event["params"]
        if kind == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])
        elif kind == "Network.webSocketCreated":
            self.sockets.append(what["url"])
        elif kind == "Network.webSocketFrameReceived":
            self.received.append(what["response"]["payloadData"])
        elif kind == "Network.webSocketFrameError":
            self.complaints.append(what["errorMessage"])
        elif kind == "Log.entryAdded" and what["entry"]["level"] == "error":
            self.complaints.append(f"{what['entry']['text']} {what['entry'].get('url', '')}")
        elif kind == "Runtime.exceptionThrown":
            thrown = what["exceptionDetails"]
            self.complaints.append(thrown.get("exception", {}).get("description", thrown["text"]))

    def listen(self, seconds: float) -> None:
        """Take note of what happens in the page within that time."""
        deadline = time.monotonic() + seconds
        with contextlib.suppress(TimeoutError):
            while (left := deadline - time.monotonic()) > 0:
                self._note(json.loads(self._connection.recv(left)))

    def open(self, url: str) -> None:
        """Go to an address; it need not have loaded when this returns."""
        failed = self._ask("Page.navigate", url=url).get("errorText")
        assert not failed, f"{url}: {failed}"

    def value(self, expression: str) -> Any:
        """What an expression in JavaScript gives, as JSON has it; PageError if it throws."""
        found = self._ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise PageError(details.get("exception", {}).get("description", details["text"]))
        return found["result"].get("value")

    def until(self, expression: str, limit: float = LIMIT) -> Any:
        """The value of an expression as soon as it is true; one that throws is not."""
        deadline = time.monotonic() + limit
        problem = ""
        while time.monotonic() < deadline:
            try:
                if found := self.value(expression):
                    return found
            except PageError as error:  # such as a page that is just left
                problem = f"; {error}"
            self.listen(_LOOK)
        raise AssertionError(f"not within {limit} s: {expression}{problem}\n{self._described()}")

    def hear(self, text: str, limit: float = LIMIT) -> None:
        """Wait until a WebSocket of the page has received a message with *text* in it."""
        deadline = time.monotonic() + limit
        while not any(text in message for message in self.received):
            assert time.monotonic() < deadline, f"{text!r} not heard\n{self._described()}"
            self.listen(_LOOK)

    def _described(self) -> str:
        with tempfile.NamedTemporaryFile(suffix=".png", delete=False) as file:
            self.picture(Path(file.name))
        text = self.value("document.body ? document.body.innerText : ''")
        complaints = "\n".join(self.complaints[-10:])
        return f"{file.name} shows the page: {text}\nComplaints: {complaints}"

    def click(self, element: str) -> None:
        """Click on an element, given by an expression, as soon as it can be seen."""
        x, y = self.until(_MIDDLE % element)
        at = {"x": x, "y": y, "button": "left", "clickCount": 1}
        self._ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self._ask("Input.dispatchMouseEvent", type="mousePressed", **at)
        self._ask("Input.dispatchMouseEvent", type="mouseReleased", **at)

    def type(self, text: str) -> None:
        """Write into the element that has the focus."""
        self._ask("Input.insertText", text=text)

    def press(self, name: str, *, shift: bool = False) -> None:
        """Press a key and let it go."""
        key, code, text = _KEYS[name]
        event: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        event["modifiers"] = _SHIFT if shift else 0
        self._ask("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
        self._ask("Input.dispatchKeyEvent", type="keyUp", **event)

    def picture(self, path: Path) -> None:
        """Write what is seen of the page, as PNG."""
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot")["data"]))


def _address(browser: Chromium) -> str:
    """The DevTools address of the browser's page; it tells its port when it listens."""
    told = browser.profile / "DevToolsActivePort"
    deadline = time.monotonic() + LIMIT
    while not (told.exists() and told.read_text().count("\n")):
        with contextlib.suppress(subprocess.TimeoutExpired):
            browser.process.wait(_LOOK)
        browser.log.seek(0)
        assert browser.process.poll() is None, f"the browser has ended: {browser.log.read()}"
        assert time.monotonic() < deadline, f"no DevTools: {browser.log.read()}"
    port = int(told.read_text().split("\n")[0])
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=LIMIT) as answer:
        pages = [target for target in json.load(answer) if target["type"] == "page"]
    address: str = pages[0]["webSocketDebuggerUrl"]
    return address


@contextlib.contextmanager
def browser_page() -> Iterator[Page]:
    """An empty page in a browser of its own."""
    with chromium(*_FLAGS, "about:blank") as browser:
        address = _address(browser)
        with connect(address, max_size=None, proxy=None, ping_interval=None) as connection:
            yield Page(connection)
