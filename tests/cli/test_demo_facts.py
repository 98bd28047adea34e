"""What the backend of the demo gets and knows."""

from __future__ import annotations

from wsgiproxy.cli.demo.facts import CARRIED, Received, Shown, facts, received_in


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
    assert received_in(environ) == Received("PUT", "/a?b", "HTTP/1.1", "192.0.2.7", headers)


RECEIVED = Received("GET", "/a?b", "HTTP/1.1", "127.0.0.1", [("Host", "127.0.0.1:9")])


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
