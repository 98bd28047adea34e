"""Commands that do not do what they should: the log says why, and the client little."""

from __future__ import annotations

import html
import json
import logging
import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.spawn.children import (
    PROGRAM,
    Answer,
    alive,
    ask,
    child,
    errors,
    lines_of,
    processes,
    until,
)

NO_COMMAND = "no-such-command-of-ours"
#: The only thing that a client learns.
SENTENCE = "The application could not be started."


@pytest.fixture(autouse=True)
def _heard(caplog):
    caplog.set_level(logging.DEBUG, "wsgiproxy.spawn")


def secrets_in(answer: Answer, *words: str) -> list[str]:
    """Those words that the client could read."""
    shown = str(answer.headers) + answer.text
    return [word for word in words if word in shown]


def script(path: Path, text: str, mode: int = 0o700) -> list[str]:
    path.write_text(text)
    path.chmod(mode)
    return [str(path)]


COMMANDS = [
    pytest.param(
        lambda path: [NO_COMMAND],
        {},
        "it cannot be run: No such file or directory",
        id="does-not-exist",
    ),
    pytest.param(
        lambda path: [str(path / "nothing")],
        {},
        "it cannot be run: No such file or directory",
        id="path-does-not-exist",
    ),
    pytest.param(
        lambda path: script(path / "file", "#!/bin/sh\n", 0o600),
        {},
        "it cannot be run: Permission denied",
        id="not-executable",
    ),
    pytest.param(
        lambda path: [str(path)], {}, "it cannot be run: Permission denied", id="a-folder"
    ),
    pytest.param(
        lambda path: script(path / "file", "\0\1\2"),
        {},
        "it cannot be run: Exec format error",
        id="not-a-program",
    ),
    pytest.param(
        lambda path: script(path / "file", "#!/no/such/interpreter\n"),
        {},
        "it cannot be run: No such file or directory",
        id="no-interpreter",
    ),
    pytest.param(
        lambda path: child("leave", status=0),
        {},
        "it ended with status 0 before it was ready",
        id="exits-with-0",
    ),
    pytest.param(
        lambda path: child("leave", status=3),
        {},
        "it ended with status 3 before it was ready",
        id="exits-with-3",
    ),
    pytest.param(
        lambda path: child("leave", signal=int(signal.SIGSEGV)),
        {},
        "it ended by SIGSEGV before it was ready",
        id="ends-by-a-signal",
    ),
    pytest.param(
        lambda path: child("leave", signal=int(signal.SIGKILL)),
        {},
        "it ended by SIGKILL before it was ready",
        id="is-killed",
    ),
    pytest.param(
        lambda path: child("idle"),
        {"start_timeout": 2},
        "it was not ready after . s: nobody accepts connections on the socket that was handed over",
        id="never-listens",
    ),
    pytest.param(
        lambda path: child("idle", port="{port}"),
        {"start_timeout": 2},
        r"it was not ready after . s: nothing listens on port \d+",
        id="never-listens-on-its-port",
    ),
    pytest.param(
        lambda path: child("idle", socket="{socket}"),
        {"start_timeout": 2},
        "it was not ready after . s: nothing listens on its socket",
        id="never-listens-on-its-unix-socket",
    ),
    pytest.param(
        lambda path: child("deaf"),
        {"start_timeout": 2},
        "it was not ready after . s: nobody accepts connections on the socket that was handed over",
        id="never-accepts",
    ),
    pytest.param(
        lambda path: child("deaf", port="{port}"),
        {"start_timeout": 2},
        r"it was not ready after . s: nobody accepts connections on port \d+",
        id="never-accepts-on-its-port",
    ),
    pytest.param(
        lambda path: child(),
        {"start_timeout": 2, "ready": "/nothing-here"},
        "it was not ready after . s: /nothing-here answers 404",
        id="never-gets-well",
    ),
    pytest.param(
        lambda path: child("idle", ignore="yes"),
        {"start_timeout": 2, "stop_timeout": 0.2},
        "it was not ready after . s",
        id="never-listens-and-ignores-SIGTERM",
    ),
    pytest.param(
        lambda path: child("background"),
        {},
        "it went into the background: its main process ended with status 0 before it was ready",
        id="forks-twice-into-the-background",
    ),
    pytest.param(
        lambda path: child("background", ignore="yes"),
        {},
        "it went into the background: its main process ended with status 0 before it was ready",
        id="forks-twice-and-ignores-SIGTERM",
    ),
]


@pytest.mark.parametrize(("command", "options", "reason"), COMMANDS)
def test_the_log_says_why_and_the_client_gets_a_sentence(
    spawn, mark, tmp_path, caplog, command, options, reason
):
    words = command(tmp_path)
    app = spawn(words, **options)
    answer = ask(app)
    assert (answer.status, SENTENCE in answer.text) == (502, True)
    assert not secrets_in(answer, *words, str(tmp_path), "status", "SIG", "ready", "background")
    [error] = until(lambda: errors(caplog), "an error in the log")
    assert re.search(re.escape(words[0]) + ".*: " + reason, error), error
    assert "; it has written nothing" in error
    assert re.search("; not tried again for (1|30) s; ", error), error
    assert processes(mark) == {}


