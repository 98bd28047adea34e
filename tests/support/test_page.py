"""The page that tests of real programs use, on pages that need no server."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.page import PageError, browser_page

pytestmark = pytest.mark.system("chromium")

FORM = """data:text/html,
<input id="who"><button onclick="answer.textContent = 'Hello ' + who.value">go</button>
<p id="answer"></p>"""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where all is put that is left; its path is short, since Chromium makes sockets there."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_a_page_is_typed_into_and_clicked(folder: Path) -> None:
    with browser_page() as page:
        page.open(FORM)
        page.click("document.getElementById('who')")
        page.type("wörld")
        page.click("document.querySelector('button')")
        assert page.until("answer.textContent") == "Hello wörld"
        with pytest.raises(PageError, match="nonesuch is not defined"):
            page.value("nonesuch")
        with pytest.raises(AssertionError, match=r"(?s)not within 0.2 s: false.*Hello wörld"):
            page.until("false", limit=0.2)
    assert [path.suffix for path in folder.glob("tmp*.png")] == [".png"]


@pytest.mark.parametrize("host", ["www.example", "192.0.2.1", "[2001:db8::1]"])
def test_a_page_asks_nothing_of_other_machines(host: str) -> None:
    with browser_page() as page, pytest.raises(AssertionError, match="ERR_NAME_NOT_RESOLVED"):
        page.open(f"http://{host}/")
