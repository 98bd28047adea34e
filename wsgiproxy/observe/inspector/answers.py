"""Responses of the inspector's page: their fields let no browser run, keep or share anything."""

from __future__ import annotations

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple

from wsgiproxy.sansio.message import Headers

__all__ = ["FOREIGN", "Answer", "Refusal", "download", "json_answer"]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'none'; base-uri 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'"
)
#: For what comes from an upstream or from a client.
FOREIGN = "default-src 'none'; sandbox; frame-ancestors 'none'"
_ALWAYS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
]


class Answer(NamedTuple):
    """One response.

    :param status: its code.
    :param content_type: that of the body.
    :param body: its blocks.
    :param more: further field lines.
    :param policy: its Content-Security-Policy.
    :param is_stream: the body has no length, and goes on.
    """

    status: int
    content_type: str
    body: Iterable[bytes]
    more: tuple[tuple[str, str], ...] = ()
    policy: str = _POLICY
    is_stream: bool = False

    @property
    def status_line(self) -> str:
        """The status with its phrase."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"

    @property
    def headers(self) -> Headers:
        """All field lines."""
        headers = [
            ("Content-Type", self.content_type),
            ("Content-Security-Policy", self.policy),
            *_ALWAYS,
            *self.more,
        ]
        if not self.is_stream:
            headers.append(("Content-Length", str(sum(map(len, self.body)))))
        return headers


class Refusal(Exception):
    """A request is not served.

    :param status: of the response.
    :param sentence: for the developer who looks at the page.
    """

    def __init__(self, status: int, sentence: str, *more: tuple[str, str]) -> None:
        super().__init__(sentence)
        self.answer = json_answer({"error": sentence}, status, more)


def json_answer(value: object, status: int = 200, more: tuple[tuple[str, str], ...] = ()) -> Answer:
    """A response with JSON, in ASCII."""
    return Answer(status, "application/json", [json.dumps(value).encode("ascii")], more)


def download(data: bytes, name: str) -> Answer:
    """A file to be saved, and never to be opened in the browser.

    :param name: of letters, digits, dots and hyphens.
    """
    more = ("Content-Disposition", f'attachment; filename="{name}"')
    return Answer(200, "application/octet-stream", [data], (more,), FOREIGN)
