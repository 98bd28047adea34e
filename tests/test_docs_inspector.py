"""What the page on the inspector says is so."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from webtest import TestApp

from tests.support import picture
from tests.support.documented import code_block
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.inspector import Inspector
from wsgiproxy.settings import INSPECT

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "inspector.rst").read_text()
ASSETS = Path(__file__).parents[1] / "wsgiproxy/observe/inspector/assets"


class Blocks:
    """Runs blocks of the page; no page of theirs outlives the test."""

    def __init__(self, upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
        self._upstream = upstream
        self.inspectors: list[Inspector] = []
        show = Inspector.show

        def shown(inspector: Inspector, listen: Any, token: str | None = None) -> None:
            self.inspectors.append(inspector)
            show(inspector, "127.0.0.1:0", token)

        monkeypatch.setattr(Inspector, "show", shown)

    def run(self, name: str) -> dict[str, Any]:
        source = code_block("docs/inspector.rst", _MARKS[name])
        source = source.replace("localhost:3000", self._upstream.netloc)
        names: dict[str, Any] = {"__name__": "block"}
        exec(compile(source, name, "exec"), names)
        return names


# Name of the block -> text that it alone has.
_MARKS = {
    "inspect-flask": "from flask",
    "inspect-fastapi": "from fastapi",
    "inspect-django": "from django",
    "inspect-test": "from webtest",
}


@pytest.fixture
def blocks(upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch) -> Iterator[Blocks]:
    upstream.behaviour = answer(headers=[("Content-Type", "text/plain")], body=b"hello")
    made = Blocks(upstream, monkeypatch)
    yield made
    for inspector in made.inspectors:
        inspector.close()


def test_flask(blocks: Blocks) -> None:
    pytest.importorskip("flask")
    app = blocks.run("inspect-flask")["app"]
    assert TestApp(app).get("/hello").text == "hello"
    (inspector,) = blocks.inspectors
    assert [each.request.target for each in inspector.ring.exchanges()] == ["/hello"]
    assert inspector.title == "hello" and inspector.url


def test_fastapi(blocks: Blocks) -> None:
    pytest.importorskip("fastapi")
    testclient = pytest.importorskip("starlette.testclient")
    application = blocks.run("inspect-fastapi")["application"]
    with testclient.TestClient(application) as client:
        assert client.get("/tool/a", headers={"X-Tenant": "7"}).text == "hello"
    (exchange,) = application.ring.exchanges()
    assert [attempt.request.target for attempt in exchange.attempts] == ["/a"]
    assert application.secrets.value("X-Tenant", "7") == "***"


def test_django(blocks: Blocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    django = pytest.importorskip("django.conf")
    if not django.settings.configured:
        settings = ModuleType("inspected_settings")
        settings.SECRET_KEY = "x"  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "inspected_settings", settings)
        monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "inspected_settings")
    assert isinstance(blocks.run("inspect-django")["application"], Inspector)


def test_in_a_test(blocks: Blocks) -> None:
    archive = blocks.run("inspect-test")["archive"]
    assert "/orders?page=2" in archive
    assert blocks.inspectors == []  # it has no page


def test_the_table_is_that_of_the_code() -> None:
    rows = "".join(
        f"   * - ``{row.name}``\n     - ``{row.default!r}``\n     - {row.help};"
        f" expects {row.expected}\n"
        for row in INSPECT
    )
    assert rows in PAGE


def test_the_keys_are_those_of_the_page() -> None:
    table = PAGE.partition('where "?" shows them:\n\n')[2].partition("\n\n")[0]
    keys, *_ = (ASSETS / "index.html").read_text().partition('id="confirm"')
    shown = set(re.findall(r"<kbd>(.)</kbd>", keys.partition('id="keys"')[2]))
    assert set(re.findall(r"``(.)``", table)) == shown - set("↓↑")


def test_what_is_masked_is_masked() -> None:
    secrets = Inspector(lambda environ, start_response: [], listen=None).secrets
    assert secrets.value("Authorization", "Bearer x") == "Bearer ***"
    assert secrets.value("Cookie", "a=b") == "a=***"
    assert secrets.target("/?token=x&q=y") == "/?token=***&q=y"
    for name in ("X-Token", "X-Secret", "X-Password", "X-Api-Key", "X-Session"):
        assert secrets.value(name, "x") == "***"


def test_the_picture_is_up_to_date() -> None:
    """Else: python -m tests.support.picture."""
    taken = picture.PATH.read_bytes()
    with picture.shown(has_page=False) as (inspector, exchange):
        words = picture.words(inspector, exchange)
    assert "Pause" in words and "changed X-Forwarded-For" in words
    assert picture.description(taken) == words
    assert len(taken) < 250_000
