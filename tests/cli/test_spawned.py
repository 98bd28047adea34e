"""``serve -- COMMAND`` as a process: what is started, when, and what is told of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from tests.cli.json_server import JSON_SERVER
from tests.cli.serving import SERVERS, Served, served
from tests.spawn.children import alive, child, until
from tests.support.ports import free_port
from wsgiproxy.cli.websocket import limits

pytestmark = pytest.mark.in_turns(4, "server")

#: Answers a few paths; `JSON_SERVER` answers all.
SERVE = child(port="{port}")


@pytest.fixture(params=SERVERS)
def server(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture(scope="module")
def configured() -> Iterator[Served]:
    """A process with many options, for the questions that need no others."""
    env = {"CANARY": "1", "DB_USER": "2", "DB_PASSWORD": "3", "TOKEN": "4"}
    options = ["--inherit-env", "DB_*", "--inherit-env", "TOKEN", "--no-preserve-host"]
    options += ["--script-env", "ONE=a b=c", "--script-env", "TWO=", "--script-env", "AT={port}"]
    with served(SERVE, *options, env=env) as site:
        yield site


# The start


def test_the_first_request_starts_the_command(server):
    with served(JSON_SERVER, "--server", server, "--threads", "2", "--prefix", "/app") as site:
        how = "started by the first request; " + limits(server, 2, "2")
        url = f"http://127.0.0.1:{site.port}/app/"
        assert site.first_line.startswith(f"Serving {url} -> ")
        assert site.first_line.endswith(f"json_server.py '{{port}}' ({how}). Ctrl-C ends it.\n")
        assert not site.processes() and site.log == ""
        assert site.json("/app/a//b?c")["line"] == "GET /app/a//b?c HTTP/1.1"
        site.wait_for("ready after")
        story = [re.sub(r"\d+", "1", line) for line in site.lines]
        assert story[0].startswith("starting: ")
        assert re.fullmatch(r"ready after 1\.1 s: process 1 at http://1.1.1.1:1", story[1])


def test_now_starts_the_command_before_a_request(server):
    with served(SERVE, "--server", server, "--now") as site:
        assert f"(started now; {limits(server, 8, None)})" in site.first_line
        site.wait_for("ready after")
        pid = re.search(r"process (\d+) at", site.log)
        assert pid and site.get().body.decode() == pid[1]


def test_a_command_answers(configured):
    assert configured.get().status == 200
    assert configured.json("/echo")["line"] == "GET /echo HTTP/1.1"


@pytest.mark.parametrize(
    ("words", "options", "where"),
    [
        pytest.param({"port": "{port}"}, [], "http://127.0.0.1:", id="port"),
        pytest.param({"port": "__PORT__"}, [], "http://127.0.0.1:", id="port-of-0.2"),
        pytest.param({"socket": "{socket}"}, [], "unix:/", id="unix"),
        pytest.param({}, [], "http://127.0.0.1:", id="no-placeholder"),
        pytest.param({}, ["--socket", "inherit"], "http://127.0.0.1:", id="inherit"),
    ],
)
def test_placeholders_choose_the_kind_of_socket(words, options, where):
    with served(child(**words), *options) as site:
        facts = site.json("/facts")
        assert "{" not in "".join(facts["words"])
        assert ("LISTEN_FDS" in facts["environment"]) == (not words.keys() & {"port", "socket"})
        site.wait_for(f" at {where}")


def test_fd_placeholder(tmp_path):
    (tmp_path / "our_site.py").write_text(
        "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'x']\n"
    )
    gunicorn = [sys.executable, "-m", "gunicorn", "-b", "fd://{fd}", "our_site:app"]
    with served(gunicorn, "--cwd", str(tmp_path)) as site:
        assert site.get().body == b"x"
        until(
            lambda: re.search(r" ready after .* at http://127\.0\.0\.1:\d+\n", site.log), "the line"
        )


def test_spawned_port_option():
    port = free_port()
    with served(SERVE, "--spawned-port", str(port)) as site:
        assert site.json("/facts")["words"][-1] == f"port={port}"


# What it is told


def test_prefix_placeholder():
    options = ["--prefix", "/a/b", "--script-env", "BASE={prefix}/", "--ready", "{prefix}/up"]
    with served([*JSON_SERVER, "base={prefix}"], *options) as site:
        told = site.json("/a/b/c")
        assert told["words"][-1] == "base=/a/b"
        assert told["environment"]["BASE"] == "/a/b/"
        site.wait_for("| asked for /a/b/c\n")
        # Each thread of that server writes its line when it comes to it.
        site.wait_for("| asked for /a/b/up\n")
        assert sorted(re.findall(r"asked for (\S+)", site.log)) == ["/a/b/c", "/a/b/up"]


@pytest.mark.parametrize(
    ("options", "path"),
    [
        pytest.param([], "/app/x", id="the-whole-path"),
        pytest.param(["--strip-script-name"], "/x", id="without-the-mount"),
        pytest.param(["--no-strip-script-name"], "/app/x", id="the-whole-path-explicitly"),
    ],
)
def test_strip_script_name_option(options, path):
    with served(JSON_SERVER, "--prefix", "/app", *options) as site:
        asked = site.json("/app/x")
        fields = {name.lower(): value for name, value in asked["headers"]}
        assert asked["line"] == f"GET {path} HTTP/1.1"
        assert fields["x-script-name"] == "/app"
        assert ("x-forwarded-prefix" in fields) == (path == "/x")  # what is not in the path
        assert fields["host"] == "front.localhost"
        alone = site.get("/app?q")
        strips = path == "/x"  # and so the command does not see whether there was a slash
        assert alone.status == (302 if strips else 200)
        assert alone.values("Location") == (["/app/?q"] if strips else [])


def test_preserve_host_option(configured):
    assert dict(configured.json("/echo")["headers"])["Host"].startswith("127.0.0.1:")


def test_script_env_option(configured):
    facts = configured.json("/facts")
    environment = facts["environment"]
    assert (environment["ONE"], environment["TWO"]) == ("a b=c", "")
    assert facts["words"][-1] == f"port={environment['AT']}"


def test_inherit_env_option_names_variables(configured):
    environment = configured.json("/facts")["environment"]
    inherited = {"DB_USER": "2", "DB_PASSWORD": "3", "TOKEN": "4", "CANARY": None}
    assert {name: environment.get(name) for name in inherited} == inherited


def test_inherit_env_option_for_all_variables():
    with served(SERVE, "--inherit-env", "true", env={"CANARY": "1"}) as site:
        assert site.json("/facts")["environment"]["CANARY"] == "1"


def test_cwd_option(tmp_path):
    script = tmp_path / "start"
    script.write_text('#!/bin/sh\nexec "$@"\n')
    script.chmod(0o755)
    with served(["./start", *SERVE], "--cwd", str(tmp_path)) as site:
        assert site.json("/facts")["cwd"] == str(tmp_path)


# Its life


def test_requests_wait_for_ready(tmp_path):
    gate = tmp_path / "gate"
    with served(SERVE, "--ready", f"/gate?{gate}", "--max-wait", "60") as site:
        asked = site.ask("/pid")
        site.wait_for("starting: ")
        until(site.processes)
        assert "ready after" not in site.log
        gate.touch()
        assert asked.answer().status == 200
        site.wait_for("ready after")


def test_ready_needs_a_good_status():
    options = ["--ready", "/nothing", "--start-timeout", "1"]
    with served(SERVE, *options) as site:
        assert site.get().status == 502
        site.wait_for("it was not ready after 1 s: /nothing answers 404")


def test_idle_shutdown_and_the_next_start():
    with served(SERVE, "--idle-shutdown", "0.2") as site:
        first = int(site.get().body)
        site.wait_for("stopping: no request for 0 s")
        site.wait_for(" stopped\n")
        assert not alive(first) and not site.processes()
        assert int(site.get().body) != first


# What is told of it


def test_output_of_the_command_is_marked():
    with served([*SERVE, "say=ready after 9 s"]) as site:
        assert site.get().status == 200
        site.wait_for("| ready after 9 s\n")
        lines = site.lines
        assert "| ready after 9 s" in lines
        assert all(line.startswith(("| ", "starting: ", "ready after ")) for line in lines)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        pytest.param(
            child("leave", status=3, say="no module"), "it ended with status 3 before", id="status"
        ),
        pytest.param(
            child("leave", signal=6, say="no module"), "it ended by SIGABRT before", id="signal"
        ),
        pytest.param(
            child("idle", say="no module"), "it was not ready after 1 s: ", id="never-listens"
        ),
    ],
)
def test_a_failed_start_is_logged_with_the_last_lines(command, reason):
    with served([*command, "port={port}"], "--start-timeout", "1") as site:
        answer = site.get()
        assert answer.status == 502
        site.wait_for("; its last lines are above\n")
        assert site.log.count("| no module\n") == 1
        assert reason in site.log and "Traceback" not in site.log
        assert b"no module" not in answer.body


def test_a_variable_that_is_not_inherited_is_named_once_with_its_option():
    code = "import os; os.environ['DATABASE_URL']"
    with served([sys.executable, "-c", code], env={"DATABASE_URL": "canary-5f2a"}) as site:
        assert site.get().status == 502
        site.wait_for("(--inherit-env DATABASE_URL) does that; its last lines are above\n")
        assert site.log.count("KeyError") == 1
        assert "canary" not in site.log


def test_debug_option_shows_the_output_to_clients():
    with served(child("leave", status=3, say="no module"), "--debug") as site:
        assert b"no module" in site.get().body


def test_no_check_reports_a_missing_command_at_the_first_request():
    with served(["./nosuch"], "--no-check") as site:
        assert site.get().status == 502
        site.wait_for("it cannot be run: No such file or directory")
        assert "Traceback" not in site.log


def test_control_characters_of_the_command_are_escaped():
    with served([*SERVE, "x=a\nb\x1b[2J\udcff"]) as site:
        assert r"'x=a\nb\x1b[2J\udcff' (started" in site.first_line
        assert site.json("/facts")["words"][-1] == "x=a\nb\x1b[2J\udcff"
