"""Responses: what an upstream answers, and what a client must see of it."""

from __future__ import annotations

from unittest.mock import ANY

from tests.support.messages import answer, chunked_answer
from tests.support.parity import Case, Expect, but, on_asgi

__all__ = ["RESPONSES", "breaks", "says"]

_OWN = "it adds its own"
_NO_STATUS = "uvicorn would break the connection, and a 502 is a legal answer on all of them"
_REASON = "it takes the reason from the status"
_ADDS_ZERO = "it adds Content-Length: 0 to an empty body"
_DATE = "Thu, 01 Jan 1970 00:00:00 GMT"
_BIG = bytes(range(256)) * 4096


def says(data: bytes) -> list[tuple[str, bytes]]:
    return [("send", data)]


def breaks(data: bytes) -> list[tuple[object, ...]]:
    return [("send", data), ("close",)]


RESPONSES = [
    Case(
        "response: status and reason pass",
        Expect(299, "Rather Fine", body=b"hello"),
        script=says(answer(299, body=b"hello", reason="Rather Fine")),
        except_on={
            "granian": but(_REASON, reason="<none>"),
            **on_asgi(_REASON, reason=""),
            "granian-asgi": but(_REASON, reason="<none>"),
        },
    ),
    Case(
        "response: an error of the upstream is an answer",
        Expect(418, "Short and stout", body=b"teapot"),
        script=says(answer(418, body=b"teapot", reason="Short and stout")),
        except_on={
            "granian": but(_REASON, reason="I'm a teapot"),
            **on_asgi(_REASON, reason=ANY),
        },
    ),
    Case(
        "response: a status above 599 passes with its reason",
        Expect(999, "Request denied", body=b"no"),
        script=says(answer(999, body=b"no", reason="Request denied")),
        except_on={
            "granian": but(_REASON, reason="<none>"),
            **on_asgi(_NO_STATUS, status=502, reason=ANY, body=ANY),
        },
    ),
    Case(
        "response: a blank before the colon is removed",
        Expect(headers={"x-frame-options": ["DENY"]}, body=b"hello"),
        script=says(b"HTTP/1.1 200 OK\r\nX-Frame-Options : DENY\r\nContent-Length: 5\r\n\r\nhello"),
    ),
    Case(
        "response: an empty reason is legal",
        Expect(200, "", body=b"hello"),
        script=says(answer(200, body=b"hello", reason="")),
        except_on={"granian": but(_REASON, reason="OK"), **on_asgi(_REASON, reason=ANY)},
    ),
    Case(
        "response: repeated fields stay apart and in order",
        Expect(headers={"set-cookie": ["b=1; Path=/", "a=2, c"], "x-multi": ["1", "2"]}),
        script=says(
            answer(
                headers=[
                    ("Set-Cookie", "b=1; Path=/"),
                    ("X-Multi", "1"),
                    ("Set-Cookie", "a=2, c"),
                    ("X-Multi", "2"),
                ]
            )
        ),
    ),
    Case(
        "response: bytes of Latin-1 stay",
        Expect(headers={"x-latin": ["caf\xe9"]}),
        script=says(answer(headers=[("X-Latin", "caf\xe9")])),
        except_on={
            "granian": but("it encodes the value as UTF-8", headers={"x-latin": ["caf\xc3\xa9"]})
        },
    ),
    Case(
        "response: hop-by-hop fields and those that Connection names are removed",
        Expect(
            headers={
                "keep-alive": [],
                "proxy-authenticate": [],
                "x-named": [],
                "x-kept": ["1"],
                "upgrade": [],
                "trailer": [],
                "alt-svc": [],
            },
            body=b"hello",
        ),
        script=says(
            answer(
                headers=[
                    ("Connection", "keep-alive, X-Named"),
                    ("Keep-Alive", "timeout=77"),
                    ("Proxy-Authenticate", "Basic"),
                    ("X-Named", "1"),
                    ("X-Kept", "1"),
                    ("Upgrade", "h2c"),
                    ("Trailer", "X-Sum"),
                    ("Alt-Svc", 'h3=":443"'),
                ],
                body=b"hello",
            )
        ),
    ),
    Case(
        "response: content codings are never touched",
        Expect(headers={"content-encoding": ["gzip"]}, body=b"\x1f\x8bno gzip"),
        script=says(answer(headers=[("Content-Encoding", "gzip")], body=b"\x1f\x8bno gzip")),
    ),
    Case(
        "response: 1 MiB with Content-Length",
        Expect(headers={"content-length": [str(len(_BIG))]}, body=_BIG),
        script=says(answer(body=_BIG)),
    ),
    Case(
        "response: chunked",
        Expect(body=b"hello world"),
        script=says(chunked_answer(b"hello ", b"world")),
    ),
    Case(
        "response: trailers are dropped",
        Expect(headers={"x-sum": []}, body=b"hello"),
        script=says(chunked_answer(b"hello")[:-2] + b"X-Sum: 1\r\n\r\n"),
    ),
    Case(
        "response: the end of the connection ends a body without framing",
        Expect(body=b"hello world"),
        script=breaks(b"HTTP/1.1 200 OK\r\n\r\nhello world"),
    ),
    Case(
        "response: HTTP/1.0",
        Expect(body=b"hello"),
        script=breaks(answer(body=b"hello", version="1.0")),
    ),
    Case(
        "response: HEAD has a length and no body",
        Expect(headers={"content-length": ["1234"]}, body=b""),
        method="HEAD",
        script=says(answer(headers=[("Content-Length", "1234")])),
    ),
    Case(
        "response: HEAD without a length gets none",
        Expect(headers={"content-length": []}, body=b""),
        method="HEAD",
        script=says(b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n"),
        except_on={"wsgiref": but(_ADDS_ZERO, headers={"content-length": ["0"]})},
    ),
    Case(
        "response: 204 has neither body nor length",
        Expect(204, headers={"content-length": [], "transfer-encoding": []}, body=b""),
        script=says(answer(204)),
        except_on={"wsgiref": but(_ADDS_ZERO, headers={"content-length": ["0"]})},
    ),
    Case(
        "response: 304 keeps Content-Length",
        Expect(304, headers={"content-length": ["1234"], "etag": ['"a"']}, body=b""),
        script=says(answer(304, [("Content-Length", "1234"), ("ETag", '"a"')])),
        except_on={
            "waitress": but("it removes the length", headers={"content-length": []}),
            "granian": but("it removes the length", headers={"content-length": []}),
            "granian-asgi": but("it removes the length", headers={"content-length": []}),
        },
    ),
    Case(
        "response: a redirection is the client's",
        Expect(302, headers={"location": ["http://elsewhere.example/"]}),
        script=says(answer(302, [("Location", "http://elsewhere.example/")])),
    ),
    Case(
        "response: interim answers are not the answer",
        Expect(200, headers={"x-early": [], "x-late": ["1"]}, body=b"hello", interim=[]),
        script=says(
            answer(103, [("Link", "</a.css>; rel=preload"), ("X-Early", "1")])
            + answer(headers=[("X-Late", "1")], body=b"hello")
        ),
        except_on={"gunicorn": but("it passes 103 on (wsgi.early_hints)", interim=[103])},
    ),
    Case(
        "response: the upstream's Date and Server are the only ones",
        Expect(headers={"server": ["Origin/1"], "date": [_DATE]}),
        script=says(answer(headers=[("Server", "Origin/1"), ("Date", _DATE)])),
        except_on={
            "gunicorn": but("it replaces both", headers={"server": ["gunicorn"], "date": [ANY]}),
            **{
                name: but(_OWN, headers={"server": [ANY, "Origin/1"], "date": [ANY, _DATE]})
                for name in ("werkzeug", "uvicorn", "uvicorn-h11")
            },
            "hypercorn": but(_OWN, headers={"server": ["Origin/1", ANY], "date": [_DATE, ANY]}),
        },
    ),
    Case(
        "response: 150 fields pass",
        Expect(headers={"x-0": ["1"], "x-149": ["1"]}),
        script=says(answer(headers=[(f"X-{number}", "1") for number in range(150)])),
    ),
    Case(
        "response: a range passes",
        Expect(206, headers={"content-range": ["bytes 0-4/9"]}, body=b"hello"),
        script=says(answer(206, [("Content-Range", "bytes 0-4/9")], b"hello")),
    ),
    Case(
        "response: bytes after the message are dropped",
        Expect(body=b"hello"),
        script=breaks(answer(body=b"hello") + answer(body=b"second")),
    ),
    Case(
        "response: a body that HEAD must not have is dropped",
        Expect(body=b""),
        method="HEAD",
        script=breaks(answer(body=b"hello")),
    ),
    Case(
        "response: a body that 304 must not have is dropped",
        Expect(304, body=b""),
        script=breaks(answer(304) + b"hello"),
    ),
    Case(
        "response: a tab in a value becomes a space",
        Expect(headers={"x-tab": ["a b"]}),
        script=says(answer(headers=[("X-Tab", "a\tb")])),
    ),
    Case(
        "response: lower-case and odd names of fields pass",
        Expect(headers={"x-odd!#$%&'*+.^_`|~": ["1"]}),
        script=says(b"HTTP/1.1 200 OK\r\nx-odd!#$%&'*+.^_`|~: 1\r\nContent-Length: 0\r\n\r\n"),
    ),
]
