"""The configuration file: every fault with its line, and its routes as a process serves them."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.command import Command, running
from tests.support.client import raw_exchange
from tests.support.client import request_bytes as bytes_for
from tests.support.echo import echo as echo_behaviour
from tests.support.upstream import RawUpstream
from wsgiproxy.cli import _parsers, main, parser
from wsgiproxy.cli.config import read_config
from wsgiproxy.cli.configured import read_configured
from wsgiproxy.cli.faults import Faults
from wsgiproxy.cli.hook_names import _READY, hook_named
from wsgiproxy.cli.listen import CannotStart
from wsgiproxy.cli.variables import from_environment
from wsgiproxy.errors import ConfigurationError

ROUTE = '[[route]]\ntarget = ":1"\n'


@pytest.fixture(params=["uvicorn", "waitress"])
def server(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture
def write(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "proxy.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        pytest.param("a = ", ["1: no TOML: invalid value"], id="syntax"),
        pytest.param("\n\n[x", ["3: no TOML: "], id="syntax-at-the-end"),
        pytest.param(f"max_head = {'9' * 5000}", ["1: no TOML: exceeds the"], id="long-number"),
        pytest.param(
            f"\nmax_head = 0x{'f' * 5000}\n{ROUTE}hooks = [{{a = [0b1{'0' * 63}]}}]",
            ["2: max_head: a number of more than 64", "5: hooks: a number of more than 64"],
            id="numbers-of-no-toml",
        ),
        pytest.param(f"max_head = -9223372036854775808\n{ROUTE}", ["1: max_head=-9"], id="64-bits"),
        pytest.param(
            f"max-head = 65536\nmax_head = 1024\n{ROUTE}head_timeout = 1\nhead-timeout = 2",
            ["1: max-head: expected once, and not as max_head", "6: head-timeout: expected once"],
            id="two-spellings",
        ),
        pytest.param(f"x = {'[' * 3000}", ["1: no TOML: "], id="deep-nesting"),
        pytest.param(f"\ufeff\nx.y = 1\n{ROUTE}", ["2: x: no such key"], id="byte-order-mark"),
        pytest.param("", ["1: no route: expected a table [[route]]"], id="empty"),
        pytest.param("\nroute = 5", ["2: route: expected tables"], id="no-tables"),
        pytest.param(
            f"\nlistn = '8080'\n{ROUTE}",
            ["2: listn: no such key here; did you mean listen?"],
            id="key",
        ),
        pytest.param(f"zzzz = 1\n{ROUTE}", ["1: zzzz: no such key here; expected one"], id="far"),
        pytest.param(f"listen = 'x'\n{ROUTE}", ["1: listen='x': expected host"], id="listen"),
        pytest.param(f"server = 'gunicorn'\n{ROUTE}", ["1: server='gunicorn': exp"], id="server"),
        pytest.param(f"hooks = 'x'\n{ROUTE}", ["1: hooks: 'x': expected a list"], id="hooks"),
        pytest.param(
            f"{ROUTE}hooks = ['miror', 'no.such:f', 5]\n",
            [
                "3: hooks: 'miror': there is none; did you mean mirror? expected",
                "3: hooks: 'no.such:f': ModuleNotFoundError",
                "3: hooks: 5: expected a name",
            ],
            id="hooks-of-a-route",
        ),
        pytest.param(
            f"{ROUTE}max_head = 'x'\nverify = 3\nprefx = '/'\n",
            ["3: max_head='x'", "4: verify=3", "5: prefx: no such key here; did you mean prefix?"],
            id="all-of-them",
        ),
        pytest.param(
            f"{ROUTE}{ROUTE}", ["3: a second route for '/', beside that of line 1"], id="twice"
        ),
        pytest.param("[[route]]\n", ["1: a route: expected a target or a command"], id="neither"),
        pytest.param(f"{ROUTE}command = ['x']", ["3: a route: expected a target or"], id="both"),
        pytest.param("[[route]]\ncommand = 'a \"'", ["2: command="], id="quotation"),
        pytest.param("[[route]]\ncommand = []", ["2: command=[]: expected words"], id="no-words"),
        pytest.param("[[route]]\ntarget = 'x'", ["2: target 'x': expected http"], id="target"),
        pytest.param(f"{ROUTE}prefix = 'a'", ["3: prefix='a': expected a path"], id="prefix"),
        pytest.param(f"{ROUTE}host = 'a/b'", ["3: host='a/b': expected a name"], id="host"),
        pytest.param(f"{ROUTE}cwd = '/'", ["3: cwd: no such key here"], id="of-commands-alone"),
        pytest.param(
            f"{ROUTE}ca_file = '/x'\nverify = false", ["3: route '/': ca_file="], id="needs"
        ),
    ],
)
def test_check_says_every_fault_with_its_line(write, capsys, text, faults):
    path = write(text)
    assert main(["check", path]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(faults), lines
    for fault in faults:
        assert any(line.startswith(f"{path}:{fault}") for line in lines), lines


MANY = """\
listen = "nowhere"
log_fromat = "json"
hooks = [
    "own_hooks_that_fail:hook",
    "own_hooks_that_leave:hook",
    'compres',
]

