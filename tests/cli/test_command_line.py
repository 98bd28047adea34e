"""``serve -- COMMAND`` and ``run`` as they are typed: what is refused, in which words, and help."""

from __future__ import annotations

import re

import pytest

from wsgiproxy.cli import main, parser
from wsgiproxy.cli.options import PROCESS


def refused(capsys, *argv: str) -> tuple[int, str]:
    """The exit status and the one line on stderr."""
    status = main(argv)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("wsgiproxy: ") and err.count("\n") == 1 and "Traceback" not in err
    return status, err.removeprefix("wsgiproxy: ").rstrip("\n")


# A target, or a command


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        pytest.param(["serve"], "expected a TARGET, or -- and a COMMAND (see wsg", id="neither"),
        pytest.param(["--"], "expected a COMMAND after --", id="nothing-after-the-dashes"),
        pytest.param(["serve", "--"], "expected a COMMAND after --", id="serve-and-dashes"),
        pytest.param(["serve", ":1", "--"], "expected a COMMAND after --", id="target-and-dashes"),
        pytest.param(["--", ""], "COMMAND ('',): expected a command", id="an-empty-word"),
        pytest.param(
            ["serve", ":1", "--", "cat"],
            "TARGET ':1' and a command: expected only one of them",
            id="both",
        ),
        pytest.param(
            [":1", "--", "cat"],
            "TARGET ':1' and a command: expected only one of them",
            id="both-in-short",
        ),
        pytest.param(["demo", "--", "x"], "-- x: only `serve` takes a COMMAND", id="demo"),
        pytest.param(["keygen", "--", "x"], "-- x: only `serve` takes a COMMAND", id="keygen"),
        pytest.param(["demo", "--"], "expected a COMMAND after --", id="demo-and-dashes"),
        pytest.param(
            ["npm", "start"],
            "no command 'npm'; ",
            id="forgotten-dashes-without-serve",
        ),
        pytest.param(
            ["serve", "npm", "start", "--port", "{port}"],
            "unrecognized arguments: start (a COMMAND stands after --; see wsg",
            id="forgotten-dashes",
        ),
        pytest.param(
            ["serve", ":1", "--frob"],
            "unrecognized arguments: --frob (see wsgiproxy serve --help)",
            id="a-flag-that-is-none",
        ),
        pytest.param(
            ["serve", "--frob", "--", "cat"],
            "unrecognized arguments: --frob (see wsgiproxy serve --help)",
            id="a-flag-that-is-none-before-a-command",
        ),
    ],
)
def test_misplaced_targets_and_commands_end_with_2(argv, line, capsys):
    status, said = refused(capsys, *argv)
    assert said.startswith(line)
    assert status == 2


def test_a_command_without_dashes_gets_a_hint(capsys):
    assert "a command of yours stands after --, and" in refused(capsys, "npm", "start")[1]


@pytest.mark.parametrize(
    "flags",
    [["--verify"], ["--no-verify"], ["--ca-file", "x"], ["--parent-proxy", "http://h:1"]],
    ids=lambda flags: flags[0],
)
def test_flags_of_a_target_are_refused_with_a_command(flags, capsys):
    status, said = refused(capsys, "serve", *flags, "--", "cat")
    assert said == f"{flags[0]}: expected a TARGET; a COMMAND is on this machine"
    assert status == 2


FLAGS = [(f"--{row.name.replace('_', '-')}", isinstance(row.default, bool)) for row in PROCESS]


@pytest.mark.parametrize(
    "flags",
    [["--now"], ["--no-sign"], *([name] if alone else [name, "A=1"] for name, alone in FLAGS)],
    ids=lambda flags: flags[0],
)
def test_flags_of_a_command_are_refused_with_a_target(flags, capsys):
    status, said = refused(capsys, "serve", ":1", *flags)
    assert said == f"{flags[0]}: expected -- and a COMMAND, no TARGET"
    assert status == 2


