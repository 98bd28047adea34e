"""The configuration file at SIGHUP: old requests end, and a broken file changes nothing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.command import request_bytes, running
from tests.spawn.children import alive, child, lines_of, until
from tests.support.client import RawClient, raw_exchange
from tests.support.client import request_bytes as bytes_for
from tests.support.upstream import RawUpstream, answer


@pytest.fixture(params=["uvicorn", "waitress"])
def server(request):
    pytest.importorskip(request.param)
    return request.param


def text(server: str, *routes: str) -> str:
    tables = "".join(f"[[route]]\n{route}\n" for route in routes)
    return f'listen = "127.0.0.1:0"\nserver = "{server}"\ncheck = false\n{tables}'


def reload(command, path: Path, content: str, said: str) -> None:
    path.write_text(content)
    before = command.stderr.count(said)
    command.send_signal(signal.SIGHUP)
    until(lambda: command.stderr.count(said) > before, said)


def port_of(command) -> int:
    port = urlsplit(command.line().split()[1]).port
    assert port
    return port


def test_request_in_flight_ends_on_the_old_routes(server, tmp_path):
    path, go_on = tmp_path / "proxy.toml", threading.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
    script = [("read",), ("send", head + b"old"), ("wait", go_on), ("send", b"end")]
    with RawUpstream(script) as old, RawUpstream(answer(body=b"new")) as new:
        path.write_text(text(server, f'target = "{old.url}"'))
        with running("serve", "--config", str(path)) as command:
            port = port_of(command)
            with RawClient(port) as client:
                client.send(request_bytes("GET /"))
                client.read_until(b"old")
                routes = [f'target = "{new.url}"', f'host = "b.example"\ntarget = "{new.url}"']
                reload(command, path, text(server, *routes), "was read again: 2 routes")
                assert raw_exchange(port, request_bytes("GET /")).body == b"new"
                # A new name is answered, too.
                assert raw_exchange(port, bytes_for("GET /", host="b.example")).body == b"new"
                go_on.set()
                client.read_until(b"end")
            assert command.end() == 0
            assert "Traceback" not in command.stderr


def command_route(prefix: str, starts: Path, **more: object) -> str:
    lines = {"prefix": prefix, "command": child(starts=starts), "strip_script_name": True, **more}
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in lines.items())


def pid_at(port: int, prefix: str) -> int:
    answer = raw_exchange(port, request_bytes(f"GET {prefix}/pid"))
    assert answer.status == 200, answer
    return int(answer.body)


class Asking(threading.Thread):
    """A client that asks until it is told to end; its answers are in ``statuses``."""

    def __init__(self, port: int, path: str) -> None:
        super().__init__(daemon=True)
        self._port, self._path, self._enough = port, path, threading.Event()
        self.statuses: list[object] = []

    def run(self) -> None:
        while not self._enough.is_set():
            answer = raw_exchange(self._port, request_bytes(f"GET {self._path}"))
            self.statuses.append(answer.status if answer.complete else answer.error)

    def __enter__(self) -> Asking:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._enough.set()
        self.join()


def test_commands_go_on_begin_again_and_end(server, tmp_path):
    """While clients ask all the time, and streams of other routes never end."""
    path, starts = tmp_path / "proxy.toml", tmp_path / "starts"
    kept = command_route("/kept", starts, now=True)
    gone = command_route("/gone", tmp_path / "gone")
    with RawUpstream(answer(body=b"page")) as page:

        def content(number: int, *more: str) -> str:
            env = {"script_env.NUMBER": str(number)}
            changed = command_route("/changed", tmp_path / "changed", **env)
            return text(server, kept, changed, f'target = "{page.url}"\nvia = "v{number}"', *more)

        path.write_text(content(0, gone))
        with running("serve", "--config", str(path)) as command:
            port = port_of(command)
            started = until(lambda: lines_of(starts), "a start without a request")
            first = pid_at(port, "/changed")
            with (
                RawClient(port) as kept_stream,
                RawClient(port) as gone_stream,
                Asking(port, "/kept/pid") as of_kept,
                Asking(port, "/changed/pid") as of_changed,
                Asking(port, "/x") as of_page,
            ):
                for client, prefix in ((kept_stream, "/kept"), (gone_stream, "/gone")):
                    client.send(request_bytes(f"GET {prefix}/events"))
                    client.read_until(b"data: ")
                for number in range(1, 6):
                    count = len(of_page.statuses)
                    reload(command, path, content(number), "was read again: 3 routes")
                    until(lambda: len(of_page.statuses) > count, "a request after it")  # noqa: B023
                assert pid_at(port, "/changed") != first
                until(lambda: not alive(first), "the end of the changed command")
                # Its place is free at once; its stream is not cut.
                assert raw_exchange(port, request_bytes("GET /gone/pid")).body == b"page"
                (ending,) = map(int, lines_of(tmp_path / "gone"))
                gone_stream.read_until(b"data: %d\n" % ending)
                gone_stream.reset()
                until(lambda: not alive(ending), "the end of the removed command")
                kept_stream.read_until(b"data: %s\n" % started[0].encode())
            for each in (of_kept, of_changed, of_page):
                assert len(each.statuses) > 5 and set(each.statuses) == {200}
            assert [str(pid_at(port, "/kept"))] == started == lines_of(starts)
            reload(command, path, content(6, command_route("/n", tmp_path / "n", now=True)), "4 r")
            until(lambda: lines_of(tmp_path / "n"), "a start by the file alone")
            assert command.end() == 0
            assert not command.left_over()
            assert "Traceback" not in command.stderr


def test_websocket_goes_on_when_its_route_is_gone(tmp_path):
    pytest.importorskip("uvicorn")
    websockets = pytest.importorskip("websockets.sync.client")
    path = tmp_path / "proxy.toml"
    words = [sys.executable, str(Path(__file__).parents[1] / "spawn" / "websocket_program.py")]
    route = f"command = {json.dumps([*words, '{port}'])}"
    path.write_text(text("uvicorn", route))
    with running("serve", "--config", str(path)) as command:
        port = port_of(command)
        with websockets.connect(f"ws://127.0.0.1:{port}/", proxy=None, close_timeout=1) as talk:
            number = int(raw_exchange(port, request_bytes("GET /")).body)
            reload(command, path, text("uvicorn", 'target = ":1"'), "was read again: 1 route")
            assert raw_exchange(port, request_bytes("GET /")).status == 502
            talk.send("hello")
            assert talk.recv(10) == "hello"
            assert alive(number)
        until(lambda: not alive(number), "the end of the command")
        assert command.end() == 0
        assert "Traceback" not in command.stderr


HOOK = """
from wsgiproxy.hooks import Response

