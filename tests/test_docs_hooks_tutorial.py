"""The page that compares examples: what it says of our lines is counted, its commands are ours."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.examples.running import command_of
from tests.support.tables import rows

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLES = DOCS / "examples"
PAGE = (DOCS / "hooks_tutorial.rst").read_text()
ROWS = [pytest.param(row, id=f"{number}") for number, row in enumerate(rows("hooks_tutorial"), 1)]

_WITH_DOCSTRING = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def lines_of(source: str, name: str = "") -> int:
    """How many lines are neither blank, nor a comment, nor part of a docstring.

    :param name: of the one class or function that counts, with its decorators; empty for all.
    """
    tree = ast.parse(source)
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node) is not None:
            skipped |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines = source.splitlines()
    first, last = 1, len(lines)
    if name:
        (found,) = [node for node in tree.body if getattr(node, "name", "") == name]
        assert isinstance(found, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        first = min([found.lineno, *(each.lineno for each in found.decorator_list)])
        last = found.end_lineno or 0
    numbered = [(number, lines[number - 1].strip()) for number in range(first, last + 1)]
    return sum(bool(line) and line[0] != "#" and n not in skipped for n, line in numbered)


def counts(cell: str) -> list[tuple[str, str, int]]:
    """What a cell says: file, class or function, lines."""
    file = re.match(r"``(\w+\.py)``", cell)
    assert file is not None, cell
    found = re.findall(r"(?:``(\w+)`` )?(\d+)", cell[file.end() :])
    return [(file[1], name, int(number)) for name, number in found]


@pytest.mark.parametrize("row", ROWS)
def test_our_lines_are_as_many_as_the_page_says(row: list[str]) -> None:
    said = counts(row[2])
    assert said
    assert said == [
        (file, name, lines_of((EXAMPLES / file).read_text(), name)) for file, name, _ in said
    ]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_a_number_of_theirs_and_both_behaviours(row: list[str]) -> None:
    assert len(row) == 5
    assert row[1][0].isdigit()
    assert all(row)


def test_comments_docstrings_and_blank_lines_are_not_counted() -> None:
    source = '"""D."""\n\nimport x\n\n\n# C\n@x\ndef f():\n    """D\n    D."""\n    return 1  # c\n'
    assert (lines_of(source), lines_of(source, "f")) == (4, 3)


@pytest.mark.parametrize("name", ["two_backends.py", "shop_backend.py"])
def test_the_commands_of_the_page_are_those_of_the_examples(name: str) -> None:
    variables, words = command_of(name)
    text = " ".join(PAGE.split())
    assert " ".join(words) in text
    own = {key: value for key, value in variables.items() if "://" not in value}
    assert [f"{key}={value}" for key, value in own.items() if f"{key}={value}" not in text] == []


def test_the_page_shows_the_example_from_the_login_to_its_end() -> None:
    """Each part ends where the next one begins."""
    included = re.findall(
        r"^\.\. literalinclude:: examples/two_backends\.py\n   :language: python\n"
        r"   :start-at: (.*)\n(?:   :end-before: (.*)\n)?",
        PAGE,
        re.M,
    )
    starts, ends = zip(*included, strict=True)
    assert ends == (*starts[1:], "")
    source = (EXAMPLES / "two_backends.py").read_text()
    assert [source.count(f"\n{start}\n") for start in starts] == [1] * len(starts)
    assert starts[0] == "# The login"
