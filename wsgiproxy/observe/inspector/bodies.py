"""The bodies of an exchange by name, with what their fields say of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from wsgiproxy.observe.inspector.decoded import SHOWN, decoded
from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.kept import Kept
from wsgiproxy.observe.inspector.preview import Preview, is_form, masked_body, preview
from wsgiproxy.sansio.fields.names import value_of, values
from wsgiproxy.sansio.message import Headers
from wsgiproxy.sansio.secrets import Secrets

__all__ = ["Body", "body_named"]


class Body(NamedTuple):
    """One body and its fields.

    :param name: ``request``, ``response``, or that of an attempt, such as ``attempt-0-request``.
    """

    name: str
    kept: Kept
    headers: Headers

    @property
    def content_type(self) -> str:
        """The value of Content-Type; empty if there is none."""
        return value_of(self.headers, "Content-Type")

    @property
    def coding(self) -> str:
        """The value of Content-Encoding; empty if there is none."""
        return ", ".join(values(self.headers, "Content-Encoding"))

    @property
    def media_type(self) -> str:
        """That of Content-Type, in lower case and without parameters."""
        return self.content_type.partition(";")[0].strip().lower()

    def preview(self, secrets: Secrets) -> Preview:
        """What a page shows of it."""
        data = self.kept.read(SHOWN)
        is_cut = len(data) < self.kept.size
        return preview(data, self.content_type, self.coding, secrets, is_cut=is_cut)

    def masked(self, secrets: Secrets) -> bytes:
        """All that is kept of it; a form without its coding, and its secret fields masked."""
        data = self.kept.read()
        if not is_form(self.content_type):
            return data
        if self.coding:
            data = decoded(data, self.coding).data
        return masked_body(data, self.content_type, secrets)

    def shown(self) -> dict[str, object]:
        """What a page knows of it before it is opened."""
        return {
            "name": self.name,
            "size": self.kept.size,
            "kept": self.kept.kept,
            "cut": self.kept.is_cut,
            "whole": self.kept.is_whole,
            "type": self.media_type,
            "coding": self.coding,
        }


def _bodies(exchange: Exchange) -> Iterator[tuple[str, Kept | None, Headers]]:
    yield "request", exchange.body, exchange.request.headers
    if exchange.answer is not None:
        yield "response", exchange.answer_body, exchange.answer.headers
    for index, attempt in enumerate(exchange.attempts):
        yield f"attempt-{index}-request", attempt.body, attempt.request.headers
        if attempt.answer is not None:
            yield f"attempt-{index}-response", attempt.answer_body, attempt.answer.headers


def body_named(exchange: Exchange, name: str) -> Body | None:
    """One of the bodies that are kept of an exchange; None if there is none of that name."""
    for each, kept, headers in _bodies(exchange):
        if each == name and kept is not None:
            return Body(name, kept, headers)
    return None
