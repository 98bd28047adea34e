"""``wsgiproxy replay FILE.har``: what was recorded, served again as an upstream."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wsgiproxy.cli import options
from wsgiproxy.cli.inflight import counted
from wsgiproxy.cli.listen import Listen
from wsgiproxy.cli.log import add_log, log_to_stderr, read_log
from wsgiproxy.cli.own_names import with_own_names
from wsgiproxy.cli.repeated import Words
from wsgiproxy.cli.servers import THREADS, Service
from wsgiproxy.cli.waitress_server import run_waitress
from wsgiproxy.har.application import MAX_BODY, HarApplication
from wsgiproxy.sansio.har.match import KEYS, MATCH, REPEAT

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from wsgiproxy.cli.serve import Commands

__all__ = ["add_to"]

_EPILOG = """\
FILE is an HTTP archive (HAR 1.2): ours, or one that the developer tools of
Chromium, Firefox or Safari have saved, or mitmproxy or Charles.

A request is answered if one like it was recorded, with the answers in the
order in which they were recorded. What was not recorded gets 502 and a line in
the log, which name the nearest request and what differs.

examples:
  wsgiproxy replay shop.har
  wsgiproxy replay shop.har --match method --match path
  wsgiproxy replay shop.har --match "method host target body header:Accept"

It ends with status 0 by Ctrl-C and SIGTERM, with 1 if the port is taken, and
with 2 if the command line is wrong, or FILE is no archive.
"""


def add_to(commands: Commands) -> None:
    """Add the parser of this command."""
    parser = commands.add_parser(
        "replay",
        help="serve what was recorded in an HTTP archive",
        description="Serve the answers of an HTTP archive as the upstream that gave them.",
        epilog=_EPILOG,
    )
    parser.add_argument("file", metavar="FILE", help="the archive")
    options.add_listen(parser)
    parser.add_argument(
        "--match",
        metavar="WORDS",
        action=Words,
        help=f"what requests are compared by: {', '.join(KEYS)} or header:NAME; target is path and"
        f" query, query alone is in any order (default: {' '.join(MATCH)}); may be repeated",
    )
    parser.add_argument(
        "--repeat",
        choices=REPEAT,
        help="when all that was recorded for a request has been served: the last answer again, or"
        f" none (default: {REPEAT[0]})",
    )
    add_log(parser)
    options.add_settings(parser, options.DEMO)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    listen = options.read_listen(arguments.listen)
    allowed = options.given_settings(arguments, options.DEMO).get("allowed_hosts", ())
    application = HarApplication(
        arguments.file,
        match=arguments.match or MATCH,
        repeat=arguments.repeat or REPEAT[0],
    )
    log = read_log(arguments)
    log_to_stderr(log)

    def make() -> WSGIApplication:
        return application

    return run_waitress(
        Service(
            partial(counted, partial(with_own_names, make, listen, allowed)),
            listen,
            THREADS,
            partial(_print_address, listen, arguments.file, application),
            MAX_BODY,
            log=log,
        )
    )


def _print_address(listen: Listen, file: str, application: HarApplication, port: int) -> None:
    count = len(application.entries)
    hosts = list(dict.fromkeys(urlsplit(each.url).netloc for each in application.entries))
    of = f" of {hosts[0]}" if hosts else ""
    more = f" and {len(hosts) - 1} more" if len(hosts) > 1 else ""
    exchanges = "1 exchange" if count == 1 else f"{count} exchanges"
    where = listen.url(port)
    print(f"Serving {where} -> {file} ({exchanges}{of}{more}). Ctrl-C ends it.", flush=True)
