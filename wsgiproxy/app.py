"""The reverse proxy: everything goes to one ``href``, which learns what the client asked for."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from wsgiproxy.caution import warn_of_everybody, warn_once
from wsgiproxy.errors import BadRequest, ConfigurationError
from wsgiproxy.exactproxy import Gateway
from wsgiproxy.sansio.envelope import Facts, facts
from wsgiproxy.sansio.exchange import Outgoing, request_for
from wsgiproxy.sansio.forwarded import (
    Public,
    announce,
    direct,
    forwarded_element,
    public,
    trust,
    via,
)
from wsgiproxy.sansio.headers import Remembered, without
from wsgiproxy.sansio.href import Base, join, parse_href
from wsgiproxy.sansio.location import has_addresses, map_headers
from wsgiproxy.sansio.message import Headers, Inbound, bracketed
from wsgiproxy.sansio.target import escapes, is_allowed
from wsgiproxy.secretloader import KeyFile
from wsgiproxy.settings import APP, SIGNING, TRANSPORT, settle
from wsgiproxy.signature import Signer
from wsgiproxy.transport import PooledTransport, Transport

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from typing_extensions import Unpack

    from wsgiproxy.settings import AppOptions

__all__ = ["ReversePolicy", "WSGIProxyApp"]


class _Context(NamedTuple):
    """What the answer's addresses are mapped with, and what the envelope will say."""

    base: Base
    known: Public
    facts: Facts


class ReversePolicy:
    """Stages 3 and 6 of a reverse proxy; pure, and the same for every request.

    :param base: where to, from :func:`~wsgiproxy.sansio.target.parse_href`.
    :param options: the rows of :data:`wsgiproxy.settings.APP`, settled.
    :param pseudonym: our name in Via.
    """

    keeps_namespace = False

    def __init__(self, base: Base, options: Mapping[str, Any], pseudonym: str) -> None:
        self._base = base
        self._options = options
        self._pseudonym = pseudonym
        self._host = "" if options["preserve_host"] else base.origin.authority
        self._trusts = trust(options["trusted_proxies"])
        # What is said of an untrusted peer follows from five facts, and clients come back.
        self._direct = Remembered(self._announce_direct)
        self._fixed: Headers = []
        if base.path:
            self._fixed.append(("X-Traversal-Path", base.path))
        if base.query:
            self._fixed.append(("X-Traversal-Query-String", base.query))

    def request(self, inbound: Inbound, headers: Headers) -> Outgoing:
        """The outgoing request.

        :raises BadRequest: a host that is not allowed, or a path that leaves ``href``.
        :raises LoopDetected: the request has been here before.
        """
        base, options = self._base, self._options
        if options["suppress_headers"]:
            headers = without(headers, options["suppress_headers"])
        if inbound.path[:1] == "*":
            raise BadRequest("the target * has no place behind a reverse proxy")
        # The path of href is a wall, and so is the mount: a backend that resolves dots
        # would leave what this application was given.
        if (base.path or inbound.script_name) and escapes(inbound.path):
            raise BadRequest("a '..' segment in the path")
        if self._trusts(inbound.peer):
            context, ours = self._announce(public(inbound, self._trusts), inbound.script_name)
        else:
            context, ours = self._direct[
                inbound.scheme,
                inbound.host,
                inbound.script_name,
                inbound.peer,
                inbound.server_port,
            ]
        host = context.known.host
        if options["allowed_hosts"] and not is_allowed(host, options["allowed_hosts"]):
            raise BadRequest(f"Host {host!r} is not in allowed_hosts")
        rest, trace = via(headers, inbound.protocol, self._pseudonym)
        lines = [("Host", self._host or inbound.host), *rest, *ours, ("Via", trace)]
        request = request_for(inbound, join(base, inbound.path, inbound.query), lines)
        return Outgoing(base.origin, request, context, context.facts)

    def _announce(self, known: Public, script_name: str) -> tuple[_Context, Headers]:
        ours = [*announce(known, script_name), *self._fixed]
        if self._options["forwarded"]:
            ours.append(("Forwarded", forwarded_element(known)))
        said = facts(known, self._base.path, self._base.query)
        return _Context(self._base, known, said), ours

    def _announce_direct(self, known: tuple[str, str, str, str, int]) -> tuple[_Context, Headers]:
        return self._announce(direct(*known), known[2])

    def response(self, headers: Headers, context: object) -> Headers:
        """Location, Content-Location, Refresh and cookies, mapped to the public address."""
        assert isinstance(context, _Context)
        options = self._options
        if not options["rewrite_location"] or not has_addresses(headers):
            return headers
        return map_headers(
            headers,
            context.base,
            context.known,
            scope_cookies=options["scope_cookies"],
            cookie_domain=options["cookie_domain"],
        )


