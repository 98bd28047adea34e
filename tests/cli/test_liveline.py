"""The live line: on a terminal alone, one, as wide as there is room, and gone when it is over."""

from __future__ import annotations

import io
import logging
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.serving import SERVERS, served, served_on_terminal
from tests.cli.terminal import Screen, columns_of
from tests.spawn.children import child, until
from wsgiproxy.cli.liveline import LiveLine, fitted, hidden, plain
from wsgiproxy.sansio.process.lifecycle import Phase

pytestmark = pytest.mark.in_turns(4, "server")

SERVE = child(port="{port}")


def first(code: str, *command: str) -> list[str]:
    """A command that does something before it becomes another."""
    code = f"import os, sys, time\n{code}\nos.execv(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-c", code, *(command or SERVE)]


# On a terminal


def test_the_line_moves_during_a_start_and_is_erased(tmp_path):
    gate = tmp_path / "gate"
    with served_on_terminal(child(port="{port}", say="loading", wait=gate)) as site:
        asked = site.ask()
        site.terminal.wait_for("| loading")
        until(lambda: len({line[0] for line in site.terminal.screen.lives}) == 4, "all its signs")
        gate.touch()
        assert asked.answer().status == 200
        site.terminal.wait_for("GET '/' 200")
        screen = site.terminal.screen
        assert screen.faults == []
        assert not [row for row in screen.rows if row[9:].startswith("starting for")]
        told = [re.sub(r"\d+(\.\d+)?", "1", row[9:]) for row in screen.rows[1:-1]]
        assert told[0].startswith("starting: ") and told[1] == "| loading"
        assert told[2].startswith("ready after 1 s: process 1 at http://")
        assert screen.rows[-1] == ""
        times = [float(line.split()[3]) for line in screen.lives]
        assert times == sorted(times)


@pytest.mark.parametrize("columns", [200, 80, 40, 7, 0], ids="{} columns".format)
def test_the_line_is_not_wider_than_the_terminal(columns, tmp_path):
    gate = tmp_path / "gate"
    words = ["日本語" * 9, "e\N{COMBINING ACUTE ACCENT}" * 20, "\N{ROCKET}" * 30]
    command = [*child(port="{port}", wait=gate), *(f"{n}={word}" for n, word in enumerate(words))]
    with served_on_terminal(command, columns=columns) as site:
        asked = site.ask()
        until(lambda: len(re.findall(r"\r\x1b\[2K[^\r]", site.terminal.output)) > 3, "it moves")
        gate.touch()
        assert asked.answer().status == 200
        drawn = re.findall(r"\r\x1b\[2K([|/\\-] [^\r\n]*)", site.terminal.output)
        assert drawn and max(map(columns_of, drawn)) < (columns or 80)


def test_the_line_names_the_command():
    with served_on_terminal(["sh", "-c", "sleep 60; echo {port}"], columns=200) as site:
        site.ask()
        until(lambda: site.terminal.screen.lives)
        line = site.terminal.screen.lives[0]
        assert re.match(r"[|/\\-] starting for 0\.\d s: sh -c 'sleep 60; echo \{port\}'", line)


@pytest.mark.parametrize("server", SERVERS)
def test_stdout_is_not_mixed_with_the_line(server):
    pytest.importorskip(server)
    with served_on_terminal(first("time.sleep(1)"), "--now", "--server", server) as site:
        site.terminal.wait_for("ready after")
        screen = site.terminal.screen
        assert screen.lives and screen.faults == []
        assert [row for row in screen.rows if row.startswith("Serving http://")]


def test_control_characters_of_the_command_never_reach_the_terminal():
    with served_on_terminal(child(port="{port}", rubbish="yes", say="said")) as site:
        assert site.ask().answer().status == 200
        site.terminal.wait_for("| said")
        assert site.terminal.screen.faults == []
        assert "title" in site.terminal.output  # the text of it does
        assert not re.search(r"[^\x1b\t\r\n -~\xa0-\U0010ffff]", site.terminal.output)
        assert set(re.findall(r"\x1b..?.?", site.terminal.output)) <= {"\x1b[2K"}


def test_long_output_lines_are_cut():
    flood = "for number in range(200_000): os.write(1, b'line %d\\n' % number)"
    with served_on_terminal(first(f"{flood}\ntime.sleep(1.1)\nos.write(1, b'done\\n')")) as site:
        assert site.ask().answer().status == 200
        site.terminal.wait_for("GET '/' 200")
        screen = site.terminal.screen
        assert screen.faults == [] and screen.lives
        assert re.search(r"\| line 199999\n\S+ \| done\n", screen.text)
        assert re.search(r"\| \(\d+ lines left out\)\n", screen.text)
        assert len(screen.rows) < 50_000


