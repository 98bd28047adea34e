"""Runs an example as its own docstring says, on a free port, in front of an upstream.

It changes nothing but the port, the address of the upstream, and what a test says.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, daemon
from tests.support.ports import free_port

__all__ = ["EXAMPLES", "ROOT", "command_of", "needs", "running"]

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
ROOT = EXAMPLES.parents[1]
_ASSIGNMENT = re.compile(r"([A-Z_]+)=(.*)", re.DOTALL)
#: Commands of packages, and the modules that they are: a test has no PATH to look in.
_MODULES = {"python": [], "flask": ["-m", "flask"], "gunicorn": ["-m", "gunicorn"]}
_MODULES["waitress-serve"] = ["-m", "waitress"]
_MODULES |= {name: ["-m", name] for name in ("uvicorn", "hypercorn", "granian")}


def needs(*packages: str) -> None:
    """Skip the test where one of these is not installed."""
    for package in packages:
        try:
            found = find_spec(package)
        except ModuleNotFoundError:  # not even what is around it
            found = None
        if found is None:
            pytest.skip(f"{package} is not installed")


def command_of(name: str) -> tuple[dict[str, str], list[str]]:
    """The variables and the words of the command at the end of an example's docstring."""
    source = (EXAMPLES / name).read_text("utf-8")
    docstring = source.split('"""')[1]
    line = docstring.partition("::\n\n")[2].replace("\\\n", " ")
    variables, words = {}, shlex.split(line)
    while match := _ASSIGNMENT.fullmatch(words[0]):
        variables[match[1]] = match[2]
        del words[0]
    return variables, words


@contextlib.contextmanager
def running(
    name: str,
    netloc: str,
    env: Mapping[str, str] | None = None,
    server: str = "",
    application: str = "",
) -> Iterator[tuple[int, Daemon]]:
    """The example in its server: its port, and the process.

    :param netloc: what it says ``localhost:3000`` for.
    :param env: variables of the test.
    :param server: another command than that of the example, up to the name of the application.
    :param application: another one than that of the command.
    """
    variables, words = command_of(name)
    if server:
        words = [*shlex.split(server), application or words[-1]]
    own = "3000" if "127.0.0.1:3000" in words else "8080"
    port = free_port()
    program, *arguments = [word.replace(own, str(port)) for word in words]
    if arguments and (EXAMPLES / arguments[0]).is_file():
        arguments[0] = str(EXAMPLES / arguments[0])
    for key, value in variables.items():
        variables[key] = value.replace("localhost:3000", netloc).replace(own, str(port))
    # The package and the tests of this checkout, and the folder of the example.
    variables["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(EXAMPLES)])
    variables["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [sys.executable, *_MODULES[program], *arguments]
    with daemon(command, ("127.0.0.1", port), env={**variables, **(env or {})}) as process:
        try:
            yield port, process
        except BaseException:
            print(f"--- {name}:\n{process.log}", file=sys.stderr)
            raise
