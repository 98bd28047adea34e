"""What the test line installs is pinned, so that a clean clone passes next month, too."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.rounds import together

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def read(name: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    parser.read(ROOT / name)
    return parser


def lines(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if line and not line.startswith("#"))


def installed() -> dict[str, str]:
    """Each requirement of the test line, with the file that has it."""
    found = {"tox": "README.rst"}
    package, tox = read("setup.cfg"), read("tox.ini")
    texts = [package["options"]["install_requires"]]
    texts += package["options.extras_require"].values()
    for text in texts:
        found |= dict.fromkeys(lines(text), "setup.cfg")
    chosen = re.split(r"[,\s]+", tox["tox"]["env_list"])
    for name in chosen:
        section = f"testenv:{name}"
        if tox.has_option(section, "deps"):
            found |= dict.fromkeys(lines(tox[section]["deps"]), "tox.ini")
    return found


PINS = [Requirement(line) for line in lines((ROOT / "tests/constraints.txt").read_text())]


@together
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("text", "file"), installed().items())
def test_each_requirement_has_one_version(text: str, file: str, python: str) -> None:
    wanted = Requirement(text)
    where = {"python_version": python, "python_full_version": f"{python}.0"}
    if wanted.marker is not None and not wanted.marker.evaluate(where):
        pytest.skip("not wanted there")
    pins = [
        pin
        for pin in PINS
        if canonicalize_name(pin.name) == canonicalize_name(wanted.name)
        and (pin.marker is None or pin.marker.evaluate(where))
    ]
    assert len(pins) == 1, f"{text} of {file}: tox -e pins"
    (version,) = [each.version for each in pins[0].specifier]
    assert str(pins[0].specifier) == f"=={version}"
    assert version in wanted.specifier


def test_each_environment_of_the_test_line_is_held_to_them() -> None:
    tox = read("tox.ini")
    line = "PIP_CONSTRAINT = {tox_root}{/}tests{/}constraints.txt"
    assert tox["testenv"]["set_env"] == line
    for name in re.split(r"[,\s]+", tox["tox"]["env_list"]):
        assert not tox.has_option(f"testenv:{name}", "set_env"), name
