"""The reverse proxy: everything goes to one ``href``, which learns what the client asked for."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.observe.warn import warn_of_wildcards
from wsgiproxy.sansio.href import parse_href
from wsgiproxy.sansio.message import bracketed
from wsgiproxy.sansio.policy.reverse import ReversePolicy
from wsgiproxy.settings import APP, TRANSPORT, resolve
from wsgiproxy.settings.described import listing
from wsgiproxy.settings.parts import PARTS
from wsgiproxy.signature import configured_signer
from wsgiproxy.transport import PooledTransport, Transport
from wsgiproxy.wsgi.gateway import Gateway

if TYPE_CHECKING:
    import os

    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from typing_extensions import Unpack

    from wsgiproxy.settings.options import AppOptions

__all__ = ["WSGIProxyApp"]


@listing
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
        secret_file: str | os.PathLike[str] | None = None,
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
        values = resolve(PARTS["WSGIProxyApp"], given)
        self._options = {row.name: values[row.name] for row in APP}
        self._signer = configured_signer(values)
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
        warn_of_wildcards("trusted_proxies", values["trusted_proxies"])

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
