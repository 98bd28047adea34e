"""What the proxy itself costs: CPU microseconds for a GET of 1 KiB in one process, one thread.

Each contender is a process of its own (``contender.py``) that calls its proxy with a WSGI environ
of 12 browser fields, against nginx, without a server in front, all on one core. They take turns,
and the ratios to ``urllib3.HTTPConnectionPool.urlopen`` are taken round by round. WSGIProxy2 has
the same import name as we do, so it is installed into a temporary directory with pip; without a
package index it is skipped.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.benchmarks.processes import ROOT, Process, Unavailable
from tests.benchmarks.program import Session, main
from tests.benchmarks.report import Aim
from tests.benchmarks.upstream import running_upstream

TITLE = "In process, GET of 1 KiB, one thread"
AGAINST = "urllib3 urlopen"
OURS = "ours, WSGIProxyApp"
CONTENDERS = (
    "raw socket",
    AGAINST,
    OURS,
    "ours, proxy_exact_request",
    "WSGIProxy2, httplib",
    "WSGIProxy2, urllib3",
    "WSGIProxy2, requests",
    "werkzeug ProxyMiddleware",
)
FIELDS = 12


def install_wsgiproxy2(directory: Path) -> Path:
    """WSGIProxy2 alone, in a directory where our package is not; once for a directory."""
    target = directory / "wsgiproxy2"
    if not target.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*pip, "--target", str(target), "WSGIProxy2"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise Unavailable(f"pip install failed: {lines[-1] if lines else done.returncode}")
    return target


def start(name: str, directory: Path, port: int, count: int) -> Process:
    """The contender `name`, checked and ready."""
    place = install_wsgiproxy2(directory) if name.startswith("WSGIProxy2") else ROOT
    command = [sys.executable, str(Path(__file__).with_name("contender.py"))]
    log = directory / f"{name.replace(' ', '-')}-{count}.log"
    process = Process(
        [*command, name, str(port), str(count)],
        log,
        env={"PYTHONPATH": str(place)},
        pipes=True,
    )
    try:
        process.read()
    except BaseException:
        process.stop()
        raise
    return process


@contextmanager
def started(
    names: Sequence[str], session: Session, port: int, count: int
) -> Iterator[dict[str, Process]]:
    """Those of `names` that start."""
    with ExitStack() as stack:
        processes = {}
        for name in names:
            try:
                process = start(name, session.directory, port, count)
            except Unavailable as reason:
                session.report.skip(name, str(reason))
                continue
            stack.callback(process.stop)
            processes[name] = process
        yield processes


def costs(session: Session, names: Sequence[str], port: int, count: int) -> dict[str, list[float]]:
    """CPU microseconds for a request of every contender in every round."""
    requests = str(session.choose(2000, 500))
    with started(names, session, port, count) as processes:
        samples: dict[str, list[float]] = {name: [] for name in processes}
        for _ in range(session.rounds_or(15, 4)):
            for name, process in processes.items():
                samples[name].append(float(process.ask(requests)))
    return samples


@contextmanager
def on_one_core() -> Iterator[None]:
    """Contender and upstream take turns on one core.

    On two, every send wakes the other one, which in a virtual machine costs more than all of
    the proxying, and as much for everybody.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def contending(
    session: Session, module: str, rounds: int
) -> Iterator[tuple[dict[str, list[float]], Process]]:
    """What a contender with all its variants in one process measures, by figure; and the process.

    :param module: of the contender, below this package.
    :param rounds: how often it is asked.
    """
    requests = str(session.choose(4000, 800))
    command = [sys.executable, "-m", f"tests.benchmarks.{module}"]
    found: dict[str, list[float]] = {}
    with on_one_core(), running_upstream(session.directory) as port:
        process = Process(
            [*command, str(port), str(FIELDS)], session.directory / f"{module}.log", pipes=True
        )
        try:
            process.read()
            for _ in range(rounds):
                for name, value in json.loads(process.ask(requests)).items():
                    found.setdefault(name, []).append(value)
            yield found, process
        finally:
            process.stop()


def measure(session: Session) -> None:
    """Add the figures to the report of `session`."""
    with on_one_core(), running_upstream(session.directory) as port:
        samples = costs(session, CONTENDERS, port, FIELDS)
    for found in importlib.metadata.distributions(path=[str(session.directory / "wsgiproxy2")]):
        session.report.notes.append(f"{found.metadata['Name']} {found.version} from the index")
    aims = {OURS: Aim("<=", 0.3), "ours, proxy_exact_request": Aim("<=", 0.3)}
    session.report.add("in process, CPU µs/request", samples, against=AGAINST, aims=aims)


if __name__ == "__main__":
    main(measure, TITLE, __doc__)