def mark(request):
    yield request
    return Response(200, body="old hook")
"""


def test_broken_file_keeps_the_old_settings(server, tmp_path):
    path = tmp_path / "proxy.toml"
    with RawUpstream(answer(body=b"old")) as old:
        good = text(server, f'target = "{old.url}"')
        path.write_text(good)
        hooks = tmp_path / "own_hooks.py"
        hooks.write_text(HOOK)
        env = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])}
        with running("serve", "--config", str(path), env=env) as command:
            port = port_of(command)
            reload(command, path, f"{good}verify = 3\nvia = 5\nx = 1\n", "the old settings stay")
            assert [f"{path}:{line}: " in command.stderr for line in (6, 7, 8)] == [True] * 3
            assert raw_exchange(port, request_bytes("GET /")).body == b"old"
            path.unlink()
            command.send_signal(signal.SIGHUP)
            until(lambda: command.stderr.count("the old settings stay") == 2, "a second refusal")
            reload(command, path, good.replace(":0", ":1"), "a new listen needs a restart")
            assert raw_exchange(port, request_bytes("GET /")).body == b"old"
            reload(command, path, f'{good}hooks = ["own_hooks:mark"]\n', "was read again: 1 route")
            hooks.write_text(HOOK.replace("old", "new"))
            os.utime(hooks, (1, 1))
            said = "the changed module own_hooks needs a restart"
            reload(command, path, f'{good}hooks = ["own_hooks:mark"]\n', said)
            until(lambda: command.stderr.count("was read again") == 3, "the routes")
            assert raw_exchange(port, request_bytes("GET /")).body == b"old hook"
            assert command.end() == 0


GATED = """
import pathlib, signal, threading

