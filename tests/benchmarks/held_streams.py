"""A source that holds thousands of event streams, and sends an event when it is told to.

``python -m tests.benchmarks.held_streams PORT`` answers ``/1k`` with 1 KiB, and any other request
with a stream whose first event comes at once. A line "EVENTS SECONDS" on stdin is answered with the
number of streams that are held; then one event goes to each of so many of them, picked at random,
one in SECONDS. The data of an event is CLOCK_MONOTONIC in nanoseconds just before it is sent.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time

_SMALL = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
HELD: set[asyncio.StreamWriter] = set()


def event() -> bytes:
    """An event of now, as a chunk."""
    data = b"data: %d\n\n" % time.monotonic_ns()
    return b"%x\r\n%s\r\n" % (len(data), data)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection; a stream ends when its client leaves."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"GET /1k "):
                break
            writer.write(_SMALL)
        writer.write(_HEAD + event())
        HELD.add(writer)
        await reader.read()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        HELD.discard(writer)
        writer.close()


async def main(port: int) -> None:
    """Serve until stdin ends."""
    loop = asyncio.get_running_loop()
    async with await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024):
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            events, seconds = line.split()
            print(len(HELD), flush=True)
            for writer in random.sample(sorted(HELD, key=id), min(int(events), len(HELD))):
                await asyncio.sleep(float(seconds))
                writer.write(event())


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
