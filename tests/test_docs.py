"""The documentation is held: its Python runs, its tables are those of the code.

What the pages on trust say is held in `tests/test_docs_trust.py`.
"""

from __future__ import annotations

import configparser
import re
import sys
import textwrap
import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.in_process import Backend, front_environ, key_file, run
from tests.support.loggers import kept_loggers
from tests.support.rounds import together
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.secretloader import new_key
from wsgiproxy.settings import APP, MIDDLEWARE, SIGNING, TRANSPORT

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.rst", *sorted(DOCS.glob("*.rst")), *sorted(DOCS.glob("api/*.rst"))]
BLOCK = re.compile(r"^\.\. code-block:: python\n\n((?:(?:    .*)?\n)+)", re.MULTILINE)

BLOCKS = [
    pytest.param(textwrap.dedent(match[1]), id=f"{page.name}:{number}")
    for page in PAGES
    for number, match in enumerate(BLOCK.finditer(page.read_text()), 1)
]
# They are not among our own requirements; their blocks run where they are.
FRAMEWORKS = re.compile(
    r"^(?:from|import) (flask|django|pyramid|bottle|fastapi|starlette|webtest|zope\.testbrowser)\b",
    re.MULTILINE,
)


def is_installed(name: str) -> bool:
    package = name.partition(".")[0]
    return find_spec(package) is not None and find_spec(name) is not None


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user has before he copies from the page: a key, and a project for Django."""
    key_file(tmp_path / "secret.txt", new_key("k1"))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("")
    (tmp_path / "shop" / "settings.py").write_text("SECRET_KEY = 'x'\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("shop", "shop.settings"):  # of the block before
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "shop.settings")
    monkeypatch.chdir(tmp_path)
    # Pyramid looks for the module that calls it.
    monkeypatch.setitem(sys.modules, "block", ModuleType("block"))


@pytest.mark.usefixtures("user_folder")
@pytest.mark.parametrize("source", BLOCKS)
def test_block(source: str, upstream: RawUpstream) -> None:
    for framework in FRAMEWORKS.findall(source):
        if not is_installed(framework):
            pytest.skip(f"{framework} is not installed")
    upstream.behaviour = answer(headers=[("Content-Type", "text/plain")], body=b"hello")
    source = source.replace("localhost:3000", upstream.netloc)
    with kept_loggers():
        exec(compile(source, "block", "exec"), vars(sys.modules["block"]))


@pytest.mark.parametrize("heading", ["Run it", "Test it"])
def test_the_readme_has_one_line_for_it(heading: str) -> None:
    section = re.search(rf"^{heading}\n-+\n(.*?)^\S[^\n]*\n-+\n", PAGES[0].read_text(), re.S | re.M)
    assert section is not None
    code = re.findall(r"^    (\S.*)$", section[1], re.M)
    assert len(code) == 1
    assert section[1].count("::") == 1


def test_there_are_blocks_to_run() -> None:
    assert len(BLOCKS) > 40


@together
@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_every_block_of_python_is_run(page: Path) -> None:
    """Here, or under its name by the tests of its page."""
    text = page.read_text()
    here = len(BLOCK.findall(text))
    names = re.findall(r"^\.\. code-block:: python\n +:name: (\S+)\n", text, re.M)
    assert here + len(names) == text.count(".. code-block:: python")
    tests = "".join(each.read_text() for each in Path(__file__).parent.glob("test_docs_*.py"))
    assert [name for name in names if f'"{name}"' not in tests] == []


TABLE = re.compile(
    r"   \* - Setting\n     - Default\n     - What it does\n((?:   (?:\* |  )- .*\n)+)"
)
TABLES = {"of the application": APP, "of the signature": SIGNING}
TABLES |= {"of the transport": TRANSPORT, "of the middleware": MIDDLEWARE}


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_of_settings_are_those_of_the_code(name: str) -> None:
    tables = TABLE.findall((DOCS / "wsgi.rst").read_text())
    assert dict(zip(TABLES, tables, strict=True))[name].splitlines() == [
        line
        for row in TABLES[name]
        for line in (
            f"   * - ``{row.name}``",
            f"     - ``{row.default!r}``",
            f"     - {row.help}; expects {row.expected}",
        )
    ]


def test_what_the_upstream_is_told_is_what_it_is_sent(tmp_path: Path) -> None:
    table = re.search(
        r"^What the upstream is told\n-+\n\n=.*\n((?:``.*\n)+)=",
        (DOCS / "wsgi.rst").read_text(),
        re.M,
    )
    assert table is not None
    documented = re.findall(r"^``([A-Za-z-]+)``", table[1], re.M)
    backend = Backend()
    secret = key_file(tmp_path / "secret", new_key("k1"))
    href = "http://10.0.0.1:8001/base?key=1"
    app = WSGIProxyApp(href, secret, forwarded=True, transport=backend)
    run(app, front_environ(SCRIPT_NAME="/m"))
    assert sorted(documented) == sorted(name for name, _ in backend.sent[0][0].headers)


IMAGES = [
    pytest.param(page.parent / name, id=name)
    for page in PAGES
    for name in re.findall(r"^\.\. image:: (\S+)", page.read_text(), re.M)
]


@pytest.mark.parametrize("image", IMAGES)
def test_the_pictures_are_there(image: Path) -> None:
    """Drawn ones have words for those who cannot see them, and colours for the dark."""
    if image.suffix == ".png":
        assert image.read_bytes().startswith(b"\x89PNG")
        return
    picture = ElementTree.parse(image).getroot()
    texts = {child.tag.rpartition("}")[2]: child.text or "" for child in picture}
    assert texts["title"].strip()
    assert texts["desc"].strip()
    assert "prefers-color-scheme: dark" in texts["style"]


@together
@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    names = re.findall(r":doc:`(\w+)`", text) + re.findall(r"\bdocs/(\w+)\.rst\b", text)
    assert [name for name in names if not (DOCS / f"{name}.rst").is_file()] == []


def test_the_readme_has_a_link_to_every_page() -> None:
    """One that a reader can follow, from where the file lies, and not only the name of a file."""
    text = PAGES[0].read_text()
    linked = re.findall(r"`[^`<]+\s<docs/(\w+)\.rst>`_", text)
    assert set(linked) == {page.stem for page in DOCS.glob("*.rst")} - {"index"}
    assert re.findall(r"``docs/\w+\.rst``", text) == []


def test_the_metadata_says_who_made_it() -> None:
    package = configparser.RawConfigParser()
    package.read(ROOT / "setup.cfg")
    metadata = package["metadata"]
    assert metadata["author"].strip()
    assert metadata["long_description"] == "file: README.rst"


def test_the_index_has_every_page() -> None:
    text = (DOCS / "index.rst").read_text()
    pages = {page.stem for page in DOCS.glob("*.rst")} - {"index"}
    assert set(re.findall(r"^\* :doc:`(\w+)`", text, re.M)) == pages
    assert set(re.findall(r"^   (\w+)$", text, re.M)) == pages


def torn(text: str) -> list[str]:
    """Rows of simple tables with nothing behind their first column: each such line is a row."""
    found, border = [], ""
    for line in text.splitlines():
        if re.fullmatch(r"=+(?: +=+)+", line):
            border = border or line
        elif not line:
            border = ""
        elif border and not line.startswith(" ") and not line[border.index(" ") :].strip():
            found.append(line)
    return found


@together
@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_no_row_of_a_table_is_torn(page: Path) -> None:
    assert torn(page.read_text()) == []


def test_a_torn_row_is_found() -> None:
    table = "\n".join(["====  ====", "a     b", "c", "      d", "====  ====", ""])
    assert torn(table) == ["c"]
    assert torn(table.replace("\nc\n", "\n")) == []


#: Pages that show something below a prefix.
PREFIXED = [
    page.name
    for page in PAGES
    if re.search(r"--prefix /|DispatcherMiddleware\(", page.read_text())
    and page.name not in ("changes.rst", "trust.rst", "proxyfix.rst")
]


@pytest.mark.parametrize("name", PREFIXED)
def test_each_page_with_a_prefix_says_what_becomes_of_absolute_links(name: str) -> None:
    (text,) = [page.read_text() for page in PAGES if page.name == name]
    link = "docs/wsgi.rst" if name == "README.rst" else "absolute-links"
    assert link in text


def test_the_pages_with_a_prefix_are_found() -> None:
    assert {"README.rst", "command.rst", "frameworks.rst", "spawn.rst"} <= set(PREFIXED)


def test_the_fields_of_an_exchange_in_json_are_documented(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "wsgiproxy.access")
    run(WSGIProxyApp("http://127.0.0.1:1"), front_environ())
    (fields,) = [each.exchange for each in caplog.records if hasattr(each, "exchange")]
    text = (DOCS / "command.rst").read_text()
    section = text[text.index(".. _command-log:") : text.index(".. _serve-command:")]
    assert [name for name in fields if f"``{name}``" not in section] == []
