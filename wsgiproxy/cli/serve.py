"""``wsgiproxy serve TARGET``: one target, or one command, at one address."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from wsgiproxy.cli import options
from wsgiproxy.cli.configured import Configured, read_configured
from wsgiproxy.cli.health import End, add_end, asgi_with_health, read_end, with_health
from wsgiproxy.cli.inflight import counted
from wsgiproxy.cli.inspecting import add_inspect, inspected, port_taken, read_inspection
from wsgiproxy.cli.listen import Listen
from wsgiproxy.cli.liveline import hidden
from wsgiproxy.cli.log import add_log, log_to_stderr, read_log
from wsgiproxy.cli.metrics import add_metrics, with_metrics
from wsgiproxy.cli.own_names import own_names, with_own_names
from wsgiproxy.cli.reloading import note_signals
from wsgiproxy.cli.servers import (
    MAX_MESSAGE,
    SERVERS,
    THREADS,
    Service,
    check_installed,
    default_server,
)
from wsgiproxy.cli.site import Site
from wsgiproxy.cli.spawned import Spawned, read_spawned
from wsgiproxy.cli.systemd import address_of, flag_of, inherited, notify
from wsgiproxy.cli.websocket import check_flags, limits
from wsgiproxy.errors import ConfigurationError

if TYPE_CHECKING:
    from wsgiproxy.cli.inspecting import Inspection

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add_to"]

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
  wsgiproxy -- streamlit run app.py --server.port {port}

uvicorn, which the extra asgi installs, serves any number of exchanges at a
time, and passes a request on while it arrives; without it waitress serves as
many as there are --threads.

uvicorn carries WebSocket, message by message. gunicorn carries it as bytes,
and needs a thread for each. waitress and granian cannot: a handshake gets 501,
and what lives by it, such as Streamlit or the live reload of a development
server, shows an empty page or stands still.

It ends with status 0 by Ctrl-C and SIGTERM, with 1 if the port is taken, if
nothing answers at TARGET, or if there is no such COMMAND, and with 2 if the
command line is wrong. A second Ctrl-C waits for nothing.
"""


def add_to(commands: Commands) -> None:
    """Add the parser of this command."""
    parser = commands.add_parser(
        "serve",
        usage="%(prog)s TARGET [options]\n       %(prog)s [options] -- COMMAND ...\n"
        "       %(prog)s --config FILE [options]",
        help="serve a target, or a command, at an address of this machine",
        description="Serve TARGET, or what COMMAND serves, and let it know where it lives.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "target", metavar="TARGET", nargs="?", help="the application to put behind us"
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="serve the routes of this TOML file, in place of a TARGET; `wsgiproxy check FILE`"
        " says what is wrong in it",
    )
    options.add_listen(parser)
    _add_server(parser)
    add_log(parser)
    add_metrics(parser)
    add_inspect(parser)
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
        help="the server to use (default: uvicorn if the extra asgi is installed, else waitress)",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        help=f"exchanges at the same time (default: {THREADS}); uvicorn has no use for it",
    )
    parser.add_argument(
        "--check",
        action=argparse.BooleanOptionalAction,
        help="start only if something answers at TARGET, or COMMAND exists (default: on)",
    )
    add_end(parser)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.config:
        note_signals()  # one during the start is for a file that has changed
    listener = _take_socket(arguments)
    site = read_configured(arguments) if arguments.config else _site(arguments)
    listen = options.read_listen(arguments.listen)
    threads = options.read_threads(arguments.threads or str(THREADS))
    server = arguments.server or default_server()
    check_installed(server)
    check_flags(arguments, server)
    end = read_end(arguments, server)
    if listener is not None and server == "granian":
        raise ConfigurationError("--server granian: it takes no socket of LISTEN_FDS")
    if not isinstance(site, Site):
        site = replace(site, grace=end.grace)
    site.check(arguments.check is not False)
    allowed = site.settings.get("allowed_hosts", ())
    site, how = _with_own_names(site, own_names(listen))
    how = site.note + limits(server, threads, arguments.threads) + how
    make = _maker(server, site, listen, allowed)
    make, seen = with_metrics(make, arguments.metrics, waits=listener is not None)
    inspection = read_inspection(arguments, site.title)
    largest = site.largest if isinstance(site, Configured) else site.settings.get
    service: Service[Any] = Service(
        _ending(server, make, end, inspection),
        listen,
        threads,
        partial(_print_address, listen, site, how + seen, inspection),
        largest("max_body", None),
        site.shutdown_time,
        site.log,
        largest("max_message", MAX_MESSAGE),
        site.settings.get("deflate", False),
        end.drain,
        end.grace,
        inherited=listener,
    )
    with port_taken(inspection):
        return SERVERS[server](service)


def _with_own_names(
    site: Site | Spawned | Configured, own: Collection[str]
) -> tuple[Site | Spawned | Configured, str]:
    """The site, which answers the names of a loopback address as well; and what to say of it."""
    allowed = site.settings.get("allowed_hosts", ())
    if allowed and own and not isinstance(site, Configured):
        site = replace(site, settings={**site.settings, "allowed_hosts": (*allowed, *own)})
    if own and not allowed and site.settings.get("trusted_proxies"):
        return site, "; a proxy in front that passes the client's Host on needs --allowed-hosts"
    return site, ""


def _take_socket(arguments: argparse.Namespace) -> socket.socket | None:
    """The socket of a parent, whose address then counts more than ``--listen``."""
    listener = inherited()
    if listener is not None:
        arguments.listen = flag_of(address_of(listener))
    return listener


def _maker(
    server: str, site: Site | Spawned | Configured, listen: Listen, allowed: Iterable[str]
) -> Callable[[], Any]:
    """What makes the application for a server."""
    if server == "uvicorn":
        from wsgiproxy.cli.asgi_edge import asgi_with_own_names

        if isinstance(site, Configured):  # names of its routes may change
            return site.asgi_application
        return partial(asgi_with_own_names, site.asgi_application, listen, allowed)
    if isinstance(site, Configured):
        return site.application
    return partial(with_own_names, site.application, listen, allowed)


def _ending(
    server: str, make: Callable[[], Any], end: End, inspection: Inspection | None
) -> Callable[[], object]:
    """What makes it with the count in flight before it, then the inspector and the health path."""
    if server == "uvicorn":
        from wsgiproxy.cli.asgi_edge import asgi_counted

        make = inspected(partial(asgi_counted, make, end.grace), inspection)
        return partial(asgi_with_health, make, end.health) if end.health else make
    make = inspected(partial(counted, make, end.grace), inspection)
    return partial(with_health, make, end.health) if end.health else make


def _site(arguments: argparse.Namespace) -> Site | Spawned | Configured:
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


def _print_address(
    listen: Listen,
    site: Site | Spawned | Configured,
    how: str,
    inspection: Inspection | None,
    port: int,
) -> None:
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
        if inspection is not None:
            print(inspection.note, flush=True)
    notify("READY=1")
