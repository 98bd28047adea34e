"""WebSocket through the command: from a client, through each server, to a program of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.cli.command import request_bytes
from tests.cli.serving import Served, served
from tests.spawn.children import LIMIT, until
from tests.support.client import RawClient
from wsgiproxy.cli import main
from wsgiproxy.cli.asgi_edge import asgi_with_own_names
from wsgiproxy.cli.listen import Listen
from wsgiproxy.cli.uvicorn_server import server_of
from wsgiproxy.cli.websocket import limits

pytest.importorskip("uvicorn")
client = pytest.importorskip("websockets.sync.client")
exceptions = pytest.importorskip("websockets.exceptions")

PROGRAM = str(Path(__file__).parents[1] / "spawn" / "websocket_program.py")
TALKER = [sys.executable, PROGRAM, "{port}"]
HANDSHAKE = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
]


def connect(port: int, path: str = "/", **options: Any) -> Any:
    return client.connect(
        f"ws://127.0.0.1:{port}{path}",
        open_timeout=LIMIT,
        close_timeout=1,
        max_size=None,
        proxy=None,
        **options,
    )


def echoes(talk: Any, message: str | bytes = "hello") -> bool:
    talk.send(message)
    return bool(talk.recv(LIMIT) == message)


def code(talk: Any) -> int:
    """That with which it is closed, within a second."""
    with pytest.raises(exceptions.ConnectionClosed):
        talk.recv(1)
    return int(talk.close_code)


def pid_of(site: Served) -> int:
    return int(site.get("/").body)


# A COMMAND under uvicorn


def test_the_life_of_websockets_and_their_process(tmp_path):
    gate = tmp_path / "gate"
    words = ["--access-log", "--idle-shutdown", "0.5", "--prefix", "/app", "--max-message", "18m"]
    with served([*TALKER, f"gate={gate}"], *words) as site, ThreadPoolExecutor(1) as pool:
        assert "(started by the first request; uvicorn). Ctrl-C ends it." in site.first_line
        # It comes during the start, and waits.
        coming = pool.submit(connect, site.port, "/app/live?token=abc")
        site.wait_for("starting: ")
        assert not coming.done()
        gate.touch()
        with coming.result(LIMIT) as talk:
            assert echoes(talk) and echoes(talk, bytes(17 * 1024 * 1024))
            started = site.log.count("starting: ")
            with pytest.raises(TimeoutError):
                talk.recv(1.2)  # longer than a process may be idle
            assert echoes(talk) and site.log.count("starting: ") == started
        site.wait_for("'/app/live?token=***' 101 ")
        site.wait_for("stopped")
        # The process dies under the next one.
        with connect(site.port, "/app/") as talk:
            pid = int(re.findall(r"process (\d+) at", site.log)[-1])
            os.kill(pid, signal.SIGKILL)
            assert code(talk) == 1011
        site.wait_for("UpstreamLost")
        with pytest.raises(exceptions.InvalidStatus, match="404"):
            connect(site.port, "/other")
        # One is open at the end.
        with connect(site.port, "/app/") as talk:
            assert echoes(talk)
            began = monotonic()
            site.command.send_signal(signal.SIGTERM)
            assert code(talk) == 1012
            assert site.command.wait() == 0
            assert monotonic() - began < 4
        spoilt = ("Traceback", "ASGI", "in progress", "[accepted]", "connection ", "Cancel")
        assert [line for line in site.lines if any(word in line for word in spoilt)] == []


def test_the_end_of_the_command_does_not_wait_for_a_start(tmp_path):
    with served([*TALKER, f"gate={tmp_path / 'gate'}"]) as site, ThreadPoolExecutor(1) as pool:
        coming = pool.submit(connect, site.port)
        site.wait_for("starting: ")
        began = monotonic()
        assert site.command.interrupt() == 0
        assert monotonic() - began < 4
        with pytest.raises(exceptions.InvalidStatus, match="50[03]"):
            coming.result(LIMIT)
        assert "Traceback" not in site.log and "ASGI" not in site.log


def test_run_is_the_other_end(tmp_path):
    (tmp_path / "our_talk.py").write_text(
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'websocket'\n"
        "    await receive()\n"
        "    await send({'type': 'websocket.accept', 'subprotocol': scope['subprotocols'][1]})\n"
        "    host = dict(scope['headers'])[b'host'].decode()\n"
        "    while (message := await receive())['type'] == 'websocket.receive':\n"
        "        await send({'type': 'websocket.send', 'text': message['text'] + host})\n"
    )
    run = [sys.executable, "-m", "wsgiproxy", "run", "our_talk:app"]
    root = str(Path(__file__).parents[2])
    words = ["--cwd", str(tmp_path), "--deflate", "--script-env", f"PYTHONPATH={root}"]
    with (
        served(run, *words) as site,
        connect(site.port, subprotocols=["one", "two"]) as talk,
    ):
        assert talk.subprotocol == "two"
        assert [each.name for each in talk.protocol.extensions] == ["permessage-deflate"]
        talk.send("to ")
        assert talk.recv(LIMIT) == f"to 127.0.0.1:{site.port}"


# Other servers


def test_gunicorn_tunnels():
    pytest.importorskip("gunicorn")
    with served(TALKER, "--server", "gunicorn", "--tunnel-idle", "60") as site:
        assert "gunicorn, 8 threads: 8 exchanges or WebSockets at once)" in site.first_line
        with connect(site.port) as talk, connect(site.port) as other:
            assert echoes(talk) and echoes(other, bytes(1 << 20))
            began = monotonic()
            assert site.command.end() == 0
            assert monotonic() - began < 9
            assert code(talk) in (1001, 1006, 1012)


def test_waitress_says_that_it_cannot():
    with served(TALKER, "--server", "waitress") as site:
        assert "8 exchanges at once, no WebSocket)" in site.first_line
        assert site.get("/", *HANDSHAKE).status == 501


@pytest.mark.parametrize("server", ["uvicorn", "waitress", "gunicorn", "granian"])
def test_no_websocket_is_said_where_it_is_true(server, monkeypatch):
    carries = server in ("uvicorn", "gunicorn")
    assert ("no WebSocket" in limits(server, 8, None)) is not carries
    assert ("WebSocket" in limits(server, 1, "1")) is (server != "uvicorn")
    monkeypatch.setattr("wsgiproxy.cli.websocket.find_spec", lambda name: None)
    lacks = "uvicorn: no WebSocket without the package websockets"
    assert server != "uvicorn" or limits(server, 8, None) == lacks


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--tunnel-idle 5", "--tunnel-idle: expected --server gunicorn; uvicorn has no use for it"),
        (
            "--server gunicorn --max-message 1m",
            "--max-message: expected --server uvicorn; gunicorn has no use for it",
        ),
        (
            "--server waitress --max-websockets 5",
            "--max-websockets: expected --server uvicorn or gunicorn; waitress carries no",
        ),
        ("--server gunicorn --no-deflate", "--no-deflate: expected --server uvicorn; "),
        ("--server waitress --upgrade websocket", "--upgrade: expected --server uvicorn or "),
        ("--max-message x", "max_message='x': expected a number of bytes"),
        ("--upgrade h2c", "upgrade='h2c': expected names of protocols"),
    ],
)
@pytest.mark.parametrize("target", [[":1"], ["--", "true"]], ids=["target", "command"])
def test_a_flag_without_effect_is_refused(words, why, target, capsys):
    options = ["--no-check", *words.split()]
    assert main(["serve", *options, *target]) == 2
    assert why in capsys.readouterr().err


def test_a_flag_of_a_missing_package_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("wsgiproxy.cli.websocket.find_spec", lambda name: None)
    assert main(["serve", ":1", "--server", "uvicorn", "--max-websockets", "5"]) == 2
    assert "--max-websockets: the package websockets is not installed" in capsys.readouterr().err


# The edge of uvicorn


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server in this process, for names of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wsgiproxy.cli.uvicorn_protocol._SILENCE", 0.4)
        started = threading.Event()
        application = asgi_with_own_names(lambda: _echo, Listen("127.0.0.1", 0), ())
        server = server_of(application, started.set, lambda: None, "auto", max_message=1000)
        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert started.wait(10)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(10)
            listener.close()


def test_silence_does_not_cut_a_websocket(port):
    with connect(port) as talk:
        with pytest.raises(TimeoutError):
            talk.recv(1)
        assert echoes(talk)


def test_a_message_over_the_limit_is_1009(port):
    with connect(port) as talk:
        assert echoes(talk, "x" * 1000)
        talk.send("x" * 1001)
        assert code(talk) == 1009


def test_another_name_gets_421(port):
    with pytest.raises(exceptions.InvalidStatus, match="421") as refused:
        connect(port, additional_headers={"Host": "evil.example"}, server_hostname=None)
    assert "Date" in refused.value.response.headers


@pytest.mark.parametrize(
    ("line", "fields", "status"),
    [
        pytest.param("GET http://localhost/a?b HTTP/1.1", [], 101, id="absolute-form"),
        pytest.param("GET /", [("Cookie", "x" * 8200)], 431, id="long-line"),
        pytest.param("GET /", [(f"X-{n}", "x") for n in range(130)], 431, id="many-fields"),
        pytest.param("GET * HTTP/1.1", [], 400, id="no-path"),
        pytest.param("POST /", [], 200, id="no-handshake"),
        pytest.param("GET /", [("Content-Length", "0")], 200, id="body"),
    ],
)
def test_handshakes_of_every_form(line, fields, status, port):
    with RawClient(port) as raw:
        raw.send(request_bytes(line.removesuffix(" HTTP/1.1"), [*HANDSHAKE, *fields]))
        assert raw.read_until(b"\r\n").split()[1] == str(status).encode()


def test_a_handshake_behind_a_request_in_progress_is_cut_off(port):
    first = request_bytes("GET /").replace(b"Connection: close\r\n", b"")
    with RawClient(port) as raw:
        raw.send(first + request_bytes("GET /", HANDSHAKE))
        until(raw.closed_by_server, "the end")
