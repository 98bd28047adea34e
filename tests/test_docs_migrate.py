"""The pages for those who come from another package: names are there, or gone, as they say."""

from __future__ import annotations

import inspect
import keyword
import re
from importlib import import_module
from typing import Any

import pytest

import wsgiproxy
from tests.support.rounds import together
from tests.support.tables import known_names, literals, resolves, rows

PAGES = {
    "migrate_wsgiproxy": 29,
    "migrate_wsgiproxy2": 24,
    "migrate_django_revproxy": 23,
}
ROWS = [
    pytest.param(row, id=f"{page}-{number}")
    for page in PAGES
    for number, row in enumerate(rows(page), 1)
]
# Of other people, in the column that says what to take.
OTHERS = {
    *(
        "HTTP_HOST",
        "PATH_INFO",
        "SCRIPT_NAME",
        "RedirectView",
        "Content-Location",
        "Refresh",
        "Content-Type",
    ),
    *("main", "stop", "wsgiproxy.access", "wsgiproxy.error"),
    *("X-Forwarded-Host", "X-Forwarded-Server", "-Proto", "-Port", "-Prefix", "-Script-Name"),
    *("-Scheme", "-For", "WSGIProxy", "ValueError", "ImportError", "Host: host", "Accept-Encoding"),
    *("wsgi.input", "@csrf_exempt", '"0.1"', 'b"".join(...)', '[b"".join(body)]'),
    *("{port}", "__PORT__", "session=requests.Session()"),
}


@pytest.mark.parametrize(("page", "number"), PAGES.items())
def test_the_tables_have_rows(page: str, number: int) -> None:
    assert len(rows(page)) >= number


@together
@pytest.mark.parametrize("row", ROWS)
def test_a_row_says_what_to_take(row: list[str]) -> None:
    assert len(row) in (2, 3)
    assert row[0] and row[1]


def unknown(literal: str) -> str:
    """The first name in a literal of the new column that is not there; empty if all are."""
    if literal in OTHERS:
        return ""
    if match := re.fullmatch(r"from (\S+) import (.+)", literal):
        names = [f"{match[1]}.{name}" for name in match[2].split(", ")]
    elif literal.startswith("wsgiproxy."):
        names = [literal]
    else:
        known = known_names()
        bare = re.sub(r'"[^"]*"', "", literal)
        words = [name for name in re.findall(r"[A-Za-z_]\w*", bare) if not keyword.iskeyword(name)]
        return next((name for name in words or [literal] if name not in known), "")
    return next((name for name in names if not resolves(name)), "")


@together
@pytest.mark.parametrize("row", ROWS)
def test_what_to_take_exists(row: list[str]) -> None:
    found = [unknown(literal) for cell in row[1:] for literal in literals(cell)]
    assert [name for name in found if name] == []


def test_a_name_that_is_not_there_is_found() -> None:
    assert unknown("nothing_of_the_kind=True") == "nothing_of_the_kind"
    assert unknown("from wsgiproxy import Nobody") == "wsgiproxy.Nobody"
    assert unknown("wsgiproxy.app.Nobody") == "wsgiproxy.app.Nobody"
    assert unknown("allow_pickle=True") == ""


def spelled(pattern: str) -> list[Any]:
    """Literals of the pages' first two columns."""
    return [
        pytest.param(literal, id=literal)
        for page in ("migrate_wsgiproxy", "migrate_wsgiproxy2")
        for row in rows(page)
        for cell in row[:2]
        for literal in literals(cell)
        if re.fullmatch(pattern, literal)
    ]


@pytest.mark.parametrize("line", spelled("from .*"))
def test_imports_are_good_for_both(line: str) -> None:
    found: dict[str, object] = {}
    exec(line, found)
    assert all(found[name] is not None for name in line.partition(" import ")[2].split(", "))


@pytest.mark.parametrize("call", spelled(r"[\w.]+\(\w+(?:, \w+)*\)"))
def test_arguments_come_in_the_order_of_the_page(call: str) -> None:
    name, _, given = call.rstrip(")").partition("(")
    homes = ("wsgiproxy", "wsgiproxy.exactproxy", "wsgiproxy.signature", "wsgiproxy.secretloader")
    found = next(
        getattr(import_module(home), name.rpartition(".")[2])
        for home in (name.rpartition(".")[0] or "wsgiproxy", *homes)
        if hasattr(import_module(home), name.rpartition(".")[2])
    )
    wanted = given.split(", ")
    assert list(inspect.signature(found).parameters)[: len(wanted)] == wanted


GONE = [
    pytest.param(row, id=row[0])
    for row in rows("migrate_wsgiproxy")
    if row[1].startswith(("gone", "no methods"))
]


@pytest.mark.parametrize("row", GONE)
def test_gone_is_gone(row: list[str]) -> None:
    # As old programs looked for them, and not those of the other package.
    old = (wsgiproxy.WSGIProxyApp, wsgiproxy.SpawningApplication, wsgiproxy.WSGIProxyMiddleware)
    names = [name.partition("(")[0] for name in literals(row[0])]
    assert names
    assert [name for name in names for kind in old if hasattr(kind, name)] == []
    assert [name for name in names if hasattr(import_module("wsgiproxy.exactproxy"), name)] == []
