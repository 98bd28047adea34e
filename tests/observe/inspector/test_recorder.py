"""Exchanges as entries of an archive, and an archive that grows while it is always a whole one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.observe.inspector.test_feed import call_wsgi
from tests.server.serving import until
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.observe.inspector.archived import add_entry, entry_of
from wsgiproxy.observe.inspector.kept import Limits
from wsgiproxy.observe.inspector.recorder import Recorder
from wsgiproxy.observe.inspector.ring import Ring
from wsgiproxy.sansio.har.read import entries_of
from wsgiproxy.sansio.secrets import SHOWN
from wsgiproxy.wsgi.inspected import InspectedWSGI


def echo(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("X-A", "b")])
    return [environ["wsgi.input"].read()]


def post(ring: Ring, body: bytes, target: str = "/x?a=b") -> None:
    call_wsgi(InspectedWSGI(echo, ring), "POST", target, (), body)


def test_exchange_comes_back_from_its_entry() -> None:
    ring = Ring()
    post(ring, b"\x00\xff")
    (exchange,) = ring.exchanges()
    entry = entry_of(exchange)
    assert entry.url == "http://front.example/x?a=b" and entry.method == "POST"
    found = add_entry(ring, entry, "a.har")
    assert found.source == "a.har" and found.request[:2] == exchange.request[:2]
    assert found.request.headers == exchange.request.headers
    assert found.answer == exchange.answer and found.began == exchange.began
    for name in ("body", "answer_body"):
        body = getattr(found, name)
        assert body.read() == b"\x00\xff" and body.is_whole
    assert len(ring) == 2 and found.ended is not None


def test_archive_is_whole_after_each_exchange(tmp_path: Path) -> None:
    path = tmp_path / "a.har"
    ring = Ring()
    recorder = Recorder(ring, str(path), SHOWN, "1.0")
    assert json.loads(path.read_text())["log"]["entries"] == []
    for number in range(3):
        post(ring, str(number).encode())
        until(lambda number=number: len(entries_of(path.read_bytes())) == number + 1, "entry")
    assert os.stat(path).st_mode & 0o777 == 0o600
    post(ring, b"last")
    recorder.close()
    recorder.close()
    bodies = [each.body.data for each in entries_of(path.read_bytes())]
    assert bodies == [b"0", b"1", b"2", b"last"]


def test_what_is_not_written_yet_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.har"
    ring = Ring(Limits(exchanges=20))
    recorder = Recorder(ring, str(path), SHOWN, "1.0")
    for number in range(35):
        post(ring, b"%d" % number)
    recorder.close()
    assert len(entries_of(path.read_bytes())) == 35
    post(ring, b"x")
    assert len(ring) == 20


def test_exchanges_of_files_are_not_recorded(tmp_path: Path) -> None:
    path = tmp_path / "a.har"
    ring = Ring()
    post(ring, b"x")
    entry = entry_of(ring.exchanges()[0])
    recorder = Recorder(ring, str(path), SHOWN, "1.0")
    add_entry(ring, entry, "b.har")
    recorder.close()
    assert len(entries_of(path.read_bytes())) == 1


def test_file_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"record='/none/a\.har': no such file"):
        Recorder(Ring(), "/none/a.har", SHOWN, "1.0")


def test_body_that_broke_off_is_cut_in_the_entry() -> None:
    ring = Ring()

    def breaks(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"half"
        raise RuntimeError("why")

    with pytest.raises(RuntimeError):
        call_wsgi(InspectedWSGI(breaks, ring), "GET", "/", (), b"")
    entry = entry_of(ring.exchanges()[0])
    assert entry.answer is not None and entry.answer.body == (b"half", True, 4)
    assert "RuntimeError: why" in entry.error
