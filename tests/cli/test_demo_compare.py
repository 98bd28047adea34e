"""What the demo says about two lists of fields."""

from __future__ import annotations

import pytest

from wsgiproxy.cli.demo.compare import CARRIED, Seen, Shown, facts, seen_in
from wsgiproxy.sansio.differences import compare


@pytest.mark.parametrize(
    ("client", "backend", "state", "why"),
    [
        pytest.param([("A", "1")], [("A", "1")], "same", "", id="same"),
        pytest.param([("a", "1")], [("A", "1")], "same", "", id="case-does-not-count"),
        pytest.param([("A", "1"), ("a", "2")], [("A", "1, 2")], "same", "", id="joined"),
        pytest.param([("A", "1")], [("A", "2")], "changed", "", id="changed"),
        pytest.param([("A", "")], [], "removed", "", id="empty-is-there"),
        pytest.param([("Host", "a")], [("Host", "b")], "changed", "backend’s own", id="host"),
        pytest.param(
            [("X-Forwarded-For", "6.6.6.6")],
            [("X-Forwarded-For", "127.0.0.1")],
            "changed",
            "may not say this",
            id="forged-and-replaced",
        ),
        pytest.param([("X_Real.IP", "6")], [], "removed", "may not say this", id="forged"),
        pytest.param([("TE", "trailers")], [], "removed", "one connection", id="hop-by-hop"),
        pytest.param([], [("Via", "1.1 x")], "added", "signs here", id="via"),
        pytest.param([], [("X-New", "x")], "added", "", id="unknown"),
    ],
)
def test_state_and_reason_of_a_field(client, backend, state, why):
    (change,) = compare(client, backend)
    assert change.state == state
    assert (why in change.why) if why else change.why == ""


def test_a_field_named_in_connection():
    client = [("Connection", "close, x-secret"), ("X-Secret", "1"), ("B", "2")]
    changes = {change.name: change for change in compare(client, [("B", "2")])}
    assert changes["X-Secret"].state == "removed"
    assert "Named in Connection" in changes["X-Secret"].why
    assert "one connection" in changes["Connection"].why


def test_changed_removed_and_added_come_before_same():
    client = [("A", "1"), ("B", "1"), ("Y", "1"), ("TE", "x")]
    backend = [("A", "1"), ("B", "2"), ("Y", "2"), ("C", "1")]
    assert [(change.state, change.name) for change in compare(client, backend)] == [
        ("changed", "B"),
        ("changed", "Y"),
        ("removed", "TE"),
        ("added", "C"),
        ("same", "A"),
    ]


def test_request_in_an_environ():
    environ = {
        "REQUEST_METHOD": "PUT",
        "REQUEST_URI": "/a?b",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "HTTP_HOST": "h",
        "HTTP_ACCEPT": "*/*",
        "CONTENT_LENGTH": "3",
        "CONTENT_TYPE": "text/x",
        "wsgi.input": None,
    }
    headers = [
        ("Accept", "*/*"),
        ("Content-Length", "3"),
        ("Content-Type", "text/x"),
        ("Host", "h"),
    ]
    assert seen_in(environ) == Seen("PUT", "/a?b", "HTTP/1.1", "192.0.2.7", headers)


RECEIVED = Seen("GET", "/a?b", "HTTP/1.1", "127.0.0.1", [("Host", "127.0.0.1:9")])


def test_facts_behind_a_middleware():
    environ = {
        "wsgi.url_scheme": "https",
        "HTTP_HOST": "example.com",
        "SCRIPT_NAME": "/demo",
        "REQUEST_URI": "/demo/a?b",
        "REMOTE_ADDR": "192.0.2.7",
        "wsgiproxy.verified": "k1",
        CARRIED: {"request": 7},
    }
    assert facts(environ, RECEIVED) == Shown(
        public="https://example.com/demo/a?b",
        base="https://example.com/demo",
        prefix="/demo",
        client="192.0.2.7",
        key="k1",
        carried='{"request": 7}',
        own="http://127.0.0.1:9/a?b",
        peer="127.0.0.1",
    )


def test_facts_without_a_middleware():
    environ = {
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "127.0.0.1:9",
        "REQUEST_URI": "/a?b",
        "REMOTE_ADDR": "127.0.0.1",
    }
    known = facts(environ, RECEIVED)
    assert known.public == known.own == "http://127.0.0.1:9/a?b"
    assert (known.prefix, known.client, known.key, known.carried) == ("", "127.0.0.1", "", "")
