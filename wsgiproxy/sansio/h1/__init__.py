"""HTTP/1.1 as a client and as a server speak it: messages to bytes, bytes to messages.

It knows no socket and never waits. llhttp (``httptools``) parses; what it lets through and
must not pass is refused here.
"""

from __future__ import annotations

from wsgiproxy.sansio.h1.exchange import Exchange, Stale
from wsgiproxy.sansio.h1.limits import Limits
from wsgiproxy.sansio.h1.request_reader import ArrivingHead, RequestReader
from wsgiproxy.sansio.h1.request_writer import BodyWriter, is_replayable, request_head
from wsgiproxy.sansio.h1.response_reader import ResponseReader
from wsgiproxy.sansio.h1.response_writer import ResponseWriter

__all__ = [
    "ArrivingHead",
    "BodyWriter",
    "Exchange",
    "Limits",
    "RequestReader",
    "ResponseReader",
    "ResponseWriter",
    "Stale",
    "is_replayable",
    "request_head",
]
