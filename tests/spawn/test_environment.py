"""What a process learns of our environment, as the kernel shows it: nothing that is not named."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.spawn.children import MARK, ask, errors
from tests.spawn.programs import server, told
from wsgiproxy.errors import ConfigurationError

pytestmark = pytest.mark.in_turns(2)

CANARY = "canary-5f2a"
#: What deployments keep in the environment, and what only our own parent meant.
SECRETS = (
    "DB_PASSWORD",
    "DATABASE_URL",
    "SECRET_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "GITHUB_TOKEN",
    "PGPASSWORD",
    "http_proxy",
    "SSH_AUTH_SOCK",
    "PYTHONPATH",
    "LD_PRELOAD_CANARY",
    "MAIL",
    "LANGUAGE",
    "LCX",
    "XPATH",
    "PATH_TO_SECRETS",
)
OURS = (
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "WSGIPROXY_SECRET_FILE",
)
DEFAULTS = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "LC_TIME",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
)
#: What is there besides, with a socket that is handed over.
GIVEN = {MARK, "WSGIPROXY_SECRET_FILE", "LISTEN_FDS", "LISTEN_PID"}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, temporary: Path) -> None:
    """Nothing is in the environment but what this test puts there."""
    for name in list(os.environ):
        if name not in ("PATH", "TMPDIR", "PYTEST_CURRENT_TEST"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LANG", "C.UTF-8")
    for name in (*SECRETS, *OURS):
        monkeypatch.setenv(name, f"{CANARY}-{name}")


def environment_of(pid: int) -> dict[str, str]:
    """As it was when the program began; what it changes later is its own matter."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if entry)


def parent_of(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(") ")[2].split()[1])


def both(app) -> tuple[dict[str, str], dict[str, str]]:
    """The environments of the process, and of the one between it and us."""
    app.start()
    supervisor = parent_of(app.pid)
    assert parent_of(supervisor) == os.getpid()
    return environment_of(app.pid), environment_of(supervisor)


@pytest.mark.parametrize("command", [server(), server(port="{port}"), server(socket="{socket}")])
def test_secrets_of_our_environment_are_not_passed_on(spawn, command):
    for found in both(spawn(command)):
        assert CANARY not in str(found)
        assert set(found) <= {"PATH", "TMPDIR", "LANG", "PORT", *GIVEN}


def test_arguments_of_the_supervisor_contain_no_secret(spawn):
    app = spawn(server())
    app.start()
    for pid in (app.pid, parent_of(app.pid)):
        assert CANARY.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_default_variables_are_passed_on(spawn, monkeypatch):
    for name in DEFAULTS:
        monkeypatch.setenv(name, os.environ.get(name, f"C/{name}"))
    process, between = both(spawn(server()))
    expected = {name: os.environ[name] for name in DEFAULTS}
    assert {name: process.get(name) for name in DEFAULTS} == expected
    assert set(process) == {*DEFAULTS, *GIVEN}
    assert set(process) - {"LISTEN_FDS", "LISTEN_PID"} <= set(between) <= set(process)


def test_default_variables_that_are_not_set_stay_unset(spawn, monkeypatch):
    """A variable that we do not have, the process does not have: not even by PEP 538."""
    monkeypatch.delenv("LANG")
    monkeypatch.delenv("TMPDIR")
    process, _ = both(spawn(server()))
    assert set(process) == {"PATH", *GIVEN}


@pytest.mark.parametrize(
    ("inherit", "more"),
    [
        pytest.param(["DB_PASSWORD"], {"DB_PASSWORD"}, id="a name"),
        pytest.param("DB_PASSWORD, SECRET_KEY", {"DB_PASSWORD", "SECRET_KEY"}, id="a string"),
        pytest.param(["DB_*"], {"DB_PASSWORD"}, id="a pattern"),
        pytest.param(["D*"], {"DB_PASSWORD", "DATABASE_URL"}, id="a short pattern"),
        pytest.param(["*TOKEN", "NO_SUCH"], {"GITHUB_TOKEN"}, id="a pattern in front"),
        pytest.param(["db_password"], set(), id="another case"),
        pytest.param(["DB_PASS"], set(), id="a part of a name"),
        pytest.param([], set(), id="nothing"),
        pytest.param(False, set(), id="false"),
        pytest.param("false", set(), id="false as Paste writes it"),
        pytest.param(True, set(SECRETS), id="true"),
        pytest.param("true", set(SECRETS), id="true as Paste writes it"),
        pytest.param("*", set(SECRETS), id="a star"),
    ],
)
def test_inherit_env_passes_variables_on(spawn, inherit, more):
    for found in both(spawn(server(), inherit_env=inherit)):
        assert {name for name in SECRETS if name in found} == more
        assert all(found[name] == f"{CANARY}-{name}" for name in more)


