"""Links of a backend that takes itself for the root of its host, mapped below the mount.

Only what begins with one slash is changed, in HTML, CSS, Link and the Path of cookies; the
application itself maps Location and Refresh. Addresses that scripts put together cannot be found.
All other bytes pass as they are, block by block.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from functools import partial
from html.parser import HTMLParser
from typing import Any

from wsgiproxy.hooks.checks import named
from wsgiproxy.hooks.messages import Request, Response
from wsgiproxy.hooks.representation import is_coded, weaken_known
from wsgiproxy.sansio.fields.cookies import map_cookie
from wsgiproxy.sansio.fields.forwarded import Public
from wsgiproxy.sansio.fields.location import public_path
from wsgiproxy.sansio.fields.names import words
from wsgiproxy.sansio.hooks import Hook
from wsgiproxy.sansio.href import parse_href

__all__ = ["rewrite_links"]

Change = Callable[[str], str]

# Of all elements: which of them has the attribute does not matter.
_ADDRESSES = words(
    "href src action formaction poster data background cite longdesc manifest xlink:href"
)
# A name is tried from its beginning alone, or the time would be the square of its length.
_ATTRIBUTE = re.compile(r"""(?<![^\s"'<>/=])([^\s"'<>/=]+)(\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+)""")
# A slash as Mustache writes it, which browsers take for one.
_SLASH = re.compile("&#(?:x0*2f|0*47);|&sol;", re.IGNORECASE)
# One slash alone: two are another host, and to browsers so is a slash before a backslash.
_ROOTED = r"""(/(?![/\\])[^"'()\s<>]*)"""
# In an attribute, a mark may be written as an entity.
_MARK = r"""(?:["']|&quot;|&apos;|&#0*3[49];|&#x0*2[27];)"""
_IN_CSS = re.compile(rf"(\burl\(\s*{_MARK}?|@import\s+{_MARK})" + _ROOTED, re.IGNORECASE)
# A comma within an address is a part of it, as in "data:image/jpeg;base64,/9j/" (HTML, 4.8.4.2).
_IN_SRCSET = re.compile(r"([^\s,](?:\S*[^\s,])?)(,+|[^,]*)")
_IN_REFRESH = re.compile(
    rf"(^\s*[0-9.]+(?:\s*[;,]\s*|\s+)(?:url\s*=\s*)?{_MARK}?)" + _ROOTED, re.IGNORECASE
)
_IN_LINK = re.compile(r"(<)(/(?![/\\])[^<>\s]*)(?=>)")
_OPEN = re.compile("<")
_UNTRUE = ("Content-Length", "Accept-Ranges", "Content-MD5", "Digest", "Content-Digest")
_BASE = parse_href("http://upstream")
# Characters that may be kept for the end of a tag, script or rule; what has no end by then is
# passed as it is, with all that follows.
_MOST = 1024 * 1024
# Of so many, the end is looked for where it may be, and not again with each block.
_MANY = 4096


def rewrite_links() -> Hook:
    """Map absolute links in HTML and CSS below the mount of the application.

    A link that is below the mount already stays, as in Location. At the root of the host nothing
    is done. The backend is asked for bodies without coding; ranges of pages are not changed.

    >>> from wsgiproxy import WSGIProxyApp
    >>> app = WSGIProxyApp("http://localhost:3000", hooks=[rewrite_links()])
    """

    def hook(request: Request) -> Generator[Any, Any, None]:
        prefix = request.inbound.script_name if request.inbound is not None else ""
        if not prefix:
            yield request
            return
        request.headers["Accept-Encoding"] = "identity"
        known = ",".join(request.headers.getlist("If-None-Match"))
        response: Response = yield request
        weaken_known(response, known)
        response.headers = [(name, _field(name, value, prefix)) for name, value in response.lines]
        _rewrite(response, partial(_mapped, prefix))

    return named(hook, "rewrite_links")


def _mapped(prefix: str, link: str) -> str:
    return public_path(link, _BASE, prefix) or link


def _field(name: str, value: str, prefix: str) -> str:
    if name.lower() == "set-cookie":
        return map_cookie(value, _BASE, Public("", "", "", prefix, ""), True, None)
    if name.lower() == "link":
        return _replaced(_IN_LINK, value, partial(_mapped, prefix))
    return value


def _rewrite(response: Response, change: Change) -> None:
    headers = response.headers
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    charset = headers.get("Content-Type", "").lower()
    if (
        is_coded(response.lines)
        or response.status in (101, 206)
        or "utf-16" in charset
        or "utf-32" in charset
    ):
        return
    if kind in ("text/html", "application/xhtml+xml"):
        page = _Page(change)
        response.body.map(page.block, page.end)
    elif kind == "text/css":
        sheet = _Sheet(change)
        response.body.map(sheet.block, sheet.end)
    else:
        return
    for name in _UNTRUE:
        headers.popall(name, None)
    if headers.get("ETag", "").startswith('"'):
        headers["ETag"] = "W/" + headers["ETag"]


def _replaced(pattern: re.Pattern[str], text: str, change: Change) -> str:
    return pattern.sub(lambda match: match[1] + change(match[2]), text)


class _Page(HTMLParser):
    """HTML in blocks. All text is passed from where the parser counts its lines: once, in order."""

    def __init__(self, change: Change) -> None:
        super().__init__(convert_charrefs=False)
        self.interesting = _OPEN
        self._change = change
        self._out: list[str] = []
        self._instead: str | None = None
        self._passed = 0
        self._has_given_up = False

    def block(self, data: bytes) -> bytes:
        """The text that is complete; as Latin-1, so that bytes stay what they are."""
        if self._has_given_up:
            return data
        self._passed = 0
        text = data.decode("latin-1")
        if len(self.rawdata) > _MANY and ">" not in text:
            self.rawdata += text
        else:
            self.feed(text)
        if len(self.rawdata) > _MOST:
            self._has_given_up = True
            self._out.append(self.rawdata)
        return self._taken()

    def end(self) -> bytes:
        """The rest, which is no whole tag; read again from each "<", it would take too long."""
        rest = "" if self._has_given_up else self.rawdata
        return rest.encode("latin-1")

    def clear_cdata_mode(self) -> None:
        """The end of a script or a style; no entities are looked for, since all of them pass."""
        super().clear_cdata_mode()
        self.interesting = _OPEN

    def _taken(self) -> bytes:
        text, self._out = "".join(self._out), []
        return text.encode("latin-1")

    def updatepos(self, i: int, j: int) -> int:
        """The parser is done with ``rawdata[i:j]``."""
        start = max(i, self._passed)
        if start < j:
            whole = self._instead is not None and start == i
            self._out.append(self._instead or "" if whole else self.rawdata[start:j])
            self._instead, self._passed = None, j
        return super().updatepos(i, j)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """The tag with other addresses."""
        text = self.get_starttag_text() or ""
        is_refresh = tag == "meta" and ("http-equiv", "refresh") in [
            (name, (value or "").lower()) for name, value in attrs
        ]
        head = len(tag) + 1
        self._instead = text[:head] + _ATTRIBUTE.sub(
            lambda match: match[1] + match[2] + self._value(match[1], match[3], is_refresh),
            text[head:],
        )

    def handle_data(self, data: str) -> None:
        """The text of an element; that of style is CSS."""
        if self.cdata_elem == "style":
            self._instead = _replaced(_IN_CSS, data, self._change)

    def _value(self, name: str, value: str, is_refresh: bool) -> str:
        mark = value[0] if value[0] in "\"'" else ""
        text = value[1:-1] if mark else value
        name = name.lower()
        if name in _ADDRESSES:
            link = _SLASH.sub("/", text.strip())
            if link.startswith("/") and link[1:2] not in ("/", "\\"):
                text = self._change(link)
        elif name in ("srcset", "imagesrcset"):
            text = _IN_SRCSET.sub(self._candidate, text)
        elif name == "style":
            text = _replaced(_IN_CSS, text, self._change)
        elif name == "content" and is_refresh:
            text = _replaced(_IN_REFRESH, text, self._change)
        return mark + text + mark

    def _candidate(self, match: re.Match[str]) -> str:
        link = match[1]
        is_rooted = link.startswith("/") and link[1:2] not in ("/", "\\")
        return (self._change(link) if is_rooted else link) + match[2]


class _Sheet:
    """CSS in blocks: a rule is passed when it has ended."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self._rest = ""

    def block(self, data: bytes) -> bytes:
        """The rules that are complete."""
        text = self._rest + data.decode("latin-1")
        at = max(map(text.rfind, ";{}")) + 1
        if len(text) - at > _MOST:
            at = len(text)
        self._rest = text[at:]
        return _replaced(_IN_CSS, text[:at], self._change).encode("latin-1")

    def end(self) -> bytes:
        """The rest."""
        rest, self._rest = self._rest, ""
        return _replaced(_IN_CSS, rest, self._change).encode("latin-1")
