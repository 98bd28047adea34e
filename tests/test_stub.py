"""The distribution in docs/examples/wsgiproxy2: the name WSGIProxy2, and nothing else."""

from __future__ import annotations

import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.support.rounds import IN_FULL
from tests.support.wheels import ROOT, Environment, built, made, package_tree

STUB = ROOT / "docs" / "examples" / "wsgiproxy2"
WHERE = """
import importlib.metadata, pathlib, wsgiproxy
where = pathlib.Path(wsgiproxy.__file__).parents[1]
print(wsgiproxy.__version__, importlib.metadata.version("WSGIProxy2"), where)
"""
DOCTOR = "from wsgiproxy.__main__ import main; sys.argv = ['wsgiproxy', 'doctor']; sys.exit(main())"


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(STUB, tmp_path_factory.mktemp("stub"))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    return built(package_tree(folder), folder)


def test_it_has_no_modules(stub: Path) -> None:
    with zipfile.ZipFile(stub) as wheel:
        places = {name.partition("/")[0] for name in wheel.namelist()}
    assert places == {"WSGIProxy2-1.0.dist-info"} or places == {"wsgiproxy2-1.0.dist-info"}


def test_it_is_later_than_wsgiproxy2_and_requires_this_package(stub: Path) -> None:
    with zipfile.ZipFile(stub) as wheel:
        (name,) = [each for each in wheel.namelist() if each.endswith("/METADATA")]
        metadata = Parser().parsestr(wheel.read(name).decode())
    assert (metadata["Name"], metadata["Version"]) == ("WSGIProxy2", "1.0")
    assert metadata.get_all("Requires-Dist") == ["wsgiproxy>=1"]


@IN_FULL
def test_what_requires_wsgiproxy2_gets_this_package(
    stub: Path, package: Path, tmp_path: Path
) -> None:
    environment = Environment(tmp_path / "env")
    environment.pip("install", "--no-deps", str(package), str(stub))
    found = environment.run(WHERE)
    assert found.stdout.split()[1] == "1.0", found.stderr
    assert found.stdout.split()[2].startswith(str(tmp_path.resolve()))
    doctor = environment.run(DOCTOR)
    assert (doctor.returncode, "Healthy." in doctor.stdout) == (0, True), doctor.stderr


@IN_FULL
def test_after_wsgiproxy2_was_uninstalled_it_takes_its_place(
    stub: Path, package: Path, tmp_path: Path
) -> None:
    """The order that the page gives."""
    old = made("WSGIProxy2", "0.5.1", {"wsgiproxy/__init__.py": "#\n"}, tmp_path)
    environment = Environment(tmp_path / "env")
    environment.pip("install", "--no-deps", str(old))
    environment.pip("uninstall", "--yes", "WSGIProxy2")
    environment.pip("install", "--no-deps", str(package), str(stub))
    assert environment.run(DOCTOR).returncode == 0
    assert environment.run(WHERE).stdout.split()[1] == "1.0"


def test_its_page_names_the_commands_in_their_order() -> None:
    page = (STUB / "README.rst").read_text()
    uninstall, install = page.index("pip uninstall WSGIProxy2"), page.index("pip install ./docs")
    assert uninstall < install < page.index("wsgiproxy doctor")
    assert (ROOT / "docs" / "examples" / "wsgiproxy2" / "pyproject.toml").is_file()
