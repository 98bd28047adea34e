"""Who gets the page to wait with, and what is in it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rounds import together
from wsgiproxy.sansio.process.waiting_page import is_navigation, waiting_page

#: What browsers send for a link that was clicked.
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
CHROME = FIREFOX.replace("*/*", "image/avif,image/webp,image/apng,*/*")
CLICK = {
    "REQUEST_METHOD": "GET",
    "HTTP_ACCEPT": FIREFOX,
    "HTTP_SEC_FETCH_DEST": "document",
    "HTTP_SEC_FETCH_MODE": "navigate",
    "HTTP_SEC_FETCH_SITE": "none",
    "HTTP_SEC_FETCH_USER": "?1",
}


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in CLICK.items() if key != name}


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param(CLICK, id="a-click"),
        pytest.param({**CLICK, "HTTP_ACCEPT": CHROME}, id="in-another-browser"),
        pytest.param({**CLICK, "HTTP_SEC_FETCH_DEST": "iframe"}, id="in-an-iframe"),
        pytest.param({**CLICK, "HTTP_SEC_FETCH_DEST": "frame"}, id="in-a-frame"),
        pytest.param(
            {"REQUEST_METHOD": "GET", "HTTP_ACCEPT": FIREFOX}, id="without-fetch-metadata"
        ),
        pytest.param({**CLICK, "QUERY_STRING": "q=1", "HTTP_COOKIE": "a=b"}, id="with-more"),
        pytest.param({"REQUEST_METHOD": "GET", "HTTP_ACCEPT": "text/html"}, id="lynx"),
    ],
)
def test_a_get_of_a_document_is_a_navigation(environ: dict[str, str]) -> None:
    before = dict(environ)
    assert is_navigation(environ) is True
    assert environ == before


@together
@pytest.mark.parametrize(
    "environ",
    [
        *(
            pytest.param({**CLICK, "REQUEST_METHOD": method}, id=f"by-{method or 'nothing'}")
            for method in ("HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "QUERY", "get", "")
        ),
        *(
            pytest.param({**CLICK, "HTTP_SEC_FETCH_DEST": destination}, id=f"of-{destination}")
            for destination in (
                *("empty", "image", "script", "style", "font", "video", "audio", "track"),
                *("embed", "object", "worker", "serviceworker", "manifest", "xslt", "report"),
            )
        ),
        *(
            pytest.param({**CLICK, "HTTP_ACCEPT": accept}, id=f"accepting-{accept or 'nothing'}")
            for accept in ("*/*", "application/json", "image/*", "text/plain", "text/*", "")
        ),
        pytest.param(without("HTTP_ACCEPT"), id="without-Accept"),
        pytest.param(without("REQUEST_METHOD"), id="without-a-method"),
        pytest.param({**CLICK, "HTTP_X_REQUESTED_WITH": "XMLHttpRequest"}, id="by-a-script"),
        pytest.param({**CLICK, "HTTP_X_REQUESTED_WITH": ""}, id="by-a-script-that-is-shy"),
        pytest.param({**CLICK, "HTTP_RANGE": "bytes=0-"}, id="of-a-part"),
        pytest.param({}, id="of-nothing"),
    ],
)
def test_other_requests_are_no_navigation(environ: dict[str, str]) -> None:
    """A form that was sent, an image or a script would not come again by itself."""
    assert is_navigation(environ) is False


# The page


_VOID = frozenset(["meta", "link", "br", "hr", "img", "input"])
# Whose end tag may be left out, and what ends them (HTML, 13.1.2.4).
_BY_ITSELF = frozenset(["p", "html"])


class Page(HTMLParser):
    """What a browser makes of a page; an unclosed or unexpected element is an error."""

    def __init__(self, body: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.starts: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.declarations: list[str] = []
        self.feed(body.decode("utf-8"))
        self.close()
        assert not set(self.open) - _BY_ITSELF, f"still open: {self.open}"

    def handle_decl(self, decl: str) -> None:
        self.declarations.append(decl)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice"
        self.starts.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open[-1] != tag and self.open[-1] in _BY_ITSELF:
            self.open.pop()
        assert self.open and self.open.pop() == tag, f"{tag} ends without a beginning"

    def handle_data(self, data: str) -> None:
        inner = self.open[-1] if self.open else ""
        self.texts[inner] = self.texts.get(inner, "") + data

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"unknown declaration {data!r}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"processing instruction {data!r}")

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"comment {data!r}")

    def attributes(self, tag: str, **some: str) -> list[dict[str, str | None]]:
        """The attributes of the elements called *tag* that have *some*."""
        return [
            found
            for name, found in self.starts
            if name == tag
            and found.items() >= {k.replace("_", "-"): v for k, v in some.items()}.items()
        ]


def page(seconds: float | None = None, lines: list[str] | None = None) -> Page:
    return Page(waiting_page(1, seconds, lines or [])[1])


TAGS = [tag for tag, _ in page().starts]


def test_it_is_a_page_of_html() -> None:
    found = page(3.2, ["a line"])
    assert found.declarations == ["DOCTYPE html"]
    assert found.attributes("html", lang="en")
    assert found.attributes("meta", charset="utf-8")
    assert found.texts["title"] == "The application is starting"
    assert found.texts["h1"] == "The application is starting"
    assert len(TAGS) == len(page().starts) > 5
    for once in ("html", "title", "h1", "style"):
        assert TAGS.count(once) == 1


def test_the_page_reloads_its_own_address() -> None:
    """Without a script, and without a URL of its own."""
    (refresh,) = page().attributes("meta", http_equiv="refresh")
    assert refresh["content"] == "1"
    assert "script" not in TAGS


def test_the_page_loads_no_other_resource() -> None:
    """What it referred to would wait as well."""
    for _, attributes in page(1.0, ["x"]).starts:
        assert not attributes.keys() & {"src", "href", "action", "srcset", "data", "style"}
    assert "url(" not in page().texts["style"]
    assert "@import" not in page().texts["style"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(0.0, "0 s so far.", id="just-begun"),
        pytest.param(2.4, "2 s so far.", id="whole-seconds"),
        pytest.param(61.6, "62 s so far.", id="minutes"),
    ],
)
def test_the_page_shows_the_seconds(seconds: float, text: str) -> None:
    assert page(seconds).texts["small"] == text


def test_the_page_shows_no_seconds_outside_of_a_start() -> None:
    assert "small" not in page().texts


def test_the_page_without_lines_has_no_output() -> None:
    assert "pre" not in TAGS


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("Listening on {port} %s {0} {lines}", id="braces"),
        pytest.param("</pre><script>alert(1)</script>", id="script"),
        pytest.param("<img src=x onerror=alert(1)>", id="element"),
        pytest.param("<!-- <![CDATA[ <?php ]]> -->", id="no-element"),
        pytest.param("&lt;b&gt; & &#60; &notin;", id="references"),
        pytest.param("\"quoted\" and 'quoted'", id="quotes"),
        pytest.param("caf\xe9 \u2603 \U0001f600", id="beyond-ascii"),
    ],
)
def test_lines_are_escaped(line: str) -> None:
    found = page(1.0, ["before", line, "after"])
    assert found.texts["pre"] == f"before\n{line}\nafter"
    assert sorted(tag for tag, _ in found.starts) == sorted([*TAGS, "small", "pre"])


def test_surrogates_are_shown_as_a_question_mark() -> None:
    assert page(None, ["a\ud800b\udcff"]).texts["pre"] == "a?b?"


def test_the_page_reloads_at_the_end_of_a_pause() -> None:
    headers, body = waiting_page(17, None, [])
    assert dict(headers)["Retry-After"] == "17"
    assert b'content="17"' in body
    assert Page(body).texts["h1"] == "The application will start again"


def test_the_headers() -> None:
    headers, body = waiting_page(1, None, ["\u2603"])
    assert headers == [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Retry-After", "1"),
    ]


_texts: Any = st.text(st.characters(exclude_characters="\r\0"))


@given(st.none() | st.floats(0, 1e9), st.lists(_texts | st.text("<>&\"';#/!-ax", max_size=20)))
def test_any_lines(seconds: float | None, lines: list[str]) -> None:
    """Whatever a process writes, the page has the same elements, and the text is what it wrote."""
    headers, body = waiting_page(1, seconds, lines)
    assert dict(headers)["Content-Length"] == str(len(body))
    found = Page(body)
    more = ["small"] * (seconds is not None) + ["pre"] * bool(lines)
    assert sorted(tag for tag, _ in found.starts) == sorted([*TAGS, *more])
    text = "\n".join(lines).encode("utf-8", "replace").decode("utf-8")
    assert found.texts.get("pre", "") == text
