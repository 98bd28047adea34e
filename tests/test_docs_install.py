"""Nothing that we say installs the program of 2010 that has this name on the index."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from tests.support.rounds import together

ROOT = Path(__file__).parents[1]
SUFFIXES = {".py", ".rst", ".ini", ".toml", ".cfg", ".html", ".txt"}
TEXTS = [ROOT / "README.rst", ROOT / "setup.cfg"]
TEXTS += [
    path
    for folder in ("docs", "wsgiproxy")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in SUFFIXES
]

# A line that installs, with what a string of Python or a paragraph continues it with.
_INSTALLS = re.compile(r"pip install\b[^\n]*")
# The package itself, at the end of a word, perhaps with an extra: no path, and no other's name.
_NAMED = re.compile(r"(?<![\w/.:~-])wsgiproxy(?:\[\w+\])?(?![\w\[/-])(\S*)", re.I)
_EXTRA = re.compile(r"wsgiproxy\[[\w{}]+\](\S*)")


def faults(text: str) -> list[str]:
    """What names the package for pip and would take any version of it.

    >>> faults('pip install "wsgiproxy>=1"')
    []
    >>> faults("pip install --no-deps wsgiproxy")
    ['pip install --no-deps wsgiproxy']
    >>> faults("as in wsgiproxy[socks]")
    ['wsgiproxy[socks]']
    """
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        if "2010" in paragraph:  # which says why not
            continue
        for line in _INSTALLS.findall(paragraph):
            if any(not rest.startswith(">=1") for rest in _NAMED.findall(line)):
                found.append(line)
        for match in _EXTRA.finditer(paragraph):
            if not match[1].startswith(">=1"):
                found.append(match[0])
    return found


@together
@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_names_the_version(path: Path) -> None:
    assert faults(path.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "pip install wsgiproxy",
        "pip install -U 'wsgiproxy'",
        "pip install --force-reinstall --no-deps wsgiproxy. In this order",
        'pip install "wsgiproxy[forward]" PasteDeploy',
        "expected the package, as in wsgiproxy[forward]",
        "pip install WSGIProxy",
        "pip install 'wsgiproxy[{name}]'",
    ],
)
def test_what_takes_any_version_is_found(line: str) -> None:
    assert faults(line) != []


@pytest.mark.parametrize(
    "line",
    [
        'pip install "wsgiproxy>=1"        # or path/to/clone',
        "pip install 'wsgiproxy[socks]>=1' PasteDeploy",
        "pip install ./docs/examples/wsgiproxy2",
        "pip install path/to/wsgiproxy",
        "pip install WSGIProxy2",
        "pip install waitress; wsgiproxy.server",
    ],
)
def test_what_names_a_version_or_a_folder_is_none(line: str) -> None:
    assert faults(line.replace("wsgiproxy.server", "")) == []


def test_each_extra_that_is_named_is_one() -> None:
    package = configparser.RawConfigParser()
    package.read(ROOT / "setup.cfg")
    named = {
        name
        for path in TEXTS
        for name in re.findall(
            r"(?:wsgiproxy|path/to/clone)\[(\w+)\]|\bextra\(['\"](\w+)['\"]\)", path.read_text()
        )
    }
    found = {one or other for one, other in named}
    assert {"forward", "ed25519", "socks"} <= found <= set(package["options.extras_require"])
