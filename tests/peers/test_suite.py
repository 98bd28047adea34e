"""What runs the suites of others can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.suite import Failed, downloaded, run
from tests.support.rounds import IN_FULL


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """An empty folder for tests."""
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


def test_those_that_have_passed_are_named(suite: Path) -> None:
    (suite / "test_it.py").write_text("def test_a(): pass\ndef test_b(): assert False\n")
    deselected = {"test_it.py::test_b": "it fails"}
    assert run(suite, ["test_it.py"], deselected) == {"test_it.test_a"}


def test_this_package_is_the_one_that_they_import(suite: Path) -> None:
    source = "import wsgiproxy\ndef test_a(): assert wsgiproxy.protocol_version == '0.1'\n"
    (suite / "test_it.py").write_text(source)
    assert run(suite, ["test_it.py"], {}) == {"test_it.test_a"}


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("def test_a(): assert False", id="a failure", marks=IN_FULL),
        pytest.param("import nonesuch", id="an error", marks=IN_FULL),
        pytest.param(
            "def test_a():\n    import pytest; pytest.skip('no')", id="a skip", marks=IN_FULL
        ),
        pytest.param(
            "def test_a():\n    import socket\n"
            "    with socket.socket() as sock:\n        sock.connect(('192.0.2.1', 80))",
            id="a connection to another machine",
        ),
        pytest.param("", id="nothing"),
    ],
)
def test_what_has_not_passed_is_a_failure(suite: Path, source: str) -> None:
    (suite / "test_it.py").write_text(source)
    with pytest.raises(Failed, match="pytest has ended with"):
        run(suite, ["test_it.py"], {})


def test_it_is_the_plugin_that_keeps_them_here(suite: Path) -> None:
    """Without it, a connection elsewhere fails as well, but later and in other words."""
    (suite / "test_it.py").write_text(
        "import pytest, socket\n"
        "@pytest.mark.parametrize('name', ['connect', 'connect_ex'])\n"
        "def test_a(name):\n"
        "    match = 'a test connects'\n"
        "    with socket.socket() as sock, pytest.raises(AssertionError, match=match):\n"
        "        getattr(sock, name)(('192.0.2.1', 80))\n"
    )
    assert len(run(suite, ["test_it.py"], {})) == 2


def test_what_cannot_be_downloaded_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(Failed, match="nonesuch could not be downloaded"):
        downloaded("nonesuch", tmp_path)
