"""What the page on figures, logs and traces says is so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wsgiproxy.cli.config import read_config
from wsgiproxy.observe import metrics

prometheus = pytest.importorskip("prometheus_client")

PAGE = (Path(__file__).parents[1] / "docs" / "observe.rst").read_text()


@pytest.fixture
def registry() -> Iterator[Any]:
    metrics.stop()
    registry = prometheus.CollectorRegistry()
    metrics.measure(registry)
    yield registry
    metrics.stop()


def rows() -> list[tuple[str, tuple[str, ...]]]:
    """The figures of the table, with their labels."""
    table = PAGE.partition("     - What it is\n")[2].partition("\n\n")[0]
    found = re.findall(r"   \* - ``(\w+)``\n     -(.*)\n     - .+", table)
    return [(name, tuple(re.findall(r"``(\w+)``", labels))) for name, labels in found]


def test_the_table_has_all_figures_with_their_labels(registry: Any) -> None:
    figures = metrics._exchanges
    assert figures is not None
    made = []
    for each in (*figures.all, *figures.looked_at.all):
        if each is not figures.looked_at:
            suffix = "_total" if each._type == "counter" else ""
            made.append((each._name + suffix, each._labelnames))
    assert sorted(rows()) == sorted(made)


def test_the_methods_are_as_many_as_the_page_says() -> None:
    assert "``method`` is one of eight that are registered" in PAGE
    from wsgiproxy.observe.exchanges import METHODS

    assert len(METHODS) == 8


def test_the_file_is_one(tmp_path: Path) -> None:
    block = PAGE.partition(".. code-block:: toml\n\n")[2].partition("\nA port alone")[0]
    text = re.sub(r"^    ", "", block, flags=re.M)
    path = tmp_path / "proxy.toml"
    path.write_text(text)
    assert read_config(str(path)).process == {"metrics": "127.0.0.1:9100"}
