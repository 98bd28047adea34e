"""The soak of tests/benchmarks runs for a moment; it sees what ends wrongly, and what grows."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.benchmarks.soak.__main__ import printed
from tests.benchmarks.soak.client import Answer, Broken, Client
from tests.benchmarks.soak.edges import MEASURED
from tests.benchmarks.soak.figures import growth, theil_sen
from tests.benchmarks.soak.kinds import KINDS
from tests.benchmarks.soak.load import Load
from tests.support.upstream import RawUpstream, answer

ROOT = Path(__file__).parents[1]
SERVERS = ("waitress", "uvicorn")


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What three seconds find."""
    servers = [word for name in SERVERS for word in ("--server", name)]
    command = [sys.executable, "-m", "tests.benchmarks.soak", "--minutes", "0.05", "--json"]
    done = subprocess.run(
        [*command, *servers], cwd=ROOT, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_each_kind_comes_and_ends_as_it_has_to(found: dict[str, Any]) -> None:
    assert found["wrong"] == []
    assert found["restarts"] >= 1
    right = {(server, kind) for server, kind, _, _ in found["right"]}
    wanted = {("uvicorn", kind.name) for kind in KINDS}
    wanted |= {("waitress", kind.name) for kind in KINDS if not kind.upgrades}
    assert right == wanted


def test_everything_is_sampled(found: dict[str, Any]) -> None:
    for server in SERVERS:
        measured = {
            row["measured"].partition(",")[0]: row
            for row in found["growth"]
            if row["server"] == server
        }
        assert measured.keys() == MEASURED.keys() - ({"tasks"} if server == "waitress" else set())
        assert 5 < measured["memory"]["before"] < 500
        assert measured["threads"]["least"] >= 1
        assert len(found["samples"][server]["memory"]) >= 2


def test_it_is_printed(found: dict[str, Any]) -> None:
    lines = "\n".join(printed(found))
    assert "per hour" in lines
    assert "uvicorn   memory, MiB" in lines
    assert lines.endswith("0 ended wrongly")


async def _loaded(port: int) -> Load:
    edge: Any = SimpleNamespace(name="one", client=Client(port), upgrades=False)
    load = Load([edge], SimpleNamespace(), 1.0)  # type: ignore[arg-type]
    await load.once()
    edge.client.close()
    return load


def test_what_ends_wrongly_is_counted() -> None:
    with RawUpstream(answer(500)) as upstream:
        load = asyncio.run(_loaded(upstream.port))
    assert load.counts.right == load.counts.disturbed == {}
    assert load.counts.wrong == {
        ("one", kind.name, "500"): 1 for kind in KINDS if not kind.upgrades
    }


async def _asked(port: int, times: int = 1, **options: Any) -> list[Answer]:
    client = Client(port)
    try:
        return [await client.ask("/", **options) for _ in range(times)]
    finally:
        client.close()


CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"
CUT_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"


@pytest.mark.parametrize("sent", [CUT, CUT_CHUNK, CUT_CHUNK[:-4], b"HTTP/1.1 20", b""])
def test_an_answer_that_breaks_off_is_broken(sent: bytes) -> None:
    with RawUpstream([("read",), ("send", sent), ("close",)]) as upstream, pytest.raises(Broken):
        asyncio.run(_asked(upstream.port))


def test_a_whole_answer_keeps_the_connection() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    for sent in (answer(200, body=b"abc"), chunked):
        with RawUpstream(sent) as upstream:
            answers = asyncio.run(_asked(upstream.port, times=2))
            assert answers == [Answer(200, 3, b"abc")] * 2
            assert upstream.connections == 1


def test_growth_is_seen_and_jumps_are_not() -> None:
    times = range(0, 3600, 30)
    leaking = growth([(at, 50 + at / 3600) for at in times])
    assert leaking.hourly == pytest.approx(1)
    assert leaking.last > leaking.first
    jumping = growth([(at, 50 + (at % 7 == 0) * 40) for at in times])
    assert (jumping.hourly, jumping.most) == (0, 90)
    warming = growth([(at, 50 if at < 600 else 60) for at in times])
    assert (warming.hourly, warming.least) == (0, 60)
    assert theil_sen([(at, 2 * at) for at in range(5000)]) == 2
