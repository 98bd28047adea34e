"""A process on demand behind an ASGI edge: the same life, and a loop that is never blocked."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.asgi.calling import Call, ask, ticking, until
from tests.spawn.children import (
    LIMIT,
    MARK,
    alive,
    child,
    errors,
    lines_of,
    processes,
    program,
    zombies,
)
from tests.spawn.children import until as until_then
from tests.support.ports import free_port
from wsgiproxy import SpawningApplication
from wsgiproxy.asgi import ASGISpawningApplication
from wsgiproxy.errors import ConfigurationError, NotStarted

pytestmark = pytest.mark.in_turns(2, "run")

BROWSER = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")]
PORT = ["port={port}"]

Spawn = Callable[..., ASGISpawningApplication]
Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def spawn(mark: str, temporary: Path) -> Iterator[Spawn]:
    """Makes applications: ``spawn(command, **options)``; they are closed at the end."""
    made: list[ASGISpawningApplication] = []

    def make(command: str | Sequence[str], **options: Any) -> ASGISpawningApplication:
        variables = {MARK: mark, **options.pop("script_env", {})}
        made.append(ASGISpawningApplication(command, script_env=variables, **options))
        return made[-1]

    yield make
    for app in made:
        app.close()
        assert app.pid is None
        backend = app._backend
        assert backend.lifecycle.listeners == set()
        until_then(lambda backend=backend: counts(backend) == (0, 0), "the end of requests")
    until_then(lambda: not zombies(), "zombies of the test are left")


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine in either event loop."""
    if request.param == "asyncio":
        return asyncio.run
    return pytest.importorskip("uvloop").run  # type: ignore[no-any-return]


def counts(backend: Any) -> tuple[int, int]:
    """How many requests wait, and how many are in flight."""
    return backend._waiting, backend.lifecycle._in_flight


async def waiting(app: ASGISpawningApplication, count: int) -> None:
    """Return when so many requests wait."""
    await until(lambda: app._backend._waiting == count, f"{count} that wait")


# Starting


def test_the_first_request_starts_it_and_later_ones_do_not(spawn, run, starts, mark):
    app = spawn(child(starts=starts))

    async def main() -> None:
        assert (app.state, app.pid, processes(mark)) == ("stopped", None, {})
        calls = [await ask(app) for _ in range(5)]
        assert [call.status for call in calls] == [200] * 5
        assert {call.text for call in calls} == {str(app.pid)} == set(lines_of(starts))
        assert repr(app).startswith("<ASGISpawningApplication ")
        assert repr(app).endswith(": ready>")
        assert len(lines_of(starts)) == 1
        await app.aclose()

    run(main())


def test_of_50_simultaneous_first_requests_one_starts_it_and_all_are_answered(spawn, run, starts):
    app = spawn(child(starts=starts))

    async def main() -> None:
        calls = await asyncio.gather(*(ask(app) for _ in range(50)))
        assert [call.status for call in calls] == [200] * 50
        assert {call.text for call in calls} == set(lines_of(starts))
        assert len(lines_of(starts)) == 1
        await app.aclose()

    run(main())


@pytest.mark.parametrize(
    "words", [[], PORT, ["socket={socket}"]], ids=["descriptor", "port", "Unix"]
)
def test_each_socket_serves(spawn, words):
    app = spawn([*child(), *words])

    async def main() -> None:
        assert (await ask(app)).status == 200
        await app.aclose()

    asyncio.run(main())


def test_start_and_stop_are_awaited(spawn, starts, gate, ended):
    app = spawn(child(starts=starts, wait=gate, ended=ended))

    async def main() -> None:
        await app.start(wait=False)
        await until(lambda: lines_of(starts), "a start")
        assert app.state == "starting"
        gate.touch()
        await app.start()
        pid = app.pid
        assert app.state == "ready" and pid is not None
        await app.stop()
        assert (app.state, alive(pid), lines_of(ended)) == ("stopped", [], [str(pid)])
        assert (await ask(app)).text == str(app.pid) != str(pid)
        await app.aclose()

    asyncio.run(main())


def test_start_raises_the_failure(spawn):
    app = spawn(child("leave", status=1))
    with pytest.raises(NotStarted):
        asyncio.run(app.start())


