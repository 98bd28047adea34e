"""A raw-socket source of events: nginx makes none itself.

``python -m tests.benchmarks.event_source PORT EVENTS SECONDS`` answers every connection's one
request with EVENTS events, one in SECONDS; the data of each is CLOCK_MONOTONIC in nanoseconds just
before it is sent. All processes of a machine share that clock.
"""

from __future__ import annotations

import socket
import sys
import threading
import time

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)


def answer(connection: socket.socket, events: int, seconds: float) -> None:
    """Read a request head, then send the events at their times."""
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        received = b""
        while b"\r\n\r\n" not in received:
            block = connection.recv(65536)
            if not block:
                return
            received += block
        connection.sendall(_HEAD)
        due = time.monotonic()
        for _ in range(events):
            due += seconds
            time.sleep(max(0.0, due - time.monotonic()))  # the rhythm is what is wanted
            event = b"data: %d\n\n" % time.monotonic_ns()
            connection.sendall(b"%x\r\n%s\r\n" % (len(event), event))
        connection.sendall(b"0\r\n\r\n")


def main(port: int, events: int, seconds: float) -> None:
    """Serve until the process is ended."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            thread = threading.Thread(target=answer, args=(connection, events, seconds))
            thread.daemon = True
            thread.start()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
