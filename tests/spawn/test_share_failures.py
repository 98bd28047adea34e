"""What of a failure one process hears of from another, and what of an address that is not free."""

from __future__ import annotations

import fcntl
import json
import threading
import time
from pathlib import Path

import pytest

from tests.spawn.children import ask, child, lines_of, until
from tests.spawn.programs import server
from tests.spawn.programs.thief import Thief
from tests.support.ports import free_port

# A failure in another process


def note_failure(folder: Path, until_when: float) -> None:
    (agreed,) = folder.iterdir()
    (agreed / "failure").write_text(json.dumps({"failures": 3, "until": until_when}))


def test_a_start_that_failed_in_another_process_is_postponed(spawn, folder, starts):
    app = spawn(child(starts=starts), share=str(folder))
    note_failure(folder, time.monotonic() + 20)
    answer = ask(app)
    assert answer.status == 503
    assert 1 <= int(answer.headers["retry-after"]) <= 20
    assert "will be started again. Please try again later." in answer.text
    assert (app.state, lines_of(starts)) == ("backing off", [])
    assert ask(app).status == 503


def test_requests_wait_for_a_start_postponed_for_a_moment(spawn, folder, tmp_path):
    may = tmp_path / "may"
    command = ["sh", "-c", 'test -e "$0" && exec "$@"; exit 1', may, *child()]
    one, other = (spawn([*map(str, command)], share=str(folder)) for _ in range(2))
    assert ask(one).status == 502
    may.touch()
    assert ask(other).status == 200


def test_requests_get_the_failure_of_the_start_they_waited_for(spawn, folder):
    """As without other processes."""
    app = spawn(child("leave", status=3), share=str(folder))
    answer = ask(app)
    assert (answer.status, app.state) == (502, "backing off")


# A port of one's own choice

EACH = pytest.mark.parametrize("command", [server(port="{port}"), server()], ids=["port", "fd"])


def tried_again(app, folder: Path) -> None:
    """Return after several attempts, each of which makes a folder, or when it does not start."""
    (agreed,) = folder.iterdir()
    seen = set[int]()

    def has_tried() -> bool:
        seen.add(agreed.stat().st_mtime_ns)
        return len(seen) > 4 or app.state != "starting"  # one attempt changes it once or twice

    until(has_tried, "a second attempt")


@EACH
def test_a_start_waits_for_a_port_that_becomes_free(spawn, folder, command):
    """A process that has not yet seen the end of the last instance may still hold its port."""
    port = free_port()
    app = spawn(command, spawned_port=port, share=str(folder))
    with Thief("127.0.0.1", port) as thief:
        app.start(wait=False)
        tried_again(app, folder)
        assert app.state == "starting"
    assert ask(app).status == 200
    assert thief.stolen == b""


def test_the_wait_for_a_port_begins_with_the_first_attempt(spawn, folder):
    """Another process may have been starting it for long before."""
    port = free_port()
    app = spawn(server(), spawned_port=port, share=str(folder))
    (lock,) = folder.rglob("lock")
    with Thief("127.0.0.1", port), open(lock) as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        app.start(wait=False)
        threading.Event().wait(1.2)  # in which nothing is to happen
        fcntl.flock(starting, fcntl.LOCK_UN)
        tried_again(app, folder)
        assert app.state == "starting"
    assert ask(app).status == 200


@EACH
def test_a_port_that_stays_taken_is_logged_soon(spawn, folder, caplog, command):
    with Thief("127.0.0.1") as thief:
        app = spawn(command, spawned_port=thief.port, share=str(folder))
        since = time.monotonic()
        assert ask(app).status == 502
        assert time.monotonic() - since < 5
        assert thief.stolen == b""
    assert f"port {thief.port}: Address already in use" in caplog.text
    assert app.state == "backing off"


def test_a_taken_port_is_logged_if_start_timeout_is_shorter(spawn, folder, caplog):
    with Thief("127.0.0.1") as thief:
        app = spawn(server(), spawned_port=thief.port, share=str(folder), start_timeout=0.3)
        assert ask(app).status == 502
    assert f"port {thief.port}: Address already in use" in caplog.text


def test_a_stop_does_not_wait_for_a_port(spawn, folder):
    with Thief("127.0.0.1") as thief:
        app = spawn(server(), spawned_port=thief.port, share=str(folder))
        app.start(wait=False)
        stopping = threading.Thread(target=app.stop)
        stopping.start()
        stopping.join(0.7)
        assert not stopping.is_alive()
        assert app.state == "stopped"
