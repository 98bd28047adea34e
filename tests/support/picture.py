"""Takes the picture of the demo, ``docs/demo.png``: ``python -m tests.support.picture``.

It needs Chromium, and the demo's own port. The picture bears the headings of its page, so that a
test can tell when it shows another one than that of today.
"""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
import zlib
from pathlib import Path

PATH = Path(__file__).parents[2] / "docs" / "demo.png"
SIZE = "1100,1497"
#: What the button of the page sends.
FORGED = {
    "Accept": "text/html",
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Proto": "https",
    "X-Real-IP": "6.6.6.6",
}
_TITLE = "Sent and received"
_KEY = b"Description\0"


def headings(page: str) -> str:
    """The headings of a page, one a line."""
    found = re.findall(r"<(h[12])\b[^>]*>(.*?)</\1>", page, re.S)
    return "\n".join(html.unescape(" ".join(text.split())) for _, text in found)


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    """The parts of a picture: type and data."""
    found, at = [], 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += length + 12
    return found


def joined(parts: list[tuple[bytes, bytes]]) -> bytes:
    """The picture of such parts."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        for kind, data in parts
    )


def description(png: bytes) -> str:
    """The headings that a picture bears; empty if none."""
    texts = [data for kind, data in chunks(png) if kind == b"tEXt" and data.startswith(_KEY)]
    return texts[0].removeprefix(_KEY).decode("latin-1") if texts else ""


def described(png: bytes, text: str) -> bytes:
    """The picture with headings, and packed as small as zlib can."""
    parts = chunks(png)
    pixels = zlib.decompress(b"".join(data for kind, data in parts if kind == b"IDAT"))
    (head,) = (part for part in parts if part[0] == b"IHDR")
    note = (b"tEXt", _KEY + text.encode("latin-1"))
    return joined([head, note, (b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b"")])


def take() -> None:
    """Start the demo, forge, and look."""
    command = [sys.executable, "-m", "wsgiproxy", "demo"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo,
        tempfile.TemporaryDirectory() as folder,
    ):
        try:
            assert demo.stdout is not None
            (address,) = re.findall(r"http://\S+", demo.stdout.readline())
            request = urllib.request.Request(address, headers=FORGED)
            with urllib.request.urlopen(request, timeout=10) as answer:
                page = answer.read().decode()
            here = page.replace("<head>", f'<head><base href="{address}">', 1)
            here = here.replace(_TITLE, f"{_TITLE}, with your forged fields")
            (Path(folder) / "page.html").write_text(here)
            subprocess.run(
                [
                    *("chromium", "--headless", "--no-sandbox", "--disable-gpu"),
                    *("--hide-scrollbars", f"--user-data-dir={folder}/profile"),
                    f"--window-size={SIZE}",
                    f"--screenshot={folder}/page.png",
                    f"file://{folder}/page.html",
                ],
                check=True,
                env={**os.environ, "TMPDIR": folder},  # where it leaves a folder
                stderr=subprocess.DEVNULL,
                timeout=60,
            )
            PATH.write_bytes(described((Path(folder) / "page.png").read_bytes(), headings(page)))
        finally:
            demo.terminate()


if __name__ == "__main__":
    take()
