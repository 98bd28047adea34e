"""In an ASGI server, behind the adapters that make a WSGI application of an ASGI one.

Neither says ``wsgi.input_terminated`` or has a raw target in the environ.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.client import raw_exchange, request_bytes
from tests.support.fronts import ADAPTERS, Front, Fronts
from tests.support.messages import RawRequest, answer, chunks
from tests.support.upstream import RawUpstream

pytestmark = pytest.mark.in_turns(2)

Sent = Callable[..., RawRequest]


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def sent(adapter: str, fronts: Fronts, upstream: RawUpstream) -> Sent:
    """What arrives at the upstream of a request."""
    upstream.behaviour = answer(body=b"hello")
    server: Front = fronts.get(adapter, "tests.support.apps:reverse", UPSTREAM=upstream.url)

    def send(line: str, *headers: tuple[str, str], body: bytes = b"") -> RawRequest:
        request = request_bytes(line, list(headers), body)
        response = raw_exchange(server.port, request)
        assert (response.status, response.body) == (200, b"hello"), server.log
        return upstream.wait_for_requests(1)[-1]

    return send


def test_a_chunked_body_passes(sent: Sent) -> None:
    body = chunks(b"hello", b"x" * 100_000)
    arrived = sent("POST /x", ("Transfer-Encoding", "chunked"), body=body)
    assert arrived.body == b"hello" + b"x" * 100_000
    assert arrived.values("Transfer-Encoding") == ["chunked"]
    assert arrived.values("Content-Length") == []


def test_an_empty_chunked_body_passes(sent: Sent) -> None:
    assert sent("POST /x", ("Transfer-Encoding", "chunked"), body=chunks()).body == b""


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_without_body_has_none(sent: Sent, method: str) -> None:
    arrived = sent(f"{method} /x")
    assert arrived.raw_body == b""
    assert arrived.values("Transfer-Encoding") == []


@pytest.mark.parametrize(
    ("target", "starlette"),
    [
        ("/a%2Fb", "/a/b"),
        ("/a%3Bb;c", "/a;b;c"),
        ("//a//b", "//a//b"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/x?a=%2F&b", "/x?a=%2F&b"),
    ],
)
def test_a_target_passes_unless_the_adapter_has_decoded_it(
    sent: Sent, adapter: str, target: str, starlette: str
) -> None:
    """Starlette's hands over the decoded path alone."""
    arrived = sent(f"GET {target}")
    assert arrived.target == (target if adapter == "a2wsgi" else starlette)