@pytest.mark.parametrize("inherit", [True, "*", OURS, ["LISTEN_*", "W*", "N*"]], ids=str)
def test_variables_from_our_own_parent_are_never_passed_on(spawn, inherit):
    process, between = both(spawn(server(), inherit_env=inherit))
    assert not any(f"{CANARY}-{name}" in (*process.values(), *between.values()) for name in OURS)
    assert set(process) & set(OURS) == {"LISTEN_FDS", "LISTEN_PID", "WSGIPROXY_SECRET_FILE"}
    assert process["LISTEN_FDS"] == "1"


def test_without_a_socket_or_keys_there_are_no_variables_of_them(spawn):
    for found in both(spawn(server(port="{port}"), sign=False, inherit_env=True)):
        assert not set(OURS) & set(found)


def test_script_env_overrides_inherited_variables(spawn, monkeypatch):
    monkeypatch.setenv("LANG", "xx_XX")
    variables = {"LANG": "C", "EMPTY": "", "TEXT": "a=b c\n'é'", "DB_PASSWORD": "its own"}
    process, _ = both(spawn(server(), script_env=variables, inherit_env=True))
    assert {name: process[name] for name in variables} == variables


def test_script_env_may_be_a_string(spawn):
    app = spawn(server(), inherit_env="SECRET_KEY")
    assert MARK in both(app)[0]  # of a mapping
    app = type(app)(server(), script_env="A=1 B='two words' C=a=b")
    with app:
        found, _ = both(app)
    assert (found["A"], found["B"], found["C"]) == ("1", "two words", "a=b")


def test_the_port_is_a_variable_unless_it_has_another_meaning(spawn):
    app = spawn(server(port="{port}"))
    process, _ = both(app)
    assert process["PORT"] == told(ask(app))["words"][0].partition("=")[2]
    process, _ = both(spawn(server(port="{port}"), script_env={"PORT": "mine"}))
    assert process["PORT"] == "mine"


def test_our_own_port_variable_is_not_passed_on(spawn, monkeypatch):
    """Platforms tell us by PORT where to listen."""
    monkeypatch.setenv("PORT", "80")
    assert "PORT" not in both(spawn(server()))[0]
    assert both(spawn(server(port="{port}"), inherit_env=True))[0]["PORT"] != "80"


def test_changes_of_our_environment_count_at_the_next_start(spawn, monkeypatch):
    app = spawn(server(), inherit_env="SECRET_KEY")
    assert both(app)[0]["SECRET_KEY"].startswith(CANARY)
    app.stop()
    monkeypatch.setenv("SECRET_KEY", "new")
    assert both(app)[0]["SECRET_KEY"] == "new"


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"A": 1}, id="a number"),
        pytest.param({"": "a"}, id="no name"),
        pytest.param({"A=B": "a"}, id="a name with ="),
        pytest.param({"A": "a\0b"}, id="a NUL"),
        pytest.param("A", id="no value"),
        pytest.param(["A=1"], id="a list"),
    ],
)
def test_bad_variables_are_refused(variables):
    from wsgiproxy.spawn import SpawningApplication

    with pytest.raises(ConfigurationError, match="script_env"):
        SpawningApplication(server(), script_env=variables)


FAILS = "import os; os.environ[%r]"


def failed(spawn, caplog, name: str, **settings) -> str:
    """The error of a command that needs a variable."""
    app = spawn([sys.executable, "-I", "-S", "-c", FAILS % name], **settings)
    assert CANARY.encode() not in ask(app).body
    return errors(caplog)[0]


def test_a_failure_that_names_a_variable_says_how_it_is_passed_on(spawn, caplog):
    error = failed(spawn, caplog, "DATABASE_URL")
    hint = "; DATABASE_URL is set here and was not passed on: inherit_env ("
    assert hint + "--inherit-env DATABASE_URL) does that; its last lines:" in error
    assert CANARY not in error


@pytest.mark.parametrize("name", ["NOT_SET_ANYWHERE", "NOTIFY_SOCKET"])
def test_a_variable_that_could_not_be_passed_on_is_not_named(name, spawn, caplog):
    assert "inherit_env" not in failed(spawn, caplog, name)


def test_a_variable_that_was_passed_on_is_not_named(spawn, caplog):
    code = "import sys; sys.exit('no database at DATABASE_URL')"
    ask(spawn([sys.executable, "-I", "-S", "-c", code], inherit_env="DATABASE_URL"))
    assert "inherit_env" not in errors(caplog)[0]


def test_the_hint_is_shown_to_clients_with_debug_only(spawn):
    command = [sys.executable, "-I", "-S", "-c", FAILS % "DATABASE_URL"]
    assert "DATABASE_URL" not in ask(spawn(command)).text
    assert "--inherit-env DATABASE_URL" in ask(spawn(command, debug=True)).text
