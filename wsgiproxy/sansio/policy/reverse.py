"""The rules of a reverse proxy: where to, which Host, what to announce, and how to map back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.fields.cookies import not_sent, not_set
from wsgiproxy.sansio.fields.destination import Place, has_no_destination, map_fields
from wsgiproxy.sansio.fields.envelope import Facts, facts
from wsgiproxy.sansio.fields.forwarded import (
    Public,
    announce,
    direct,
    forwarded_element,
    public,
    trust,
)
from wsgiproxy.sansio.fields.host import is_allowed
from wsgiproxy.sansio.fields.location import AskedPaths
from wsgiproxy.sansio.fields.mapped import has_addresses, map_headers
from wsgiproxy.sansio.fields.names import without
from wsgiproxy.sansio.fields.via import with_via
from wsgiproxy.sansio.href import Base, join
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.message import Headers, Inbound, Moved
from wsgiproxy.sansio.pipeline import Outgoing, request_for
from wsgiproxy.sansio.target import escapes

__all__ = ["ReversePolicy"]


class _Context(NamedTuple):
    """What addresses and cookies are mapped with, and what the envelope will say.

    It is the same for every request of a client; what a policy wants back is this and the path.
    """

    base: Base
    known: Public
    facts: Facts
    mount: tuple[Base, Public]


class ReversePolicy:
    """Stages 3 and 6 of a reverse proxy; pure, and the same for every request.

    :param base: where to, from :func:`~wsgiproxy.sansio.href.parse_href`.
    :param options: the rows of :data:`wsgiproxy.settings.APP`, resolved.
    :param pseudonym: our name in Via.
    :param whole: the base path is the mount, and so nothing of it is announced as removed.
    :param fixed: what is announced besides.
    """

    keeps_namespace = False
    is_known_by_port = False
    has_own_upstreams = True

    def __init__(
        self,
        base: Base,
        options: Mapping[str, Any],
        pseudonym: str,
        *,
        whole: bool = False,
        fixed: Headers | None = None,
    ) -> None:
        self._base = base
        self._options = options
        self._pseudonym = pseudonym
        self._host = "" if options["preserve_host"] else base.origin.authority
        self.passes_commands: bool = options["pass_accel"]
        self._suppresses = bool(options["suppress_headers"] or options["suppress_cookies"])
        self._cookies = {name: options[name] for name in ("scope_cookies", "cookie_domain")}
        self._maps = bool(
            options["rewrite_location"]
            or options["scope_cookies"]
            or options["cookie_domain"] is not None
        )
        self._trusts = trust(options["trusted_proxies"])
        self.trusts_ids = self._trusts if options["request_id"] else None
        self._requires: bool = options["require_forwarded"]
        # What is said of an untrusted peer follows from five facts, and clients come back.
        self._direct = remembered(self._announce_direct)
        self._whole = whole
        self._fixed: Headers = list(fixed or ())
        if base.path:
            self._fixed.append(("X-Traversal-Path", base.path))
        if base.query:
            self._fixed.append(("X-Traversal-Query-String", base.query))

    def visible(self, headers: Headers) -> Headers:
        """As of :meth:`.Policy.visible`."""
        if not self._suppresses:
            return headers
        headers = without(headers, self._options["suppress_headers"])
        return not_sent(headers, self._options["suppress_cookies"])

    def request(self, inbound: Inbound, headers: Headers) -> Outgoing:
        """The outgoing request.

        :raises BadRequest: a host that is not allowed, or a path that leaves ``href``.
        :raises Forbidden: a trusted peer does not name the client, and has to.
        :raises LoopDetected: the request has been here before.
        """
        base, options = self._base, self._options
        if self._suppresses:
            headers = self.visible(headers)
        if inbound.path[:1] == "*":
            raise BadRequest("the target * has no place behind a reverse proxy")
        # The path of href is a wall, and so is the mount: a backend that resolves dots
        # would leave what this application was given.
        if (base.path or inbound.script_name) and escapes(inbound.path):
            raise BadRequest("a '..' segment in the path")
        if self._trusts(inbound.peer):
            known = public(inbound, self._trusts, required=self._requires)
            context, ours = self._announce(known, inbound.script_name)
        else:
            context, ours = self._direct(
                (
                    inbound.scheme,
                    inbound.host,
                    inbound.script_name,
                    inbound.peer,
                    inbound.server_port,
                )
            )
        host = context.known.host
        if options["allowed_hosts"] and not is_allowed(host, options["allowed_hosts"]):
            raise BadRequest(f"Host {host!r} is not in allowed_hosts")
        if not has_no_destination(inbound.method):
            headers = map_fields(headers, *self._places(context, inbound))
        lines = [("Host", self._host or inbound.host), *headers, *ours]
        lines = with_via(lines, inbound.protocol, self._pseudonym)
        request = request_for(inbound, join(base, inbound.path, inbound.query), lines)
        return Outgoing(base.origin, request, (context, inbound.path, inbound.moved), context.facts)

    def _places(self, context: _Context, inbound: Inbound) -> tuple[Place, Place]:
        """The mount as the client calls it, and as the upstream does."""
        base, known = context.mount
        public = Place(known.scheme, known.host, known.prefix)
        return public, Place(base.origin.scheme, self._host or inbound.host, base.path)

    def _announce(self, known: Public, script_name: str) -> tuple[_Context, Headers]:
        base, options = self._base, self._options
        said = facts(known, base.path, base.query)
        mount = base, known
        if self._whole:
            # The paths are the same at both ends, but for what is in front of us.
            known = known._replace(prefix=known.prefix.removesuffix(script_name))
            base, script_name = base._replace(path=""), ""
        ours = [*announce(known, script_name), *self._fixed]
        if options["forwarded"]:
            ours.append(("Forwarded", forwarded_element(known)))
        return _Context(base, known, said, mount), ours

    def _announce_direct(self, known: tuple[str, str, str, str, int]) -> tuple[_Context, Headers]:
        return self._announce(direct(*known), known[2])

    def response(self, headers: Headers, context: object) -> Headers:
        """Location, Content-Location, Refresh and cookies, mapped to the public address."""
        options = self._options
        if self._suppresses:
            headers = not_set(headers, options["suppress_cookies"])
        if not self._maps or not has_addresses(headers):
            return headers
        assert isinstance(context, tuple)
        shared, path, moved = context
        assert isinstance(shared, _Context)
        base, known = shared.mount
        return map_headers(
            headers,
            shared.base,
            shared.known,
            mount=shared.mount,
            asked=_asked(base._replace(query=""), known.prefix, path, moved),
            rewrite_location=options["rewrite_location"],
            **self._cookies,
        )


def _asked(base: Base, prefix: str, path: str, moved: Moved | None) -> AskedPaths:
    """The paths of a request, below the mount.

    :param path: that was sent.
    """
    upstream = join(base, path, "")
    if moved is None:
        return AskedPaths(upstream, prefix + path or "/")
    places = prefix + moved.old, prefix + moved.new
    return AskedPaths(upstream, prefix + moved.asked or "/", places)