[[route]]
prefix = "/a"
target = "http://localhost:1"
max_head = '''
[[route]] max_head = 1
'''
verify = [
    "via",
]

[[route]]

[[route]]
prefix = "/a/"  # [[route]]
target = ":1"
command = "x"

[[route]]
host = "two words"
prefix = "/c"
target = ":1"

[[route]]
prefix = "/d"
target = ":1"
cwd = "/"
listen = ":1"

[[route]]
prefix = "/e"
command = "x"
[route.script_env]
prefix = 5

[[route]]
host = "E.localhost"
target = ":1"
ca_file = "/no/such"

[[route]]
host = "e.localhost."
target = ":1"
"""


def test_file_with_faults_of_all_kinds(write, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_hooks_that_fail.py").write_text("{}.missing\n")
    (tmp_path / "own_hooks_that_leave.py").write_text("raise SystemExit(3)\n")
    path = write(MANY)
    assert main(["check", path]) == 1
    found = [line.removeprefix(f"{path}:") for line in capsys.readouterr().out.splitlines()]
    expected = [
        "1: listen='nowhere': expected host:port",
        "2: log_fromat: no such key here; did you mean log_format?",
        "4: hooks: 'own_hooks_that_fail:hook': AttributeError: ",
        "5: hooks: 'own_hooks_that_leave:hook': SystemExit: 3",
        "6: hooks: 'compres': there is none; did you mean compress? expected a ready-made hook or",
        "12: max_head='",
        "15: verify=['via']: expected true or false",
        "19: a route: expected a target or a command, one of them",
        "22: a second route for '/a', beside that of line 9",
        "24: a route: expected a target or a command, one of them",
        "27: 'two words': expected a place",
        "34: cwd: no such key here; it is for a command, and this route has a target",
        "35: listen: no such key here; it stands at the top, before every [[route]]",
        "40: script_env={'prefix': 5}: expected",
        "46: route 'E.localhost': ca_file='/no/such'",
        "49: a second route for 'e.localhost', beside that of line 43",
    ]
    assert len(found) == len(expected), found
    for line, beginning in zip(found, expected, strict=True):
        assert line.startswith(beginning)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(f"server = 'waitress'\nmax_message = 1\n{ROUTE}", 2, id="no-effect-at-top"),
        pytest.param(f"\nca_file = '/no'\n{ROUTE}", 2, id="of-all-routes"),
        pytest.param(f"{ROUTE}tunnel_idle = 5\n", 3, id="no-effect"),
        pytest.param("route = [{target = ':1', x = 1}]", 1, id="routes-of-a-list"),
        pytest.param(f"\n{ROUTE}[route.x]\n", 4, id="table-of-a-route"),
        pytest.param(f"{ROUTE}script_env.A = 1\n", 3, id="dotted"),
        pytest.param(f"{ROUTE}hooks = [\n  'a:b',\n  5,\n]\nx = 1", 7, id="behind-a-list"),
        pytest.param(f"{ROUTE}via = 'a\u2028b'\n'x' = 1", 4, id="line-of-unicode-alone"),
        pytest.param(f"{ROUTE}hooks = ['json:dumps', 'random:choice']", 3, id="no-hook"),
    ],
)
def test_line_of_a_fault(write, capsys, text, line):
    path = write(text)
    assert main(["check", path]) == 1
    assert f"{path}:{line}: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            f"hooks = [{{hok = 'basic', password = 's3cret'}}]\n{ROUTE}",
            "hooks: a table with hok, password: expected a name",
            id="table-without-hook",
        ),
        pytest.param(
            f"hooks = {{hook = 'basic', password = 's3cret'}}\n{ROUTE}",
            "hooks: a table with hook, password: expected a list of names",
            id="table-for-a-list",
        ),
        pytest.param(
            f"hooks = [[{{hook = 'basic', password = 's3cret'}}]]\n{ROUTE}",
            "hooks: a list: expected a name",
            id="list-in-a-list",
        ),
        pytest.param(
            f"hooks = [{{hook = 'mirror', url = 'http://user:s3cret@host'}}]\n{ROUTE}",
            "url='http://***@host': expected",
            id="url",
        ),
        pytest.param(
            "[[route]]\ncommand = 'x'\nscript_env = {TOKEN = 's3cret', PORT = 80}\n",
            "script_env={'TOKEN': '***', 'PORT': 80}: expected variables",
            id="variables",
        ),
        pytest.param(
            "[[route]]\ncommand = 'x'\nscript_env = 'TOKEN=a s3cret'\n",
            "script_env='TOKEN=***': expected variables",
            id="variables-in-one-string",
        ),
    ],
)
def test_secret_is_not_shown(write, capsys, text, message):
    assert main(["check", write(text)]) == 1
    out = capsys.readouterr().out
    assert message in out and "s3cret" not in out


def test_check_lists_the_routes(write, capsys):
    path = write(f'{ROUTE}[[route]]\nhost = "a.localhost"\nprefix = "/b"\ncommand = "npm start"\n')
    assert main(["check", path]) == 0
    assert capsys.readouterr().out == (
        f"{path}: listens on 127.0.0.1:8080\n"
        "  / -> http://127.0.0.1:1\n"
        "  a.localhost/b -> npm start\n"
    )


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_bytes(b"\xff")])
def test_file_that_cannot_be_read(tmp_path, make):
    make(tmp_path / "x")
    with pytest.raises(CannotStart, match=r"^/\S+: [\w -]+$"):
        read_config(str(tmp_path / "x"))


def test_hook_with_arguments_is_called():
    assert hook_named("json:dumps") is json.dumps
    assert hook_named({"hook": "json:dumps", "obj": [1]}) == "[1]"


def test_hook_that_fails_when_it_is_made_again_has_a_line(write, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_hooks_of_one_use.py").write_text("made = iter([print]).__next__\n")
    path = write(f"{ROUTE}hooks = [{{hook = 'own_hooks_of_one_use:made'}}]\n")
    assert main(["check", path]) == 1
    assert f"{path}:3: hooks: 'own_hooks_of_one_use:made'" in capsys.readouterr().out


def test_ready_made_hook_is_called():
    assert hook_named("compress").__name__.startswith("compress(")
    settings = {"url": "http://localhost:4000", "share": 0.5}
    assert hook_named({"hook": "mirror", **settings}).__name__ == "mirror(http://localhost:4000)"
    with pytest.raises(ConfigurationError, match="hooks: 'mirror': TypeError: .*url"):
        hook_named("mirror")
    with pytest.raises(ConfigurationError, match="did you mean mirror"):
        hook_named("miror")


def test_each_ready_made_hook_has_its_name():
    page = (Path(__file__).parents[2] / "docs" / "api" / "hooks_ready.rst").read_text()
    documented = set(re.findall(r"autofunction:: (?:[\w.]+\.)?(\w+)$", page, re.M))
    assert set(_READY) == documented - {"credentials", "logged_in"}  # objects of other packages


def test_environment_says_what_the_flags_say():
    process, common = from_environment(
        {"WSGIPROXY_LISTEN": ":1", "WSGIPROXY_MAX_HEAD": "1k", "WSGIPROXY_VIA": ""}
    )
    assert (process, common) == ({"listen": ":1"}, {"max_head": 1024})
    with pytest.raises(ConfigurationError, match="^WSGIPROXY_VERIFY: verify='x': expected true"):
        from_environment({"WSGIPROXY_VERIFY": "x"})


@pytest.mark.parametrize(
    ("environ", "typed", "expected"),
    [
        pytest.param({}, [], ("127.0.0.1:1", 5.0, False, "error"), id="file"),
        pytest.param(
            {
                "WSGIPROXY_LISTEN": ":2",
                "WSGIPROXY_HEAD_TIMEOUT": "6",
                "WSGIPROXY_CHECK": "yes",
                "WSGIPROXY_LOG_LEVEL": "debug",
            },
            [],
            (":2", 6.0, True, "debug"),
            id="environment",
        ),
        pytest.param(
            {
                "WSGIPROXY_LISTEN": ":2",
                "WSGIPROXY_HEAD_TIMEOUT": "6",
                "WSGIPROXY_CHECK": "no",
                "WSGIPROXY_LOG_LEVEL": "debug",
            },
            # Each with the value of its default.
            [
                "--listen",
                "127.0.0.1:8080",
                "--head-timeout",
                "60",
                "--check",
                "--log-level",
                "info",
            ],
            ("127.0.0.1:8080", 60.0, True, "info"),
            id="command-line",
        ),
    ],
)
def test_command_line_counts_more_than_environment_and_that_more_than_the_file(
    write, monkeypatch, environ, typed, expected
):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    top = 'listen = "127.0.0.1:1"\nhead_timeout = 5\ncheck = false\nlog_level = "error"\n'
    words = ["serve", "--config", write(f"{top}{ROUTE}"), *typed]
    arguments = parser().parse_args(words)
    site = read_configured(arguments)
    found = (arguments.listen, site.settings["head_timeout"], arguments.check, site.log.level)
    assert found == expected


def test_option_of_a_route_counts_more_than_all(write, monkeypatch):
    monkeypatch.setenv("WSGIPROXY_VIA", "environment")
    path = write(f"via = 'top'\n{ROUTE}via = 'route'\n")
    words = ["serve", "--config", path, "--server", "waitress", "--via", "typed"]
    site = read_configured(parser().parse_args(words))
    (route,) = site.config.routes
    assert site.described(route)[2] == {"via": "route"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("WSGIPROXY_LISTEN", "WSGIPROXY_LISTEN: listen='?': expected host", id="row"),
        pytest.param("WSGIPROXY_NOW", "WSGIPROXY_NOW: now='?': expected true or", id="command"),
        pytest.param("WSGIPROXY_LISTN", "WSGIPROXY_LISTN: did you mean listen?", id="unknown"),
    ],
)
def test_wrong_variable_is_named(write, monkeypatch, capsys, name, message):
    monkeypatch.setenv(name, "?")
    assert main(["serve", "--config", write(ROUTE)]) == 2
    assert message in capsys.readouterr().err


def test_variable_that_no_route_can_have_is_named(write, monkeypatch, capsys):
    monkeypatch.setenv("WSGIPROXY_CA_FILE", "/no/such")
    assert main(["serve", "--config", write(ROUTE), "--no-check"]) == 1
    assert "or by WSGIPROXY_CA_FILE" in capsys.readouterr().err


def test_variable_without_effect_with_the_server_is_named(write, monkeypatch, capsys):
    monkeypatch.setenv("WSGIPROXY_MAX_MESSAGE", "5")
    words = ["serve", "--config", write(ROUTE), "--server", "waitress"]
    assert main(words) == 2
    assert "WSGIPROXY_MAX_MESSAGE: waitress carries no WebSocket" in capsys.readouterr().err


def test_variables_of_kubernetes_are_none_of_ours():
    """It sets these for each service; this one is called wsgiproxy."""
    names = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP"]
    names += [f"PORT_80_TCP_{end}" for end in ("PROTO", "PORT", "ADDR")]
    assert from_environment({f"WSGIPROXY_{name}": "tcp://10.0.0.1:80" for name in names}) == (
        {},
        {},
    )


#: Options of the command that the file does not have, and what it has instead.
NOT_IN_THE_FILE = {
    "help": "nothing to set",
    "config": "the file itself",
    "target": "target of a [[route]]",
    "prefix": "prefix of a [[route]]; it is no option of all",
}
#: Where an option may stand.
PLACES = ["{}\n[[route]]\ntarget = ':1'\n", ROUTE + "{}\n", "[[route]]\ncommand = 'x'\n{}\n"]


#: Values of all types, which most options cannot have.
VALUES = [
    "{}",
    "[[{a = 1}]]",
    "inf",
    "nan",
    "-1",
    "1e400",
    "true",
    "2026-11-30T10:00:00",
    "'\\u0000'",
]


def faults_of(path: str) -> str:
    try:
        read_config(path)
    except Faults as faults:
        return str(faults)
    return ""


def test_every_option_of_the_command_can_be_in_the_file(write):
    served = _parsers()[1]["serve"]
    names = {action.dest for action in served._actions} - NOT_IN_THE_FILE.keys()
    assert len(names) > 50
    for value in VALUES:
        lines = "\n".join(f"{name} = {value}" for name in names)
        faults = [faults_of(write(place.format(lines))) for place in PLACES]
        assert all("no such key" in each for each in faults[1:])
        unknown = [set(re.findall(r": (\w+): no such key", each)) for each in faults]
        assert not set.intersection(*unknown)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([":1"], "TARGET: expected no --config beside it", id="target"),
        pytest.param(["--prefix", "/a"], "--prefix: expected no --config", id="prefix"),
        pytest.param(["--now"], "--now: expected a [[route]] with a command", id="now"),
        pytest.param(["--server", "gunicorn"], "expected uvicorn or waitress beside", id="server"),
        pytest.param(["--", "npm"], "COMMAND: expected no --config beside it", id="command"),
    ],
)
def test_flags_that_mean_nothing_beside_a_file(write, capsys, arguments, message):
    assert main(["serve", "--config", write(ROUTE), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_serve_says_every_fault(write, capsys):
    path = write(f"listn = 1\n{ROUTE}verify = 3\n")
    assert main(["serve", "--config", path]) == 1
    assert [line.rpartition(path)[2][:3] for line in capsys.readouterr().err.splitlines()] == [
        ":1:",
        ":4:",
    ]


def test_target_that_does_not_answer(write, capsys):
    assert main(["serve", "--config", write(ROUTE)]) == 1
    assert "nothing answers at http://127.0.0.1:1" in capsys.readouterr().err


def asked(command: Command, port: int, path: str, host: str = "front.localhost"):
    response = raw_exchange(port, bytes_for(f"GET {path}", host=host))
    return response.status, response.body


HOOK = """\
def mark(request):
    request.headers["X-Mark"] = "here"
    yield request


