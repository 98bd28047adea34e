"""What docs/deploy/haproxy.cfg repeats at the other machine, and what it does not."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from tests.deploy.site_of_two import DEPLOY
from tests.support.client import raw_exchange, request_bytes
from tests.support.daemon import daemon, program
from tests.support.ports import free_port
from tests.support.upstream import Connection, RawUpstream, answer

pytestmark = pytest.mark.system("haproxy")

HEALTHY = answer(200, body=b"healthy")


def failing(how: bytes) -> Callable[[Connection], None]:
    """Healthy, and to all else it answers so; nothing, if it is empty."""

    def behave(connection: Connection) -> None:
        while True:
            request = connection.read()
            if request.target == "/healthz":
                connection.send(HEALTHY)
            elif how:
                connection.send(how)
            else:
                connection.close()
                return

    return behave


def asked(method: str, one: str, two: RawUpstream) -> int:
    """The status for a user of the first machine."""
    port = free_port()
    env = {"BIND": f"127.0.0.1:{port}", "HOST_ONE": one, "HOST_TWO": two.netloc, "SILENCE": "1s"}
    command = [program("haproxy"), "-db", "-f", str(DEPLOY / "haproxy.cfg")]
    body = b"x" if method in ("POST", "PATCH", "PUT") else b""
    request = request_bytes(f"{method} /shop", [("Cookie", "MACHINE=one")], body)
    with daemon(command, ("127.0.0.1", port), env=env):
        return raw_exchange(port, request).status


def count(upstream: RawUpstream) -> int:
    """How many requests came that were no questions after its health."""
    return sum(request.target == "/shop" for request in upstream.requests)


REPEATED = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")
FAILURES = {"no answer": b"", "502": answer(502), "503": answer(503)}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("method", [*REPEATED, "POST", "PATCH"])
def test_what_may_be_done_twice_is_repeated(method: str, failure: str) -> None:
    with RawUpstream(failing(FAILURES[failure])) as one, RawUpstream(answer(200)) as two:
        status = asked(method, one.netloc, two)
        is_repeated = method in REPEATED
        assert count(one) == 1
        assert count(two) == is_repeated
    assert status == (200 if is_repeated else int(failure) if failure.isdigit() else 502)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_has_reached_no_machine_goes_to_the_other(method: str) -> None:
    with socket.socket() as closed, RawUpstream(answer(200)) as two:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        assert asked(method, f"127.0.0.1:{closed.getsockname()[1]}", two) == 200
        assert count(two) == 1


def test_an_answer_of_the_application_is_not_repeated() -> None:
    with RawUpstream(failing(answer(500))) as one, RawUpstream(answer(200)) as two:
        assert asked("GET", one.netloc, two) == 500
        assert count(two) == 0
