"""A target of the command, and whether it answers."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.cli.causes import first_cause, words_of
from wsgiproxy.cli.listen import CannotStart
from wsgiproxy.cli.log import LogStyle, log_to_stderr
from wsgiproxy.cli.websocket import settings_of
from wsgiproxy.errors import ProxyError
from wsgiproxy.sansio.upstreams import Targets, read_href
from wsgiproxy.transport import PooledTransport
from wsgiproxy.transport.attendant import looked_up

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from wsgiproxy.cli.servers import ASGIApplication
    from wsgiproxy.settings.options import AppOptions, ASGIAppOptions

__all__ = ["Site", "check_target"]


@dataclass(frozen=True)
class Site:
    """A target to serve, in values that can be pickled.

    :param prefix: the path below which it is mounted.
    :param settings: rows of :mod:`wsgiproxy.settings`.
    """

    href: str
    prefix: str
    settings: Mapping[str, Any]
    log: LogStyle

    #: What :class:`~wsgiproxy.cli.spawned.Spawned` has as well.
    note, shutdown_time = "", 0.0

    @property
    def title(self) -> str:
        """The target, for people to read."""
        return self.href

    def proxy(self) -> WSGIProxyApp:
        """The proxy alone.

        :raises ConfigurationError: a wrong setting.
        """
        settings = settings_of("WSGIProxyApp", self.settings)
        return WSGIProxyApp(self.href, **cast("AppOptions", settings))

    def check(self, answers: bool) -> None:
        """Check the settings, and the target, before it is served.

        :param answers: whether the target has to answer.
        :raises ConfigurationError: a wrong setting.
        :raises CannotStart: the target does not answer.
        """
        proxy = self.proxy()
        if answers:
            check_target(proxy)

    def application(self) -> WSGIApplication:
        """The mounted proxy; to be called in the process that serves it."""
        from wsgiproxy.cli.mount import Mount

        log_to_stderr(self.log)
        proxy = self.proxy()
        if not self.prefix:
            return proxy
        return Mount(proxy, self.prefix, is_folder=read_href(self.href).is_folder)

    def asgi_application(self) -> ASGIApplication:
        """The same for a server that takes ASGI applications."""
        from wsgiproxy.asgi import ASGIProxyApp
        from wsgiproxy.cli.mount import ASGIMount

        settings = settings_of("ASGIProxyApp", self.settings)
        proxy = ASGIProxyApp(self.href, **cast("ASGIAppOptions", settings))
        if not self.prefix:
            return proxy
        return ASGIMount(proxy, self.prefix, is_folder=read_href(self.href).is_folder)


def _check_one_of(transport: PooledTransport, targets: Targets) -> None:
    """Connect to the first upstream that answers.

    :raises ProxyError: none does; the failure of the last one.
    :raises OSError: a name has no address.
    """
    if targets.lookup is None:
        origins = [each.base.origin for each in targets.addresses]
    else:
        origins = list(looked_up(targets.lookup).values())
    for number, origin in enumerate(origins, 1):
        try:
            transport.check(origin)
            return
        except ProxyError:
            if number == len(origins):
                raise


def check_target(proxy: WSGIProxyApp) -> None:
    """Connect to the target, with the TLS handshake if there is one, and hang up.

    :raises CannotStart: it cannot be reached.
    """
    transport = proxy.transport
    assert isinstance(transport, PooledTransport)
    try:
        _check_one_of(transport, read_href(proxy.href))
    except (ProxyError, OSError) as error:
        cause = first_cause(error)
        words = words_of(cause)
        if isinstance(cause, ssl.SSLCertVerificationError):
            what = f"no trust in {proxy.href}: {words}; give --ca-file or --no-verify"
        elif isinstance(cause, ssl.SSLError) or "handshake" in words:
            what = f"no TLS at {proxy.href}: {words}; try http://"
        else:
            what = f"nothing answers at {proxy.href}: {words}; start it first"
        raise CannotStart(f"{what}, or use --no-check to serve all the same") from error
