"""The documentation builds without a warning, and a dead reference is one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def built(source: Path, into: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What the tox environment ``docs`` runs."""
    for package in ("sphinx", "furo", "sphinx_copybutton"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed; the tox environment docs has it")
    return subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-b", "html", *options, str(source), str(into)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, which build without a warning."""
    folder = tmp_path_factory.mktemp("docs") / "html"
    done = built(DOCS, folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_built(html: Path) -> None:
    pages = {page.stem for page in DOCS.glob("*.rst")}
    assert pages <= {page.stem for page in html.glob("*.html")}
    # The docstrings are there, and not the names alone.
    sentence = "A WSGI application that is another web application, somewhere else."
    for page in ("api.html", "api/applications.html"):
        assert sentence in (html / page).read_text()


def test_the_home_page_says_first_what_it_is_and_how_to_get_it(html: Path) -> None:
    text = (html / "index.html").read_text().partition("<article")[2]
    parts = [
        "<strong>Put any web application behind your Python application",
        "wsgiproxy localhost:3000",
        'src="_images/inspector.png"',
        'id="install"',
        "WSGIProxyApp",
        "proxy_exact_request",
        ">You want<",
        'href="tutorial.html"',
        'href="license.html"',
    ]
    places = [text.find(part) for part in parts[:-2]]
    assert -1 not in places
    assert places == sorted(places)
    assert all(text.rfind(part) > places[-1] for part in parts[-2:])


def test_what_is_copied_has_no_prompt(html: Path) -> None:
    script = (html / "_static" / "copybutton.js").read_text()
    (pattern,) = re.findall(r"formatCopyText\(text, '([^']*)', true,", script)
    prompt = re.compile(pattern.replace("\\\\", "\\"))
    for line in ("$ pip install .", ">>> import wsgiproxy", "... return"):
        assert prompt.match(line)
    assert not prompt.match("pip install .")


WRONG = {
    "See :doc:`nowhere`.": "unknown document",
    "See :ref:`nowhere`.": "undefined label",
    "See :class:`wsgiproxy.Nobody`.": "py:class reference target not found: wsgiproxy.Nobody",
    ".. autoclass:: wsgiproxy.Somebody": "Somebody",
    ".. literalinclude:: examples/nothing.py": "nothing.py",
    ".. image:: nothing.png": "nothing.png",
}


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One build of a page for each mistake, which goes on after the first one."""
    folder = tmp_path_factory.mktemp("wrong")
    source = folder / "docs"
    source.mkdir()
    # It looks for the package beside itself.
    (folder / "wsgiproxy").symlink_to(ROOT / "wsgiproxy")
    shutil.copy(DOCS / "conf.py", source)
    shutil.copytree(DOCS / "_static", source / "_static")
    names = [f"page{number}" for number in range(len(WRONG))]
    contents = "".join(f"   {name}\n" for name in names)
    (source / "index.rst").write_text(f"Home\n====\n\n.. toctree::\n\n{contents}")
    for name, line in zip(names, WRONG, strict=True):
        (source / f"{name}.rst").write_text(f"Page\n====\n\n{line}\n")
    return built(source, folder / "html", "--keep-going")


@pytest.mark.parametrize("line", WRONG)
def test_what_leads_nowhere_is_an_error(line: str, wrong: subprocess.CompletedProcess[str]) -> None:
    assert wrong.returncode != 0
    page = f"page{[*WRONG].index(line)}.rst"
    told = [each for each in wrong.stderr.splitlines() if page in each or "autodoc" in each]
    assert any(WRONG[line] in each for each in told), wrong.stderr


def test_tox_builds_it_in_the_same_way() -> None:
    tox = (ROOT / "tox.ini").read_text()
    assert re.search(r"^env_list = .*\bdocs\b", tox, re.M)
    section = tox.partition("[testenv:docs]\n")[2].partition("\n[")[0]
    assert "extras = docs" in section
    assert "sphinx-build -W -b html docs {envtmpdir}/html" in section
