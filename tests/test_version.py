"""The command runs even where WSGIProxy2 has been installed over this package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import wsgiproxy
from wsgiproxy.version import __version__

# What WSGIProxy2 0.5.1 puts into `wsgiproxy/__init__.py` is a comment.
FOREIGN = "#\n"


@pytest.fixture
def overwritten(tmp_path: Path) -> Path:
    """A copy of this package, with the face of another one."""
    here = Path(wsgiproxy.__file__).parent
    shutil.copytree(here, tmp_path / "wsgiproxy", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "wsgiproxy" / "__init__.py").write_text(FOREIGN)
    return tmp_path


def test_the_version_is_the_package_s() -> None:
    assert wsgiproxy.__version__ == __version__


def test_the_change_log_begins_with_it() -> None:
    page = Path(__file__).parents[1] / "docs" / "changes.rst"
    assert page.read_text().splitlines()[3].split()[0] == __version__


@pytest.mark.parametrize("arguments", [["--version"], ["doctor", "--help"]], ids=" ".join)
def test_the_command_runs(overwritten: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wsgiproxy", *arguments],
        cwd=overwritten,
        env={"PYTHONPATH": str(overwritten)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (__version__ if arguments == ["--version"] else "--secret-file") in done.stdout


def test_the_doctor_says_so(overwritten: Path) -> None:
    """Nobody listens there; what it finds here, it says nevertheless."""
    information = overwritten / "WSGIProxy2-0.5.1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: WSGIProxy2\nVersion: 0.5.1\n"
    )
    (information / "RECORD").write_text("wsgiproxy/__init__.py,,\n")
    done = subprocess.run(
        [sys.executable, "-m", "wsgiproxy", "doctor", "http://127.0.0.1:1/"],
        cwd=overwritten,
        env={"PYTHONPATH": str(overwritten)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "WSGIProxy2 0.5.1 is installed" in " ".join(done.stdout.split())
