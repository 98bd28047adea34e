"""The table from a field to the file of its rule."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from tests.support.fields import PATH, current, table
from tests.support.rounds import together
from wsgiproxy.sansio.fields import connection, namespace
from wsgiproxy.sansio.fields.index import INDEX, Row

FIELDS = Path(__file__).parents[3] / "wsgiproxy" / "sansio" / "fields"
#: Files below fields/ that are about no field of their own.
NO_FIELD = {"index", "mapped", "names", "structured", "trust", "decode", "encode", "__init__"}


@together
@pytest.mark.parametrize("row", INDEX, ids=lambda row: f"{row.fields} in {row.file}")
def test_the_file_of_a_row_speaks_of_its_fields(row: Row) -> None:
    text = Path(str(import_module(f"wsgiproxy.sansio.{row.file}").__file__)).read_text()
    for field in row.fields.split(", "):
        name = re.escape(field.removesuffix("*").removesuffix("-"))
        spellings = f"{name}|{name.upper()}|{name.lower()}".replace("\\-", "[-_]")
        assert re.search(rf"\b(?:HTTP_)?(?:{spellings})", text), field


def test_each_file_of_the_fields_has_a_row() -> None:
    files = {
        ".".join(path.relative_to(FIELDS.parent).with_suffix("").parts)
        for path in FIELDS.rglob("*.py")
        if path.stem not in NO_FIELD
    }
    assert files == {row.file for row in INDEX if row.file.startswith("fields.")}


def test_the_page_has_the_same_table() -> None:
    """It is made by ``python -m tests.support.fields``."""
    assert current(PATH.read_text())[1] == table()


def _has_row(name: str) -> bool:
    fields = [field.lower() for row in INDEX for field in row.fields.split(", ")]
    return name in fields or any(
        name.startswith(field[:-1]) for field in fields if field[-1] == "*"
    )


@together
@pytest.mark.parametrize(
    "name",
    sorted(connection._HOP_BY_HOP | connection._NEVER_SENT | connection._NOT_FOR_CLIENTS),
)
def test_each_field_that_is_removed_has_a_row(name: str) -> None:
    assert _has_row(name)


@pytest.mark.parametrize("prefix", namespace._OUR_PREFIXES + namespace._COMMAND_PREFIXES)
def test_each_part_of_the_namespace_has_a_row(prefix: str) -> None:
    assert _has_row(prefix) or _has_row(prefix + "-")
