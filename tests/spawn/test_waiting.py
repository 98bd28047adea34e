"""Requests that wait for a start: for how long, how many, and what they get instead."""

from __future__ import annotations

import threading
from time import monotonic

import pytest

from tests.spawn.children import Answer, ask, child, lines_of, until

BROWSER = {"HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8"}


class Asking:
    """A request in a thread of its own."""

    def __init__(self, app, **asked) -> None:
        self._answers: list[Answer] = []
        self._thread = threading.Thread(target=lambda: self._answers.append(ask(app, **asked)))
        self._thread.start()

    def answer(self) -> Answer:
        self._thread.join()
        return self._answers[0]


def waiting(app, count: int) -> None:
    """Return when so many requests wait."""
    until(lambda: app._backend._waiting == count, f"{count} that wait")


def test_a_request_waits_for_the_start(spawn, starts, gate):
    app = spawn(child(starts=starts, wait=gate))
    asking = Asking(app)
    until(lambda: lines_of(starts), "a start")
    waiting(app, 1)
    gate.touch()
    assert asking.answer().status == 200


def test_it_waits_no_longer_than_max_wait(spawn, gate):
    app = spawn(child(wait=gate), max_wait=0.5)
    since = monotonic()
    answer = ask(app)
    assert monotonic() - since >= 0.5
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "The application is starting. Please try again in a moment." in answer.text
    assert app.state == "starting"  # which goes on
    gate.touch()
    until(lambda: app.state == "ready", "ready")
    assert ask(app).status == 200


def test_more_than_max_waiting_are_refused_at_once(spawn, gate):
    app = spawn(child(wait=gate), max_waiting=3)
    asking = [Asking(app) for _ in range(3)]
    waiting(app, 3)
    since = monotonic()
    answer = ask(app)
    assert monotonic() - since < 5
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    gate.touch()
    assert [each.answer().status for each in asking] == [200] * 3
    assert ask(app).status == 200


def test_requests_do_not_wait_for_a_ready_process(spawn):
    app = spawn(child(), max_waiting=1)
    assert [ask(app).status for _ in range(5)] == [200] * 5
    asking = [Asking(app) for _ in range(20)]
    assert [each.answer().status for each in asking] == [200] * 20


def test_a_browser_gets_a_page_that_comes_again(spawn, gate):
    app = spawn(child(wait=gate), waiting_page=0.2)
    answer = ask(app, **BROWSER)
    assert answer.status == 503
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["retry-after"] == "1"
    assert '<meta http-equiv="refresh" content="1">' in answer.text
    assert "The application is starting" in answer.text
    gate.touch()
    until(lambda: app.state == "ready", "ready")
    assert ask(app, **BROWSER).status == 200


def test_a_fast_start_shows_a_browser_no_page(spawn):
    app = spawn(child(), waiting_page=20)
    assert ask(app, **BROWSER).status == 200


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"HTTP_ACCEPT": "*/*"}, id="curl"),
        pytest.param({**BROWSER, "method": "POST", "body": b"a=1"}, id="a-form"),
        pytest.param({**BROWSER, "HTTP_SEC_FETCH_DEST": "image"}, id="an-image"),
        pytest.param({**BROWSER, "HTTP_X_REQUESTED_WITH": "XMLHttpRequest"}, id="a-script"),
        pytest.param({"HTTP_ACCEPT": "application/json"}, id="an-api"),
    ],
)
def test_others_wait_longer_and_get_a_plain_503(spawn, gate, asked):
    app = spawn(child(wait=gate), waiting_page=0, max_wait=0.5)
    since = monotonic()
    answer = ask(app, **asked)
    assert monotonic() - since >= 0.5
    assert (answer.status, "refresh" in answer.text) == (503, False)


def test_the_page_shows_what_it_writes_with_debug_only(spawn, starts, gate):
    command = child(wait=gate, starts=starts, say="<b>loading</b> 3 of 7")
    shows, hides = spawn(command, debug=True, waiting_page=0), spawn(command, waiting_page=0)
    for app in (shows, hides):
        app.start(wait=False)
    until(lambda: shows._backend.lines and hides._backend.lines, "what it says")
    assert "<pre>&lt;b&gt;loading&lt;/b&gt; 3 of 7</pre>" in ask(shows, **BROWSER).text
    assert "loading" not in ask(hides, **BROWSER).text
    gate.touch()


class Client:
    """A client whose server can tell when it has left."""

    def __init__(self) -> None:
        self.left = False

    def __call__(self) -> bool:
        return self.left


def test_a_client_that_leaves_ends_its_wait(spawn, starts, gate, caplog):
    app = spawn(child(starts=starts, wait=gate))
    client = Client()
    asking = Asking(app, **{"waitress.client_disconnected": client})
    other = Asking(app)
    waiting(app, 2)
    client.left = True
    assert asking.answer().status == 499  # for the log alone
    waiting(app, 1)
    gate.touch()
    assert other.answer().status == 200
    assert len(lines_of(starts)) == 1


def test_waiting_requests_get_the_failure(spawn, gate, starts):
    app = spawn(child("leave", status=1, wait=gate, starts=starts))
    asking = [Asking(app) for _ in range(10)]
    waiting(app, 10)
    gate.touch()
    assert [each.answer().status for each in asking] == [502] * 10
    assert len(lines_of(starts)) == 1


def test_waiting_requests_get_503_at_close(spawn, gate):
    app = spawn(child(wait=gate))
    asking = [Asking(app) for _ in range(5)]
    waiting(app, 5)
    app.close()
    assert [each.answer().status for each in asking] == [503] * 5
    assert app._backend._waiting == 0


def test_requests_that_wait_for_a_stopped_start_are_served_by_the_next(spawn, gate, starts):
    app = spawn(child(wait=gate, starts=starts))
    asking = [Asking(app) for _ in range(5)]
    until(lambda: lines_of(starts), "a start")
    waiting(app, 5)
    app.stop()
    gate.touch()
    answers = [each.answer() for each in asking]
    assert [answer.status for answer in answers] == [200] * 5
    assert {answer.text for answer in answers} == {lines_of(starts)[1]}


def test_in_the_short_pause_after_a_crash_requests_wait(spawn, starts):
    app = spawn(child(starts=starts))
    assert ask(app, "/exit?1").status == 502
    until(lambda: app.state == "backing off", "the pause")
    asking = [Asking(app) for _ in range(10)]
    assert [each.answer().status for each in asking] == [200] * 10
    assert len(lines_of(starts)) == 2
