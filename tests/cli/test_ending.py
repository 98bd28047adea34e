"""The end of ``serve -- COMMAND``: Ctrl-C, SIGTERM and SIGKILL, and the command's own end."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import time

import pytest

from tests.cli.command import request_bytes
from tests.cli.serving import SERVERS, served, served_on_terminal
from tests.cli.terminal import on_a_terminal
from tests.spawn.children import alive, child, until
from tests.support.client import RawClient, raw_exchange
from tests.support.upstream import answer

pytestmark = pytest.mark.in_turns(4)

# Says that it was asked, and answers when there is a file.
_SLOW = """
import http.server, os, sys, time

class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print("asked", flush=True)
        while not os.path.exists(sys.argv[2]):
            time.sleep(0.01)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"done")

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Slow).serve_forever()
"""


@pytest.fixture(params=SERVERS)
def server(request):
    pytest.importorskip(request.param)
    return request.param


def command(ended, **options: object) -> list[str]:
    """A server that notes each SIGTERM in a file."""
    return child(port="{port}", ended=ended, **options)


def test_ctrl_c_ends_the_command_with_one_sigterm_and_no_sigint(server, tmp_path):
    ended = tmp_path / "ended"
    with served_on_terminal(command(ended), "--server", server) as site:
        pid = int(site.ask("/pid").answer().body)
        site.terminal.press_ctrl_c()
        assert site.terminal.wait() == 0
        assert not site.processes() and not alive(pid)
        assert ended.read_text() == f"{pid}\n"
        rows = site.terminal.screen.rows
        assert "Traceback" not in site.terminal.screen.text  # of a KeyboardInterrupt
        assert [row[9:] for row in rows[-3:]] == ["stopping", "stopped", ""]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_a_signal_to_the_process_alone_ends_the_command_with_one_sigterm(server, number, tmp_path):
    ended = tmp_path / "ended"
    with served(command(ended), "--server", server) as site:
        pid = int(site.get("/pid").body)
        assert site.command.end(number) == 0
        assert not site.processes()
        assert ended.read_text() == f"{pid}\n"
        assert site.lines[-2:] == ["stopping", "stopped"]


def test_sigkill_ends_the_command_too(server):
    with served(child(port="{port}", ignore="yes"), "--server", server) as site:
        assert site.get().status == 200
        assert site.processes()
        assert site.command.end(signal.SIGKILL) == -signal.SIGKILL
        until(lambda: not site.processes(), "the command lives on", limit=1)
        with socket.socket() as probe:  # nor does a worker of the server
            assert probe.connect_ex(("127.0.0.1", site.port))


def test_stop_timeout_of_the_command(server, tmp_path):
    """It takes longer than the command of a parent that has died would be given."""
    ended = tmp_path / "ended"
    with served_on_terminal(command(ended, linger=1.5), "--server", server) as site:
        pid = int(site.ask("/pid").answer().body)
        site.terminal.press_ctrl_c()
        assert site.terminal.wait() == 0
        lives = site.terminal.screen.lives
        assert [line for line in lives if " stopping for 1." in line], lives
        assert ended.read_text() == f"{pid}\n"
        assert site.terminal.screen.faults == []


def test_a_command_that_ignores_sigterm_is_killed(server):
    options = ["--server", server, "--stop-timeout", "0.3"]
    with served(child(port="{port}", ignore="yes"), *options) as site:
        pid = int(site.get("/pid").body)
        assert site.command.end() == 0
        assert not alive(pid)
        assert site.lines[-2:] == ["stopping", "stopped"]


@pytest.mark.parametrize("typed", [True, False], ids=["ctrl-c", "sigterm"])
def test_requests_that_wait_for_a_start_get_503_at_the_end(server, typed):
    """Or the server would wait for the answer, and break the connection in the end."""
    with served_on_terminal([*child("idle"), "port={port}"], "--server", server) as site:
        asked = site.ask()
        site.terminal.wait_for("starting: ")
        until(site.processes)
        if typed:
            site.terminal.press_ctrl_c()
        else:
            site.terminal.process.send_signal(signal.SIGTERM)
        assert asked.answer().status == 503, site.terminal.output
        assert site.terminal.wait() == 0
        text = site.terminal.screen.text
        assert "Traceback" not in text and "still running" not in text
        assert site.terminal.screen.faults == []
        # The line of the request comes from a thread of its own.
        assert any(row.endswith(" stopped") for row in site.terminal.screen.rows[-3:])


def test_a_request_in_progress_is_finished(server, tmp_path):
    gate = tmp_path / "gate"
    with served_on_terminal(
        [sys.executable, "-c", _SLOW, "{port}", str(gate)], "--server", server
    ) as site:
        asked = site.ask()
        site.terminal.wait_for("| asked")
        site.terminal.process.send_signal(signal.SIGTERM)
        gate.touch()
        assert asked.answer().body == b"done"
        assert site.terminal.wait() == 0


def test_a_second_ctrl_c_ends_at_once():
    with served_on_terminal(child(port="{port}", ignore="yes"), "--stop-timeout", "600") as site:
        assert site.ask().answer().status == 200
        site.terminal.press_ctrl_c()
        site.terminal.wait_for(" stopping for 1.")
        site.terminal.press_ctrl_c()
        assert site.terminal.wait() == 130
        until(lambda: not site.processes(), "the command lives on")
        assert site.terminal.screen.rows[-1] == ""
        assert site.terminal.screen.faults == []


_IN_PROGRESS = (
    "ending: 1 request is in progress, with 5 s to finish; Ctrl-C again waits for nothing"
)


@contextlib.contextmanager
def asked_and_never_answered(upstream, server):
    """A server on a terminal, with a request that its target does not answer."""
    upstream.behaviour = [("read",), ("wait_ended",)]
    words = ("serve", upstream.url, "--listen", "127.0.0.1:0", "--server", server)
    with on_a_terminal(*words) as terminal, RawClient(terminal.port) as client:
        client.send(request_bytes("GET /"))
        upstream.wait_for_requests(1)
        yield terminal


def test_ctrl_c_logs_the_requests_in_progress_and_a_second_one_ends_at_once(server, upstream):
    with asked_and_never_answered(upstream, server) as terminal:
        terminal.press_ctrl_c()
        terminal.wait_for(_IN_PROGRESS)
        time.sleep(0.6)  # a terminal and a parent may both pass one Ctrl-C on
        began = time.monotonic()
        terminal.press_ctrl_c()
        assert terminal.wait() == 130
        assert time.monotonic() - began < 3, "it has waited for the 5 s of the server"
        assert "Traceback" not in terminal.output


def test_no_log_line_without_requests_in_progress(server, upstream):
    upstream.behaviour = answer(body=b"x")
    words = ("serve", upstream.url, "--listen", "127.0.0.1:0", "--server", server)
    with on_a_terminal(*words) as terminal:
        assert raw_exchange(terminal.port, request_bytes("GET /")).status == 200
        terminal.press_ctrl_c()
        assert terminal.wait() == 0
        assert "ending" not in terminal.output


def test_stop_timeout_with_a_request_in_progress(server, tmp_path):
    """The server waits 5 s for the request, and then the command ends as it always does."""
    ended = tmp_path / "ended"
    words = [sys.executable, "-c", _SLOW, "{port}", str(tmp_path / "never")]
    with served_on_terminal([*words], "--server", server) as site:
        asked = site.ask()
        site.terminal.wait_for("| asked")
        began = time.monotonic()
        site.terminal.press_ctrl_c()
        assert site.terminal.wait() == 0
        assert 4 < time.monotonic() - began < 10
        text = site.terminal.screen.text
        assert "stopping" in text and "stopped" in text, ended
        assert not site.processes()
        asked.answer()


def test_two_signals_at_once_count_as_one_ctrl_c(tmp_path):
    """The terminal tells the whole group, and some parents pass it on as well."""
    ended = tmp_path / "ended"
    with served_on_terminal(command(ended, linger=1)) as site:
        pid = int(site.ask("/pid").answer().body)
        site.terminal.press_ctrl_c()
        site.terminal.wait_for(" stopping\r\n")
        site.terminal.process.send_signal(signal.SIGINT)
        assert site.terminal.wait() == 0
        assert ended.read_text() == f"{pid}\n"
        assert site.terminal.output.count(" stopping\r\n") == 1


def test_a_crash_of_the_command_is_logged_and_it_is_started_again():
    with served(child(port="{port}")) as site:
        assert site.get("/exit?7").status == 502
        site.wait_for("it ended with status 7; not tried again for 1 s")
        until(lambda: site.get().status == 200)
        assert site.log.count(" starting: ") == 2
