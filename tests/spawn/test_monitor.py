"""The thread of an instance: waiting for its end, and its lock while it logs."""

from __future__ import annotations

import logging
import threading
from types import SimpleNamespace

import pytest

from tests.spawn.children import LIMIT, MARK, ask, child, lines_of, program, until
from wsgiproxy.sansio.process.lifecycle import Event, Phase
from wsgiproxy.spawn.coordination import Coordination
from wsgiproxy.spawn.messages import Report
from wsgiproxy.spawn.monitor import Monitor
from wsgiproxy.spawn.sockets import Taken
from wsgiproxy.spawn.state import Lifecycle, ProcessLimits

LATE = f"""
import sys, time, warnings
from tests.spawn.children import ask, until
from wsgiproxy.spawn import SpawningApplication

app = SpawningApplication(sys.argv[1:], stop_timeout=10, inherit_env=[{MARK!r}])
warnings.simplefilter("ignore")
import gevent.monkey
gevent.monkey.patch_all()
import gevent
status = gevent.spawn(ask, app).get().status
since = time.monotonic()
app.close()
print(status, app.state, time.monotonic() - since < 5, flush=True)
"""


def test_close_returns_at_the_end_if_gevent_patches_after_the_import(mark, temporary):
    """As with gunicorn --preload; join() would wait for as long as it may."""
    pytest.importorskip("gevent")
    with program(LATE, *child(), **{MARK: mark}) as parent:
        assert parent.line() == "200 stopped True"
        assert parent.wait() == 0, parent.stderr


@pytest.fixture
def listening():
    """Adds a handler for all records of the spawner: ``listening(handler)``."""
    logger = logging.getLogger("wsgiproxy.spawn")
    handlers, level = [], logger.level
    logger.setLevel(logging.DEBUG)

    def add(handler):
        handlers.append(handler)
        logger.addHandler(handler)
        return handler

    yield add
    for handler in handlers:
        logger.removeHandler(handler)
    logger.setLevel(level)


class Slow(logging.Handler):
    """Takes its time with the last record."""

    def __init__(self) -> None:
        super().__init__()
        self.came, self.may_go = threading.Event(), threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "stopped":
            self.came.set()
            self.may_go.wait(LIMIT)


@pytest.mark.parametrize("end", ["stop", "close"])
def test_stop_and_close_wait_until_the_last_record_is_logged(spawn, listening, ended, end):
    slow = listening(Slow())
    app = spawn(child(ended=ended))
    pid = ask(app).text
    ending = [threading.Thread(target=getattr(app, end)) for _ in range(3)]
    for each in ending:
        each.start()
    assert slow.came.wait(LIMIT)
    assert (lines_of(ended), app.state) == ([pid], "draining")
    ending[0].join(0.2)
    assert all(each.is_alive() for each in ending)
    slow.may_go.set()
    for each in ending:
        each.join(LIMIT)
        assert not each.is_alive()


class Nosy(logging.Handler):
    """Lets another thread look at an application with each record, and waits for it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.app = None
        self.seen: list[tuple[str, bool]] = []

    def emit(self, record: logging.LogRecord) -> None:
        found: list[bool] = []
        other = threading.Thread(target=lambda: found.append(self._look()))
        other.start()
        other.join()
        self.seen.append((record.getMessage(), *found))

    def _look(self) -> bool:
        changed = self.app._backend.lifecycle.changed
        free = changed.acquire(timeout=2)
        if free:
            changed.release()
        return free


@pytest.mark.parametrize(
    ("command", "options", "target", "status", "last"),
    [
        pytest.param(child(), {"idle_shutdown": 0.2}, "/", 200, "stopped", id="idle"),
        pytest.param(child(), {}, "/exit?3", 502, "ended with status 3", id="a crash"),
        pytest.param(child("leave", status=1), {}, "/", 502, "before it was", id="a failed start"),
        pytest.param(["no-such-command"], {}, "/", 502, "cannot be run", id="no command"),
        pytest.param(
            child("idle"), {"start_timeout": 0.2}, "/", 502, "not ready after", id="a late start"
        ),
    ],
)
def test_no_record_is_handled_under_the_lock(
    spawn, listening, command, options, target, status, last
):
    """A handler may need it, or a lock of a thread that needs it."""
    nosy = listening(Nosy())
    nosy.app = app = spawn(command, **options)
    assert ask(app, target).status == status
    until(lambda: nosy.seen and last in nosy.seen[-1][0], "the last record")
    assert len(nosy.seen) > 1
    assert [text for text, free in nosy.seen if not free] == []


class Exiting:
    """A joined instance that another process stops while it is checked."""

    is_own = False

    def __init__(self, messages: list[tuple[str, str]]) -> None:
        self.child = self
        self._messages = messages

    def receive(self) -> list[tuple[str, str]]:
        return self._messages

    def missing(self) -> str:
        raise Taken("a process that is not ours listens on port 80")

    def stop(self, grace: float) -> None:
        pass


@pytest.mark.parametrize(
    ("messages", "failures"), [([("D", "")], 0), ([], 1)], ids=["stopped", "foreign process"]
)
def test_an_instance_that_is_stopped_while_it_is_checked_has_not_failed(messages, failures):
    """The socket of a process that exits may listen after its descriptors are closed."""
    lifecycle = Lifecycle(Coordination(None), ProcessLimits(30, 10, 60, 100))
    lifecycle.feed(Event.REQUEST)
    report = Report(logging.getLogger("wsgiproxy.spawn"), "command")
    gateways = SimpleNamespace(end_upgrades=lambda: None)
    Monitor(lifecycle, gateways, None, report)._check_readiness(Exiting(messages))
    assert lifecycle.state.phase is Phase.DRAINING
    assert lifecycle.state_after_end(None).failures == failures


def test_no_name_of_the_monitor_is_one_of_every_thread() -> None:
    """``_handle`` was: Python 3.13 has an attribute of that name, and no command was started."""
    assert not {*vars(Monitor)} & {*vars(threading.Thread())}