def shout(request):
    response = yield request
    response.headers["X-Shout"] = "loud"
    return response
"""


def test_routes_are_served(server, write, tmp_path):
    (tmp_path / "own_hooks.py").write_text(HOOK)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "page.txt").write_text("of the command")
    with RawUpstream(echo_behaviour) as echo:
        words = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "{port}"]
        path = write(
            f"""
            listen = "127.0.0.1:0"
            server = "{server}"
            preserve_host = true

            [[route]]
            prefix = "/a"
            target = "{echo.url}"
            hooks = ["own_hooks:mark"]

            [[route]]
            host = "b.example"
            target = "{echo.url}"
            preserve_host = false

            [[route]]
            prefix = "/files"
            command = {json.dumps(words)}
            cwd = {json.dumps(str(tmp_path))}
            ready = "{{prefix}}/page.txt"
            now = true
            hooks = ["own_hooks:shout"]
            """
        )
        env = {
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())]),
            "WSGIPROXY_FORWARDED": "true",
        }
        with running("serve", "--config", path, env=env) as command:
            line = command.line()
            assert f"-> {path}, 3 routes ({server}" in line
            port = urlsplit(line.split()[1]).port
            assert port
            status, body = asked(command, port, "/a/x")
            fields = {name.lower(): value for name, value in json.loads(body)["headers"]}
            assert fields["x-mark"] == "here" and fields["host"] == "front.localhost"
            assert "forwarded" in fields
            status, body = asked(command, port, "/x", "b.example")
            fields = {name.lower(): value for name, value in json.loads(body)["headers"]}
            assert fields["host"] == urlsplit(echo.url).netloc and "x-mark" not in fields
            page = raw_exchange(port, bytes_for("GET /files/page.txt", host="front.localhost"))
            assert (page.status, page.body) == (200, b"of the command")
            assert dict(page.headers).get("x-shout", dict(page.headers).get("X-Shout")) == "loud"
            assert asked(command, port, "/else")[0] == 404
            assert asked(command, port, "/a/x", "other.example")[0] == 421
            assert command.end() == 0
            assert not command.left_over()
            assert "Traceback" not in command.stderr


def test_example_of_the_page_can_be_served(capsys):
    path = Path(__file__).parents[2] / "docs" / "examples" / "proxy.toml"
    assert main(["check", str(path)]) == 0
    assert capsys.readouterr().out.count(" -> ") == path.read_text().count("[[route]]")
