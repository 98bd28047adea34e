"""What the demo says about two lists of fields."""

from __future__ import annotations

import pytest

from wsgiproxy.cli.demo_compare import Seen, compare, facts, seen_in


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
def test_one_field(client, backend, state, why):
    (change,) = compare(client, backend)
    assert change.state == state
    assert (why in change.why) if why else change.why == ""


def test_a_field_named_in_connection():
    client = [("Connection", "close, x-secret"), ("X-Secret", "1"), ("B", "2")]
    changes = {change.name: change for change in compare(client, [("B", "2")])}
    assert changes["X-Secret"].state == "removed"
    assert "Named in Connection" in changes["X-Secret"].why
    assert "one connection" in changes["Connection"].why


def test_what_is_worth_a_look_comes_first():
    client = [("A", "1"), ("B", "1"), ("Y", "1"), ("TE", "x")]
    backend = [("A", "1"), ("B", "2"), ("Y", "2"), ("C", "1")]
    assert [(change.state, change.name) for change in compare(client, backend)] == [
        ("changed", "B"),
        ("changed", "Y"),
        ("removed", "TE"),
        ("added", "C"),
        ("same", "A"),
    ]


def test_what_a_server_describes():
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


def test_the_facts_that_the_backend_concludes():
    headers = [
        ("Host", "127.0.0.1:9"),
        ("X-Forwarded-Host", "example.com"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Prefix", "/demo"),
        ("X-Forwarded-For", "192.0.2.7"),
    ]
    known = facts(Seen("GET", "/a?b", "HTTP/1.1", "127.0.0.1", headers))
    assert known.public == "https://example.com/demo/a?b"
    assert (known.base, known.prefix) == ("https://example.com/demo", "/demo")
    assert (known.client, known.own) == ("192.0.2.7", "http://127.0.0.1:9/a?b")


def test_without_a_proxy_it_knows_itself():
    known = facts(Seen("GET", "/a", "HTTP/1.1", "127.0.0.1", [("Host", "h:1")]))
    assert known.public == known.own == "http://h:1/a"
    assert (known.prefix, known.client) == ("", "127.0.0.1")
