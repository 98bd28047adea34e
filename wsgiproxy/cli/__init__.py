"""The command line: its parser, and the exit status of errors.

Each sub-command is a module with ``add_to``, which adds its parser; it decides nothing here.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from wsgiproxy.cli import check, demo, doctor, forward, keygen, replay, run, serve
from wsgiproxy.cli.hints import about_flag, complete, did_you_mean
from wsgiproxy.cli.listen import CannotStart
from wsgiproxy.cli.spelling import as_typed
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.version import __version__

__all__ = ["main", "parser"]

_EPILOG = """\
examples:
  wsgiproxy demo                             see what a proxy does to a request
  wsgiproxy serve http://localhost:3000      all of http://127.0.0.1:8080/
  wsgiproxy :3000                            the same in short
  wsgiproxy serve :3000 --prefix /app        at http://127.0.0.1:8080/app/
  wsgiproxy -- flask run --port {port}       a command, at the first request
  wsgiproxy serve --config proxy.toml        several of them, by path or host
  wsgiproxy check proxy.toml                 what is wrong in that file
  wsgiproxy forward                          be the proxy of a browser
  wsgiproxy replay shop.har                  what was recorded, served again
  wsgiproxy keygen secret.txt                a key for a proxy and its backend
  wsgiproxy doctor https://www.example.com/  what arrives, and what is lost
  wsgiproxy help serve                       all options of a command
"""

#: The sub-commands, in the order of the help.
COMMANDS = {
    "demo": demo.add_to,
    "serve": serve.add_to,
    "check": check.add_to,
    "run": run.add_to,
    "forward": forward.add_to,
    "replay": replay.add_to,
    "keygen": keygen.add_to,
    "doctor": doctor.add_to,
}

_OF_ALL = ("-h", "--help", "-V", "--version")
# A TARGET without `serve`: a URL, unix:/path, host:port, :port or a port.
_TARGET = re.compile(r"[a-z]+://.*|unix:.*|(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):?[0-9]+(/.*)?")


class _Parser(argparse.ArgumentParser):
    """The parser of the command and of each sub-command; an error is one line."""

    def __init__(self, **options: Any) -> None:
        style = argparse.RawDescriptionHelpFormatter
        super().__init__(formatter_class=style, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message} (see {self.prog} --help)")


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; ``run`` in its result takes the result."""
    return _parsers()[0]


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser of the command, and those of its sub-commands."""
    top: argparse.ArgumentParser = _Parser(
        prog="wsgiproxy",
        description="Put a web application behind this one address.",
        epilog=_EPILOG,
    )
    top.add_argument("-V", "--version", action="version", version=f"wsgiproxy {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", title="commands", required=True)
    for add_to in COMMANDS.values():
        add_to(commands)
    return top, dict(commands.choices)


def _with_command(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments for argparse, and the COMMAND after ``--``.

    A lone target, or a lone COMMAND, stands for ``serve`` with it.

    :raises ConfigurationError: no COMMAND after ``--``, or a sub-command that takes none.

    >>> _with_command([":3000", "--prefix", "/app"])
    (['serve', ':3000', '--prefix', '/app'], [])
    >>> _with_command(["--", "node", "server.js"])
    (['serve'], ['node', 'server.js'])
    >>> _with_command(["help", "demo"])
    (['demo', '--help'], [])
    """
    words = list(argv)
    at = words.index("--") if "--" in words else len(words)
    marked, words, command = at < len(words), words[:at], words[at + 1 :]
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    if marked and not command:
        raise ConfigurationError("expected a COMMAND after --")
    if (command and not COMMANDS.keys() & set(words[:1])) or (
        words and words[0] not in COMMANDS and _TARGET.fullmatch(words[0])
    ):
        words.insert(0, "serve")
    if words[:1] and words[0][0] == "-" and words[0] not in _OF_ALL:
        raise ConfigurationError(
            f"{words[0]}: options follow the target: wsgiproxy TARGET {words[0]} ..."
        )
    if command and words[0] != "serve":
        raise ConfigurationError(f"-- {command[0]}: only `serve` takes a COMMAND")
    return words, command


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    :param argv: the arguments; those of the process by default.
    :returns: the exit status: 0 after a clean end, 1 if it cannot start (a busy port, a silent
        target), 2 for a wrong command line.

    >>> main(["serve", "ftp://example.com"])
    2
    """
    try:
        status: int = _run(*_with_command(sys.argv[1:] if argv is None else argv))
    except ConfigurationError as error:
        return _complain(as_typed(str(error)), 2)
    except CannotStart as error:
        return _complain(str(error), 1)
    except BrokenPipeError:
        # The reader of a pipe has gone (| head); the interpreter must not report that again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130  # a second Ctrl-C, or one before the server could see it
    return status


def _run(words: list[str], command: list[str]) -> int:
    top, parsers = _parsers()
    complete(top)
    if not words:
        top.print_help()
        return 0
    if words[0][:1] != "-" and words[0] not in parsers:
        # It may have been `wsgiproxy npm start`, too.
        raise ConfigurationError(
            f"no command {words[0]!r}; {did_you_mean(words[0], parsers)}"
            "a command of yours stands after --, and a target is host:port or a URL"
            " (see wsgiproxy --help)"
        )
    arguments, unknown = top.parse_known_args(words)
    if unknown:
        # It may have been `wsgiproxy serve npm start`.
        target = "" if command else getattr(arguments, "target", None) or ""
        hint = about_flag(unknown, words[0], parsers)
        if target and not _TARGET.fullmatch(target):
            hint = "a COMMAND stands after --; "
        raise ConfigurationError(
            f"unrecognized arguments: {' '.join(unknown)} ({hint}see wsgiproxy {words[0]} --help)"
        )
    if command:
        arguments.command = command
    status: int = arguments.run(arguments)
    return status


def _complain(message: str, status: int) -> int:
    print(f"wsgiproxy: {message}", file=sys.stderr)
    return status
