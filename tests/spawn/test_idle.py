"""The idle stop: a process without requests ends, and no request is lost."""

from __future__ import annotations

import gc
import logging
import random
import threading
import time
from collections import Counter

import pytest

from tests.spawn.children import Pieces, alive, ask, child, environ, lines_of, until
from tests.support.rounds import rounds

IDLE = 0.3  # seconds; long enough for a thread of ours to come late


def stopped(app) -> bool:
    return app.state == "stopped"


def test_it_ends_after_idle_shutdown_without_a_request(spawn, ended, caplog):
    caplog.set_level(logging.INFO, "wsgiproxy.spawn")
    app = spawn(child(ended=ended), idle_shutdown=IDLE)
    pid = ask(app).text
    since = time.monotonic()
    until(lambda: stopped(app), "the end")
    assert time.monotonic() - since >= IDLE * 0.9
    assert (lines_of(ended), alive(int(pid)), app.pid) == ([pid], [], None)
    assert "stopping: no request for 0 s" in caplog.messages


def test_a_process_without_any_request_ends_too(spawn):
    app = spawn(child(), idle_shutdown=IDLE)
    app.start()
    assert app.state == "ready"
    until(lambda: stopped(app), "the end")


def test_requests_keep_it_running(spawn, starts):
    app = spawn(child(starts=starts), idle_shutdown=IDLE)
    end = time.monotonic() + 4 * IDLE
    while time.monotonic() < end:
        assert ask(app).status == 200
    assert len(lines_of(starts)) == 1


def test_the_next_request_starts_it_again(spawn, starts):
    app = spawn(child(starts=starts), idle_shutdown=IDLE)
    first = ask(app).text
    until(lambda: stopped(app), "the end")
    second = ask(app).text
    assert first != second
    assert lines_of(starts) == [first, second]


