"""What lies over the files of this package, and how ``wsgiproxy doctor`` says so."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import wsgiproxy
from tests.support.rounds import IN_FULL
from tests.support.wheels import Environment, built, downloaded, made, package_tree
from wsgiproxy.cli import main
from wsgiproxy.doctor.installation import clash

DOCTOR = "from wsgiproxy.__main__ import main; sys.argv = ['wsgiproxy', 'doctor']; sys.exit(main())"
#: What WSGIProxy2 0.5.1 has, with other contents.
THEIRS = {
    f"wsgiproxy/{name}.py": "#\n"
    for name in ("__init__", "proxies", "requests_client", "urllib3_client")
}


def installed(folder: Path, name: str, version: str, **files: str) -> Path:
    """A distribution with a list of its files, as pip leaves it."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for stem, text in files.items():
        path = folder / "wsgiproxy" / f"{stem}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
        lines.append(f"wsgiproxy/{stem}.py,sha256={digest.rstrip(b'=').decode()},{len(text)}")
    (info / "RECORD").write_text("\n".join([*lines, f"{info.name}/RECORD,,"]) + "\n")
    return info


def sentences(*folders: Path) -> list[str]:
    return clash([str(folder) for folder in folders], str(folders[0] / "wsgiproxy"))


# -- what is found ---------------------------------------------------------------------


def test_this_installation_has_no_clash() -> None:
    assert clash() == []


def test_the_package_alone_has_no_clash(tmp_path: Path) -> None:
    installed(tmp_path, "wsgiproxy", "1.0", __init__="a", app="b")
    assert sentences(tmp_path) == []


def test_no_clash_without_records(tmp_path: Path) -> None:
    (tmp_path / "wsgiproxy").mkdir()
    assert sentences(tmp_path) == []


def test_wsgiproxy2_installed_after_it(tmp_path: Path) -> None:
    installed(tmp_path, "wsgiproxy", "1.0", __init__="a", app="b", cli="c")
    installed(tmp_path, "WSGIProxy2", "0.5.1", __init__="old", app="b")
    assert sentences(tmp_path) == [
        "WSGIProxy2 0.5.1 is installed, and has files in the folder of this package"
        " (wsgiproxy/__init__.py, wsgiproxy/app.py); uninstalling it deletes them.",
        "Not as they were installed: wsgiproxy/__init__.py.",
    ]


def test_wsgiproxy2_installed_before_it(tmp_path: Path) -> None:
    """Ours came later: all works, until the other is uninstalled."""
    installed(tmp_path, "WSGIProxy2", "0.5.1", __init__="old")
    installed(tmp_path, "wsgiproxy", "1.0", __init__="a")
    (sentence,) = sentences(tmp_path)
    assert sentence.startswith("WSGIProxy2 0.5.1 is installed")


def test_wsgiproxy_0_2_installed_beside_it(tmp_path: Path) -> None:
    """It has our name, so that pip replaces it; other installers do not."""
    installed(tmp_path, "wsgiproxy", "1.0", app="a")
    installed(tmp_path, "WSGIProxy", "0.2.2", app="print 'old'")
    found = sentences(tmp_path)
    assert found[0].startswith("WSGIProxy 0.2.2 is installed, and has files")
    assert found[1:] == ["Not as they were installed: wsgiproxy/app.py."]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    installed(tmp_path, "wsgiproxy", "1.0", __init__="a", app="b")
    (tmp_path / "wsgiproxy" / "app.py").unlink()
    assert sentences(tmp_path) == ["Missing: wsgiproxy/app.py."]


def test_only_the_first_of_many_files_are_named(tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(7)]
    installed(tmp_path, "wsgiproxy", "1.0", **dict.fromkeys(names, "x"))
    for name in names:
        (tmp_path / "wsgiproxy" / f"{name}.py").unlink()
    (sentence,) = sentences(tmp_path)
    assert sentence.endswith("wsgiproxy/m3.py and 3 more.")


@pytest.mark.parametrize("version", ["1.0", "0.9"])
def test_wsgiproxy2_without_modules_is_no_clash(tmp_path: Path, version: str) -> None:
    installed(tmp_path, "wsgiproxy", "1.0", __init__="a")
    installed(tmp_path, "WSGIProxy2", version)
    assert sentences(tmp_path) == []


def test_a_later_wsgiproxy2_with_modules_is_a_clash(tmp_path: Path) -> None:
    installed(tmp_path, "wsgiproxy", "1.0", __init__="a")
    installed(tmp_path, "WSGIProxy2", "2.0", __init__="a")
    assert len(sentences(tmp_path)) == 1


