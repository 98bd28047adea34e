"""``wsgiproxy serve TARGET``: one target, or one command, at one address."""

from __future__ import annotations

import argparse
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.cli import options
from wsgiproxy.cli.causes import first_cause, words_of
from wsgiproxy.cli.inflight import counted
from wsgiproxy.cli.listen import CannotStart, Listen
from wsgiproxy.cli.liveline import hidden
from wsgiproxy.cli.log import LogStyle, add_log, log_to_stderr, read_log
from wsgiproxy.cli.own_names import own_names, with_own_names
from wsgiproxy.cli.servers import SERVERS, Service, check_installed
from wsgiproxy.cli.spawned import Spawned, read_spawned
from wsgiproxy.errors import ConfigurationError, ProxyError
from wsgiproxy.sansio.href import parse_href
from wsgiproxy.transport import PooledTransport

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from wsgiproxy.settings.options import AppOptions

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["Site", "add_to", "check_target"]

_EPILOG = """\
TARGET is http://host[:port][/path][?query], https://..., host:port, :port on
this machine, or unix:/path/of.sock[:/path]. `serve` may be left out.

COMMAND is started by the first request, has to stay in the foreground, and
ends with us, with all that it has started. In its words, {port}, {fd} and
{socket} stand for the socket that it gets, and {prefix} for --prefix, which is
part of the paths that it is asked for unless --strip-script-name is given. It
is told the client's Host unless --no-preserve-host is given.

examples:
  wsgiproxy serve http://localhost:3000 --prefix /app
  wsgiproxy serve https://intranet.example/wiki/ --ca-file ca.pem
  wsgiproxy serve unix:/run/app.sock --server gunicorn --listen 0.0.0.0:8000
  wsgiproxy :3000
  wsgiproxy serve -- python -m http.server --bind 127.0.0.1 {port}
  wsgiproxy serve --idle-shutdown 600 -- gunicorn -b fd://{fd} site:app

WebSocket is not carried yet: a handshake gets 501. What lives by it, such as
Streamlit or the live reload of a development server, shows an empty page or
stands still.

It ends with status 0 by Ctrl-C and SIGTERM, with 1 if the port is taken, if
nothing answers at TARGET, or if there is no such COMMAND, and with 2 if the
command line is wrong. A second Ctrl-C waits for nothing.
"""


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
        return WSGIProxyApp(self.href, **cast("AppOptions", self.settings))

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
        return Mount(proxy, self.prefix, is_folder=parse_href(self.href).is_folder)


def add_to(commands: Commands) -> None:
    """Add the parser of this command."""
    parser = commands.add_parser(
        "serve",
        usage="%(prog)s TARGET [options]\n       %(prog)s [options] -- COMMAND ...",
        help="serve a target, or a command, at an address of this machine",
        description="Serve TARGET, or what COMMAND serves, and let it know where it lives.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "target", metavar="TARGET", nargs="?", help="the application to put behind us"
    )
    options.add_listen(parser)
    _add_server(parser)
    add_log(parser)
    options.add_settings(parser, options.SERVE)
    group = parser.add_argument_group("the process of a COMMAND")
    group.add_argument(
        "--now", action="store_true", help="start it now, and not at the first request"
    )
    options.add_rows(group, options.PROCESS)
    parser.set_defaults(run=_run, command=[])


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prefix", metavar="/PATH", default="", help="serve it below this path, not at the root"
    )
    parser.add_argument(
        "--server",
        choices=SERVERS,
        default="waitress",
        help="the server to use (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        default="8",
        help="exchanges at the same time (default: %(default)s)",
    )
    parser.add_argument(
        "--check",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="start only if something answers at TARGET, or COMMAND exists (default: on)",
    )


def _run(arguments: argparse.Namespace) -> int:
    listen = options.read_listen(arguments.listen)
    threads = options.read_threads(arguments.threads)
    site = _site(arguments)
    check_installed(arguments.server)
    site.check(arguments.check)
    allowed, own = site.settings.get("allowed_hosts", ()), own_names(listen)
    if allowed and own:
        site = replace(site, settings={**site.settings, "allowed_hosts": (*allowed, *own)})
    how = f"{site.note}{arguments.server}, {threads} threads"
    if own and not allowed and site.settings.get("trusted_proxies"):
        how += "; a proxy in front that passes the client's Host on needs --allowed-hosts"
    started = partial(_print_address, listen, site, how)
    max_body = site.settings.get("max_body")
    make = partial(counted, partial(with_own_names, site.application, listen, allowed))
    service = Service(make, listen, threads, started, max_body, site.shutdown_time)
    return SERVERS[arguments.server](service)


def _site(arguments: argparse.Namespace) -> Site | Spawned:
    """The target or the command of the command line.

    :raises ConfigurationError: neither of them, or flags of the other.
    """
    log = read_log(arguments)
    if arguments.command:
        return read_spawned(arguments, log)
    if arguments.target is None:
        raise ConfigurationError(
            "expected a TARGET, or -- and a COMMAND (see wsgiproxy serve --help)"
        )
    flags = ["--now"] * arguments.now + options.given_flags(arguments, options.PROCESS)
    if flags:
        raise ConfigurationError(f"{flags[0]}: expected -- and a COMMAND, no TARGET")
    return Site(
        options.read_target(arguments.target),
        options.read_prefix(arguments.prefix),
        options.given_settings(arguments, options.SERVE),
        log,
    )


def _print_address(listen: Listen, site: Site | Spawned, how: str, port: int) -> None:
    # The printed address must be answered: own names are, at loopback addresses alone.
    allowed = () if own_names(listen) else site.settings.get("allowed_hosts", ())
    names = sorted(
        (each for each in allowed if each[:1] != "."), key=lambda each: each != "localhost"
    )
    where = listen.url(port, site.prefix + "/", names[0] if names else "")
    if allowed and not names:
        where = f"{site.prefix}/ at port {port} for names below {allowed[0]}"
    log_to_stderr(site.log)  # this may be the parent of the process that serves
    with hidden():
        print(f"Serving {where} -> {site.title} ({how}). Ctrl-C ends it.", flush=True)


def check_target(proxy: WSGIProxyApp) -> None:
    """Connect to the target, with the TLS handshake if there is one, and hang up.

    :raises CannotStart: it cannot be reached.
    """
    origin = parse_href(proxy.href).origin
    transport = proxy.transport
    assert isinstance(transport, PooledTransport)
    try:
        transport.check(origin)
    except ProxyError as error:
        cause = first_cause(error)
        words = words_of(cause)
        if isinstance(cause, ssl.SSLCertVerificationError):
            what = f"no trust in {proxy.href}: {words}; give --ca-file or --no-verify"
        elif isinstance(cause, ssl.SSLError) or "handshake" in words:
            what = f"no TLS at {proxy.href}: {words}; try http://"
        else:
            what = f"nothing answers at {proxy.href}: {words}; start it first"
        raise CannotStart(f"{what}, or use --no-check to serve all the same") from error
