"""A process that ends in service: what its requests get, and when there is another one."""

from __future__ import annotations

import logging
import os
import re
import signal
import threading
from time import monotonic

import pytest

from tests.spawn.children import Pieces, alive, ask, child, environ, errors, lines_of, until
from wsgiproxy.errors import UpstreamLost
from wsgiproxy.sansio.process.lifecycle import LONGEST_PAUSE

pytestmark = pytest.mark.in_turns(2)


@pytest.fixture(autouse=True)
def _heard(caplog):
    caplog.set_level(logging.DEBUG, "wsgiproxy.spawn")


def backs_off(app):
    """Wait for the pause; the state in it."""
    until(lambda: app.state == "backing off", "the pause")
    return app._backend.lifecycle.state


CRASHES = [
    pytest.param("/exit?3", "it ended with status 3", id="exit"),
    pytest.param("/kill?9", "it ended by SIGKILL", id="SIGKILL"),
    pytest.param("/kill?11", "it ended by SIGSEGV", id="SIGSEGV"),
    pytest.param("/kill?6", "it ended by SIGABRT", id="SIGABRT"),
]


@pytest.mark.parametrize(("target", "reason"), CRASHES)
def test_a_crash_gives_502_and_the_log_names_the_reason(spawn, caplog, target, reason):
    app = spawn(child(say="the last thing that it says"))
    ask(app)
    answer = ask(app, target)
    assert answer.status == 502
    # It is asked a second time, since a GET may be; by then it may not listen any more.
    reasons = ("closed the connection early.", "could not be reached.")
    assert any(f"The upstream server {each}" in answer.text for each in reasons)
    backs_off(app)
    assert app.pid is None
    [error] = until(lambda: errors(caplog), "an error in the log")
    assert f": {reason}; not tried again for 1 s; its last lines:\n" in error
    assert error.endswith("\n  | the last thing that it says")


@pytest.mark.parametrize(("target", "reason"), CRASHES)
def test_a_new_process_serves_the_next_request_after_the_pause(spawn, starts, target, reason):
    app = spawn(child(starts=starts))
    assert ask(app, target).status == 502
    ended = backs_off(app).since
    answer = ask(app)
    assert (answer.status, answer.text) == (200, lines_of(starts)[1])
    assert monotonic() - ended >= 0.99


def test_a_process_that_ends_with_status_0_is_started_again_without_a_pause(spawn, starts):
    app = spawn(child(starts=starts))
    assert ask(app, "/exit?0").status == 502
    until(lambda: app.state == "stopped", "the end")
    since = monotonic()
    assert ask(app).text == lines_of(starts)[1]
    assert monotonic() - since < 0.9


def test_a_ready_process_that_goes_into_the_background_is_logged_as_such(spawn, tmp_path, caplog):
    """As those do that wait for their daemon to be ready, or that listen before they fork."""
    ready = tmp_path / "ready"
    app = spawn(child("background", leave=ready))
    app.start()
    ready.touch()
    until(lambda: app.state != "ready", "the end of the main process")
    error = until(lambda: errors(caplog), "an error in the log", 5)[0]
    assert "into the background" in error


def test_a_crash_breaks_off_the_response_that_has_begun(spawn):
    """It must not look complete: the server breaks the connection."""
    app = spawn(child())
    with Pieces(app, environ("/half")) as pieces:
        assert (pieces.status, pieces.headers["content-length"]) == (200, "10")
        with pytest.raises(UpstreamLost):
            assert pieces.rest() == b"never"
    backs_off(app)


def test_a_crash_ends_all_requests_in_flight(spawn, tmp_path):
    app = spawn(child())
    ask(app)
    gate = tmp_path / "never"
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask(app, f"/gate?{gate}")))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    until(lambda: app._backend.lifecycle._in_flight == 10, "ten requests in flight")
    assert ask(app, "/kill?9").status == 502
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [502] * 10


