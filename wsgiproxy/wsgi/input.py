"""Reading ``wsgi.input``, whatever the server does when there is no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.message import BLOCK

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["blocks_of", "read"]


def blocks_of(environ: WSGIEnvironment, length: int) -> Iterator[bytes]:
    """The *length* bytes of ``wsgi.input``.

    :raises BadRequest: there are fewer, so that the request is not a whole one.
    """
    left = length
    while left and (block := read(environ, min(left, BLOCK))):
        left -= len(block)
        yield block
    if left:
        raise BadRequest(f"the request body ended {left} of {length} bytes too early")


def read(environ: WSGIEnvironment, size: int) -> bytes:
    """One block of at most *size* bytes; empty at the end.

    :raises BadRequest: the client has left before the end.
    """
    # Servers raise what they like when a client leaves in mid-body: OSError, EOFError,
    # HTTP exceptions of their own. All of them mean that there is no whole request.
    try:
        return bytes(environ["wsgi.input"].read(size))
    except Exception as error:
        raise BadRequest(f"reading the request body: {error!r}") from error
