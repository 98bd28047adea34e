"""The commands of the pages are ones that the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support.rounds import together
from wsgiproxy.cli import COMMANDS, parser
from wsgiproxy.errors import ConfigurationError

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").glob("*.rst"))]
# Indented, so in a block; a backslash carries on; an explanation may stand behind a gap.
_COMMAND = re.compile(r"^ +(?:\$ )?(wsgiproxy (?:[^\n]*\\\n *)*[^\n]*?)(?: {3,}.*)?$", re.M)
# The synopsis of a page is no command: it has placeholders.
_PLACEHOLDER = re.compile(r"\[|\b(?:TARGET|COMMAND|MODULE:NAME|FILE|URL|KEYID|PATH)\b|…")


def shown() -> list[tuple[str, str]]:
    return [
        (page.name, " ".join(command.replace("\\\n", " ").split()))
        for page in PAGES
        for command in _COMMAND.findall(page.read_text())
    ]


TYPED = [
    pytest.param(command, id=f"{page}: {command}")
    for page, command in dict.fromkeys(shown())
    if not _PLACEHOLDER.search(command)
]


def refused(command: str) -> str:
    """What the command line says against it; nothing is run."""
    words = shlex.split(command)[1:]
    before = words[: words.index("--")] if "--" in words else words
    if not before or before[0] not in COMMANDS:
        before.insert(0, "serve")
    try:
        parser().parse_args(before)
    except ConfigurationError as error:
        return str(error)
    return ""


@together
@pytest.mark.parametrize("command", TYPED)
def test_the_command_line_takes_it(command: str) -> None:
    assert refused(command) == ""


def test_what_it_does_not_take_is_found() -> None:
    assert "--prefixx" in refused("wsgiproxy serve :3000 --prefixx /app")
    assert "unrecognized" in refused("wsgiproxy demo there")
    assert refused("wsgiproxy :3000 --prefix /app") == ""


def test_there_are_commands_and_few_with_placeholders() -> None:
    left = {command for _, command in shown() if _PLACEHOLDER.search(command)}
    assert len(TYPED) > 25
    assert len(left) < 12
