"""Wheels of this checkout and of others, and fresh environments to install them into.

pip is that of the tests, so that an environment needs none and nothing has to be downloaded.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import pytest

__all__ = ["ROOT", "Environment", "built", "downloaded", "made", "package_tree"]

ROOT = Path(__file__).resolve().parents[2]
_LIMIT = 300  # seconds for one run of pip


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    environment = {**os.environ, "PIP_NO_INPUT": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, timeout=_LIMIT
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _can_build() -> bool:
    """Whether the setuptools of this environment make wheels (from 70.1 on by themselves)."""
    try:
        numbers = version("setuptools").split(".")
    except PackageNotFoundError:
        return False
    return [int(number) for number in numbers[:2]] >= [70, 1] or find_spec("wheel") is not None


def built(project: Path, folder: Path) -> Path:
    """The wheel of *project*, which is left as it is, in *folder*."""
    copy = folder / f"{project.name}-source"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    wheels = folder / f"{project.name}-wheel"
    # Else pip gets setuptools from the index.
    flags = ["--no-build-isolation"] if _can_build() else []
    _pip("wheel", "--quiet", "--no-deps", *flags, "--wheel-dir", str(wheels), str(copy))
    (wheel,) = wheels.glob("*.whl")
    return wheel


def downloaded(requirement: str, folder: Path) -> Path:
    """A wheel from the index; without one the test is skipped, but not where CI runs it."""
    place = folder / "downloaded"
    try:
        _pip("download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(place), requirement)
    except AssertionError:
        if os.environ.get("WSGIPROXY_REQUIRE_SYSTEM") == "1":
            raise
        pytest.skip(f"no index has {requirement}")
    (wheel,) = place.glob("*.whl")
    return wheel


def package_tree(folder: Path) -> Path:
    """A copy of what the wheel of this package is built from."""
    tree = folder / "wsgiproxy-tree"
    shutil.copytree(
        ROOT / "wsgiproxy", tree / "wsgiproxy", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tree / "docs").mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.rst", "docs/license.rst"):
        shutil.copy(ROOT / name, tree / name)
    return tree


def made(name: str, number: str, files: Mapping[str, str], folder: Path) -> Path:
    """A wheel with just these files (PEP 427)."""
    info = f"{name}-{number}.dist-info"
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},{_digest(text)},{len(text.encode())}" for path, text in contents.items()]
    contents[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{number}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for place, text in contents.items():
            wheel.writestr(place, text)
    return path


def _digest(text: str) -> str:
    found = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
    return f"sha256={found.rstrip(b'=').decode()}"


class Environment:
    """A fresh environment with nothing in it.

    :ivar python: its interpreter.
    """

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"
        self._others = folder / "others"
        self._others.mkdir()
        for path in sys.path:
            if path.endswith(("site-packages", "dist-packages")) and Path(path).is_dir():
                self._lend(Path(path))

    def _lend(self, packages: Path) -> None:
        """Let it see what the environment of the tests has, but for this package."""
        for each in packages.iterdir():
            place = self._others / each.name
            if (
                not each.name.lower().startswith(("wsgiproxy", "__pycache__"))
                and not place.exists()
            ):
                place.symlink_to(each)

    def pip(self, command: str, *arguments: str) -> None:
        """Run pip for it, without an index."""
        offline = ["--no-index", "--quiet"] if command == "install" else ["--quiet"]
        _pip("--python", str(self.python), command, *offline, *arguments)

    def run(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run *code* in it; whatever it has not, it has from the environment of the tests."""
        start = f"import sys; sys.path.append({str(self._others)!r})\n"
        return subprocess.run(
            [str(self.python), "-I", "-c", start + code],
            cwd=self.python.parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LIMIT,
        )
