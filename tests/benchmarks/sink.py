"""A raw-socket upstream that reads every body whole, keeps nothing of it, and answers 1 KiB.

``python -m tests.benchmarks.sink PORT`` answers a request when the bytes of its Content-Length
have arrived, and 411 to one whose body has no length. It costs less than a server that stores.
"""

from __future__ import annotations

import re
import socket
import sys
import threading

BLOCK = 256 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CODING = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024
_REFUSAL = b"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def serve(connection: socket.socket) -> None:
    """Answer the requests of one connection."""
    block = bytearray(BLOCK)
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        received = b""
        while True:
            head, end, received = received.partition(b"\r\n\r\n")
            if not end:
                more = connection.recv(65536)
                if not more:
                    return
                received = head + more
                continue
            if _CODING.search(head):
                connection.sendall(_REFUSAL)
                return
            length = _LENGTH.search(head)
            left = (int(length[1]) if length else 0) - len(received)
            received = b""
            while left > 0:
                size = connection.recv_into(block, min(left, BLOCK))
                if not size:
                    return
                left -= size
            connection.sendall(_ANSWER)
            if b" HTTP/1.0" in head or b"\r\nconnection: close" in head.lower():
                return


def main(port: int) -> None:
    """Serve until the process is ended."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))
