"""``wsgiproxy check FILE``: what is wrong in a configuration file, or what it serves."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from wsgiproxy.cli import options
from wsgiproxy.cli.config import Config, read_config
from wsgiproxy.cli.configured import Configured
from wsgiproxy.cli.faults import Faults
from wsgiproxy.cli.log import LogStyle
from wsgiproxy.cli.servers import default_server

if TYPE_CHECKING:
    from wsgiproxy.cli.serve import Commands

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add the parser of this command."""
    parser = commands.add_parser(
        "check",
        help="say what is wrong in a configuration file",
        description="Say every fault of a file for `serve --config`, with its line, or its routes.",
        epilog="It ends with status 0 if the file can be served, and with 1 if it cannot.",
    )
    parser.add_argument("file", metavar="FILE", help="the file")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        config = read_config(arguments.file)
        _configured(arguments.file, config).router()
    except Faults as faults:
        if faults.config is not None:
            faults = _configured(arguments.file, faults.config).with_more(faults)
        print(*faults.lines, sep="\n")
        return 1
    print(f"{arguments.file}: listens on {config.process.get('listen', options.DEFAULT_LISTEN)}")
    for route in config.routes:
        print(f"  {route.text} -> {route.target or shlex.join(route.command)}")
    return 0


def _configured(path: str, config: Config) -> Configured:
    is_async = (config.process.get("server") or default_server()) == "uvicorn"
    listen = options.read_listen(config.process.get("listen", options.DEFAULT_LISTEN))
    return Configured(path, config, {}, LogStyle(), is_async, listen)
