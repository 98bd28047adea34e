"""HTTP/1.1 as a client speaks it: a request head to bytes, bytes to a response.

It knows no socket and never waits. llhttp (``httptools``) parses; what it lets through and
must not pass is refused here.
"""

from __future__ import annotations

from wsgiproxy.sansio.h1.limits import Limits
from wsgiproxy.sansio.h1.request import LAST_CHUNK, chunk, request_head
from wsgiproxy.sansio.h1.response import Reader

__all__ = ["LAST_CHUNK", "Limits", "Reader", "chunk", "request_head"]
