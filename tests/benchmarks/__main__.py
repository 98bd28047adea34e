"""Run every benchmark and print one reST table, and the machine, to paste in the documentation.

The programs alone print more: ``python -m tests.benchmarks.NAME`` with NAME in_process,
signing, spawning, whole_server, threads, streaming, tunnels, events or growth.
"""

from __future__ import annotations

from tests.benchmarks import (
    events,
    growth,
    in_process,
    signing,
    spawning,
    streaming,
    threads,
    tunnels,
    whole_server,
)
from tests.benchmarks.program import run_all

PROGRAMS = (
    in_process,
    signing,
    spawning,
    whole_server,
    threads,
    streaming,
    tunnels,
    events,
    growth,
)

if __name__ == "__main__":
    run_all([(program.measure, program.TITLE) for program in PROGRAMS], __doc__)
