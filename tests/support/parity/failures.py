"""Upstreams that fail: a 502 of ours, or a message that the client can see is cut."""

from __future__ import annotations

from tests.support.messages import answer, chunked_answer
from tests.support.parity import Case, Expect, but
from tests.support.parity.responses import breaks

__all__ = ["FAILURES"]

_BAD = Expect(502, not_in_body=[b"secret", b"127.0.0.1", b"Traceback"])
_CUT = Expect(200, complete=False)
_SECRET = b"X-A: secret\r\nContent-Length: 6\r\n\r\nsecret"
_TYPE = [("Content-Type", "text/plain")]
_OLD = "it speaks HTTP/1.0, where the end of the connection is the end of the body"
# granian 2.8.9 drops the head and the block that it has not flushed when the iterator raises.
_MAY_SEND_NOTHING = {"granian": but("it may send nothing at all", status=None)}
_INVISIBLE = {"wsgiref": but(_OLD, complete=True), **_MAY_SEND_NOTHING}

FAILURES = [
    Case("failure: the upstream closes at once", _BAD, script=[("close",)]),
    Case("failure: the upstream resets at once", _BAD, script=[("reset",)]),
    Case(
        "failure: the head ends in its middle",
        _BAD,
        script=breaks(b"HTTP/1.1 200 OK\r\nX-A: secret\r\n"),
    ),
    Case("failure: no HTTP", _BAD, script=breaks(b"SSH-2.0-secret\r\n\r\n")),
    Case(
        "failure: a blank before the colon of a framing field",
        _BAD,
        script=breaks(b"HTTP/1.1 200 OK\r\nContent-Length : 6\r\n\r\nsecret"),
    ),
    Case(
        "failure: a line without a colon",
        _BAD,
        script=breaks(b"HTTP/1.1 200 OK\r\nsecret\r\n" + _SECRET),
    ),
    Case(
        "failure: a bare CR in a value",
        _BAD,
        script=breaks(b"HTTP/1.1 200 OK\r\nX-B: a\rSet-Cookie: secret=1\r\n" + _SECRET),
    ),
    Case(
        "failure: two lengths in the answer",
        _BAD,
        script=breaks(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n" + _SECRET),
    ),
    Case(
        "failure: another transfer coding in the answer",
        _BAD,
        script=breaks(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ),
    Case(
        "failure: 101 that nobody asked for",
        _BAD,
        script=breaks(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: secret\r\n\r\nsecret"),
    ),
    Case(
        "failure: the same length twice in one field (RFC 9110, 8.6: or make it one)",
        _BAD,
        script=breaks(b"HTTP/1.1 200 OK\r\nContent-Length: 6, 6\r\n\r\nsecret"),
    ),
    Case(
        "failure: a continuation line (RFC 9112, 5.2: or join it)",
        _BAD,
        script=breaks(b"HTTP/1.1 200 OK\r\nX-B: a\r\n b\r\n" + _SECRET),
    ),
    Case(
        "failure: a head over 64 KiB",
        _BAD,
        script=breaks(answer(headers=[("X-A", "secret" * 11_000)])),
    ),
    Case(
        "failure: more than 200 fields",
        _BAD,
        script=breaks(answer(headers=[(f"X-{number}", "secret") for number in range(201)])),
    ),
    Case(
        "failure: interim answers without end",
        _BAD,
        script=breaks(answer(102) * 17 + answer(body=b"secret")),
    ),
    Case("failure: a status that is none", _BAD, script=breaks(b"HTTP/1.1 099 Odd\r\n" + _SECRET)),
    Case(
        "failure: a status of four digits", _BAD, script=breaks(b"HTTP/1.1 1000 Odd\r\n" + _SECRET)
    ),
    Case(
        "failure: lines that end in LF alone, on a connection that stays open",
        _BAD,
        script=[("send", b"HTTP/1.1 200 OK\nX-A: secret\nContent-Length: 0\n\n")],
    ),
    Case("failure: HTTP/2.0 by name", _BAD, script=breaks(b"HTTP/2.0 200 OK\r\n" + _SECRET)),
    Case(
        "failure: NUL in a value of the answer",
        _BAD,
        script=breaks(b"HTTP/1.1 200 OK\r\nX-B: a\0b\r\n" + _SECRET),
    ),
    Case(
        "failure: a bad chunk that comes with the head",
        _BAD,
        script=breaks(chunked_answer(b"hello", headers=_TYPE, last=False) + b"0x3\r\nsecret"),
    ),
    Case(
        "failure: a length of 19 digits",
        _BAD,
        method="HEAD",
        script=breaks(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000000\r\n\r\n"),
    ),
    Case(
        "failure: 426, whose Upgrade no application may send",
        _BAD,
        script=breaks(
            b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: secret\r\nConnection: Upgrade\r\n"
            b"Content-Length: 6\r\n\r\nsecret"
        ),
    ),
    Case(
        "failure: a body cut short of its length",
        _CUT,
        script=breaks(answer(headers=[("Content-Length", "10"), *_TYPE], body=b"hello")),
        except_on=_MAY_SEND_NOTHING,
    ),
    Case(
        "failure: a chunked body without its last chunk",
        _CUT,
        script=breaks(chunked_answer(b"hello", headers=_TYPE, last=False)),
        except_on=_INVISIBLE,
    ),
    Case(
        "failure: a body without framing that ends by reset",
        _CUT,
        script=[("send", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello"), ("reset",)],
        except_on=_INVISIBLE,
    ),
    Case(
        "failure: a chunked body without its last chunk, and no field beside",
        _CUT,
        script=breaks(chunked_answer(b"hello", last=False)),
        except_on={
            **_INVISIBLE,
            "werkzeug": but(
                "it takes no fields for no head, and adds its page for 500 to the body",
                complete=True,
            ),
        },
    ),
]
