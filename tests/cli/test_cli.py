"""The command line: what is understood, and how a refusal reads."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from wsgiproxy.cli import main, parser
from wsgiproxy.cli.listen import Listen, open_listener
from wsgiproxy.cli.options import read_listen
from wsgiproxy.settings import APP, SIGNING, TRANSPORT

ROOT = Path(__file__).parents[2]


@pytest.fixture
def closed_port():
    """A bound port without a listener."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def refused(capsys, *argv: str) -> tuple[int, str]:
    """The exit status and the one line on stderr."""
    status = main(argv)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("wsgiproxy: ") and err.count("\n") == 1 and "Traceback" not in err
    return status, err.removeprefix("wsgiproxy: ").rstrip("\n")


# No middleware fills an environ here, so there would be nothing to carry.
SIGNED = [row for row in SIGNING if not row.name.endswith("_keys") and row.name != "allow_pickle"]
# Whoever types a target has chosen it himself.
TYPED = [row for row in TRANSPORT if row.name != "guard"]


@pytest.mark.parametrize("row", [*APP, *SIGNED, *TYPED], ids=lambda row: row.name)
def test_every_setting_is_a_flag(row):
    flag = "--" + row.name.replace("_", "-")
    words = [flag] if isinstance(row.default, bool) else [flag, "x"]
    value = True if isinstance(row.default, bool) else "x"
    given = parser().parse_args(["serve", ":3000", *words])
    assert getattr(given, row.name) == value
    assert getattr(parser().parse_args(["serve", ":3000"]), row.name) is None


def test_flags_with_default_on_have_a_no_form():
    given = parser().parse_args(["serve", ":3000", "--no-verify", "--no-rewrite-location"])
    assert (given.verify, given.rewrite_location) == (False, False)


@pytest.mark.parametrize("name", ["string_keys", "json_keys", "pickle_keys", "allow_pickle"])
def test_settings_of_carried_keys_are_not_flags(name, capsys):
    flag = "--" + name.replace("_", "-")
    assert refused(capsys, "serve", ":1", flag)[1].startswith(f"unrecognized arguments: {flag}")


@pytest.mark.parametrize(
    "argv", [[], ["serve"], ["demo"], ["keygen"], ["doctor"]], ids=lambda argv: "".join(argv)
)
def test_help(argv, capsys):
    with pytest.raises(SystemExit) as end:
        main([*argv, "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert "examples:" in out or "curl" in out or "--rotate FILE" in out
    assert "%(" not in out


def test_help_names_defaults_and_values(capsys):
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--connect-timeout SECONDS seconds to connect, for each address (default: 10)" in text
    assert "--ca-file FILE" in text and "--trusted-proxies NETWORKS" in text
    assert "verify the certificates of https upstreams (default: on)" in text


def test_help_says_which_servers_carry_websocket(capsys):
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "waitress and granian cannot: a handshake gets 501" in text
    assert "--max-message SIZE largest message of a WebSocket, in bytes" in text


def test_no_arguments_print_the_help(capsys):
    assert main([]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("usage: wsgiproxy ") and "examples:" in out and err == ""


@pytest.mark.parametrize("words", [["help"], ["help", "serve"]], ids=len)
def test_help_as_a_command(words, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(" ".join(["usage: wsgiproxy", *words[1:]]))


@pytest.mark.parametrize("words", [["-p", "9000"], ["-p9000"], ["--port", "9000"]], ids=len)
@pytest.mark.parametrize("command", [["serve", ":1"], ["forward"], ["demo"]], ids=str)
def test_a_port_alone_is_a_target(command, words):
    assert read_listen(parser().parse_args([*command, *words]).listen) == ("127.0.0.1", 9000)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("wsgiproxy ke", ["keygen"]),
        ("wsgiproxy serve --scope", ["--scope-cookies"]),
        ("wsgiproxy serve --server g", ["granian", "gunicorn"]),
    ],
)
def test_completion_in_the_shell(line, expected, tmp_path):
    """As argcomplete's own hook asks: by the environment, and an answer in a file."""
    answer = tmp_path / "answer"
    asked = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    command = [sys.executable, "-m", "wsgiproxy"]
    subprocess.run(command, env=asked, cwd=ROOT, check=True, timeout=60)
    words = [word.strip() for word in answer.read_text().split("\n")]
    assert sorted(set(words)) == sorted(expected)


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version(flag, capsys):
    with pytest.raises(SystemExit) as end:
        main([flag])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("wsgiproxy 1.0")


def test_python_m_wsgiproxy():
    command = [sys.executable, "-m", "wsgiproxy", "serve", "ftp://example.com"]
    end = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert end.returncode == 2
    assert "TARGET 'ftp://example.com'" in end.stderr


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        pytest.param(
            ["serve", "ftp://example.com"],
            "TARGET 'ftp://example.com': expected http://host[:port]",
            id="scheme",
        ),
        pytest.param(["serve", "nothing"], "TARGET 'nothing': expected", id="a-bare-name"),
        pytest.param(["serve", "http://h/../x"], "TARGET 'http://h/../x': '..' in", id="dots"),
        pytest.param(["serve"], "expected a TARGET, or -- and a COMMAND", id="no-target"),
        pytest.param(["xyz", "start"], "no command 'xyz'; a command of yours", id="command"),
        pytest.param(["srve", ":1"], "no command 'srve'; did you mean serve?", id="near-command"),
        pytest.param(
            ["serve", ":1", "--prefx", "/a"],
            "unrecognized arguments: --prefx /a (did you mean --prefix? see wsgiproxy serve",
            id="near-flag",
        ),
        pytest.param(
            ["serve", ":1", "--max-haed=1k"],
            "unrecognized arguments: --max-haed=1k (did you mean --max-head?",
            id="near-flag-with-a-value",
        ),
        pytest.param(
            ["serve", ":1", "--allow-client", "x"],
            "unrecognized arguments: --allow-client x (--allow-client is one of forward; ",
            id="flag-of-another-command",
        ),
        pytest.param(
            ["-p", "9000", ":1"],
            "-p: options follow the target: wsgiproxy TARGET -p ...",
            id="options-first",
        ),
        pytest.param(
            ["serve", ":1", "--bind", "x"],
            "unrecognized arguments: --bind x (did you mean --listen? ",
            id="flag-of-another-program",
        ),
        pytest.param(
            ["serve", ":1", "--share"],
            "unrecognized arguments: --share (see wsgiproxy serve",
            id="nothing-near",
        ),
        pytest.param(["help", "srve"], "no command 'srve'; did you mean serve?", id="help"),
        pytest.param(
            ["serve", ":1", "--ca-file", "x", "--no-verify"],
            "--ca-file 'x': expected no --no-verify beside it",
            id="switched-off",
        ),
        pytest.param(
            ["serve", "http://u:canary@h"],
            "TARGET 'http://***@h': expected no user and password",
            id="userinfo",
        ),
        pytest.param(["serve", ":1", "--frob"], "unrecognized arguments: --frob", id="flag"),
        pytest.param(["serve", ":1", "--conn", "1"], "unrecognized arguments: --conn", id="short"),
        pytest.param(
            ["serve", ":1", "--max-head", "big"],
            "--max-head 'big': expected a number of bytes, such as 65536 or 64k",
            id="setting",
        ),
        pytest.param(
            ["serve", ":1", "--trusted-proxies", "frob"],
            "--trusted-proxies 'frob': expected an address",
            id="setting-that-the-proxy-refuses",
        ),
        pytest.param(
            ["serve", ":1", "--ca-file", "/nowhere"],
            "--ca-file '/nowhere': expected a PEM file",
            id="file",
        ),
        pytest.param(
            ["serve", ":1", "--secret-file", "/nowhere"],
            "--secret-file '/nowhere': cannot be read: No such file",
            id="secret-file",
        ),
        pytest.param(
            ["serve", ":1", "--sign-body"],
            "--sign-body: expected --secret-file beside it",
            id="sign-body-alone",
        ),
        pytest.param(
            ["serve", ":1", "--threads", "0"],
            "--threads '0': expected a number from 1 to 1000",
            id="threads",
        ),
        pytest.param(
            ["serve", ":1", "--prefix", "app"],
            "--prefix 'app': expected a path such as /app",
            id="prefix",
        ),
        pytest.param(
            ["serve", ":1", "--listen", "here"],
            "--listen 'here': expected host:port, such as 127.0.0.1:8080",
            id="listen",
        ),
        pytest.param(["demo", "--listen", "1:2:3"], "--listen '1:2:3': expected", id="demo"),
        pytest.param(
            ["serve", ":1", "--server", "nginx"],
            "argument --server: invalid choice: 'nginx'",
            id="server",
        ),
    ],
)
def test_wrong_command_lines_end_with_2(argv, line, capsys):
    status, said = refused(capsys, *argv)
    assert said.startswith(line)
    assert status == 2


