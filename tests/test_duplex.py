"""Through every server: an upstream that answers while the request is still being sent."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator

import pytest

from tests.support.client import RawClient, request_bytes
from tests.support.fronts import ASGI_FRONTS, FRONTS, Fronts, app_path
from tests.support.messages import answer, chunks
from tests.support.upstream import RawUpstream

pytestmark = pytest.mark.in_turns(2, "front")

SIZE = 5_000_000
BODY = bytes(range(250)) * (SIZE // 250)
# What node's documentation shows as an echo server, and its own HTTP says where a body ends.
ECHO = """
const http = require("http");
const server = http.createServer((q, s) => { s.writeHead(200); q.pipe(s); });
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
"""


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    """The address of an echo server."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    with subprocess.Popen([node, "-e", ECHO], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.terminate()


def sent_beside(client: RawClient, data: bytes) -> threading.Thread:
    """Begin to send *data*, as clients do that read at the same time."""
    thread = threading.Thread(target=client.send, args=[data], daemon=True)
    thread.start()
    return thread


# It throws the rest of such a body away as soon as the answer begins; the answer breaks off then.
DROPS_THE_REST = {"cheroot"}


@pytest.mark.parametrize("front", [*FRONTS, *ASGI_FRONTS])
@pytest.mark.parametrize("size", [65_537, 200_000, SIZE])
def test_an_echo_of_known_length_passes(size: int, front: str, fronts: Fronts, echo: str) -> None:
    server = fronts.get(front, app_path(front, "reverse"), UPSTREAM=echo)
    with RawClient(server.port, timeout=30) as client:
        sending = sent_beside(client, request_bytes("POST /", body=BODY[:size]))
        response = client.response()
        sending.join(30)
    assert response.status == 200
    assert response.body == BODY[: len(response.body)]
    assert response.complete == (len(response.body) == size)
    assert response.complete or front in DROPS_THE_REST


@pytest.mark.parametrize("front", [*(name for name in FRONTS if name != "wsgiref"), *ASGI_FRONTS])
def test_a_chunked_echo_passes(front: str, fronts: Fronts, echo: str) -> None:
    server = fronts.get(front, app_path(front, "reverse"), UPSTREAM=echo)
    head = request_bytes("POST /", [("Transfer-Encoding", "chunked")])
    with RawClient(server.port, timeout=30) as client:
        data = head + chunks(*(BODY[at : at + 10_000] for at in range(0, SIZE, 10_000)))
        sending = sent_beside(client, data)
        response = client.response()
        sending.join(30)
    assert (response.status, response.complete) == (200, True)
    assert response.body == BODY


@pytest.mark.parametrize("front", ASGI_FRONTS)
def test_an_early_refusal_arrives(front: str, fronts: Fronts, upstream: RawUpstream) -> None:
    """While the client has sent but the beginning of its body, and waits."""
    refusal = answer(413, [("Connection", "close")], b"too much")
    upstream.behaviour = [("read_head",), ("send", refusal), ("shutdown_write",), ("wait_ended",)]
    server = fronts.get(front, app_path(front, "reverse"), UPSTREAM=upstream.url)
    with RawClient(server.port) as client:
        client.send(request_bytes("POST /", [("Content-Length", str(SIZE))], BODY[:1000]))
        response = client.response()
    assert (response.status, response.body, response.complete) == (413, b"too much", True)
    assert not upstream.requests[0].complete
    assert upstream.wait_until(lambda: upstream.accepted[0].ended_by_peer, 5)
