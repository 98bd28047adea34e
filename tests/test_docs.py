"""Every block of Python in the documentation runs, against a live upstream."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from tests.support.upstream import RawUpstream, answer
from wsgiproxy.settings import APP, TRANSPORT, Setting

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").glob("*.rst"))]
BLOCK = re.compile(r"^\.\. code-block:: python\n\n((?:(?:    .*)?\n)+)", re.MULTILINE)

BLOCKS = [
    pytest.param(textwrap.dedent(match[1]), id=f"{page.name}:{number}")
    for page in PAGES
    for number, match in enumerate(BLOCK.finditer(page.read_text()), 1)
]


@pytest.mark.parametrize("source", BLOCKS)
def test_block(source: str, upstream: RawUpstream) -> None:
    upstream.behaviour = answer(headers=[("Content-Type", "text/plain")], body=b"hello")
    source = source.replace("localhost:3000", upstream.netloc)
    exec(compile(source, "block", "exec"), {"__name__": "block"})


@pytest.mark.parametrize("heading", ["Run it", "Test it"])
def test_the_readme_has_one_line_for_it(heading: str) -> None:
    section = re.search(rf"^{heading}\n-+\n(.*?)^\S[^\n]*\n-+\n", PAGES[0].read_text(), re.S | re.M)
    assert section is not None
    code = re.findall(r"^    (\S.*)$", section[1], re.M)
    assert len(code) == 1
    assert section[1].count("::") == 1


def test_there_are_blocks_to_run() -> None:
    assert len(BLOCKS) > 5


@pytest.mark.parametrize("setting", APP + TRANSPORT, ids=lambda setting: setting.name)
def test_every_setting_is_in_the_tables(setting: Setting) -> None:
    row = f"   * - ``{setting.name}``\n     - ``{setting.default!r}``\n     - {setting.help}"
    assert row in (ROOT / "docs" / "wsgi.rst").read_text()