@pytest.mark.parametrize("argv", [["serve", ":{}"], [":{}"], ["127.0.0.1:{}/x"], ["{}"]])
def test_a_silent_target_ends_with_1(argv, closed_port, capsys):
    status, said = refused(capsys, *(word.format(closed_port) for word in argv))
    assert said.startswith(f"nothing answers at http://127.0.0.1:{closed_port}")
    assert ": connection refused; start it first, or use --no-check" in said
    assert status == 1


def test_a_missing_unix_socket_ends_with_1(tmp_path, capsys):
    status, said = refused(capsys, "serve", f"unix:{tmp_path}/app.sock")
    assert said.startswith(f"nothing answers at unix:{tmp_path}/app.sock: no such file")
    assert status == 1


def test_a_target_without_tls_ends_with_1(echo, capsys):
    url = f"https://{echo.netloc}"
    status, said = refused(capsys, "serve", url, "--connect-timeout", "0.3")
    assert said.startswith(f"no TLS at {url}: the handshake operation timed out; try http://")
    assert status == 1


def test_an_untrusted_certificate_ends_with_1(tls_upstream, capsys):
    status, said = refused(capsys, "serve", tls_upstream.url)
    assert said.startswith(f"no trust in {tls_upstream.url}: ")
    assert "give --ca-file or --no-verify" in said
    assert status == 1


@pytest.mark.parametrize("server", ["uvicorn", "waitress", "gunicorn", "granian"])
def test_a_busy_port_ends_with_1(server, echo, capsys):
    pytest.importorskip(server)
    with open_listener(Listen("127.0.0.1", 0)) as busy:
        where = f"127.0.0.1:{busy.getsockname()[1]}"
        status, said = refused(capsys, "serve", echo.url, "--listen", where, "--server", server)
    assert said == f"cannot listen on {where}: address already in use; another --listen may help"
    assert status == 1


def test_a_busy_port_of_the_demo(capsys):
    with open_listener(Listen("127.0.0.1", 0)) as busy:
        where = f"127.0.0.1:{busy.getsockname()[1]}"
        status, said = refused(capsys, "demo", "--listen", where)
    assert said.startswith(f"cannot listen on {where}: address already in use")
    assert status == 1


@pytest.mark.parametrize("server", ["gunicorn", "granian"])
def test_a_missing_server_is_named_with_its_package(server, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, server, None)
    status, said = refused(capsys, "serve", ":1", "--server", server)
    expected = f"the package {server} is not installed; try: pip install {server}"
    assert said == f"--server {server}: {expected}"
    assert status == 2
