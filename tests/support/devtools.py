"""A tab of a running Chromium, driven by its developer tools: by real keys and clicks."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.chromium import Chromium

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

__all__ = ["Tab", "tab_of"]

_LIMIT = 30  # seconds
_KEYS = {
    "Enter": (13, "\r"), "Escape": (27, ""), "Tab": (9, ""), "ArrowDown": (40, ""),
    "ArrowUp": (38, ""), "ArrowLeft": (37, ""), "ArrowRight": (39, ""), "Home": (36, ""),
    "End": (35, ""),
}  # fmt: skip
_MODIFIERS = {"Ctrl": 2, "Shift": 8}

# The middle of an element, if it is the same in the next frame.
_PLACE = """async (selector) => {
    const middle = () => {
        const element = document.querySelector(selector);
        element?.scrollIntoView({block: "nearest"});
        const place = element?.getBoundingClientRect();
        return place?.width ? [place.left + place.width / 2, place.top + place.height / 2] : null;
    };
    const before = middle();
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    return String(before) === String(middle()) && before;
}"""


class Tab:
    """One tab.

    :ivar complaints: errors of its console, and exceptions that no code has caught.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What the browser answers to a command."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=_LIMIT))
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                return dict(message["result"])
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message["method"] == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        elif message["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.complaints.append(
                f"{parameters['entry']['text']} {parameters['entry'].get('url')}"
            )
        elif message["method"] == "Runtime.consoleAPICalled" and parameters["type"] == "error":
            self.complaints.append(str(parameters["args"]))

    def run(self, script: str) -> Any:
        """The value of an expression in the page, awaited if it is a promise."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True,
            userGesture=True,
        )  # fmt: skip
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, script: str, seconds: float = _LIMIT) -> Any:
        """The first value of the expression that is true."""
        end = time.monotonic() + seconds
        while not (
            value := self.run(f"Promise.resolve({script}).then(v => v instanceof Node || v)")
        ):
            assert time.monotonic() < end, f"never true: {script}; {self.complaints}"
            # A frame of the page is the shortest time in which something can change.
            self.run("new Promise(done => setTimeout(done, 16))")
        return value

    def open(self, url: str) -> None:
        """Go to a page, from an empty one, and wait until it has been read."""
        self.call("Page.navigate", url="about:blank")
        self.until("location.href === 'about:blank'")
        self.call("Page.navigate", url=url)
        self.until("location.href !== 'about:blank' && document.readyState === 'complete'")

    def key(self, key: str, *modifiers: str) -> None:
        """Press a key: a letter, or its name."""
        code, text = _KEYS.get(key, (ord(key.upper()[0]), key))
        bits = sum(_MODIFIERS[each] for each in modifiers)
        parameters = {"key": key, "windowsVirtualKeyCode": code, "modifiers": bits}
        typed = {"text": text} if text and "Ctrl" not in modifiers else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **parameters, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **parameters)

    def type(self, text: str) -> None:
        """Put text where the focus is."""
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Click in the middle of an element, when it is there and stays in its place."""
        place = self.until(f"({_PLACE})({json.dumps(selector)})")
        where = {"x": place[0], "y": place[1], "button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mousePressed", **where)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", **where)

    def looks(self, width: int, height: int, scheme: str = "light") -> None:
        """The size of the window, and whether it is dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def picture(self, path: Path) -> None:
        """Write what is seen to a file."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))


def _waited(ask: Callable[[], str | None]) -> str:
    end = time.monotonic() + _LIMIT
    while (value := ask()) is None:
        assert time.monotonic() < end, "the browser does not come up"
        time.sleep(0.02)
    return value


def _address(browser: Chromium) -> str | None:
    from urllib.request import ProxyHandler, build_opener

    with contextlib.suppress(OSError, ValueError, IndexError):
        port = (browser.profile / "DevToolsActivePort").read_text("ascii").split()[0]
        opener = build_opener(ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{port}/json/list", timeout=5) as answer:
            pages = [each for each in json.load(answer) if each["type"] == "page"]
        return str(pages[0]["webSocketDebuggerUrl"])
    return None


@contextlib.contextmanager
def tab_of(browser: Chromium) -> Iterator[Tab]:
    """The tab of a browser that was started with ``--remote-debugging-port=0``."""
    from websockets.sync.client import connect

    address = _waited(lambda: _address(browser))
    with connect(address, max_size=None, proxy=None, compression=None) as socket:
        yield Tab(socket)
