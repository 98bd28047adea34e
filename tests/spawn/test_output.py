"""The output of a command: in the log, at a limited rate."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections import Counter

import pytest

from tests.spawn.children import alive, ask, child, errors, facts, until


@pytest.fixture(autouse=True)
def _heard(caplog):
    caplog.set_level(logging.DEBUG, "wsgiproxy.spawn")


class Count(logging.Handler):
    """Counts records, and keeps none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = 0
        self.longest = 0
        self.seconds: Counter[int] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += 1
        self.longest = max(self.longest, len(record.getMessage()))
        self.seconds[int(time.monotonic())] += 1


@pytest.fixture
def counted():
    """The output of commands, counted instead of kept."""
    logger = logging.getLogger("wsgiproxy.spawn.output")
    handler = Count()
    logger.addHandler(handler)
    logger.propagate = False
    yield handler
    logger.propagate = True
    logger.removeHandler(handler)


def written(pid: int) -> int:
    """The bytes that a process has written, to wherever."""
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        return int(dict(line.split(": ") for line in file)["wchar"])


def peak(pid: int) -> int:
    """The most memory that a process had, in KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmHWM:\s+(\d+) kB", file.read())[1])


@pytest.mark.parametrize(
    ("flood", "lines"),
    [
        pytest.param("lines", 3000, id="lines"),
        pytest.param("line", 150, id="one-line-without-an-end"),
    ],
)
def test_a_flood_of_output_is_cut_and_delays_no_request(spawn, counted, flood, lines):
    app = spawn(child(flood=flood))
    pid = int(ask(app).text)
    supervisor = facts(app)["parent"]
    since, used = time.monotonic(), time.process_time()
    first, memory = written(pid), peak(os.getpid())
    until(lambda: counted.lines >= lines, "lines in the log")
    statuses = [ask(app).status for _ in range(50)]
    seconds = time.monotonic() - since

    assert statuses == [200] * 50
    # The command has to wait: nothing is read faster than 4 MiB a second.
    assert written(pid) - first < (seconds + 2) * (5 << 20)
    # 1000 lines a second, the last ones, and how many were left out; one may see two seconds.
    assert max(counted.seconds.values()) < 2200
    assert counted.longest <= 2000
    assert len(app._backend.lines) <= 20
    assert peak(supervisor) < 64 << 10
    assert peak(os.getpid()) - memory < 64 << 10
    assert time.process_time() - used < seconds * 0.7


def test_a_flood_can_be_stopped(spawn, counted):
    app = spawn(child(flood="lines"))
    pid = int(ask(app).text)
    until(lambda: counted.lines > 500, "lines in the log")
    app.stop()
    assert (app.state, alive(pid)) == ("stopped", [])


def test_the_end_of_a_flood_is_what_the_error_shows(spawn, counted, caplog):
    """It is the last lines that say what went wrong."""
    many = "for number in range(5000): print('line', number)\nprint('that was why')\nexit(1)"
    assert ask(spawn([sys.executable, "-I", "-S", "-c", many])).status == 502
    [error] = errors(caplog)
    said = error.partition("its last lines:")[2].split("\n")
    assert said[-2:] == ["  | line 4999", "  | that was why"]
    assert len(said) <= 21
    assert counted.lines < 1200


def test_control_characters_of_the_output_are_replaced_in_the_log(spawn, caplog):
    app = spawn(child(rubbish="yes"))
    assert ask(app).status == 200
    assert ask(app, "/exit?7").status == 502
    until(lambda: app.state == "backing off", "the end")
    logged = [r.getMessage() for r in caplog.records if r.name == "wsgiproxy.spawn.output"]
    assert len(logged) >= 3
    assert any("[2J" in line and "title" in line and "red" in line for line in logged)
    [error] = errors(caplog)
    for line in [*logged, *error.split("\n")]:
        assert all(each.isprintable() or each == "\t" for each in line), line


def test_a_line_cannot_look_like_another_record(spawn, caplog):
    """By characters that end a line for some programs: CR, VT, FF, NEL, LS and PS."""
    text = "one\rtwo\vthree\ffour\x85five\u2028six\u2029seven"
    app = spawn(child())
    ask(app, "/say", method="POST", body=text.encode() + b"\n")
    seen = until(
        lambda: [r for r in caplog.records if r.name == "wsgiproxy.spawn.output"], "the line"
    )
    assert len(seen[0].getMessage().splitlines()) == 1
    assert all(word in seen[0].getMessage() for word in ("two", "five", "seven"))


def test_stdout_and_stderr_are_logged_line_by_line(spawn, caplog):
    code = "echo out; echo err >&2; printf 'no end'; exit 1"
    assert ask(spawn(["sh", "-c", code])).status == 502
    logged = [r.getMessage() for r in caplog.records if r.name == "wsgiproxy.spawn.output"]
    assert logged == ["out", "err", "no end"]
    assert errors(caplog)[0].endswith("its last lines:\n  | out\n  | err\n  | no end")


def test_the_option_logger_gets_all_records(spawn, caplog):
    caplog.set_level(logging.DEBUG, "site.app")
    assert ask(spawn(child("leave", status=1, say="hello"), logger="site.app")).status == 502
    names = {record.name for record in caplog.records if record.name.startswith("site")}
    assert names == {"site.app", "site.app.output"}
    assert errors(caplog) == []
