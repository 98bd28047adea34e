"""The events of an event stream (HTML, section 9.2.6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.sansio.events import Event, events


@pytest.mark.parametrize(
    ("body", "found"),
    [
        pytest.param(b"data: a\n\n", [("message", "", "a")], id="one"),
        pytest.param(b"\xef\xbb\xbfdata: a\n\n", [("message", "", "a")], id="byte-order-mark"),
        pytest.param(b"data: a\r\n\r\ndata: b\r\r", [("message", "", x) for x in "ab"], id="ends"),
        pytest.param(b"data: a\ndata:  b\n\n", [("message", "", "a\n b")], id="lines"),
        pytest.param(b"data\n\n", [("message", "", "")], id="empty-data"),
        pytest.param(b"event: x\n\ndata: a\n\n", [("message", "", "a")], id="no-data"),
        pytest.param(b"event: x\ndata: a\n\n", [("x", "", "a")], id="type"),
        pytest.param(
            b"id: 1\ndata: a\n\ndata: b\n\n", [("message", "1", x) for x in "ab"], id="id"
        ),
        pytest.param(b"id: 1\0\ndata: a\n\n", [("message", "", "a")], id="id-with-nul"),
        pytest.param(b": c\nretry: 5\nx: y\ndata: a\n\n", [("message", "", "a")], id="others"),
        pytest.param(b"data: a\n", [], id="no-end"),
        pytest.param(b"data: \xff\n\n", [("message", "", "\ufffd")], id="no-utf-8"),
    ],
)
def test_events_of_a_body(body, found):
    assert [tuple(event)[:3] for event in events(body)] == found


@given(st.lists(st.sampled_from([b"data: a", b"event:b", b"id", b"\r", b"\n", b"\r\n", b": "])))
def test_each_beginning_of_a_body_has_the_beginning_of_its_events(parts):
    body = b"".join(parts)
    whole = list(events(body))
    for event in whole:
        assert list(events(body[: event.end]))[-1:] == [event]
        assert isinstance(event, Event) and body[: event.end].endswith((b"\r", b"\n"))
