"""The page on frameworks: its examples are there, its table is that of the entry points."""

from __future__ import annotations

import re
import textwrap
from configparser import ConfigParser
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from wsgiproxy.wsgiapp import make_app

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "frameworks.rst").read_text()
EXAMPLES = ROOT / "docs" / "examples"

# Of the groups of Paste Deploy, what a section of an ini file is called.
SECTIONS = {
    "paste.app_factory": "app",
    "paste.filter_app_factory": "filter",
    "paste.filter_factory": "filter",
    "paste.composite_factory": "composite",
    "paste.server_runner": "server",
}


def entry_points() -> list[tuple[str, str, str]]:
    """Name, section and place of each."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    found = []
    for group, section in SECTIONS.items():
        for line in setup["options.entry_points"][group].split("\n"):
            if line:
                name, _, place = line.partition(" = ")
                found.append((name, section, place))
    return found


def test_the_table_of_paste_deploy_is_that_of_the_entry_points() -> None:
    documented = re.findall(r"^``#(\w+)`` +``(\w+)``", PAGE, re.M)
    assert sorted(documented) == sorted((name, section) for name, section, _ in entry_points())


@pytest.mark.parametrize(("name", "section", "place"), entry_points())
def test_each_factory_is_named_beside_its_entry_point(name: str, section: str, place: str) -> None:
    module, _, factory = place.partition(":")
    if module == "wsgiproxy.server" and find_spec("paste") is None:
        pytest.skip("Paste is not installed")
    assert callable(getattr(import_module(module), factory))
    if section != "server":
        row = re.search(rf"^``#{name}`` +``{section}`` +:func:`~([\w.]+)`", PAGE, re.M)
        assert row is not None
        assert row[1] == f"{module}.{factory}"


def test_the_section_of_the_page_makes_an_application() -> None:
    page = ConfigParser()
    block = PAGE.partition(".. code-block:: ini\n\n")[2].partition("\n\n")[0]
    page.read_string(textwrap.dedent(block))
    section = dict(page["app:main"])
    assert section.pop("use") == "egg:wsgiproxy"
    assert make_app({}, **section).href == "http://localhost:3000"


def test_every_example_is_on_a_page() -> None:
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.rst"))
    shown = set(re.findall(r"^\.\. literalinclude:: examples/(\S+)$", pages, re.M))
    there = {
        path.relative_to(EXAMPLES).as_posix()
        for path in EXAMPLES.rglob("*")
        if path.suffix in (".py", ".ini") or path.name == "proxy.toml"
    }
    # It serves the ini files, and is named in them.
    assert shown == there - {"serve_ini.py"}


@pytest.mark.parametrize("name", re.findall(r"^\.\. literalinclude:: (\S+)", PAGE, re.M))
def test_the_caption_says_where_the_example_is(name: str) -> None:
    block = PAGE.partition(f".. literalinclude:: {name}\n")[2].partition("\n\n")[0]
    assert f"   :caption: docs/{name}" in block
    assert (ROOT / "docs" / name).is_file()
