"""The grammar, against an independent judge and by its edges."""

from __future__ import annotations

import re
from pathlib import Path

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.sansio.grammar import (
    NO_BODY,
    NO_CONTENT,
    NO_LENGTH,
    is_field_value,
    is_length,
    is_token,
    port_number,
    status_line,
)

LATIN = st.text(st.characters(max_codepoint=255), max_size=12)


def h11_takes(name: str, value: str) -> bool:
    request = b"GET / HTTP/1.1\r\nHost: a\r\n" + f"{name}:{value}\r\n\r\n".encode("latin-1")
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(request)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return False
    found = [
        (key.decode("latin-1"), text.decode("latin-1")) for key, text in list(event.headers)[1:]
    ]
    return found == [(name.lower(), value.strip(" \t"))]


@given(LATIN)
def test_tokens_are_those_of_h11(text: str) -> None:
    if text.lower() not in ("host", "content-length", "transfer-encoding"):
        assert is_token(text) == h11_takes(text, "x")


@given(LATIN)
def test_field_values_are_those_of_h11(text: str) -> None:
    # h11 lets obsolete control characters pass that RFC 9110, 5.5 calls dangerous.
    if not re.search(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]", text):
        assert is_field_value(text) == h11_takes("x", text)


@pytest.mark.parametrize("text", ["\x00", "\r", "\n", "\x7f", "\x01", "\u0100", "a\r\n b"])
def test_what_no_field_value_holds(text: str) -> None:
    assert not is_field_value(text)


@pytest.mark.parametrize(
    ("text", "good"),
    [("0", True), ("007", True), ("9" * 18, True), ("9" * 19, False), ("", False), ("-1", False),
     ("+1", False), ("1 ", False), ("1_0", False), ("0x1", False), ("\u0661", False)],
)  # fmt: skip
def test_lengths(text: str, good: bool) -> None:
    assert is_length(text) == good


@pytest.mark.parametrize(
    ("text", "port"),
    [("1", "1"), ("00080", "80"), ("65535", "65535"), ("65536", ""), ("0", ""), ("", ""),
     ("-1", ""), ("http", ""), ("000080", ""), ("\u0661", ""), ("80\n", "")],
)  # fmt: skip
def test_ports(text: str, port: str) -> None:
    assert port_number(text) == port


@pytest.mark.parametrize(
    ("text", "line"),
    [("200 OK", (200, "OK")), ("999", (999, "")), ("404 ", (404, "")), ("200  a", (200, " a")),
     ("199 x", None), ("1000 x", None), ("20 x", None), ("200\nx", None), ("200 a\r\nb", None),
     ("200-OK", None), ("", None)],
)  # fmt: skip
def test_status_lines(text: str, line: tuple[int, str] | None) -> None:
    assert status_line(text) == line


def test_statuses() -> None:
    assert ({204, 304}, {204, 205, 304}, {204, 205}) == (NO_BODY, NO_CONTENT, NO_LENGTH)


def test_none_of_the_rules_stands_twice() -> None:
    """The same set or expression in another module would grow apart from this one."""
    root = Path(__file__).parents[2] / "wsgiproxy"
    again = re.compile(r"\[0-9\]\{1,18\}|\\x80-\\xff\]|\{?204, ?(?:205, ?)?304|\[204, 205")
    found = {path.name for path in root.rglob("*.py") if again.search(path.read_text())}
    assert found == {"grammar.py"}
