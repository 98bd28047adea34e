"""A parent proxy: CONNECT and SOCKS5, as little of both as a client needs."""

from __future__ import annotations

import socket
import threading

__all__ = ["ParentProxy"]


class ParentProxy:
    """An HTTP proxy that knows CONNECT alone, and one SOCKS5 command."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            first = client.recv(65536)
            if first[:1] == b"\x05":
                client.sendall(b"\x05\x00")
                first = client.recv(65536)
                self.asked.append(first)
                port = int.from_bytes(first[-2:], "big")
                client.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01" + first[-2:])
            else:
                self.asked.append(first)
                port = int(first.split(b" ")[1].rpartition(b":")[2])
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            with socket.create_connection(("127.0.0.1", port)) as upstream:
                back = threading.Thread(target=self._copy, args=[upstream, client], daemon=True)
                back.start()
                self._copy(client, upstream)
                back.join(5)

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
