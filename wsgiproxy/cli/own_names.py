"""A listener on a loopback address answers only the names of this machine and allowed ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from wsgiproxy.cli.listen import Listen, kinds
from wsgiproxy.errors import BadRequest, Misdirected
from wsgiproxy.observe.accesslog import Record
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.rebinding import is_answered
from wsgiproxy.sansio.target import absolute_form
from wsgiproxy.wsgi.gateway import error_response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["OwnNames", "own_names", "with_own_names"]


def _named_by_target(environ: WSGIEnvironment) -> list[str]:
    """The host of an absolute-form target, which counts more than Host (RFC 9112, 3.2.2)."""
    raw = environ.get("REQUEST_URI") or environ.get("RAW_URI") or "/"
    if raw[0] == "/":
        return []
    try:
        absolute = absolute_form(raw)
    except BadRequest:
        return []  # the application refuses it
    return [absolute.authority] if absolute else []


def own_names(listen: Listen) -> tuple[str, ...]:
    """The names of a listener on a loopback address; empty for any other: it answers every name."""
    if kinds(listen) != {"loopback"}:
        return ()
    return ("localhost", ".localhost", "127.0.0.1", "::1", listen.host.lower())


class OwnNames:
    """Which names of the client a listener answers.

    :param allowed: names besides its own.
    """

    def __init__(self, listen: Listen, allowed: Iterable[str]) -> None:
        own = own_names(listen)
        names = (*allowed, *own)

        @remembered
        def answered(host: str) -> bool:
            return not own or is_answered(host, names)

        self._is_answered = answered

    def refusal(self, hosts: Iterable[str]) -> Misdirected | None:
        """The error for a request that names these hosts; None if all of them are answered."""
        for host in hosts:
            if not self._is_answered(host):
                return Misdirected(
                    f"Host {host[:100]!r} is no name of this machine, nor in allowed_hosts"
                )
        return None


def with_own_names(
    make: Callable[[], WSGIApplication], listen: Listen, allowed: Iterable[str]
) -> WSGIApplication:
    """Make an application; on a loopback address, other names than own and *allowed* get 421."""
    application, names = make(), OwnNames(listen, allowed)
    if not own_names(listen):
        return application

    def check(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        error = names.refusal([environ.get("HTTP_HOST", ""), *_named_by_target(environ)])
        if error is None:
            return application(environ, start_response)
        return error_response(error, environ, start_response, Record(environ))

    return check
