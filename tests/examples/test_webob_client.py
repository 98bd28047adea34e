"""WebOb as an HTTP client."""

from __future__ import annotations

import os
import subprocess
import sys

from webob import Request

from tests.examples.running import EXAMPLES, ROOT, command_of
from tests.support.ports import free_port
from tests.support.upstream import RawUpstream, answer
from wsgiproxy import proxy_exact_request


def asked(netloc: str) -> str:
    """What the command in the docstring prints."""
    _, words = command_of("webob_client.py")
    assert words[:2] == ["python", "webob_client.py"]
    arguments = [word.replace("localhost:3000", netloc) for word in words[1:]]
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=EXAMPLES,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_request_is_the_one_that_was_made(upstream: RawUpstream) -> None:
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    upstream.behaviour = answer(200, cookies, b"hello")
    printed = asked(upstream.netloc)
    head = f"GET /search?q=a%2Fb HTTP/1.1\r\nHost: {upstream.netloc}\r\nAccept: text/plain\r\n\r\n"
    assert upstream.received == head.encode()
    assert printed.splitlines() == [
        "200 OK",
        "Set-Cookie: a=1",
        "Set-Cookie: b=2",
        "Content-Length: 5",
        "",
        "hello",
    ]


def test_a_raw_target_is_kept_if_the_environ_has_it(upstream: RawUpstream) -> None:
    request = Request.blank(f"{upstream.url}/a%2Fb")
    request.environ["REQUEST_URI"] = "/a%2Fb"
    assert request.get_response(proxy_exact_request).status_code == 200
    assert upstream.requests[0].target == "/a%2Fb"


def test_a_redirect_is_not_followed(upstream: RawUpstream) -> None:
    upstream.behaviour = answer(302, [("Location", "/elsewhere")])
    printed = asked(upstream.netloc)
    assert printed.startswith("302 Found\n")
    assert len(upstream.requests) == 1


def test_an_upstream_that_is_not_there_is_a_502() -> None:
    assert asked(f"127.0.0.1:{free_port()}").startswith("502 Bad Gateway\n")