def test_the_line_during_a_stop():
    with served_on_terminal(child(port="{port}", linger=1), "--idle-shutdown", "0.1") as site:
        assert site.ask().answer().status == 200
        site.terminal.wait_for(" stopped\r\n")
        screen = site.terminal.screen
        assert [line for line in screen.lives if line[1:].startswith(" stopping for 0.")]
        assert screen.faults == [] and screen.rows[-2].endswith(" stopped")


# Elsewhere


def test_no_line_on_a_pipe():
    with served(first("time.sleep(0.5)")) as site:
        assert site.get().status == 200
        site.wait_for("ready after")
        assert "\r" not in site.log and "\x1b" not in site.log and "for 0." not in site.log


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_no_line_on_a_dumb_terminal(term):
    with served_on_terminal(first("time.sleep(0.5)"), env={"TERM": term}) as site:
        assert site.ask().answer().status == 200
        site.terminal.wait_for("ready after")
        assert "\x1b" not in site.terminal.output and not site.terminal.screen.lives


# The handler


class Line:
    """A live line that is written to a string."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.handler = LiveLine("npm start", self.stream)
        self.logger = logging.Logger("wsgiproxy.spawn")
        self.logger.addHandler(self.handler)

    def tell(self, text: str, phase: Phase | None = None, **more: str) -> None:
        level = logging.DEBUG if more else logging.INFO
        self.logger.log(level, text, extra={**({"spawn": phase} if phase else {}), **more})

    @property
    def screen(self) -> Screen:
        return Screen(self.stream.getvalue())

    def wait_for(self, text: str) -> None:
        until(lambda: text in self.screen.rows[-1], f"no {text!r}")


@pytest.fixture
def line():
    made = Line()
    yield made
    made.tell("end", Phase.STOPPED)
    assert made.screen.rows[-1] == ""


def test_the_line_names_what_is_missing(line):
    line.tell("starting: npm start", Phase.STARTING)
    line.wait_for(": npm start")
    line.tell("waiting", Phase.STARTING, missing="nothing listens on port 4711")
    line.wait_for(" s: npm start (nothing listens on port 4711)")
    line.tell("waiting", Phase.STARTING, missing="/ answers 503\x1b[2J")
    line.wait_for(r"npm start (/ answers 503\x1b[2J)")
    line.tell("stopping", Phase.DRAINING)
    line.wait_for("stopping for")
    assert line.screen.rows[-1].endswith(": npm start")
    assert line.screen.rows[:-1] == ["starting: npm start", "stopping"]


def test_records_are_written_above_the_line(line):
    line.tell("starting", Phase.STARTING)
    for number in range(3):
        line.wait_for("starting for")
        line.tell(f"line {number}")
    line.wait_for("starting for")
    assert line.screen.rows[:-1] == ["starting", "line 0", "line 1", "line 2"]
    assert line.screen.faults == []


@pytest.mark.parametrize("phase", [Phase.READY, Phase.STOPPED, Phase.BACKING_OFF, Phase.FAILED])
def test_the_line_of_an_immediate_next_start(line, phase):
    for _ in range(3):
        line.tell("starting", Phase.STARTING)
        line.wait_for("starting for")
        line.tell("over", phase)
        assert line.screen.rows[-1] == ""
    assert line.screen.faults == []


def test_hidden_erases_the_line(line):
    logger = logging.getLogger("wsgiproxy")
    logger.addHandler(line.handler)
    line.tell("starting", Phase.STARTING)
    line.wait_for("starting for")
    with hidden():
        line.stream.write("Serving\n")
    line.wait_for("starting for")
    assert line.screen.rows[:-1] == ["starting", "Serving"] and line.screen.faults == []


def test_no_line_for_a_short_start(line):
    line.tell("starting", Phase.STARTING)
    line.tell("ready", Phase.READY)
    assert line.stream.getvalue() == "starting\nready\n"


@given(st.text(), st.integers(min_value=0, max_value=100))
def test_fitted_text_has_at_most_the_columns(text, columns):
    assert columns_of(fitted(text, columns)) <= columns


@given(st.text(alphabet=st.characters(codec="utf-8") | st.characters(categories=["Cs", "Cc"])))
def test_plain_text_is_printable(text):
    assert plain(text).isprintable()
    assert plain(text).encode().decode() == plain(text)


@given(st.text(), st.text(), st.integers(min_value=1, max_value=100))
def test_the_line_has_at_most_the_columns(title, missing, columns):
    live = LiveLine(title, io.StringIO())
    record = logging.makeLogRecord({"spawn": Phase.STARTING, "missing": missing, "levelno": 10})
    live.emit(record)
    drawn = live.line(1.0, columns)
    live.emit(logging.makeLogRecord({"spawn": Phase.READY, "levelno": 10}))
    assert columns_of(drawn) <= columns and drawn.isprintable()
