"""The life of a process that is started on demand, and what its owner can say of it."""

from __future__ import annotations

import gc
import os
import shlex
import signal
import threading
from collections import Counter

import pytest

from tests.spawn.children import (
    MARK,
    alive,
    ask,
    child,
    lines_of,
    processes,
    program,
    until,
)
from wsgiproxy.errors import NotReady, NotStarted, Unavailable
from wsgiproxy.spawn import SpawningApplication

# Starting


def test_nothing_is_started_before_the_first_request(spawn, mark):
    app = spawn(child())
    assert (app.state, app.pid, processes(mark)) == ("stopped", None, {})


def test_the_first_request_starts_it_and_later_ones_do_not(spawn, starts):
    app = spawn(child(starts=starts))
    answers = [ask(app) for _ in range(5)]
    assert [answer.status for answer in answers] == [200] * 5
    assert {answer.text for answer in answers} == {str(app.pid)}
    assert lines_of(starts) == [str(app.pid)]


def test_of_200_simultaneous_first_requests_one_starts_it_and_all_are_answered(spawn, starts):
    app = spawn(child(starts=starts))
    together = threading.Barrier(200)
    answers = []

    def come() -> None:
        together.wait(30)
        answers.append(ask(app))

    threads = [threading.Thread(target=come) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(answer.status for answer in answers) == {200: 200}
    assert {answer.text for answer in answers} == set(lines_of(starts))
    assert len(lines_of(starts)) == 1


def test_start_starts_it_before_the_first_request(spawn, starts):
    app = spawn(child(starts=starts))
    app.start()
    assert app.state == "ready"
    assert lines_of(starts) == [str(app.pid)]
    app.start()
    assert ask(app).text == str(app.pid)
    assert len(lines_of(starts)) == 1


def test_start_without_wait_returns_at_once(spawn, starts, gate):
    app = spawn(child(starts=starts, wait=gate))
    app.start(wait=False)
    until(lambda: lines_of(starts), "a start")
    assert app.state == "starting"
    gate.touch()
    assert ask(app).status == 200
    assert len(lines_of(starts)) == 1


def test_start_raises_if_the_start_fails(spawn):
    app = spawn(child("leave", status=3))
    with pytest.raises(NotStarted, match="it ended with status 3 before it was ready"):
        app.start()


def test_start_raises_after_max_wait_and_the_start_goes_on(spawn, gate):
    app = spawn(child(wait=gate), max_wait=0.2)
    with pytest.raises(NotReady, match="starting for too long"):
        app.start()
    gate.touch()
    until(lambda: app.state == "ready", "ready")


# Stopping


def test_a_request_after_stop_starts_another_process(spawn, starts):
    app = spawn(child(starts=starts))
    first = int(ask(app).text)
    app.stop()
    assert (app.state, app.pid, alive(first)) == ("stopped", None, [])
    second = int(ask(app).text)
    assert second == app.pid != first
    app.shutdown_subprocess()  # as 0.2 called it
    assert (app.state, alive(second)) == ("stopped", [])
    assert lines_of(starts) == [str(first), str(second)]


def test_stop_sends_sigterm_first(spawn, ended):
    app = spawn(child(ended=ended))
    pid = ask(app).text
    app.stop()
    assert lines_of(ended) == [pid]


def test_each_process_of_the_group_gets_one_sigterm(spawn, ended):
    """To some programs the second SIGTERM means: at once."""
    app = spawn(["sh", "-c", '"$@" & wait', "sh", *child(ended=ended, linger=0.5)])
    pid = ask(app).text
    app.stop()
    assert lines_of(ended) == [pid]


def test_a_process_that_ignores_sigterm_is_killed_after_stop_timeout(spawn):
    app = spawn(child(ignore="yes"), stop_timeout=0.2)
    pid = int(ask(app).text)
    app.stop()
    assert (app.state, alive(pid)) == ("stopped", [])


def test_stop_without_a_process_does_nothing(spawn, starts):
    app = spawn(child(starts=starts))
    app.stop()
    app.stop()
    assert (app.state, lines_of(starts)) == ("stopped", [])


def test_another_thread_can_stop_it(spawn):
    app = spawn(child())
    pid = int(ask(app).text)
    thread = threading.Thread(target=app.stop)
    thread.start()
    thread.join()
    assert (app.state, alive(pid)) == ("stopped", [])


def test_stop_ends_a_start(spawn, starts, gate):
    app = spawn(child(starts=starts, wait=gate))
    app.start(wait=False)
    pid = int(until(lambda: lines_of(starts), "a start")[0])
    app.stop()
    assert (app.state, alive(pid)) == ("stopped", [])


def test_stop_at_any_moment_of_a_start_leaves_no_process(spawn, mark):
    app = spawn(child())
    for _ in range(20):
        app.start(wait=False)
        app.stop()
        assert (app.state, processes(mark)) == ("stopped", {})


def test_requests_after_close_get_503_and_start_nothing(spawn, starts):
    app = spawn(child(starts=starts))
    pid = int(ask(app).text)
    app.close()
    assert alive(pid) == []
    answer = ask(app)
    assert answer.status == 503
    assert "The service is not available at the moment." in answer.text
    with pytest.raises(Unavailable, match="closed"):
        app.start()
    app.start(wait=False)
    app.close()
    assert (app.state, lines_of(starts)) == ("stopped", [str(pid)])


def test_the_end_of_a_with_block_ends_the_process(spawn):
    with spawn(child()) as app:
        pid = int(ask(app).text)
        assert alive(pid) == [pid]
    assert alive(pid) == []
    assert ask(app).status == 503


def test_the_process_of_an_application_that_is_garbage_ends(spawn, ended, mark):
    app = spawn(child(ended=ended))
    pid = ask(app).text
    del app
    gc.collect()
    until(lambda: not processes(mark), "the end")
    assert lines_of(ended) == [pid]


_ASKS = f"""
import os, signal, sys, threading
from tests.spawn.children import ask
from wsgiproxy.spawn import SpawningApplication

app = SpawningApplication(sys.argv[1:], inherit_env=[{MARK!r}])
print(ask(app).text, flush=True)
"""


@pytest.mark.parametrize(
    ("end", "status"),
    [
        pytest.param("", 0, id="its-last-line"),
        pytest.param("sys.exit(3)", 3, id="sys.exit"),
        pytest.param("raise RuntimeError('for the test')", 1, id="an-exception"),
        pytest.param("os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT, id="Ctrl-C"),
        pytest.param("threading.Thread(target=ask, args=[app]).start()", 0, id="a-thread-asks-yet"),
    ],
)
def test_a_program_that_ends_by_itself_ends_its_process_gracefully(
    mark, temporary, ended, end, status
):
    with program(_ASKS + end, *child(ended=ended), **{MARK: mark}) as parent:
        pid = parent.line()
        assert parent.wait() == status, parent.stderr
        assert lines_of(ended) == [pid]
        assert processes(mark) == {}
        assert list(temporary.iterdir()) == []


# What its owner can see


def test_state_names_each_phase(spawn, starts, ended, gate):
    app = spawn(child(starts=starts, ended=ended, wait=gate, linger=0.5))
    assert (app.state, app.pid) == ("stopped", None)
    app.start(wait=False)
    [pid] = until(lambda: lines_of(starts), "a start")
    assert (app.state, app.pid) == ("starting", int(pid))
    gate.touch()
    ask(app)
    assert (app.state, app.pid) == ("ready", int(pid))
    stopping = threading.Thread(target=app.stop)
    stopping.start()
    until(lambda: lines_of(ended), "SIGTERM")
    assert (app.state, app.pid) == ("draining", int(pid))
    stopping.join()
    assert (app.state, app.pid) == ("stopped", None)


def test_state_names_the_phases_after_a_failure(spawn):
    crashed, unusable = spawn(child("leave", status=1)), spawn(["no-such-command-of-ours"])
    assert {ask(crashed).status, ask(unusable).status} == {502}
    assert (crashed.state, crashed.pid) == ("backing off", None)
    assert (unusable.state, unusable.pid) == ("failed", None)


def test_its_repr_names_the_command_as_one_types_it_and_the_state(spawn):
    command = child(say="two words")
    app = spawn(command)
    assert repr(app) == f"<SpawningApplication {shlex.join(command)!r}: stopped>"
    ask(app)
    assert repr(app).endswith(": ready>")


def test_a_command_in_one_string_is_split_as_a_shell_would(spawn):
    app = spawn(shlex.join(child(say="two words $HOME ; exit 1")))
    assert ask(app, "/facts").text.count("two words $HOME ; exit 1") == 1


# What its host must not notice


def test_it_outlives_the_thread_that_started_it(spawn, starts):
    """As PR_SET_PDEATHSIG would not let it: that signal comes at the end of a thread."""
    app = spawn(child(starts=starts))
    thread = threading.Thread(target=ask, args=[app])
    thread.start()
    thread.join()
    before = app.pid
    assert before is not None
    # The thread's end is the kernel's, too, by now: nothing is left of it to wait for.
    until(lambda: thread.native_id not in _tasks(), "the end of the thread")
    assert [ask(app).text for _ in range(20)] == [str(before)] * 20
    assert lines_of(starts) == [str(before)]


def _tasks() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/task")}


def test_signal_handlers_and_masks_of_the_program_are_untouched(spawn):
    def seen():
        handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
        wakeup = signal.set_wakeup_fd(-1)
        return handlers, signal.pthread_sigmask(signal.SIG_BLOCK, []), wakeup

    signal.set_wakeup_fd(-1)  # an event loop of another test may have left its own
    before = seen()
    app = spawn(child())
    during = ask(app).status, seen()
    app.close()
    assert during == (200, before)
    assert seen() == before


def test_a_start_without_further_threads_gets_502(spawn):
    app = spawn(child())
    threading.stack_size(1 << 46)  # no system has so much memory
    try:
        assert ask(app).status == 502
        app.stop()
    finally:
        threading.stack_size(0)
        app._backend._thread = None  # or it could not be closed at the end
    assert ask(app).status == 200


def test_making_an_application_needs_no_main_thread(spawn):
    made: list[SpawningApplication] = []
    thread = threading.Thread(target=lambda: made.append(spawn(child())))
    thread.start()
    thread.join()
    assert ask(made[0]).status == 200