def test_settings_are_those_of_the_spawner():
    with pytest.raises(ConfigurationError, match="idle_shutdown='x': expected a number"):
        ASGISpawningApplication("true", idle_shutdown="x")
    with pytest.raises(ConfigurationError, match="spawned_port=80: expected none with a Unix"):
        ASGISpawningApplication("true {socket}", spawned_port=80)


def test_several_event_loops_share_it(spawn, starts):
    """One after the other, and at the same time."""
    app = spawn(child(starts=starts))
    texts: list[str] = []

    def loop() -> None:
        async def main() -> None:
            texts.extend([(await ask(app)).text for _ in range(3)])
            gateway: Any = app._backend.lifecycle.gateway
            gateway.transport.close()
            await asyncio.sleep(0)

        asyncio.run(main())

    for _ in range(2):
        threads = [threading.Thread(target=loop) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(texts) == 18
    assert set(texts) == set(lines_of(starts)) == {str(app.pid)}


FORKING = """
import asyncio, os, sys
from tests.asgi.calling import ask
from tests.spawn.children import MARK, child
from wsgiproxy.asgi import ASGISpawningApplication

app = ASGISpawningApplication(child(), script_env={MARK: sys.argv[1]})

async def main():
    return (await ask(app)).text

before = asyncio.run(main())
if os.fork():
    print(os.waitstatus_to_exitcode(os.wait()[1]), asyncio.run(main()) == before)
else:
    own = asyncio.run(main())
    asyncio.run(app.aclose())
    os._exit(7 if own.isdigit() and own != before and app.state == "stopped" else 1)
"""


def test_a_forked_process_starts_its_own(mark):
    with program(FORKING, mark) as forking:
        assert forking.line() == "7 True"
        assert forking.wait() == 0


# The loop


def test_the_loop_is_not_blocked_while_it_starts_and_stops(spawn, run, gate, starts):
    app = spawn(child(wait=gate, linger=0.5, starts=starts))

    async def main() -> None:
        async with ticking() as lateness:
            tasks = [Call(app).begin() for _ in range(100)]
            await waiting(app, 100)
            await until(lambda: lines_of(starts), "a start")
            gate.touch()
            assert {(await task).status for task in tasks} == {200}
            await app.aclose()
            assert lateness.ticks > 40
        assert lateness.blocked < 0.2

    run(main())


def test_it_starts_while_all_threads_of_the_loop_are_taken(spawn):
    """Work of an application may wait for the very answer that has to be started."""
    app, free = spawn(child()), threading.Event()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        taken = [loop.run_in_executor(None, free.wait, LIMIT) for _ in range(100)]
        try:
            assert (await ask(app)).status == 200
        finally:
            free.set()
            await asyncio.gather(*taken)
        await app.aclose()

    asyncio.run(main())


def test_requests_that_wait_hold_no_thread(spawn, gate):
    app = spawn(child(wait=gate))

    async def main() -> None:
        before = threading.active_count()
        tasks = [Call(app).begin() for _ in range(100)]
        await waiting(app, 100)
        assert threading.active_count() <= before + 2  # the monitor, and the one for steps
        gate.touch()
        assert {(await task).status for task in tasks} == {200}
        await app.aclose()

    asyncio.run(main())


def test_the_lock_of_a_slow_thread_does_not_block_the_loop(spawn):
    app = spawn(child())

    async def main() -> None:
        await app.start()
        held, free = threading.Event(), threading.Event()

        def hold() -> None:
            with app._backend.lifecycle.changed:
                held.set()
                free.wait(LIMIT)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        async with ticking() as lateness:
            task = Call(app).begin()
            await until(lambda: lateness.ticks > 40)
            assert not task.done()
        free.set()
        thread.join()
        assert (await task).status == 200
        assert lateness.blocked < 0.2
        await app.aclose()

    asyncio.run(main())


# Waiting


def test_a_browser_gets_a_page_that_comes_again(spawn, gate):
    app = spawn(child(wait=gate), waiting_page=0.2)

    async def main() -> None:
        call = await ask(app, fields=BROWSER)
        assert (call.status, call.headers["retry-after"]) == (503, "1")
        assert call.headers["content-type"] == "text/html; charset=utf-8"
        assert '<meta http-equiv="refresh" content="1">' in call.text
        gate.touch()
        await until(lambda: app.state == "ready", "ready")
        assert (await ask(app, fields=BROWSER)).status == 200
        await app.aclose()

    asyncio.run(main())


def test_others_wait_no_longer_than_max_wait_and_get_a_plain_503(spawn, gate):
    app = spawn(child(wait=gate), waiting_page=0, max_wait=0.4, max_waiting=2)

    async def main() -> None:
        tasks = [Call(app).begin() for _ in range(2)]
        await waiting(app, 2)
        refused = await ask(app)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert not tasks[0].done()  # the third one has not waited
        for task in tasks:
            assert ((await task).status, "refresh" in (await task).text) == (503, False)
        gate.touch()
        await app.aclose()

    asyncio.run(main())


BLOCKS = [[b"a"], [b"a" * 70000, b"b" * 70000, b"c" * 70000], [b"", b"x", b"y"]]


@pytest.mark.parametrize("blocks", BLOCKS, ids=["one", "large", "small ones"])
def test_a_body_that_arrives_while_it_starts_is_whole(spawn, gate, blocks):
    app = spawn(child(wait=gate))

    async def main() -> None:
        task = Call(app, "/upload", method="POST", blocks=blocks).begin()
        await waiting(app, 1)
        for _ in range(5):
            await asyncio.sleep(0)
        gate.touch()
        assert (await task).text == str(sum(map(len, blocks)))
        await app.aclose()

    asyncio.run(main())


def test_a_body_that_waits_for_100_continue_is_not_asked_for_while_it_starts(spawn, gate):
    app = spawn(child(wait=gate))

    async def main() -> None:
        expect = [("expect", "100-continue")]
        call = Call(app, "/upload", method="POST", blocks=[b"a", b"b"], fields=expect)
        task = call.begin()
        await waiting(app, 1)
        assert len(call._blocks) == 2
        gate.touch()
        assert (await task).text == "2"
        await app.aclose()

    asyncio.run(main())


def test_a_client_that_leaves_while_it_starts_ends_its_wait(spawn, run, gate, starts):
    app = spawn(child(wait=gate, starts=starts))

    async def main() -> None:
        leaving, other = Call(app), Call(app).begin()
        task = leaving.begin()
        await waiting(app, 2)
        leaving.gone.set()
        assert (await task).status == 499  # for the log alone
        await waiting(app, 1)
        gate.touch()
        assert (await other).status == 200
        assert len(lines_of(starts)) == 1
        await app.aclose()

    run(main())


def test_a_cancelled_request_ends_its_wait(spawn, gate):
    app = spawn(child(wait=gate))

    async def main() -> None:
        tasks = [Call(app).begin() for _ in range(20)]
        await waiting(app, 20)
        for task in tasks[1:]:
            task.cancel()
        await waiting(app, 1)
        gate.touch()
        assert (await tasks[0]).status == 200
        await app.aclose()

    asyncio.run(main())


def test_requests_that_are_cancelled_at_any_step_are_not_counted(spawn):
    app = spawn(child())

    async def main() -> None:
        await app.start()
        lifecycle = app._backend.lifecycle
        for steps in range(12):
            with lifecycle.changed:
                gateway, lifecycle.gateway = lifecycle.gateway, None
            task = Call(app).begin()
            for _ in range(steps // 2):
                await asyncio.sleep(0)
            with lifecycle.changed:
                lifecycle.gateway = gateway
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await until(lambda: lifecycle._in_flight == app._backend._waiting == 0)
        await app.aclose()

    asyncio.run(main())


# Failures


def test_a_process_that_ends_at_once_gives_502_and_a_pause(spawn, gate, starts, caplog):
    app = spawn(child("leave", status=3, wait=gate, starts=starts))

    async def main() -> None:
        tasks = [Call(app).begin() for _ in range(10)]
        await waiting(app, 10)
        gate.touch()
        assert [(await task).status for task in tasks] == [502] * 10
        assert (len(lines_of(starts)), app.state) == (1, "backing off")
        await ask(app)  # after the pause of a second, which it waits for
        pausing = await ask(app)
        assert (pausing.status, pausing.headers["retry-after"]) == (503, "2")
        assert "refresh" in (await ask(app, fields=BROWSER)).text

    asyncio.run(main())
    assert "it ended with status 3 before it was ready" in errors(caplog)[0]


def test_a_process_that_is_never_ready_is_ended(spawn, caplog):
    app = spawn(child("idle"), start_timeout=0.5, stop_timeout=1)

    async def main() -> None:
        call = await ask(app)
        assert (call.status, "not ready" in call.text) == (502, False)
        assert (app.state, app.pid) == ("backing off", None)

    asyncio.run(main())
    assert "it was not ready after" in errors(caplog)[0]


def test_with_debug_the_client_learns_why(spawn):
    app = spawn(child("leave", status=1, say="no database"), debug=True)

    async def main() -> None:
        call = await ask(app)
        assert call.status == 502
        assert "no database" in call.text

    asyncio.run(main())


def test_after_a_crash_the_next_request_starts_it_again(spawn, starts):
    app = spawn(child(starts=starts))

    async def main() -> None:
        assert (await ask(app, f"/kill?{signal.SIGKILL}")).status == 502
        await until(lambda: app.state == "backing off", "the pause")
        assert (await ask(app)).text == lines_of(starts)[1]
        await app.aclose()

    asyncio.run(main())


# In flight, and idle


def test_it_is_stopped_when_idle_and_started_again(spawn, starts):
    app = spawn(child(starts=starts), idle_shutdown=0.3)

    async def main() -> None:
        first = (await ask(app)).text
        await until(lambda: app.state == "stopped", "the stop")
        assert not alive(int(first))
        assert [first, (await ask(app)).text] == lines_of(starts)
        await app.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("how", ["cancelled", "the client leaves", "the server breaks it off"])
def test_a_stream_keeps_it_until_its_end(spawn, run, how):
    app = spawn(child(), idle_shutdown=0.2)

    class Streaming(Call):
        async def send(self, message: dict[str, Any]) -> None:
            await super().send(message)
            if self.gone.is_set() and how != "cancelled":
                raise OSError("the client has gone")

    async def main() -> None:
        call = Streaming(app, "/events")
        task = call.begin()
        await until(lambda: len(call.sent) > 20, "events for longer than it may be idle")
        assert (app.state, app._backend.lifecycle._in_flight) == ("ready", 1)
        if how == "cancelled":
            task.cancel()
        else:
            call.gone.set()
        await asyncio.wait([task])
        await until(lambda: app.state == "stopped", "the idle stop")

    run(main())


def test_ignored_paths_neither_start_it_nor_keep_it(spawn, starts):
    app = spawn(child(starts=starts), idle_ignore="/pid /upload", idle_shutdown=0.4)

    async def main() -> None:
        assert ((await ask(app, "/pid")).status, lines_of(starts)) == (503, [])
        assert (await ask(app, "/app/pid", root_path="/app")).status == 503
        assert (await ask(app)).status == 200
        assert (await ask(app, "/pid")).status == 200
        while app.state == "ready":
            await ask(app, "/pid")
            await asyncio.sleep(0.02)  # one in flight would keep it at the moment of the look
        await until(lambda: app.state == "stopped", "the stop")

    asyncio.run(main())


# What is sent


def test_the_prefix_and_the_signature_are_sent(spawn):
    app = spawn(child())

    async def main() -> None:
        call = await ask(app, "/echo", root_path="/app", path="/app/echo", raw_path=b"/app/echo")
        assert call.status == 404  # the whole path
        await app.aclose()

    asyncio.run(main())
    stripping = spawn(child(), strip_script_name=True)

    async def strip() -> None:
        call = await ask(
            stripping, "/echo", root_path="/app", path="/app/echo", raw_path=b"/app/echo"
        )
        told = json.loads(call.text)
        fields = {name.lower(): value for name, value in told["headers"]}
        assert told["line"] == "GET /echo HTTP/1.1"
        assert (fields["x-script-name"], fields["host"]) == ("/app", "front.example")
        assert fields["signature"].startswith("wsgiproxy=:")
        await stripping.aclose()

    asyncio.run(strip())


def test_readiness_is_asked_for(spawn, caplog):
    never, soon = spawn(child(), ready="/missing"), spawn(child(), ready="/pid")
    caplog.set_level("DEBUG", logger="wsgiproxy.spawn")

    async def main() -> None:
        task = Call(never).begin()
        await until(lambda: "waiting: /missing answers 404" in caplog.text, "a question")
        assert never.state == "starting"
        await never.aclose()
        assert (await task).status == 503
        assert (await ask(soon)).status == 200
        await soon.aclose()

    asyncio.run(main())


def test_several_applications_share_one_process(spawn, folder, starts):
    command = child(starts=starts)
    one, two = (spawn(command, share=folder / "share") for _ in range(2))

    async def main() -> None:
        texts = {(await ask(app)).text for app in (one, two, one)}
        await one.aclose()
        assert {(await ask(two)).text} == texts == set(lines_of(starts))
        await two.aclose()

    asyncio.run(main())


def test_a_foreign_process_at_its_port_gets_no_byte(spawn):
    """The command has crashed, and its port is taken before that is known."""
    port = free_port()
    app = spawn([*child(), *PORT], spawned_port=port, max_idle=0)

    async def main() -> None:
        await app.start()
        pid, gateway = app.pid, app._backend.lifecycle.gateway
        assert pid is not None and gateway is not None
        await app.stop()
        with socket.create_server(("127.0.0.1", port)) as thief:
            thief.setblocking(False)
            call = Call(gateway, fields=[("cookie", "secret")])
            assert (await call.run()).status == 502
            with pytest.raises(BlockingIOError):
                while True:
                    with thief.accept()[0] as taken:
                        taken.settimeout(LIMIT)
                        assert taken.recv(100) == b""

    asyncio.run(main())


# The end


async def lifespan(app: ASGISpawningApplication, *, during: Call) -> list[str]:
    """A server's life with one request; the types of what the application says."""
    messages = iter(["lifespan.startup", "lifespan.shutdown"])
    said: list[str] = []

    async def receive() -> dict[str, Any]:
        kind = next(messages)
        if kind == "lifespan.shutdown":
            assert (await during.run()).status == 200
        return {"type": kind}

    async def send(message: dict[str, Any]) -> None:
        said.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    return said


@pytest.mark.parametrize("share", [False, True], ids=["alone", "shared"])
def test_at_lifespan_shutdown_it_is_stopped(spawn, run, mark, folder, share):
    app = spawn(child(linger=0.3), share=folder / "share" if share else None)

    async def main() -> None:
        before = threading.active_count()
        async with ticking() as lateness:
            said = await lifespan(app, during=Call(app))
            assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
            assert app.pid is None
        await until(lambda: not processes(mark), "no process")
        assert lateness.blocked < 0.2
        closed = await ask(app)
        assert (closed.status, "starting" in closed.text) == (503, False)
        await app.aclose()  # once more
        await until(lambda: threading.active_count() <= before + share, "no thread")

    run(main())


def test_requests_that_wait_get_503_at_the_end(spawn, gate):
    app = spawn(child(wait=gate))

    async def main() -> None:
        tasks = [Call(app).begin() for _ in range(5)]
        await waiting(app, 5)
        await app.aclose()
        assert [(await task).status for task in tasks] == [503] * 5

    asyncio.run(main())


def test_a_stop_that_is_cancelled_goes_on(spawn, ended):
    app = spawn(child(linger=0.3, ended=ended))

    async def main() -> None:
        await app.start()
        stopping = asyncio.ensure_future(app.stop())
        await until(lambda: lines_of(ended), "SIGTERM")
        stopping.cancel()
        await until(lambda: app.state == "stopped", "the stop")

    asyncio.run(main())


# Inside an endpoint


def endpoint_with(app: Any) -> Any:
    """A site of Starlette with the application below ``/tool``, behind an endpoint."""
    routing = pytest.importorskip("starlette.routing")
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from wsgiproxy.asgi.starlette import proxied

    async def endpoint(request: Request) -> Response:
        return await proxied(request, app, request.path_params["path"])

    routes = [routing.Route("/tool/{path:path}", endpoint, methods=["GET", "POST"])]
    return Starlette(routes=routes)


def test_an_endpoint_starts_it_and_gives_its_answer(spawn, run, gate, starts):
    app = spawn(child(wait=gate, starts=starts), strip_script_name=True)
    site = endpoint_with(app)

    async def main() -> None:
        task = Call(site, "/tool/upload", method="POST", blocks=[b"a" * 70000, b"b"]).begin()
        await waiting(app, 1)
        gate.touch()
        assert (await task).status == 200
        assert (await ask(site, "/tool/pid")).text == str(app.pid) == lines_of(starts)[0]
        told = json.loads((await ask(site, "/tool/echo")).text)
        assert {name.lower(): value for name, value in told["headers"]}["x-script-name"] == "/tool"
        assert counts(app._backend) == (0, 0)
        await app.aclose()
        assert (await ask(site, "/tool/pid")).status == 503

    run(main())


def test_a_browser_at_an_endpoint_gets_the_page_that_comes_again(spawn, gate):
    app = spawn(child(wait=gate), waiting_page=0.2)
    site = endpoint_with(app)

    async def main() -> None:
        call = await ask(site, "/tool/pid", fields=BROWSER)
        assert (call.status, call.headers["retry-after"]) == (503, "1")
        assert '<meta http-equiv="refresh" content="1">' in call.text
        gate.touch()
        await app.aclose()

    asyncio.run(main())


def test_the_stream_of_an_endpoint_keeps_it_until_its_end(spawn, run):
    app = spawn(child(), idle_shutdown=0.2, strip_script_name=True)

    async def main() -> None:
        call = Call(endpoint_with(app), "/tool/events")
        task = call.begin()
        await until(lambda: len(call.sent) > 20, "events for longer than it may be idle")
        assert (app.state, counts(app._backend)) == ("ready", (0, 1))
        task.cancel()
        await asyncio.wait([task])
        await until(lambda: app.state == "stopped", "the idle stop")

    run(main())


def test_an_endpoint_with_an_ignored_path_does_not_start_it(spawn, starts):
    app = spawn(child(starts=starts), idle_ignore="/pid")

    async def main() -> None:
        assert ((await ask(endpoint_with(app), "/tool/pid")).status, lines_of(starts)) == (503, [])
        await app.aclose()

    asyncio.run(main())


def test_a_client_that_leaves_an_endpoint_ends_its_wait(spawn, gate, starts):
    app = spawn(child(wait=gate, starts=starts))

    async def main() -> None:
        call = Call(endpoint_with(app), "/tool/pid")
        task = call.begin()
        await waiting(app, 1)
        call.gone.set()
        await asyncio.wait([task])
        await until(lambda: counts(app._backend) == (0, 0), "the end of its wait")
        gate.touch()
        await app.aclose()

    asyncio.run(main())


def test_an_endpoint_refuses_a_process_for_threads():
    site = endpoint_with(SpawningApplication("true {port}"))
    with pytest.raises(TypeError, match="ASGIProxyApp, or an ASGISpawningApplication$"):
        asyncio.run(ask(site, "/tool/pid"))


# A real server


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=LIMIT) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_under_uvicorn(spawn, mark, gate, starts):
    uvicorn = pytest.importorskip("uvicorn")
    app = spawn(child(wait=gate, starts=starts))
    config = uvicorn.Config(app, lifespan="on", log_level="warning", ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
        thread.start()
        try:
            with socket.create_connection(("127.0.0.1", port)) as leaving:
                leaving.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                until_then(lambda: app._backend._waiting == 1, "one that waits")
            until_then(lambda: app._backend._waiting == 0, "the end of its wait")
            gate.touch()
            answers = [get(f"http://127.0.0.1:{port}/") for _ in range(3)]
            assert answers == [(200, lines_of(starts)[0])] * 3
        finally:
            server.should_exit = True
            thread.join(LIMIT)
        assert not thread.is_alive()
    assert (app.state, processes(mark)) == ("stopped", {})
