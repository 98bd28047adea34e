"""The units in docs/deploy/systemd, by systemd itself where it is there."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.commands import ROOT, refused
from tests.support.daemon import program
from wsgiproxy.cli.variables import from_environment

HAS_SYSTEMD = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not there"
)
UNITS = ROOT / "docs/deploy/systemd"
_PROGRAM = "/opt/wsgiproxy/bin/wsgiproxy"


class _Repeated(dict[str, str]):
    """A directive that comes twice keeps both values, a line for each."""

    def __setitem__(self, key: str, value: str) -> None:
        if isinstance(value, list) and key in self:
            value = [*self[key], *value]
        super().__setitem__(key, value)


def unit(name: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(dict_type=_Repeated, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNITS / name)
    return parser


def service() -> configparser.SectionProxy:
    return unit("wsgiproxy.service")["Service"]


@HAS_SYSTEMD
def test_systemd_takes_them(tmp_path: Path) -> None:
    for file in UNITS.iterdir():
        # It looks whether the program is there.
        (tmp_path / file.name).write_text(file.read_text().replace(_PROGRAM, "/bin/true"))
    files = sorted(map(str, tmp_path.iterdir()))
    command = [program("systemd-analyze"), "verify", "--man=no", *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    about_them = [line for line in done.stderr.splitlines() if "wsgiproxy" in line]
    assert (done.returncode, about_them) == (0, [])


@HAS_SYSTEMD
def test_the_service_is_shut_off() -> None:
    command = [program("systemd-analyze"), "security", "--offline=true", "--no-pager"]
    command.append(str(UNITS / "wsgiproxy.service"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "--offline" in done.stderr:
        pytest.skip("--offline came with systemd 250")
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) < 2  # of 10


@pytest.mark.parametrize("directive", ["ExecStartPre", "ExecStart"])
def test_the_commands_are_some(directive: str) -> None:
    words = shlex.split(service()[directive])
    assert words[0] == _PROGRAM
    assert refused(words) == ""


def test_it_is_reloaded_and_ended_by_signals_that_the_command_obeys() -> None:
    assert service()["ExecReload"].endswith("kill -HUP $MAINPID")
    assert service()["KillSignal"] == "SIGTERM"
    # Processes that the proxy has started are ended by the proxy.
    assert service()["KillMode"] == "mixed"
    assert int(service()["TimeoutStopSec"]) > 5


def test_its_variables_are_options() -> None:
    lines = service()["Environment"].splitlines()
    process, routes = from_environment(dict(line.split("=", 1) for line in lines))
    assert process == {"log_format": "json"}
    assert routes == {"secret_file": "%d/secret.txt"}
    name, _, path = service()["LoadCredential"].partition(":")
    assert (name, path) == ("secret.txt", "/etc/wsgiproxy/secret.txt")


def test_the_socket_is_that_of_the_service() -> None:
    listens = unit("wsgiproxy.socket")["Socket"]
    # By default it is for the service of the same name, and hands over one descriptor.
    assert "Service" not in listens
    assert "Accept" not in listens
    assert unit("wsgiproxy.service")["Unit"]["Requires"] == "wsgiproxy.socket"


def test_nothing_is_written_outside_of_its_own_folder() -> None:
    may = service()
    assert (may["ProtectSystem"], may["DynamicUser"]) == ("strict", "yes")
    assert "ReadWritePaths" not in may
    assert may["CapabilityBoundingSet"] == ""
    assert may["WorkingDirectory"] == f"%S/{may['StateDirectory']}"