class WSGIProxyApp:
    """A WSGI application that is another web application, somewhere else.

    :param href: the upstream: ``http://host[:port][/path][?query]``, https, or
        ``unix:/path/of.sock[:/path]``. It may be reassigned at any time.
    :param secret_file: path of a key file (``wsgiproxy keygen``); requests are then signed, and
        :class:`~wsgiproxy.middleware.WSGIProxyMiddleware` with the same file restores them.
    :param string_keys: environ keys to carry to the backend: native strings.
    :param unicode_keys: the same for text.
    :param json_keys: the same for what JSON can hold.
    :param pickle_keys: the same for anything else; an error without ``allow_pickle=True``.
    :param transport: another transport than a pool of its own.
    :param options: the rows of :data:`wsgiproxy.settings.APP`,
        :data:`~wsgiproxy.settings.SIGNING` and :data:`~wsgiproxy.settings.TRANSPORT`; strings
        are converted.
    :raises ConfigurationError: naming the setting, its value and what was expected.

    >>> app = WSGIProxyApp("http://127.0.0.1:8000/base", preserve_host=True)
    >>> app.href_netloc, app.href_path
    ('127.0.0.1:8000', '/base')
    """

    def __init__(
        self,
        href: str,
        secret_file: str | None = None,
        string_keys: Iterable[str] | None = None,
        unicode_keys: Iterable[str] | None = None,
        json_keys: Iterable[str] | None = None,
        pickle_keys: Iterable[str] | None = None,
        *,
        transport: Transport | None = None,
        **options: Unpack[AppOptions],
    ) -> None:
        positional = {
            "secret_file": secret_file,
            "string_keys": string_keys,
            "unicode_keys": unicode_keys,
            "json_keys": json_keys,
            "pickle_keys": pickle_keys,
        }
        given: dict[str, Any] = {
            **options,
            **{name: value for name, value in positional.items() if value is not None},
        }
        settled = settle(APP + SIGNING + TRANSPORT, given)
        self._options = {row.name: settled[row.name] for row in APP}
        self._signer = _signer(settled)
        warn_of_everybody("trusted_proxies", settled["trusted_proxies"])
        self._pseudonym = self._options["via"] or f"wsgiproxy-{secrets.token_hex(4)}"
        names = {row.name for row in TRANSPORT}
        theirs: Any = {name: value for name, value in options.items() if name in names}
        if transport is not None and theirs:
            raise ConfigurationError(
                f"transport={transport!r}: expected no settings of a transport beside it,"
                f" but there is {', '.join(theirs)}"
            )
        self._owns_transport = transport is None
        self.transport: Transport = transport or PooledTransport(**theirs)
        self.href = href

    @property
    def href(self) -> str:
        """The address of the upstream; assigning another one moves the proxy there."""
        return self._href

    @href.setter
    def href(self, href: str) -> None:
        base = parse_href(href)
        policy = ReversePolicy(base, self._options, self._pseudonym)
        # One assignment: a request in another thread sees the old target or the new one.
        self._gateway = Gateway(
            policy, self.transport, max_body=self._options["max_body"], signer=self._signer
        )
        self._base = base
        self._href = href

    @property
    def href_scheme(self) -> str:
        """``http`` or ``https``."""
        return self._base.origin.scheme

    @property
    def href_netloc(self) -> str:
        """``host:port``, the port always given."""
        origin = self._base.origin
        return f"{bracketed(origin.host)}:{origin.port}"

    @property
    def href_path(self) -> str:
        """The base path, without a slash at its end."""
        return self._base.path

    @property
    def href_query(self) -> str:
        """The query that is sent before the client's."""
        return self._base.query

    href_fragment = ""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        return self._gateway(environ, start_response)

    def close(self) -> None:
        """Close the connections that are kept, unless the transport was given to us.

        The application can still be used.
        """
        if self._owns_transport and isinstance(self.transport, PooledTransport):
            self.transport.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._href!r})"


def _signer(settled: Mapping[str, Any]) -> Signer | None:
    """What signs, if there is a secret.

    :raises ConfigurationError: keys are to be carried without one, or twice, or by pickle.
    """
    declared = {
        "string": settled["string_keys"],
        "text": settled["unicode_keys"],
        "json": settled["json_keys"],
        "pickle": settled["pickle_keys"],
    }
    names = [name for some in declared.values() for name in some]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"{name!r} is to be carried twice: expected one type for it")
    if settled["pickle_keys"] and not settled["allow_pickle"]:
        raise ConfigurationError(
            f"pickle_keys={settled['pickle_keys']!r}: expected allow_pickle=True beside it, here"
            " and at the backend; json_keys need neither"
        )
    if settled["secret_file"] is None:
        for setting in ("string_keys", "unicode_keys", "json_keys", "pickle_keys", "sign_body"):
            if settled[setting]:
                raise ConfigurationError(
                    f"{setting}={settled[setting]!r}: expected a secret_file beside it; nobody"
                    " could believe it unsigned"
                )
        return None
    file = KeyFile(
        settled["secret_file"], strict_permissions=settled["strict_permissions"], signs=True
    )
    if settled["pickle_keys"]:
        warn_once("allow_pickle=True: whoever has the secret can run code at the backend")
    limit = settled["max_signed_body"] if settled["sign_body"] else None
    return Signer(file.keyring, declared, limit)
