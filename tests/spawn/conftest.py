"""Applications that spawn, and the proof that nothing of a test is left behind."""

from __future__ import annotations

import os
import tempfile
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.spawn.children import MARK, processes, until, zombies
from wsgiproxy.spawn import SpawningApplication

Spawn = Callable[..., SpawningApplication]

#: The folder for temporary files when no test has moved it.
_BASE = tempfile.gettempdir()


@pytest.fixture
def mark() -> Iterator[str]:
    """The value of `MARK` for the processes of this test; none of them may outlive it."""
    value = uuid.uuid4().hex
    yield value
    until(lambda: not processes(value), f"processes of the test are left: {processes(value)}")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files; nothing may be left in it.

    pytest's own folder has to be there before (``tmp_path``), or it would be made in this one.
    """
    # Not below tmp_path, since the path of a Unix socket has to be short.
    with tempfile.TemporaryDirectory(prefix="w", dir="/tmp") as name:
        folder = Path(name)
        monkeypatch.setenv("TMPDIR", name)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield folder
        until(lambda: not os.listdir(folder), f"files of the test are left: {os.listdir(folder)}")


@pytest.fixture
def spawn(mark: str, temporary: Path) -> Iterator[Spawn]:
    """Makes applications: ``spawn(command, **options)``; they are closed at the end."""
    made: list[weakref.ref[SpawningApplication]] = []

    def make(command: str | Sequence[str], **options: Any) -> SpawningApplication:
        variables = {MARK: mark, **options.pop("script_env", {})}
        app = SpawningApplication(command, script_env=variables, **options)
        made.append(weakref.ref(app))
        return app

    yield make
    for each in made:
        app = each()
        if app is not None:
            app.close()
            assert app.pid is None
    # One that the test held no longer ends by itself, in its own time.
    until(lambda: not zombies(), "zombies of the test are left")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder to share, with a path that a Unix socket can have."""
    with tempfile.TemporaryDirectory(dir=_BASE) as found:
        yield Path(found)


# Files by which a child tells of itself, or is told something


@pytest.fixture
def starts(tmp_path: Path) -> Path:
    """The file to which a child appends its pid when it begins: ``child(starts=starts)``."""
    return tmp_path / "starts"


@pytest.fixture
def ended(tmp_path: Path) -> Path:
    """The file to which a child appends its pid at SIGTERM."""
    return tmp_path / "ended"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The file without which a child does not begin to listen: ``child(wait=gate)``."""
    return tmp_path / "gate"


@pytest.fixture
def detached(tmp_path: Path) -> Path:
    """The file to which a daemon appends its pid: ``child(detach=detached)``."""
    return tmp_path / "detached"
