"""Behaviours of a raw upstream: one that tells what it received, and one that takes cases.

They show the bytes and decide nothing about them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping

from tests.support.connection import Connection, Script
from tests.support.messages import RawRequest, answer

__all__ = ["CASE_FIELD", "by_case", "described", "echo"]

#: The request field that names the script to play, see `by_case`.
CASE_FIELD = "X-Case"


def described(request: RawRequest) -> bytes:
    """What was received, as JSON."""
    return json.dumps(
        {
            "line": request.line,
            "headers": request.headers,
            "body_sha256": hashlib.sha256(request.body).hexdigest(),
            "body_length": len(request.body),
            "raw_head": base64.b64encode(request.head).decode(),
        }
    ).encode()


def _reply(request: RawRequest) -> bytes:
    reply = answer(200, [("Content-Type", "application/json")], described(request))
    return reply.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if request.method == "HEAD" else reply


def echo(connection: Connection) -> None:
    """Answer every request with a description of its bytes, and keep the connection.

    ``{"line": ..., "headers": [[name, value], ...], "body_sha256": ..., "body_length": ...,
    "raw_head": base64}``: names and values in order and case as received, as latin-1.
    """
    while True:
        connection.send(_reply(connection.read()))


def by_case(scripts: Mapping[str, Script]) -> Callable[[Connection], None]:
    """Play the script that the request names in ``X-Case``, or echo if there is none of it.

    The request is read with its body before the script begins. What follows the first
    ``#`` in the field is free, so that a test can tell its own request from others.
    """

    def behave(connection: Connection) -> None:
        while True:
            request = connection.read()
            case = ",".join(request.values(CASE_FIELD)).partition("#")[0]
            if case in scripts:
                connection.play(scripts[case])
            else:
                connection.send(_reply(request))

    return behave