def test_an_idle_stop_under_load_loses_nothing(spawn, starts):
    """Threads that come about when it is stopped: each of them is answered."""
    app = spawn(child(starts=starts), idle_shutdown=0.05)
    end = time.monotonic() + 5
    answers: list[Counter[int]] = [Counter() for _ in range(4)]
    troubles: list[BaseException] = []

    def come(number: int) -> None:
        gaps = random.Random(number)
        try:
            while time.monotonic() < end:
                answers[number][ask(app).status] += 1
                # Not in place of a condition: a client that comes now and then.
                time.sleep(gaps.uniform(0, 0.15))
        except BaseException as trouble:  # told by the test, in its own thread
            troubles.append(trouble)

    threads = [threading.Thread(target=come, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(answers, Counter())
    assert (troubles, set(total)) == ([], {200})
    assert total[200] > 40
    assert len(lines_of(starts)) > 1


def test_requests_at_the_moment_of_an_idle_stop_are_served(spawn, starts):
    app = spawn(child(starts=starts), idle_shutdown=0.05)
    gaps = random.Random(4)
    for _ in range(rounds(16, 40)):
        answer = ask(app)
        assert (answer.status, answer.text) == (200, lines_of(starts)[-1])
        time.sleep(0.05 + gaps.uniform(-0.003, 0.01))  # the moment that is to be met
    assert len(lines_of(starts)) > 3


def test_an_open_stream_keeps_it_running(spawn, starts):
    app = spawn(child(starts=starts), idle_shutdown=IDLE)
    with Pieces(app, environ("/events")) as stream:
        assert stream.status == 200
        end = time.monotonic() + 4 * IDLE
        while time.monotonic() < end:
            assert stream.next().startswith(b"data: ")
        assert app.state == "ready"
    until(lambda: stopped(app), "the end")
    assert len(lines_of(starts)) == 1


def test_an_unread_stream_keeps_it_running_until_it_is_closed(spawn):
    app = spawn(child(), idle_shutdown=IDLE)
    stream = Pieces(app, environ("/events"))
    with pytest.raises(AssertionError):
        until(lambda: app.state != "ready", limit=4 * IDLE)
    stream.__exit__()
    until(lambda: stopped(app), "the end")


def test_a_stream_that_is_garbage_does_not_keep_it_running(spawn):
    """Its server, or an application around ours, has forgotten close()."""
    app = spawn(child(), idle_shutdown=IDLE)
    stream = app(environ("/events"), lambda status, headers, exc_info=None: None)
    assert next(block for block in stream if block)
    with pytest.raises(AssertionError):
        until(lambda: app.state != "ready", limit=2 * IDLE)
    del stream
    gc.collect()
    until(lambda: stopped(app), "the end")
    assert ask(app).status == 200


def test_a_stream_that_was_never_iterated_does_not_keep_it_running(spawn):
    app = spawn(child(), idle_shutdown=IDLE)
    app(environ("/events"), lambda status, headers, exc_info=None: None)
    gc.collect()
    until(lambda: stopped(app), "the end")


def test_ignored_paths_get_503_without_a_start(spawn, starts):
    app = spawn(child(starts=starts), idle_ignore="/poll*")
    for path in ("/poll", "/poll/events"):
        answer = ask(app, path)
        assert answer.status == 503
        assert "The service is not available at the moment." in answer.text
        assert "starting" not in answer.text
    assert (app.state, lines_of(starts)) == ("stopped", [])
    assert ask(app).status == 200
    assert ask(app, "/poll").status == 404  # its own
    app.stop()
    assert ask(app, "/poll").status == 503
    assert len(lines_of(starts)) == 1


class SlowBody:
    """A ``wsgi.input`` of a client with a slow line."""

    def __init__(self, blocks: int) -> None:
        self._left = blocks

    def read(self, size: int = -1) -> bytes:
        time.sleep(0.05)
        self._left -= 1
        return b"x" if self._left >= 0 else b""


def test_a_slow_upload_keeps_it(spawn, starts):
    app = spawn(child(starts=starts), idle_shutdown=IDLE)
    length = 24  # blocks, each of one byte
    slow = {"wsgi.input": SlowBody(length), "CONTENT_LENGTH": str(length)}
    since = time.monotonic()
    answer = ask(app, "/upload", method="POST", **slow)
    assert (answer.status, answer.text) == (200, str(length))
    assert time.monotonic() - since > 3 * IDLE
    assert len(lines_of(starts)) == 1


def test_a_slow_answer_keeps_it(spawn, starts, tmp_path):
    app = spawn(child(starts=starts), idle_shutdown=IDLE)
    gate = tmp_path / "gate"
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ask(app, f"/gate?{gate}")))
    thread.start()
    until(lambda: app.state == "ready", "ready")
    with pytest.raises(AssertionError):
        until(lambda: app.state != "ready", limit=4 * IDLE)
    gate.touch()
    thread.join()
    assert (answers[0].status, answers[0].text) == (200, "open")
    assert len(lines_of(starts)) == 1


def test_a_stream_that_broke_off_does_not_keep_the_next_process(spawn):
    app = spawn(child(), idle_shutdown=IDLE)
    with Pieces(app, environ("/events")) as stream:
        assert stream.next()
        first = ask(app).text
        assert ask(app, "/kill?9").status == 502
        assert ask(app).text != first
    until(lambda: stopped(app), "the end")


def test_a_request_that_arrives_while_it_stops_is_served_by_the_next(spawn, starts, ended):
    app = spawn(child(starts=starts, ended=ended, linger=1), idle_shutdown=IDLE)
    first = ask(app).text
    until(lambda: app.state == "draining", "the stop")
    answer = ask(app)
    assert (answer.status, alive(int(first))) == (200, [])
    assert answer.text != first
    assert lines_of(starts) == [first, answer.text]
    assert lines_of(ended)[0] == first


def test_many_that_arrive_while_it_stops_are_served_by_one(spawn, starts):
    app = spawn(child(starts=starts, linger=1), idle_shutdown=IDLE)
    ask(app)
    until(lambda: app.state == "draining", "the stop")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask(app))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter((each.status, each.text) for each in answers) == {
        (200, lines_of(starts)[1]): 20,
    }
    assert len(lines_of(starts)) == 2
