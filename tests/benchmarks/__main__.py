"""Run every benchmark and print one reST table, and the machine, to paste in the documentation.

The programs alone print more: ``python -m tests.benchmarks.NAME`` with NAME in_process,
asgi_in_process, hooks, signing, spawning, whole_server, asgi, threads, streaming, tunnels, events,
streams, websockets, inspector or growth.
"""

from __future__ import annotations

from tests.benchmarks import (
    asgi,
    asgi_in_process,
    events,
    growth,
    hooks,
    in_process,
    inspector,
    signing,
    spawning,
    streaming,
    streams,
    threads,
    tunnels,
    websockets,
    whole_server,
)
from tests.benchmarks.program import run_all

PROGRAMS = (
    in_process,
    asgi_in_process,
    hooks,
    signing,
    spawning,
    whole_server,
    asgi,
    threads,
    streaming,
    tunnels,
    events,
    streams,
    websockets,
    inspector,
    growth,
)

if __name__ == "__main__":
    run_all([(program.measure, program.TITLE) for program in PROGRAMS], __doc__)
