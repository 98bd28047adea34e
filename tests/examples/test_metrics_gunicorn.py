"""The figures of two workers of gunicorn, which are one."""

from __future__ import annotations

import http.client
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.examples.running import needs, running
from tests.spawn.children import until
from tests.support.upstream import RawUpstream

NAME = "metrics_gunicorn.py"
COUNT = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.M)


@pytest.fixture(autouse=True)
def _installed() -> None:
    needs("gunicorn", "prometheus_client")


def get(port: int, path: str, host: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def figures(port: int) -> dict[str, float]:
    """What a worker says; labels stand with the names."""
    status, body = get(port, "/metrics", "metrics.localhost")
    assert status == 200
    found = COUNT.findall(body.decode())
    return {
        name + (f"{{{labels}}}" if labels else ""): float(value) for name, labels, value in found
    }


def pids(folder: Path) -> set[int]:
    """The workers that have counted."""
    return {int(path.stem.rpartition("_")[2]) for path in folder.glob("counter_*.db")}


def all_of(found: dict[str, float], count: str, asked: int) -> dict[str, float] | None:
    """The figures, if they are of all requests: each worker writes its own once a second."""
    assert found.get(count, 0) <= asked
    is_all = found.get(count) == asked and found["wsgiproxy_requests_in_flight"] == 0
    return found if is_all else None


def test_the_figures_of_all_workers_are_one(echo: RawUpstream, tmp_path: Path):
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    with running(NAME, echo.netloc, env) as (port, process):
        workers: set[int] = set()
        asked = 0

        def both_have_served() -> Any:
            nonlocal asked, workers
            assert get(port, "/x", "h")[0] == 200
            asked += 1
            booted = set(map(int, re.findall(r"Booting worker with pid: (\d+)", process.log)))
            workers = pids(tmp_path) & booted
            return len(workers) == 2

        until(both_have_served, "two workers")
        place = f'route="/",upstream="{echo.url}"'
        count = (
            f'wsgiproxy_requests_total{{method="GET",route="/",status="200",upstream="{echo.url}"}}'
        )
        for _ in range(4):  # whichever is asked
            found = until(lambda: all_of(figures(port), count, asked), f"{asked} in {count}")
            assert found[f"wsgiproxy_request_duration_seconds_count{{{place}}}"] == asked
            assert 1 <= found[f'wsgiproxy_pool_open{{upstream="{echo.url}"}}'] <= 16
        _one_ends(port, tmp_path, workers, count, asked)


def _one_ends(port: int, folder: Path, workers: set[int], count: str, asked: int) -> None:
    """What it has counted stays, and what it held is gone."""
    gone = min(workers)
    os.kill(gone, signal.SIGKILL)
    until(lambda: not list(folder.glob(f"gauge_livesum_{gone}.db")), "child_exit")
    assert figures(port)[count] == asked
