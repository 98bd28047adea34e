"""Whether the files of this package are those that were installed.

WSGIProxy 0.2 and WSGIProxy2 have the same import package, and pip lets the one overwrite the
other. Nothing of this runs at import.
"""

from __future__ import annotations

import csv
import hashlib
import os
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import Distribution

__all__ = ["clash"]

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_INTACT, _CHANGED, _MISSING = "", "Not as they were installed", "Missing"
# Names in a sentence.
_MOST = 4


def clash(path: Sequence[str] | None = None, here: str = _HERE) -> list[str]:
    """Sentences about files of other distributions in this package, and about changed files of it.

    A distribution of the name WSGIProxy2 without modules is no clash, whatever its version.

    :param path: where to look for distributions; ``sys.path`` by default.
    :param here: the folder of the import package.
    """
    from importlib.metadata import distributions  # slow to load, and seldom needed

    where = sys.path if path is None else list(path)
    named = list(distributions(name="wsgiproxy", path=where))
    # Version 0.2 has our name, and other programs than pip install it beside this one.
    old = [each for each in named if str(each.version).startswith("0.")]
    sentences = []
    for other in [*distributions(name="WSGIProxy2", path=where), *old]:
        if names := [name for name, _ in _files(other, here)]:
            sentences.append(
                f"{other.metadata['Name']} {other.version} is installed, and has files in the"
                f" folder of this package ({_some(names)}); uninstalling it deletes them."
            )
    for each in named:
        states = sorted(_files(each, here)) if each not in old else []
        for state in (_CHANGED, _MISSING):
            if names := [name for name, actual in states if actual == state]:
                sentences.append(f"{state}: {_some(names)}.")
    return sentences


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST])
    return f"{shown} and {len(names) - _MOST} more" if len(names) > _MOST else shown


def _files(distribution: Distribution, here: str) -> Iterator[tuple[str, str]]:
    """The files that it has installed into this package, and their states."""
    here = os.path.realpath(here)
    record = distribution.read_text("RECORD")
    if record is None and os.path.realpath(str(distribution.locate_file("wsgiproxy"))) == here:
        yield "wsgiproxy/__init__.py", _INTACT  # the packages of Linux systems have no lists
    # Not distribution.files: from Python 3.12 on, that leaves out what is missing.
    for name, digest, *_ in csv.reader((record or "").splitlines()):
        place = os.path.realpath(str(distribution.locate_file(name)))
        if place.startswith(here + os.sep) and not name.endswith(".pyc"):
            yield name, _state(place, digest)


def _state(place: str, digest: str) -> str:
    with suppress(OSError), open(place, "rb") as file:
        actual = urlsafe_b64encode(hashlib.sha256(file.read()).digest()).rstrip(b"=")
        is_other = digest.startswith("sha256=") and digest != f"sha256={actual.decode('ascii')}"
        return _CHANGED if is_other else _INTACT
    return _MISSING
