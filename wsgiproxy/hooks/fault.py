"""Faults on purpose, for those who test what their programs do when a backend fails.

It is not for the public: nothing but the hook's own settings decides which request fails.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator
from typing import Any

from wsgiproxy.errors import UpstreamLost
from wsgiproxy.hooks.checks import is_number, named, require
from wsgiproxy.hooks.messages import Request, Response
from wsgiproxy.sansio.hooks import Hook, Wait

__all__ = ["fault"]

# Bytes of a body that is cut; of a larger one the request fails with 502.
_LIMIT = 16 * 1024 * 1024

_PLAIN = {"Content-Type": "text/plain"}
_TEXT = "A fault on purpose.\n"


def fault(
    status: int | None = None,
    cut: int | None = None,
    share: float = 1.0,
    *,
    delay: float = 0.0,
    reset: bool = False,
) -> Hook:
    """Answer late, with a status without asking the upstream, or break the client's connection off.

    :param status: of the answer.
    :param cut: bytes of the body that still pass, which is read first, up to 16 MiB.
    :param share: of the requests, by chance: 1 is all of them.
    :param delay: seconds before all that; alone, the request is late and nothing else.
    :param reset: break the connection without asking the upstream: by a TCP reset (RFC 9293,
        3.5.2) under gunicorn, gevent.pywsgi, Werkzeug and ``wsgiproxy.server.Handler``, which
        give us the client's socket; elsewhere behind a head and one byte (502 for HEAD).
    :raises ConfigurationError: they contradict each other, or one is not right.

    >>> from wsgiproxy import WSGIProxyApp
    >>> app = WSGIProxyApp("http://localhost:3000", hooks=[fault(status=503, share=0.1, delay=2)])
    """
    _check(status, cut, share, delay, reset)

    def hook(request: Request) -> Generator[Any, Any, Response | None]:
        is_chosen = random.random() < share
        if is_chosen and delay:
            yield Wait(delay)
        if is_chosen and (status is not None or reset):
            return _reset(request) if status is None else Response(status, _PLAIN, _TEXT)
        response: Response = yield request
        if is_chosen and cut is not None and request.method != "HEAD":
            # Not mapped: a small body would fail before its head is sent.
            data = yield response.read(_LIMIT)
            response.body = _cut(data[:cut])
        return None

    given = {"status": status, "cut": cut, "delay": delay or None, "reset": reset or None}
    what = ", ".join(f"{name}={value}" for name, value in given.items() if value is not None)
    return named(hook, f"fault({what})")


def _check(status: int | None, cut: int | None, share: float, delay: float, reset: bool) -> None:
    right = is_number(delay) or (delay == 0 and not isinstance(delay, bool))
    require(right, "delay", delay, "a number of seconds, at least 0")
    require(isinstance(reset, bool), "reset", reset, "true or false")
    wanted = (status is not None) + (cut is not None) + reset
    right = wanted == 1 or (not wanted and bool(delay))
    require(right, "status", status, "one of status, cut and reset, or a delay")
    if status is not None:
        require(isinstance(status, int) and 200 <= status <= 599, "status", status, "200 to 599")
    if cut is not None:
        right = isinstance(cut, int) and not isinstance(cut, bool) and cut >= 0
        require(right, "cut", cut, "a number of bytes")
    require(is_number(share, 1), "share", share, "a number above 0, up to 1")


def _reset(request: Request) -> Response:
    # waitress sends no head before a byte; and without a body, 200 would be a success.
    is_head = request.method == "HEAD"
    response = Response(502, _PLAIN) if is_head else Response(200, body=_cut(b" "))
    response.is_reset = True
    return response


def _cut(data: bytes) -> Iterator[bytes]:
    """The beginning of a body, behind which the connection breaks."""
    if data:
        yield data
    raise UpstreamLost("a fault on purpose: the body is cut")
