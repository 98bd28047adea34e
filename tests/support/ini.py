"""Ini files for Paste Deploy, which finds our factories although nothing is installed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.daemon import daemon
from tests.support.ports import free_port
from wsgiproxy.version import __version__

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["Loader", "entry_points", "served"]

_ROOT = Path(__file__).resolve().parents[2]
_SERVE = _ROOT / "docs" / "examples" / "serve_ini.py"


class Loader:
    """What Paste Deploy gives to a composite, without a file.

    :param applications: name -> application; an exception is raised.
    """

    def __init__(self, applications: Mapping[str, WSGIApplication | Exception]) -> None:
        self._applications = applications

    def get_app(
        self, name: str | None = None, global_conf: Mapping[str, str] | None = None
    ) -> WSGIApplication:
        found = self._applications.get(name or "main", LookupError(f"No section {name!r}"))
        if isinstance(found, Exception):
            raise found
        return found


def entry_points(folder: Path) -> Path:
    """*folder*, which on ``sys.path`` tells of the entry points that setup.cfg has."""
    parser = ConfigParser()
    parser.read(_ROOT / "setup.cfg")
    info = folder / f"wsgiproxy-{__version__}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: wsgiproxy\nVersion: {__version__}\n"
    )
    groups = parser["options.entry_points"].items()
    (info / "entry_points.txt").write_text(
        "\n".join(f"[{group}]{lines}" for group, lines in groups) + "\n"
    )
    return folder


@contextlib.contextmanager
def served(folder: Path, text: str, server: str = "egg:wsgiproxy#main") -> Iterator[int]:
    """The port at which the ini file *text*, written into *folder*, is served."""
    port = free_port()
    section = f"[server:main]\nuse = {server}\nhost = 127.0.0.1\nport = {port}\n\n"
    path = folder / "served.ini"
    path.write_text(section + text)
    eggs = entry_points(folder / "eggs")
    command = [sys.executable, str(_SERVE), str(path)]
    env = {"PYTHONPATH": f"{eggs}:{_ROOT}"}
    with daemon(command, ("127.0.0.1", port), env=env):
        yield port
