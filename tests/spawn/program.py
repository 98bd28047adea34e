"""Small programs to be spawned: ``python -I -S program.py NAME key=value...``.

``serve`` listens on the socket that was handed over, on ``port=`` or at ``socket=``, and answers
each path of `_PATHS`. All of them import little, so that they are there within milliseconds.
"""

from __future__ import annotations

import os
import signal
import sys
import time

Options = dict[str, str]


def note(path: str, text: str) -> None:
    """Append a line to a file, in one step."""
    if path:
        number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(number, text.encode() + b"\n")
        os.close(number)


def wait_for(path: str) -> None:
    """Return when the file exists."""
    while path and not os.path.exists(path):
        time.sleep(0.01)


def sleep_for_ever() -> None:
    while True:
        signal.pause()


def obey(options: Options) -> None:
    """What all programs have in common.

    ``starts=FILE`` and ``ended=FILE`` get the pid at the start and at SIGTERM, ``say=TEXT`` is
    printed, ``wait=FILE`` has to be there before it goes on, ``ignore=yes`` ignores SIGTERM,
    ``linger=SECONDS`` is the time between SIGTERM and the end, ``detach=FILE`` starts a daemon
    that writes its pid there and ignores SIGTERM.
    """

    def end(number: int, frame: object) -> None:
        note(options.get("ended", ""), str(os.getpid()))
        time.sleep(float(options.get("linger", "0")))
        os._exit(0)

    signal.signal(signal.SIGTERM, signal.SIG_IGN if options.get("ignore") else end)
    note(options.get("starts", ""), str(os.getpid()))
    if "detach" in options:
        detach(options["detach"])
    if "say" in options:
        print(options["say"], flush=True)
    wait_for(options.get("wait", ""))


def daemonise() -> bool:
    """Fork twice, as daemons do; true in the daemon."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return False
    os.setsid()
    if os.fork():
        os._exit(0)
    return True


def detach(path: str) -> None:
    if daemonise():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        note(path, str(os.getpid()))
        sleep_for_ever()
    wait_for(path)


# The server


def listening(options: Options):  # type: ignore[no-untyped-def]
    """The listening socket, as the options or the environment say."""
    import socket

    if "socket" in options:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(options["socket"])
    elif "port" in options:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((options.get("host", "127.0.0.1"), int(options["port"])))
    else:
        return socket.socket(fileno=int(os.environ["LISTEN_FDS"]) + 2)
    sock.listen(1024)
    return sock


def _pid(path: str, query: str, head: str, body: bytes) -> bytes:
    return str(os.getpid()).encode()


def _echo(path: str, query: str, head: str, body: bytes) -> bytes:
    import json

    line, *fields = head.split("\r\n")
    headers = [field.split(": ", 1) for field in fields]
    return json.dumps({"line": line, "headers": headers, "length": len(body)}).encode()


def _facts(path: str, query: str, head: str, body: bytes) -> bytes:
    """What the kernel says of this process."""
    import json

    links = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            links[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the descriptor of the folder itself
            continue
    with open("/proc/self/status", encoding="ascii") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    facts = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "session": os.getsid(0),
        "group": os.getpgrp(),
        "cwd": os.getcwd(),
        "words": sys.argv,
        "environment": dict(os.environ),
        "descriptors": links,
        "status": status,
    }
    return json.dumps(facts).encode()


def _upload(path: str, query: str, head: str, body: bytes) -> bytes:
    return str(len(body)).encode()


def _say(path: str, query: str, head: str, body: bytes) -> bytes:
    """Print the body of the request."""
    os.write(1, body)
    return b"said"


def _gate(path: str, query: str, head: str, body: bytes) -> bytes:
    """Answer when the file of that name is there."""
    wait_for(query)
    return b"open"


def _exit(path: str, query: str, head: str, body: bytes) -> bytes:
    os._exit(int(query))


def _kill(path: str, query: str, head: str, body: bytes) -> bytes:
    os.kill(os.getpid(), int(query))
    sleep_for_ever()  # the main thread gets it, in a moment
    return b""


_PATHS = {
    "/": _pid,
    "/pid": _pid,
    "/echo": _echo,
    "/facts": _facts,
    "/upload": _upload,
    "/say": _say,
    "/gate": _gate,
    "/exit": _exit,
    "/kill": _kill,
}


def _request(file) -> tuple[str, bytes] | None:  # type: ignore[no-untyped-def]
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = file.readline()
        if not line:
            return None
        head += line
    text = head.decode("latin-1")[:-4]
    length = 0
    for field in text.split("\r\n")[1:]:
        name, _, value = field.partition(": ")
        if name.lower() == "content-length":
            length = int(value)
    return text, file.read(length)


def _talk(connection) -> None:  # type: ignore[no-untyped-def]
    """Serve one connection until its client closes it."""
    file = connection.makefile("rb")
    try:
        while (request := _request(file)) is not None:
            head, body = request
            path, _, query = head.split(" ")[1].partition("?")
            if path == "/events":
                _events(connection)
            elif path == "/half":
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
                os._exit(1)
            known = _PATHS.get(path)
            answer = known(path, query, head, body) if known else b""
            status = b"200 OK" if known else b"404 Not Found"
            connection.sendall(
                b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(answer), answer)
            )
    except OSError:  # the client has gone
        pass
    finally:
        file.close()
        connection.close()


def _events(connection) -> None:  # type: ignore[no-untyped-def]
    """A stream without an end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    while True:
        connection.sendall(b"data: %d\n\n" % os.getpid())
        time.sleep(0.02)


def _flood(kind: str) -> None:
    """Write without an end: ``lines``, or one line (``line``)."""
    block = b"x" * 99 + (b"\n" if kind == "lines" else b"x")
    while True:
        os.write(1, block * 500)


def serve(options: Options) -> None:
    """Obey and serve; ``flood=`` writes all the while, ``rubbish=yes`` writes bytes first."""
    import threading

    if options.get("rubbish"):
        os.write(1, bytes(range(256)) + b"\n\x1b[2J\x1b]0;title\x07red\xff\xfe\n\xc2\x9b31mC1\r\n")
    obey(options)
    sock = listening(options)
    if "flood" in options:
        threading.Thread(target=_flood, args=[options["flood"]], daemon=True).start()
    while True:
        connection, _ = sock.accept()
        threading.Thread(target=_talk, args=[connection], daemon=True).start()


# Those that do not serve


def leave(options: Options) -> None:
    """End with ``status=``, or by ``signal=``."""
    obey(options)
    if "signal" in options:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), int(options["signal"]))
    os._exit(int(options.get("status", "0")))


def idle(options: Options) -> None:
    """Never listen."""
    obey(options)
    sleep_for_ever()


def deaf(options: Options) -> None:
    """Listen, and never accept."""
    sock = listening(options)
    obey(options)
    sleep_for_ever()
    sock.close()


def background(options: Options) -> None:
    """Go into the background: the main process ends with status 0.

    With ``leave=FILE`` it waits for that file before, and the daemon serves.
    """
    if daemonise():
        (serve if "leave" in options else idle)(options)
    wait_for(options.get("leave", ""))


_PROGRAMS = {
    "serve": serve,
    "leave": leave,
    "idle": idle,
    "deaf": deaf,
    "background": background,
}

if __name__ == "__main__":
    _PROGRAMS[sys.argv[1]](dict(word.split("=", 1) for word in sys.argv[2:]))
