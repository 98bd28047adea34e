"""``wsgiproxy forward``: a forward proxy for browsers, on Paste's server."""

from __future__ import annotations

import argparse
import contextlib
import logging
import resource
import signal
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from wsgiproxy.cli import options
from wsgiproxy.cli.listen import Listen, kinds, open_listener
from wsgiproxy.cli.log import add_log, log_to_stderr, read_log
from wsgiproxy.cli.servers import end_cleanly
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.forward import ForwardProxy
from wsgiproxy.sansio.extras import extra
from wsgiproxy.sansio.message import bracketed
from wsgiproxy.settings import FORWARD, FORWARD_TRANSPORT

if TYPE_CHECKING:
    from wsgiproxy.cli.serve import Commands
    from wsgiproxy.settings.options import ForwardOptions

__all__ = ["add_to", "how_to_use"]

_EPILOG = """\
Without options it serves clients of this machine, and reaches public addresses
at the ports 80 and 443: never this machine, its network or the metadata of its
cloud, whatever name they are asked for by.

HOST is a name, .example.com for all names below it, an address, a network such
as 10.0.0.0/8, or *; :PORT is a number or *.

examples:
  wsgiproxy forward
  wsgiproxy forward --allow localhost:3000 --allow .intranet.example:*
  wsgiproxy forward --listen 0.0.0.0:3128 --allow-client 192.168.1.0/24
  wsgiproxy forward --listen 0.0.0.0:3128 --credentials users.htpasswd
  wsgiproxy forward --deny .ads.example --deny 203.0.113.0/24

It ends with status 0 by Ctrl-C and SIGTERM, with 1 if the port is taken, and
with 2 if the command line is wrong.
"""
_GROUPS: options.Groups = (
    ("what the proxy does", FORWARD),
    ("connections", FORWARD_TRANSPORT),
)


def add_to(commands: Commands) -> None:
    """Add the parser of this command."""
    parser = commands.add_parser(
        "forward",
        help="be the proxy of a browser",
        description="Be the proxy of a browser, and no way into the machine that runs it.",
        epilog=_EPILOG,
    )
    options.add_listen(parser)
    add_log(parser)
    options.add_settings(parser, _GROUPS)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    listen = options.read_listen(arguments.listen)
    settings = options.given_settings(arguments, _GROUPS)
    proxy = ForwardProxy(**cast("ForwardOptions", settings))
    _check_reach(listen, settings)
    serve, handler = _server(proxy)
    with open_listener(listen) as probe:
        port = probe.getsockname()[1]  # a taken port is reported before Paste tries
    log_to_stderr(read_log(arguments))
    _allow_many_files()
    server = serve(
        proxy,
        listen.host,
        port,
        handler=handler,
        start_loop=False,
        use_threadpool=False,  # the handler has threads of its own, and the pool ends slowly
        daemon_threads=True,
        request_queue_size=1024,
    )
    signal.signal(signal.SIGTERM, end_cleanly)
    for line in how_to_use(listen, port, settings):
        print(line, flush=True)
    try:
        server.serve_forever()
    except (KeyboardInterrupt, SystemExit):
        return 0
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends it at once
        if proxy.in_flight:
            logging.getLogger("wsgiproxy.cli").warning(
                "ending: %s exchanges and tunnels are cut", proxy.in_flight
            )
        server.shutdown()  # from here on, a connection that is cut is no error
        proxy.close()
        server.server_close()
    return 0


def _allow_many_files() -> None:
    """Raise the limit of descriptors: a tunnel takes two, and many systems begin with 1,024."""
    with contextlib.suppress(ValueError, OSError):  # the hard limit of macOS is not permitted
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _server(proxy: ForwardProxy) -> tuple[Any, Any]:
    """Paste's server, and the handler for it.

    :raises ConfigurationError: Paste is not installed; with the command that installs it.
    """
    try:
        from paste.httpserver import serve

        from wsgiproxy.server import Handler
    except ImportError as error:
        raise ConfigurationError(
            f"forward: the package Paste is not installed; try: {extra('forward')}"
        ) from error

    class LargeHandler(Handler):
        # Connections that wait for their request need room as well.
        max_connections = max(Handler.max_connections, 2 * proxy.max_connections)

    return serve, LargeHandler


def _check_reach(listen: Listen, settings: Mapping[str, Any]) -> None:
    """Refuse an open relay.

    :raises ConfigurationError: other machines can reach it, and no setting names its clients.
    """
    if settings.get("allow_clients") is not None or settings.get("credentials") is not None:
        return
    if not kinds(listen) <= {"loopback"}:
        raise ConfigurationError(
            f"--listen {bracketed(listen.host)}:{listen.port}: others can reach it; expected"
            " --allow-client NETWORK or --credentials FILE beside it"
        )


def how_to_use(listen: Listen, port: int, settings: Mapping[str, Any]) -> list[str]:
    """The lines to print at the start.

    >>> print(how_to_use(Listen("127.0.0.1", 0), 8080, {})[0])
    Browser proxy at 127.0.0.1:8080. Ctrl-C ends it.
    """
    # The address for programs on this machine.
    where = listen.url(port, "").removeprefix("http://")
    host = where.rpartition(":")[0]
    every = " and all other addresses" * (kinds(listen) == {"unspecified"})
    clients = "everybody with a password" if settings.get("credentials") else "this machine"
    if settings.get("allow_clients") is not None:
        clients = " ".join(settings["allow_clients"]) or "nobody"
    ports = settings.get("ports", (80, 443))
    reach = "all ports" if ports == "*" else "ports " + " ".join(map(str, ports))
    more = " ".join(settings.get("allow", ()))
    user = "USER:PASSWORD@" if settings.get("credentials") else ""
    tunnels = settings.get("connect", True)
    also = " also for HTTPS" if tunnels else " not for HTTPS"
    page = f"http{'s' if tunnels else ''}://example.com/"
    programs = f"http_proxy=http://{user}{where}"
    programs += f" https_proxy=http://{user}{where}" if tunnels else ""
    lines = [
        f"Browser proxy at {where}{every}. Ctrl-C ends it.",
        f"  for       {clients}",
        f"  to        public addresses, {reach}" + (f"; besides {more}" if more else ""),
        f"  Firefox   Settings, Network Settings, Manual: HTTP Proxy {host}, Port {port}," + also,
        f"  Chromium  chromium --proxy-server={where}",
        f"  curl      curl -x http://{user}{where} {page}",
        f"  programs  export {programs}",
    ]
    if not sys.stderr.isatty():
        return lines
    return [*lines, ""]
