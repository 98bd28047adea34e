"""Request bodies: whatever the framing, the same bytes arrive."""

from __future__ import annotations

from tests.support.messages import chunks
from tests.support.parity import Case, Expect, but

__all__ = ["BODIES"]

_NO_CHUNKS = "it cannot read a chunked body, so a length is asked for"
_NO_CHUNKS_ON = {"wsgiref": but(_NO_CHUNKS, status=411, reached=False)}
_BIG = bytes(range(256)) * 1200

BODIES = [
    Case(
        "body: one with Content-Length keeps it",
        Expect(sent_body=b"hello", sent={"content-length": ["5"], "transfer-encoding": []}),
        method="POST",
        body=b"hello",
    ),
    Case(
        "body: 300 KiB with Content-Length",
        Expect(sent_body=_BIG, sent={"content-length": [str(len(_BIG))]}),
        method="PUT",
        body=_BIG,
    ),
    Case(
        "body: a chunked one stays chunked",
        Expect(
            sent_body=b"hello world", sent={"content-length": [], "transfer-encoding": ["chunked"]}
        ),
        method="POST",
        headers=[("Transfer-Encoding", "chunked")],
        body=chunks(b"hello ", b"world"),
        except_on={
            **_NO_CHUNKS_ON,
            "waitress": but(
                "it reads all of it first, and then knows the length",
                sent={"content-length": ["11"], "transfer-encoding": []},
            ),
        },
    ),
    Case(
        "body: 300 KiB chunked",
        Expect(sent_body=_BIG),
        method="POST",
        headers=[("Transfer-Encoding", "chunked")],
        body=chunks(*(_BIG[at : at + 10_000] for at in range(0, len(_BIG), 10_000))),
        except_on=_NO_CHUNKS_ON,
    ),
    Case(
        "body: an empty chunked one",
        Expect(sent_body=b""),
        method="POST",
        headers=[("Transfer-Encoding", "chunked")],
        body=chunks(),
        except_on=_NO_CHUNKS_ON,
    ),
    Case(
        "body: trailers are dropped",
        Expect(sent_body=b"hello", sent={"x-sum": []}),
        method="POST",
        headers=[("Transfer-Encoding", "chunked")],
        body=chunks(b"hello")[:-2] + b"X-Sum: 1\r\n\r\n",
        except_on={
            **_NO_CHUNKS_ON,
            "werkzeug": but("it refuses them", status=400, reached=False),
            "uvicorn": but("it takes early ones for fields of the head", sent={"x-sum": ["1"]}),
        },
    ),
    Case(
        "body: a chunked DELETE is not cut off (CVE-2026-29057)",
        Expect(line="DELETE /x HTTP/1.1", sent_body=b"hello"),
        method="DELETE",
        headers=[("Transfer-Encoding", "chunked")],
        body=chunks(b"hello"),
        except_on=_NO_CHUNKS_ON,
    ),
    Case(
        "body: DELETE with a body keeps it",
        Expect(line="DELETE /x HTTP/1.1", sent_body=b"hello", sent={"content-length": ["5"]}),
        method="DELETE",
        body=b"hello",
    ),
    Case(
        "body: GET with a body keeps it",
        Expect(line="GET /x HTTP/1.1", sent_body=b"hello", sent={"content-length": ["5"]}),
        body=b"hello",
    ),
    Case(
        "body: POST without one says Content-Length: 0",
        Expect(sent_body=b"", sent={"content-length": ["0"], "transfer-encoding": []}),
        method="POST",
        headers=[("Content-Length", "0")],
    ),
    Case(
        "body: POST without a word about it says Content-Length: 0",
        Expect(sent_body=b"", sent={"content-length": ["0"], "transfer-encoding": []}),
        method="POST",
    ),
    Case(
        "body: GET without one has no framing",
        Expect(sent_body=b"", sent={"content-length": [], "transfer-encoding": []}),
    ),
    Case(
        "body: Content-Type on GET stays",
        Expect(sent={"content-type": ["application/x-odd"]}),
        headers=[("Content-Type", "application/x-odd")],
    ),
    Case(
        "body: Expect: 100-continue is ours to meet",
        Expect(sent_body=b"hello", sent={"expect": []}),
        method="POST",
        headers=[("Expect", "100-continue")],
        body=b"hello",
    ),
]