HERE = pathlib.Path(__file__).parent


def wait():
    if (HERE / "gate").exists():
        (HERE / "gate").read_text()


def counted():
    wait()
    names = [each.name for each in threading.enumerate()]
    with open(HERE / "threads", "a") as file:
        file.write(f"{names.count('reload')} ")

    def hook(request):
        return (yield request)

    return hook


if (HERE / "at_import").exists():
    wait()
signal.signal(signal.SIGHUP, signal.SIG_IGN)
"""


@contextlib.contextmanager
def gate(folder: Path) -> Iterator[None]:
    """A block within which a process waits in the module above; it goes on behind it."""
    with open(folder / "gate", "w"):  # it waits for the process
        (folder / "gate").unlink()
        yield


def paths(folder: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(Path.cwd())])}


def test_signals_during_the_start_and_many_at_once(tmp_path):
    """One during the start is obeyed after it, and many are one; no failure ends that."""
    path = tmp_path / "proxy.toml"
    (tmp_path / "gated.py").write_text(GATED)
    (tmp_path / "at_import").touch()
    good = text("waitress", 'target = ":1"\nhooks = [{hook = "gated:counted"}]')
    path.write_text(good)
    os.mkfifo(tmp_path / "gate")
    with running("serve", "--config", str(path), env=paths(tmp_path)) as command:
        with gate(tmp_path):
            command.send_signal(signal.SIGHUP)
            path.write_text(good + '[[route]]\nprefix = "/b"\ntarget = ":1"\n')
        port_of(command)
        until(lambda: "was read again: 2 routes" in command.stderr, "a second reading")
        # Too long to be shown.
        reload(command, path, f"{good}via = 0x{'f' * 5000}\n", "the old settings stay")
        (tmp_path / "threads").unlink()
        path.write_text(good)
        os.mkfifo(tmp_path / "gate")
        command.send_signal(signal.SIGHUP)
        with gate(tmp_path):
            for _ in range(20):
                command.send_signal(signal.SIGHUP)
            path.write_text(good + '[[route]]\nprefix = "/b"\ntarget = ":1"\n')
        until(lambda: command.stderr.count("was read again: 2 routes") > 1, "the last content")
        assert set((tmp_path / "threads").read_text().split()) == {"1"}
        assert command.stderr.count("was read again") <= 4
        assert command.end() == 0


def test_signals_during_the_end_change_nothing(server, tmp_path):
    path, go_on = tmp_path / "proxy.toml", threading.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
    script = [("read",), ("send", head + b"old"), ("wait", go_on), ("send", b"end")]
    with RawUpstream(script) as old:
        path.write_text(text(server, f'target = "{old.url}"'))
        with running("serve", "--config", str(path)) as command:
            with RawClient(port_of(command)) as client:
                client.send(request_bytes("GET /"))
                client.read_until(b"old")
                path.write_text(text(server, command_route("/n", tmp_path / "n", now=True)))
                command.send_signal(signal.SIGTERM)

                def is_refused() -> bool:
                    command.send_signal(signal.SIGHUP)
                    return "is not read again" in command.stderr

                until(is_refused, "a refusal")
                go_on.set()
                client.read_until(b"end")
            while not command.has_ended():
                command.send_signal(signal.SIGHUP)
            assert command.wait() == 0
            assert not command.left_over()
            assert "Traceback" not in command.stderr
