"""The page on several upstreams: its files are read, and its table is that of the settings."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

from wsgiproxy.cli.config import read_config
from wsgiproxy.settings import BALANCE
from wsgiproxy.wsgiapp import make_app

PAGE = (Path(__file__).parents[1] / "docs" / "balancing.rst").read_text()


def block(name: str) -> str:
    match = re.search(rf"^   :name: {re.escape(name)}\n\n((?:    .*\n|\n)+)", PAGE, re.M)
    assert match is not None
    return dedent(match[1])


def test_the_file_is_one(tmp_path):
    path = tmp_path / "proxy.toml"
    path.write_text(block("balancing.toml"))
    (route,) = read_config(str(path)).routes
    assert route.target == "http://10.0.0.1:8000 weight=3 http://10.0.0.2:8000"
    assert (route.settings["balance"], route.settings["check_path"]) == ("least", "/health")


def test_the_section_is_one():
    lines = dict(re.findall(r"^(\w+) = (.*)$", block("balancing.ini"), re.M))
    assert lines.pop("use") == "egg:wsgiproxy"
    app = make_app({}, **lines)
    assert [(each.key, each.weight) for each in app.upstreams] == [
        ("http://10.0.0.1:8000", 3),
        ("http://10.0.0.2:8000", 1),
    ]


def test_the_table_is_that_of_the_settings():
    table = PAGE.partition(".. _balance-options:")[2].partition("   * - ``")
    assert (table[1] + table[2]).splitlines() == [
        line
        for row in BALANCE
        for line in (
            f"   * - ``{row.name}``",
            f"     - ``{row.default!r}``",
            f"     - {row.help}; expects {row.expected}",
        )
    ]


def test_the_policies_are_those_that_there_are():
    from wsgiproxy.sansio.balance.policies import parse_policy

    named = re.findall(
        r"^   \* - ``([a-z-]+(?::[A-Za-z-]+)?)``\n     - (?:each|the|of)", PAGE, re.M
    )
    assert len(named) == 7
    assert {parse_policy(name).kind for name in named} == {
        *("round-robin", "least", "two-choices", "hash", "sticky", "session"),
    }
