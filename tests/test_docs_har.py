"""What the page on archives says is so: its tests are recorded, and pass without the service."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from tests.support.upstream import RawUpstream, answer
from wsgiproxy.sansio.har.match import KEYS

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "har.rst").read_text()
BLOCK = re.compile(r"^\.\. code-block:: python\n   :name: (\S+)\n\n((?:   .*\n|\n)+)", re.M)
BLOCKS = {name: textwrap.dedent(block) for name, block in BLOCK.findall(PAGE)}
NAMES = ["requests", "webtest", "httpx", "options"]


def test_the_tests_of_the_page_pass_with_the_service_and_without(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [*BLOCKS] == NAMES
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    run = ["-p", "wsgiproxy.pytest_plugin", "-q", "--strict-markers"]
    with RawUpstream() as shop:
        netloc = shop.netloc
        fields = [("Content-Type", "application/json")]
        shop.behaviour = answer(headers=fields, body=b'{"found": 1}')
        for name in NAMES:
            source = BLOCKS[name].replace("localhost:3000", netloc)
            (pytester.path / f"test_{name}.py").write_text(source)
        (pytester.path / "test_requests.py").rename(pytester.path / "test_shop.py")
        pytester.runpytest_subprocess(*run).assert_outcomes(passed=5)
    written = pytester.path / "cassettes" / "test_shop" / "test_the_shop_has_soap.har"
    assert f"``{written.relative_to(pytester.path)}``" in PAGE
    soap = pytester.path / "test_shop.py"
    soap.write_text(soap.read_text().replace("q=soap", "q=soup"))
    replayed = pytester.runpytest_subprocess(*run, "--wsgiproxy-har=none")
    replayed.assert_outcomes(passed=4, failed=1)
    message = PAGE.partition("names the nearest one::\n")[2].partition("\n\nWith pytest-xdist")[0]
    text = replayed.stdout.str().replace(f"{pytester.path}/", "")
    assert " ".join(message.replace("localhost:3000", netloc).split()) in text


def test_the_table_has_all_that_can_be_compared() -> None:
    table = PAGE.partition("``--match``      compares\n")[2].partition("\n\n")[0]
    assert re.findall(r"^``(\S+)``", table, re.M) == [*KEYS, "header:NAME"]
