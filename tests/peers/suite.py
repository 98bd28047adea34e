"""Downloading the source of a package, and running its tests against this one.

It fails loudly if there is nothing to run, and if less has run than there was to be.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

__all__ = ["Failed", "check_place", "downloaded", "faults_of", "run"]

_ROOT = Path(__file__).resolve().parents[2]
_LIMIT = 600  # seconds


class Failed(SystemExit):
    """The suite has not passed, or has not run; the message says which."""


def check_place() -> None:
    """Whether this package is where WSGIProxy2 would be.

    :raises Failed: WSGIProxy2 is installed, and the tests might be those of itself.
    """
    try:
        found = metadata.version("WSGIProxy2")
    except metadata.PackageNotFoundError:
        return
    raise Failed(f"WSGIProxy2 {found} is installed: expected this package in its place")


def downloaded(requirement: str, folder: Path) -> Path:
    """The unpacked source of a package.

    :raises Failed: there is none to be had.
    """
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "--no-deps", "--no-binary", ":all:", "--dest", str(folder), requirement]
    if subprocess.run(command, timeout=_LIMIT).returncode:
        raise Failed(f"the source of {requirement} could not be downloaded")
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def run(where: Path, tests: Iterable[str], deselected: Mapping[str, str]) -> set[str]:
    """Run *tests* in the folder *where*, and give the names of those that have passed.

    :param deselected: tests that are left out, and why.
    :raises Failed: one of them has not passed.
    """
    plugins = where.parent / "plugins"
    plugins.mkdir()
    shutil.copy(Path(__file__).with_name("only_loopback.py"), plugins)
    report = where.parent / "report.xml"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "only_loopback"]
    command += [f"--junitxml={report}", f"--rootdir={where}", "-q"]
    for name, reason in deselected.items():
        print(f"left out: {name}: {reason}", flush=True)
        command.append(f"--deselect={name}")
    path = os.pathsep.join([str(_ROOT), str(plugins)])
    # No proxy of whoever runs this, and no warnings of old code as errors.
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "default"}
    # WebTest's own tests leave pages there.
    environment["TMPDIR"] = tempfile.mkdtemp(dir=where.parent)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        environment.pop(name, None)
        environment.pop(name.upper(), None)
    done = subprocess.run([*command, *tests], cwd=where, env=environment, timeout=_LIMIT)
    if not report.exists():
        raise Failed(f"pytest has ended with {done.returncode} and without a report")
    passed, faults = faults_of(report.read_text("utf-8"))
    if done.returncode or faults:
        raise Failed(f"pytest has ended with {done.returncode}; not passed: {sorted(faults)}")
    return passed


def faults_of(report: str) -> tuple[set[str], set[str]]:
    """Of a report of pytest: the tests that have passed, and the others.

    >>> faults_of('<a><testcase classname="t" name="x"/>'
    ...     '<testcase classname="t" name="y"><skipped/></testcase></a>')
    ({'t.x'}, {'t.y'})
    """
    passed: set[str] = set()
    faults: set[str] = set()
    for case in ElementTree.fromstring(report).iter("testcase"):
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        (faults if kinds else passed).add(f"{case.get('classname')}.{case.get('name')}")
    return passed, faults