# Values


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        pytest.param(
            ["--socket", "x"], "--socket 'x': expected inherit, unix or port", id="socket"
        ),
        pytest.param(["--spawned-port", "0"], "--spawned-port '0': expected a port", id="port"),
        pytest.param(["--idle-shutdown", "0"], "--idle-shutdown '0': expected a", id="idle"),
        pytest.param(["--ready", "x"], "--ready 'x': expected a path such as /health", id="ready"),
        pytest.param(["--start-timeout", "x"], "--start-timeout 'x': expected a n", id="start"),
        pytest.param(["--stop-timeout", "-1"], "--stop-timeout '-1': expected a n", id="stop"),
        pytest.param(["--max-wait", "x"], "--max-wait 'x': expected a number", id="max-wait"),
        pytest.param(["--max-waiting", "x"], "--max-waiting 'x': expected a whole", id="waiting"),
        pytest.param(["--cwd", "/no/where"], "--cwd '/no/where': expected a directory", id="cwd"),
        pytest.param(["--script-env", "A"], "--script-env 'A': expected NAME=VALUE", id="variable"),
        pytest.param(
            ["--script-env", "=A"], "--script-env '=A': expected NAME=VALUE", id="no-name"
        ),
        pytest.param(["--prefix", "x"], "--prefix 'x': expected a path such as /app", id="prefix"),
        pytest.param(["--head-timeout", "x"], "--head-timeout 'x': expected a n", id="transport"),
        pytest.param(["--secret-file", "/no"], "--secret-file '/no': cannot be read", id="secret"),
        pytest.param(
            ["--socket", "unix"],
            "COMMAND: {port} has no meaning with --socket 'unix', where there is {socket}",
            id="placeholder",
        ),
    ],
)
def test_a_bad_value_names_its_flag(flags, line, capsys):
    status, said = refused(capsys, "serve", *flags, "--", "cat", "{port}")
    assert said.startswith(line)
    assert status == 2


@pytest.mark.parametrize(
    ("flag", "name", "given", "value"),
    [
        ("--script-env", "script_env", ["A=1 2", "B="], {"A": "1 2", "B": ""}),
        ("--script-env", "script_env", ["A=1", "A=2"], {"A": "2"}),
        ("--inherit-env", "inherit_env", ["A", "B C"], "A B C"),
        ("--trusted-proxies", "trusted_proxies", ["10.0.0.1", "::1"], "10.0.0.1 ::1"),
        ("--cwd", "cwd", ["a", "b"], "b"),
    ],
    ids=["variables", "the-last-one-counts", "names", "networks", "a-single-value"],
)
def test_list_flags_may_be_repeated(flag, name, given, value):
    words = [word for each in given for word in (flag, each)]
    assert getattr(parser().parse_args(["serve", *words]), name) == value


# The command


@pytest.mark.parametrize(
    ("command", "line"),
    [
        pytest.param(
            ["nosuch", "x"], "no such command: nosuch; give its whole path, or", id="name"
        ),
        pytest.param(["./nosuch"], "no such command: ./nosuch; give its whole", id="path"),
        pytest.param(["/"], "no such command: /; give its whole path", id="folder"),
        pytest.param(["./file"], "./file is not executable; chmod +x it, or write", id="file"),
        pytest.param(["A=1", "npm"], "no such command: A=1; variables are given by", id="variable"),
        pytest.param(["npm start"], "no such command: npm start; its words stand", id="one-word"),
        pytest.param([":3000"], "no such command: :3000; a TARGET stands alone", id="target"),
        pytest.param(["a\x1b[2J"], r"no such command: a\x1b[2J; give its whole path", id="control"),
    ],
)
def test_a_missing_command_ends_with_1(command, line, tmp_path, capsys):
    (tmp_path / "file").touch()
    status, said = refused(capsys, "serve", "--cwd", str(tmp_path), "--", *command)
    assert said.startswith(line)
    assert status == 1


def test_a_command_is_looked_up_in_its_own_path(capsys):
    status, said = refused(capsys, "serve", "--script-env", "PATH=/no/where", "--", "cat")
    assert said.startswith("no such command: cat;")
    assert status == 1


# Help


def help_of(capsys, monkeypatch, *argv: str) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        main([*argv, "--help"])
    assert end.value.code == 0
    text: str = capsys.readouterr().out
    return text


@pytest.mark.parametrize("argv", [[], ["serve"], ["run"]], ids=lambda argv: "".join(argv) or "top")
def test_help_fits_a_terminal_of_80_columns(argv, capsys, monkeypatch):
    lines = help_of(capsys, monkeypatch, *argv).splitlines()
    assert [line for line in lines if len(line) > 79] == []


@pytest.mark.parametrize("argv", [["serve"], ["run"]], ids=lambda argv: argv[0])
def test_each_flag_has_help_and_a_metavar(argv, capsys, monkeypatch):
    text = help_of(capsys, monkeypatch, *argv)
    options = re.findall(r"^  (--[a-z-]+)(?:, --no-\S+)?( \S+)?\s+(\S.*)", text, re.MULTILINE)
    assert len(options) > 4
    for name, value, says in options:
        assert not says.startswith("-"), f"{name} says nothing"
        assert "e+" not in says and "None" not in says, says
        assert value != " NAME" or name == "--via", f"{name}{value}"


def test_help_names_the_ways_to_a_socket(capsys, monkeypatch):
    text = help_of(capsys, monkeypatch, "serve")
    assert "--socket {inherit,unix,port}" in text
    assert "--script-env NAME=VALUE" in text and "--idle-shutdown SECONDS" in text
    assert "(default: 65536)" in text
