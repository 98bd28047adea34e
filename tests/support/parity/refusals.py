"""Requests that must not reach the upstream, unless the server has mended them."""

from __future__ import annotations

from tests.support.messages import chunks
from tests.support.parity import Case, Expect, but, refused

__all__ = ["REFUSALS"]

_LOST = "it hands over no raw target, so what was encoded is decoded"


REFUSALS = [
    Case(
        "refused: an unknown expectation",
        refused(417),
        method="POST",
        headers=[("Expect", "200-maybe")],
        body=b"x",
    ),
    Case("refused: TRACE", refused(405), method="TRACE"),
    Case(
        "refused: CONNECT",
        refused(405),
        method="CONNECT",
        target="elsewhere.example:443",
        apps=["reverse", "exact"],
        except_on={"uvicorn": but("it cannot read the target", status=400)},
    ),
    Case(
        "refused: a length that int() would take",
        refused(400),
        method="POST",
        headers=[("Content-Length", "+5")],
        body=b"hello",
    ),
    Case(
        "refused: two lengths",
        refused(400),
        method="POST",
        headers=[("Content-Length", "5"), ("Content-Length", "3")],
        body=b"hello",
        except_on={
            "wsgiref": but("it takes the first", status=200, reached=True, sent_body=b"hello"),
            "werkzeug": but("it takes the last", status=200, reached=True, sent_body=b"hel"),
            "cheroot": but("it takes the last", status=200, reached=True, sent_body=b"hel"),
        },
    ),
    Case(
        "refused: both framings at once, where the server does not say that the chunks count",
        Expect(200, sent_body=b"hello"),
        method="POST",
        headers=[("Content-Length", "3"), ("Transfer-Encoding", "chunked")],
        body=chunks(b"hello"),
        except_on={
            "wsgiref": but("we refuse it", status=400, reached=False),
            "gunicorn": but("it refuses it itself", status=400, reached=False),
            "handler": but("it refuses it itself", status=400, reached=False),
            "uvicorn": but("it refuses it itself", status=400, reached=False),
        },
    ),
    Case(
        "refused: another transfer coding",
        refused(501),
        method="POST",
        headers=[("Transfer-Encoding", "gzip, chunked")],
        body=chunks(b"hello"),
        except_on={"uvicorn-h11": but("it answers all that h11 refuses so", status=400)},
    ),
    Case(
        "refused: two Hosts",
        refused(400),
        headers=[("Host", "second.example")],
        except_on={"cheroot": but("it takes the last", status=200, reached=True)},
    ),
    Case(
        "refused: a fragment in the target",
        refused(400),
        target="/x#y",
        except_on={
            "wsgiref": but(_LOST, status=200, reached=True, line="GET /x%23y HTTP/1.1"),
            **{
                name: but("it cuts it off", status=200, reached=True, line="GET /x HTTP/1.1")
                for name in ("granian", "granian-asgi", "uvicorn")
            },
        },
    ),
    Case("refused: NUL in a value", refused(400), headers=[("X-A", "a\0b")]),
    Case(
        "refused: a continuation line",
        refused(400),
        headers=[("X-A", "a\r\n b")],
        except_on={
            **{
                name: but("it joins them", status=200, reached=True, sent={"x-a": ["a b"]})
                for name in ("waitress", "werkzeug", "uvicorn-h11", "hypercorn")
            },
            "cheroot": but("it takes the last", status=200, reached=True, sent={"x-a": ["b"]}),
        },
    ),
]