def test_wsgiproxy2_in_another_folder_is_no_clash(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    installed(ours, "wsgiproxy", "1.0", __init__="a")
    installed(theirs, "WSGIProxy2", "0.5.1", __init__="old")
    assert sentences(ours, theirs) == []


def test_a_folder_behind_a_symbolic_link(tmp_path: Path) -> None:
    """As ``lib64`` is one in many environments."""
    installed(tmp_path / "lib", "wsgiproxy", "1.0", __init__="a")
    installed(tmp_path / "lib", "WSGIProxy2", "0.5.1", __init__="old")
    (tmp_path / "lib64").symlink_to("lib")
    found = clash([str(tmp_path / "lib64")], str(tmp_path / "lib" / "wsgiproxy"))
    assert len(found) == 2


def test_wsgiproxy2_without_a_record(tmp_path: Path) -> None:
    """As Debian installs it."""
    info = installed(tmp_path, "WSGIProxy2", "0.4.6", __init__="old")
    (info / "RECORD").unlink()
    assert len(sentences(tmp_path)) == 1


def test_a_distribution_without_a_version_is_ignored(tmp_path: Path) -> None:
    """What is left where an uninstallation broke off."""
    info = installed(tmp_path, "wsgiproxy", "1.0", __init__="a")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wsgiproxy\n")
    assert sentences(tmp_path) == []


# -- how it is said --------------------------------------------------------------------


def test_doctor_without_url_reports_the_installation_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("wsgiproxy doctor\n\nok    installation Nothing is wrong")
    assert out.endswith("Healthy.\n")


def test_doctor_reports_a_clash_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    info = installed(tmp_path, "WSGIProxy2", "0.5.1")
    mine = os.path.relpath(wsgiproxy.__file__, tmp_path)
    (info / "RECORD").write_text(f"{mine},,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["doctor", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["url"], report["healthy"], report["questions"]) == (None, False, {})
    (finding,) = report["findings"]
    assert finding["sentence"].startswith("Here: WSGIProxy2 0.5.1 is installed")
    cure = finding["cure"]
    for words in ("pip uninstall WSGIProxy2", "--force-reinstall", "docs/examples/wsgiproxy2"):
        assert words in cure


@pytest.fixture
def laid_over(tmp_path: Path) -> Path:
    """A copy of this package, over which WSGIProxy 0.2 has laid a module for Python 2."""
    here = Path(wsgiproxy.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(here, tmp_path / "wsgiproxy", ignore=ignored)
    installed(tmp_path, "WSGIProxy", "0.2.2", app="import cPickle\n")
    return tmp_path


def command(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wsgiproxy", "doctor"],
        cwd=folder,
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_clash_is_reported_if_the_command_cannot_be_loaded(laid_over: Path) -> None:
    done = command(laid_over)
    assert done.returncode == 1
    assert "wsgiproxy: cannot be loaded (No module named 'cPickle')." in done.stderr
    assert "Here: WSGIProxy 0.2.2 is installed" in done.stderr
    assert "pip install --force-reinstall" in done.stderr
    assert "Traceback" not in done.stderr


def test_another_import_error_is_raised(laid_over: Path) -> None:
    shutil.rmtree(laid_over / "WSGIProxy-0.2.2.dist-info")
    done = command(laid_over)
    assert done.returncode == 1
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'cPickle'\n")


def test_import_does_not_look_for_clashes() -> None:
    code = "import sys, wsgiproxy; sys.exit('importlib.metadata' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=Path(wsgiproxy.__file__).parents[1]
    )
    assert done.returncode == 0


# -- pip itself ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    return built(package_tree(folder), folder)


@IN_FULL
def test_the_cure_after_pip_installed_both(package: Path, tmp_path: Path) -> None:
    old = made("WSGIProxy2", "0.5.1", THEIRS, tmp_path)
    environment = Environment(tmp_path / "env")
    environment.pip("install", "--no-deps", str(package))
    assert environment.run(DOCTOR).returncode == 0
    environment.pip("install", "--no-deps", str(old))
    found = environment.run(DOCTOR)
    words = " ".join(found.stdout.split())
    assert found.returncode == 1, found.stderr
    assert "Here: WSGIProxy2 0.5.1 is installed" in words
    assert "Not as they were installed: wsgiproxy/__init__.py" in words
    environment.pip("uninstall", "--yes", "WSGIProxy2")
    found = environment.run(DOCTOR)
    assert found.returncode == 1, found.stderr
    assert "Missing: wsgiproxy/__init__.py" in " ".join(found.stdout.split())
    environment.pip("install", "--force-reinstall", "--no-deps", str(package))
    assert environment.run(DOCTOR).returncode == 0


@IN_FULL
def test_the_cure_with_wsgiproxy2_of_the_index(package: Path, tmp_path: Path) -> None:
    real = downloaded("WSGIProxy2==0.5.1", tmp_path)
    environment = Environment(tmp_path / "env")
    environment.pip("install", "--no-deps", str(package))
    environment.pip("install", "--no-deps", str(real))
    found = environment.run(DOCTOR)
    assert found.returncode == 1, found.stderr
    assert "WSGIProxy2 0.5.1 is installed" in " ".join(found.stdout.split())
    assert "wsgiproxy/__init__.py" in found.stdout