@pytest.mark.parametrize("accept", ["*/*", "text/html", "text/plain", "application/json"])
def test_no_media_type_of_the_error_page_shows_the_reason(spawn, tmp_path, accept):
    app = spawn(child("leave", status=3, say="password"), cwd=tmp_path)
    answer = ask(app, HTTP_ACCEPT=accept)
    assert (answer.status, SENTENCE in answer.text) == (502, True)
    inside = ["password", sys.executable, PROGRAM.name, str(tmp_path), "status 3"]
    assert not secrets_in(answer, *inside)
    ask(app)  # once more: now it has failed before
    refused = ask(app, HTTP_ACCEPT=accept)
    assert refused.status == 503
    assert not secrets_in(refused, *inside, "fail")


@pytest.mark.parametrize(("command", "options", "reason"), COMMANDS[::4])
def test_debug_shows_the_reason_to_the_client(spawn, tmp_path, command, options, reason):
    answer = ask(spawn(command(tmp_path), debug=True, **options), HTTP_ACCEPT="text/plain")
    assert answer.status == 502
    assert SENTENCE in answer.text
    assert re.search(reason, answer.text), answer.text


def test_a_command_that_cannot_be_run_is_not_tried_again_at_once(spawn):
    app = spawn([NO_COMMAND])
    assert [ask(app).status for _ in range(3)] == [502] * 3
    state = app._backend.lifecycle.state
    assert (app.state, state.failures, round(state.until - state.since)) == ("failed", 1, 30)
    app.stop()
    assert app.state == "stopped"


def test_a_command_that_is_installed_later_is_found_after_a_stop(spawn, tmp_path):
    path = tmp_path / "late"
    app = spawn([str(path)])
    assert ask(app).status == 502
    script(path, "#!/bin/sh\nexec " + " ".join(child()))
    app.stop()
    assert ask(app).status == 200


def test_stop_waits_for_stop_timeout_before_sigkill(spawn, starts):
    app = spawn(child(ignore="yes", starts=starts), stop_timeout=0.5)
    pid = int(ask(app).text)
    since = time.monotonic()
    app.stop()
    assert time.monotonic() - since > 0.4
    assert alive(pid) == []
    assert ask(app).text == lines_of(starts)[1]


def test_a_removed_folder_is_named_in_the_log_and_not_to_the_client(spawn, tmp_path, caplog):
    folder = tmp_path / "work"
    folder.mkdir()
    app = spawn(child(), cwd=folder)
    folder.rmdir()
    answer = ask(app)
    assert (answer.status, SENTENCE in answer.text) == (502, True)
    assert not secrets_in(answer, str(folder))
    [error] = until(lambda: errors(caplog), "an error in the log")
    assert f"No such file or directory: '{folder}'" in error
    folder.mkdir()
    app.stop()
    assert ask(app).status == 200


def test_a_folder_that_may_not_be_entered_is_named(spawn, tmp_path, caplog):
    if os.geteuid() == 0:
        pytest.skip("root may enter every folder")
    folder = tmp_path / "work"
    folder.mkdir(0o600)
    assert ask(spawn(child(), cwd=folder)).status == 502
    assert f"Permission denied: '{folder}'" in errors(caplog)[0]


# The page of debug=True


@pytest.mark.parametrize(
    ("accept", "shown"),
    [
        pytest.param("text/html", "&lt;script&gt;alert(1)&lt;/script&gt; &amp;", id="html"),
        pytest.param("text/plain", "<script>alert(1)</script> &", id="text"),
        pytest.param("application/json", "<script>alert(1)</script> &", id="json"),
    ],
)
def test_debug_shows_the_last_lines_and_runs_nothing_of_them(spawn, accept, shown):
    command = child("leave", status=1, say="<script>alert(1)</script> &")
    answer = ask(spawn(command, debug=True), HTTP_ACCEPT=accept)
    assert answer.status == 502
    assert answer.text.count(shown) == 2  # in the command, and in what it has written
    assert answer.headers["content-type"].startswith(accept)
    plain = ask(spawn(command), HTTP_ACCEPT=accept)
    assert "alert" not in plain.text


@pytest.mark.parametrize("accept", ["text/html", "text/plain", "application/json"])
def test_debug_shows_a_traceback_as_it_was_written(spawn, accept):
    answer = ask(spawn([sys.executable, "-c", "1 / 0"], debug=True), HTTP_ACCEPT=accept)
    shown = json.loads(answer.text)["message"] if "json" in accept else answer.text
    shown = html.unescape(shown)
    assert 'Traceback (most recent call last):\n  File "<string>", line 1, in <module>\n' in shown
    assert "\nZeroDivisionError: division by zero" in shown
