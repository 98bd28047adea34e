"""The commands that the page on spawning shows, and how a test runs one of them."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tests.cli.command import Command, running

__all__ = ["DAEMON", "LINE", "command_line", "served", "words"]

_PAGE = Path(__file__).parents[2] / "docs" / "spawn.rst"
#: A command of the page, which may go on in further lines.
LINE = re.compile(r"^    (?:[A-Z_]+=\S+ )?(wsgiproxy serve (?:.*\\\n)*.*)$", re.M)
#: What starts the command of this checkout.
DAEMON = [sys.executable, "-m", "wsgiproxy"]


def words(line: str) -> list[str]:
    """The words of a command as a shell would split it."""
    return shlex.split(line.replace("\\\n", " "))


def command_line(containing: str) -> str:
    """The one command of the page that has *containing* in it."""
    lines = LINE.findall(_PAGE.read_text())
    found = [line for line in lines if containing in line.replace("\\\n", " ")]
    assert len(found) == 1, found
    return str(found[0])


def _first_words(name: str) -> list[str]:
    """What starts a program here, where its name may stand for another version or nothing."""
    program = name.rpartition("/")[2]
    if program == "wsgiproxy":
        return DAEMON
    return [sys.executable] if program in ("python2", "python3") else [name]


@contextlib.contextmanager
def served(
    line: str,
    *,
    folder: str = os.path.dirname(sys.executable),
    env: Mapping[str, str] | None = None,
    inherit: Iterable[str] = ("PYTHONPATH",),
) -> Iterator[tuple[Command, str]]:
    """Run what a line of the page says, on a port of our own, at home in the current folder.

    :param folder: where programs are looked for first.
    :param env: further variables of the front.
    :param inherit: names of those that it passes on beyond its default.
    """
    given = words(line)[2:]
    at = given.index("--")
    ours = ["serve", *given[:at], "--listen=127.0.0.1:0", "--no-check"]
    ours += [f"--inherit-env={name}" for name in inherit]
    command = [*_first_words(given[at + 1]), *given[at + 2 :]]
    path = os.pathsep.join([folder, os.environ["PATH"]])
    env = {"PATH": path, "HOME": os.getcwd(), **(env or {})}
    with running(*ours, "--", *command, env=env) as command_:
        yield command_, command_.url()
        assert command_.end() == 0
    assert not command_.left_over()
