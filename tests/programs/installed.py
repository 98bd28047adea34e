"""Programs that are too heavy for the test extra: each is installed once on a machine, and kept.

They are in the user's cache folder, each version by itself. What cannot be installed is skipped.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

__all__ = ["npm_package", "python_program"]

_LIMIT = 900  # seconds
# Of these tests' own environment nothing is to decide what a program gets.
_OURS = {"PIP_CONSTRAINT", "PYTHONPATH", "VIRTUAL_ENV"}


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "wsgiproxy-tests"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: Sequence[str | Path]) -> None:
    env = {name: value for name, value in os.environ.items() if name not in _OURS}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LIMIT,
            check=False, env=env,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        _give_up(str(error))
    if done.returncode:
        _give_up(f"{command[0]}: {(done.stderr or done.stdout).strip()[-300:]}")


def _give_up(reason: str) -> None:
    text = f"the program cannot be had: {reason}"
    if os.environ.get("WSGIPROXY_REQUIRE_SYSTEM") == "1":
        pytest.fail(text)
    pytest.skip(text)


def _kept(name: str, *commands: Sequence[str | Path]) -> Path:
    """The folder that the commands fill, in which ``{}`` stands for it."""
    folder = _cache() / re.sub(r"[^\w.-]+", "-", name)
    complete = folder / "complete"
    with _locked(folder.with_name(f"{folder.name}.lock")):
        if not complete.exists():
            for command in commands:
                _run([str(word).replace("{}", str(folder)) for word in command])
            complete.touch()
    return folder


def python_program(requirement: str) -> Path:
    """The folder with the commands of an environment that has *requirement* installed.

    :param requirement: with its version, such as ``streamlit==1.67.0``.
    """
    version = f"{sys.implementation.name}{sys.version_info[0]}.{sys.version_info[1]}"
    folder = _kept(
        f"{requirement}-{version}",
        [sys.executable, "-m", "venv", "--clear", "{}"],
        ["{}/bin/python", "-m", "pip", "install", "--quiet", requirement],
    )
    return folder / "bin"


def npm_package(requirement: str) -> Path:
    """The folder ``node_modules`` that has *requirement*, such as ``vite@8.4.0``, in it."""
    # Where there is no way to the registry, npm would try again and again for minutes.
    command = ["npm", "install", "--prefix", "{}", "--no-audit", "--no-fund", "--ignore-scripts"]
    command += ["--fetch-retries=0", "--fetch-timeout=60000"]
    return _kept(requirement, [*command, requirement]) / "node_modules"