def test_descendants_of_a_crashed_process_end(spawn, tmp_path):
    detached = tmp_path / "detached"
    app = spawn(child(detach=detached))
    ask(app)
    [daemon] = map(int, lines_of(detached))
    assert alive(daemon) == [daemon]
    assert ask(app, "/exit?1").status == 502
    backs_off(app)
    assert alive(daemon) == []


def test_pauses_grow_with_each_failure_in_a_row(spawn):
    app = spawn(child("leave", status=1))
    pauses = []
    for failures in (1, 2, 3):
        # Refused while the pause is long; once it is over, the next request is a new attempt.
        until(lambda: ask(app).status == 502, "an attempt")
        state = backs_off(app)
        assert state.failures == failures
        pauses.append(round(state.until - state.since, 3))
    assert pauses == [1.0, 2.0, 4.0]
    assert pauses[-1] < LONGEST_PAUSE


def test_a_crash_in_service_counts_as_a_failure_of_a_start_does(spawn):
    app = spawn(child())
    for failures in (1, 2):
        assert until(lambda: ask(app, "/exit?1").status == 502)
        assert backs_off(app).failures == failures


def test_failures_are_forgotten_with_a_stop(spawn):
    app = spawn(child("leave", status=1))
    assert ask(app).status == 502
    assert backs_off(app).failures == 1
    app.stop()
    assert (app.state, app._backend.lifecycle.state.failures) == ("stopped", 0)
    assert ask(app).status == 502
    assert backs_off(app).failures == 1


def test_failures_are_forgotten_with_an_orderly_end(spawn):
    app = spawn(child())
    assert ask(app, "/exit?1").status == 502
    backs_off(app)
    assert ask(app).status == 200
    assert app._backend.lifecycle.state.failures == 1
    app.stop()
    assert app._backend.lifecycle.state.failures == 0


def test_failures_are_forgotten_with_a_stop_that_comes_while_a_crash_is_tidied_up(spawn, tmp_path):
    """A daemon that ignores SIGTERM takes two seconds of it."""
    app = spawn(child(detach=tmp_path / "detached"))
    assert ask(app, "/exit?1").status == 502
    until(lambda: app.state == "draining", "the crash")
    app.stop()
    assert (app.state, app._backend.lifecycle.state.failures) == ("stopped", 0)


def test_during_a_long_pause_a_request_is_refused_and_told_when_to_come_back(spawn, starts):
    app = spawn(child("leave", status=1, starts=starts))
    assert [ask(app).status for _ in range(2)] == [502, 502]
    state = backs_off(app)
    assert round(state.until - state.since) == 2
    answer = ask(app)
    left = state.until - monotonic()
    assert answer.status == 503
    assert answer.headers["retry-after"] in ("1", "2")
    assert left <= int(answer.headers["retry-after"]) + 0.1
    assert "is not available, and will be started again. Please try again later." in answer.text
    assert len(lines_of(starts)) == 2


def test_an_exit_status_after_sigterm_is_no_crash(spawn, caplog):
    """Many programs end by the signal that asks them to, or with some status."""
    app = spawn(["sh", "-c", 'trap "exit 7" TERM; "$@" & wait', "sh", *child()])
    ask(app)
    app.stop()
    assert (app.state, app._backend.lifecycle.state.failures, errors(caplog)) == ("stopped", 0, [])


def test_a_stopped_process_is_not_taken_for_a_crashed_one(spawn):
    app = spawn(child())
    pid = int(ask(app).text)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(AssertionError):
            until(lambda: app.state != "ready", limit=0.3)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert ask(app).text == str(pid)


def test_a_browser_in_the_pause_gets_the_page_that_comes_again(spawn):
    app = spawn(child("leave", status=1))
    assert [ask(app).status for _ in range(2)] == [502, 502]
    backs_off(app)
    answer = ask(app, HTTP_ACCEPT="text/html")
    assert answer.status == 503
    assert re.search(r'<meta http-equiv="refresh" content="\d+">', answer.text)
