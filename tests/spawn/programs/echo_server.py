"""A server to be spawned: ``python -I -S server.py key=value...``.

It tells what it was asked for and who it is, can listen in every way that there is, and can
change its mind about where. It imports little, so that it is there within milliseconds.

``port=`` with ``host=`` (an address; several are separated by commas), ``socket=``, or else the
socket that was handed over. ``only6=yes`` keeps IPv4 out of an IPv6 socket, ``reuse=yes`` lets
others of the same user listen beside it. ``began=FILE`` is made at the start; ``wait=FILE`` has
to be there before it listens. ``busy=3`` answers the first three requests with 503, and
``answer=STATUS`` every one. ``requests=FILE`` gets the target of each, ``heads=FILE`` the lines of
its head as JSON.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time

Options = dict[str, str]


def note(path: str, text: str) -> None:
    """Append a line to a file, in one step."""
    number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(number, text.encode() + b"\n")
    os.close(number)


def bound(options: Options, host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if ":" in host:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, "only6" in options)
    if "reuse" in options:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((host, int(options["port"])))
    return sock


def listeners(options: Options) -> list[socket.socket]:
    if "port" in options:
        found = [bound(options, host) for host in options.get("host", "127.0.0.1").split(",")]
    elif "socket" in options:
        found = [socket.socket(socket.AF_UNIX)]
        found[0].bind(options["socket"])
    else:
        return [socket.socket(fileno=3)]
    for sock in found:
        sock.listen(100)
    return found


class Server:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._busy = int(options.get("busy", "0"))
        self._lock = threading.Lock()
        self.listeners: list[socket.socket] = []

    def open(self) -> None:
        self.listeners = listeners(self._options)
        for sock in self.listeners:
            threading.Thread(target=self._accept, args=[sock], daemon=True).start()

    def _accept(self, sock: socket.socket) -> None:
        try:
            while True:
                connection, _ = sock.accept()
                threading.Thread(target=self._talk, args=[connection], daemon=True).start()
        except OSError:  # it was closed
            return

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as file:
            try:
                while (request := read(file)) is not None:
                    connection.sendall(self._answer(*request))
            except OSError:  # the client has gone
                return

    def _answer(self, head: list[str], body: bytes) -> bytes:
        target = head[0].split(" ")[1]
        if "requests" in self._options:
            note(self._options["requests"], target)
        if "heads" in self._options:
            note(self._options["heads"], json.dumps(head))
        path, _, query = target.partition("?")
        name = path.rpartition("/")[2]  # below whatever mount
        action = ACTIONS.get(name)
        if action is not None:
            action(self, query)
        if name == "redirect":
            return response("302 Found", f"Location: {query}\r\n")
        with self._lock:
            busy, self._busy = self._busy > 0, self._busy - 1
        status = "503 Service Unavailable" if busy else self._options.get("answer", "200 OK")
        return response(status, "", json.dumps(told(head, body)).encode())


def read(file) -> tuple[list[str], bytes] | None:  # type: ignore[no-untyped-def]
    """The lines of the head, and the body of a known length."""
    lines = []
    while (line := file.readline().decode("latin-1").rstrip("\r\n")) or not lines:
        if not line:
            return None
        lines.append(line)
    length = 0
    for line in lines[1:]:
        name, _, value = line.partition(": ")
        if name.lower() == "content-length":
            length = int(value)
    return lines, file.read(length)


def told(head: list[str], body: bytes) -> dict[str, object]:
    return {
        "line": head[0],
        "headers": [field.split(": ", 1) for field in head[1:]],
        "length": len(body),
        "pid": os.getpid(),
        "words": sys.argv[1:],
        "environment": dict(os.environ),
    }


def response(status: str, fields: str, body: bytes = b"") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{fields}\r\n"
    return head.encode("latin-1") + body


# What the server does about itself before it answers


def crash(server: Server, query: str) -> None:
    os._exit(3)


def shut(server: Server, query: str) -> None:
    """Listen no more, and keep the socket."""
    for sock in server.listeners:
        sock.shutdown(socket.SHUT_RDWR)


def move(server: Server, query: str) -> None:
    """Close the socket and listen anew at the same address, as servers that reload do."""
    for sock in server.listeners:
        sock.shutdown(socket.SHUT_RDWR)
        sock.close()
    server.open()


def gate(server: Server, query: str) -> None:
    """Answer when the file of that name is there."""
    while not os.path.exists(query):
        time.sleep(0.01)


def never(server: Server, query: str) -> None:
    """Say nothing."""
    threading.Event().wait()


ACTIONS = {"crash": crash, "gate": gate, "never": never, "shut": shut, "move": move}


def main(options: Options) -> None:
    if "began" in options:
        note(options["began"], str(os.getpid()))
    while "wait" in options and not os.path.exists(options["wait"]):
        time.sleep(0.01)
    serving = Server(options)  # and its sockets, however they are shut down
    serving.open()
    threading.Event().wait()


if __name__ == "__main__":
    main(dict(word.split("=", 1) for word in sys.argv[1:]))
