"""The proxies that are measured as whole servers, a table of commands, and how they are started."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.benchmarks.processes import Process, Unavailable, wait_until_ready
from tests.benchmarks.upstream import SMALL, proxy_config, start_both, start_nginx
from tests.support.ports import free_port

_APPS, _WEBSOCKET_APPS = "tests.benchmarks.apps", "tests.benchmarks.websocket_apps"
Skip = Callable[[str, str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """How to start one proxy: what must be importable, and the command with ``{port}``.

    A command without a program is nginx with the configuration of that kind, or ``both``: one
    worker that is the proxy and its upstream.
    """

    needs: tuple[str, ...]
    command: tuple[str, ...]
    nginx: str = ""


def _python(needs: str, command: str) -> Recipe:
    return Recipe(tuple(needs.split()), (sys.executable, "-m", *command.split()))


_GRANIAN = (
    "granian --interface wsgi --workers 1 --blocking-threads 4 --no-access-log --no-ws --http 1 "
    "--http1-header-read-timeout 60000 --log-level warning --host 127.0.0.1 --port {port} "
    f"--factory {_APPS}"
)
_WAITRESS = (
    "waitress --threads 8 --connection-limit 2000 --asyncore-use-poll "
    f"--listen 127.0.0.1:{{port}} --call {_APPS}"
)
_GUNICORN = (
    "gunicorn --worker-class gthread --workers 1 --threads 4 --worker-connections 2000 "
    f"--keep-alive 600 --no-control-socket --bind 127.0.0.1:{{port}} {_APPS}"
)
_UVICORN_BARE = (
    "uvicorn --http httptools --no-access-log --log-level warning --timeout-keep-alive 600 "
    "--host 127.0.0.1 --port {port} --factory"
)
_UVICORN = f"{_UVICORN_BARE} {_APPS}"
# It answers no more requests at a time than its backlog has room for; a stream is one.
_GRANIAN_ASGI = (
    "granian --interface asgi --loop uvloop --workers 1 --backlog 16384 --backpressure 16384 "
    "--no-access-log --no-ws --http 1 --http1-header-read-timeout 60000 --log-level warning "
    f"--host 127.0.0.1 --port {{port}} --factory {_APPS}"
)
_UVLOOP = "uvicorn uvloop httptools"
FLOOR = "granian, a bare socket loop"
UVICORN, UVICORN_HELLO = "uvicorn, uvloop", "uvicorn, uvloop, hello"
UVICORN_LOGGED = "uvicorn, uvloop, access lines"
UVICORN_INSPECTED = "uvicorn, uvloop, inspected"
UVICORN_ASYNCIO, GRANIAN_ASGI = "uvicorn, asyncio", "granian, ASGI"
NGINX_BOTH = "nginx, proxy and upstream in one worker"
NGINX_TUNNEL, NGINX_LARGE = "nginx, tunnel", "nginx, tunnel, buffers of 64 KiB"
UVICORN_ECHO = "uvicorn, echo application"
UVICORN_WEBSOCKET, GRANIAN_WEBSOCKET = "uvicorn, websockets-sansio", "granian, ASGI, WebSocket"
GUNICORN_WEBSOCKET = "gunicorn, WebSocket"
_WEBSOCKET = "--loop uvloop --ws websockets-sansio"
_WEBSOCKET_NEEDS = f"websockets {_UVLOOP}"
# The limits are raised as far as 1000 open clients need; threads as a user would first choose.
RECIPES = {
    "granian": _python("wsgiproxy.app granian", f"{_GRANIAN}:ours"),
    "granian, urllib3": _python("granian urllib3", f"{_GRANIAN}:urllib3_loop"),
    FLOOR: _python("granian", f"{_GRANIAN}:raw_socket"),
    "waitress": _python("wsgiproxy.app waitress", f"{_WAITRESS}:ours"),
    "waitress, urllib3": _python("waitress urllib3", f"{_WAITRESS}:urllib3_loop"),
    "waitress, inspected": _python("wsgiproxy.app waitress", f"{_WAITRESS}:inspected"),
    "gunicorn": _python("wsgiproxy.app gunicorn", f"{_GUNICORN}:ours()"),
    "gunicorn, urllib3": _python("gunicorn urllib3", f"{_GUNICORN}:urllib3_loop()"),
    "werkzeug": _python("wsgiproxy.app werkzeug", f"{_APPS} werkzeug {{port}}"),
    "wsgiref": _python("wsgiproxy.app", f"{_APPS} wsgiref {{port}}"),
    UVICORN: _python(f"wsgiproxy.asgi {_UVLOOP}", f"{_UVICORN}:asgi_ours --loop uvloop"),
    UVICORN_LOGGED: _python(f"wsgiproxy.asgi {_UVLOOP}", f"{_UVICORN}:asgi_logged --loop uvloop"),
    UVICORN_INSPECTED: _python(
        f"wsgiproxy.asgi {_UVLOOP}", f"{_UVICORN}:asgi_inspected --loop uvloop"
    ),
    UVICORN_ASYNCIO: _python(
        "wsgiproxy.asgi uvicorn httptools", f"{_UVICORN}:asgi_ours --loop asyncio"
    ),
    GRANIAN_ASGI: _python("wsgiproxy.asgi granian uvloop", f"{_GRANIAN_ASGI}:asgi_ours"),
    UVICORN_HELLO: _python(_UVLOOP, f"{_UVICORN}:asgi_hello --loop uvloop"),
    f"{GRANIAN_ASGI}, hello": _python("granian uvloop", f"{_GRANIAN_ASGI}:asgi_hello"),
    "aiorp": _python("aiorp", f"{_APPS} aiorp {{port}}"),
    "fastapi-proxy-lib": _python(
        f"fastapi_proxy_lib starlette {_UVLOOP}", f"{_UVICORN}:fastapi_proxy_lib --loop uvloop"
    ),
    "fastapi-reverse-proxy": _python(
        f"fastapi_reverse_proxy fastapi {_UVLOOP}",
        f"{_UVICORN}:fastapi_reverse_proxy --loop uvloop",
    ),
    "python-pyproxy": _python(
        f"pyproxy.asgi {_UVLOOP}", f"{_UVICORN}:python_pyproxy --loop uvloop"
    ),
    UVICORN_WEBSOCKET: _python(
        f"wsgiproxy.asgi {_WEBSOCKET_NEEDS}", f"{_UVICORN}:asgi_ours {_WEBSOCKET}"
    ),
    GRANIAN_WEBSOCKET: _python("wsgiproxy.asgi granian uvloop", f"{_GRANIAN_ASGI}:asgi_ours --ws"),
    # A tunnel has a thread for itself.
    GUNICORN_WEBSOCKET: _python("wsgiproxy.app gunicorn", f"{_GUNICORN}:ours() --threads 16"),
    UVICORN_ECHO: _python(_WEBSOCKET_NEEDS, f"{_UVICORN_BARE} {_WEBSOCKET_APPS}:echo {_WEBSOCKET}"),
    "fastapi-proxy-lib, WebSocket": _python(
        f"fastapi_proxy_lib httpx_ws {_WEBSOCKET_NEEDS}",
        f"{_UVICORN_BARE} {_WEBSOCKET_APPS}:fastapi_proxy_lib {_WEBSOCKET}",
    ),
    "asgiproxy": _python(
        f"asgiproxy {_WEBSOCKET_NEEDS}",
        f"{_UVICORN_BARE} {_WEBSOCKET_APPS}:asgiproxy {_WEBSOCKET}",
    ),
    "aiorp, WebSocket": _python("aiorp", f"{_WEBSOCKET_APPS} {{port}}"),
    NGINX_TUNNEL: Recipe((), (), nginx="tunnel"),
    NGINX_LARGE: Recipe((), (), nginx="tunnel, 64k"),
    "nginx, keep-alive": Recipe((), (), nginx="keepalive"),
    "nginx, as it comes": Recipe((), (), nginx="default"),
    "nginx, unbuffered": Recipe((), (), nginx="unbuffered"),
    NGINX_BOTH: Recipe((), (), nginx="both"),
}
ASGI_OURS = (UVICORN, UVICORN_ASYNCIO, GRANIAN_ASGI)
WEBSOCKET_OURS = (UVICORN_WEBSOCKET, GRANIAN_WEBSOCKET, GUNICORN_WEBSOCKET, "werkzeug")
OURS = ("granian", "waitress", "gunicorn", "werkzeug", "wsgiref")
_THREADS = {"granian": "granian, 4 threads", "waitress": "waitress, 8 threads"}
_THREADS["gunicorn"] = "gunicorn gthread, 4 threads"
_THREADS[GUNICORN_WEBSOCKET] = "gunicorn gthread, 16 threads"


def label(name: str) -> str:
    """The name for a table: ours say so, with the number of threads."""
    is_ours = name in (*OURS, *ASGI_OURS, *WEBSOCKET_OURS, UVICORN_LOGGED)
    return f"ours, {_THREADS.get(name, name)}" if is_ours else name


@dataclass
class Server:
    """A running proxy: its name, process and port."""

    name: str
    process: Process
    port: int


def is_importable(module: str) -> bool:
    """Whether `module` is there, without running it more than its parents need."""
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def start(name: str, directory: Path, upstream: int) -> Server:
    """The proxy `name` in front of `upstream`, ready; raises Unavailable with the reason."""
    recipe = RECIPES[name]
    missing = [module for module in recipe.needs if not is_importable(module)]
    if missing:
        raise Unavailable(f"not importable: {', '.join(missing)}")
    port = free_port()
    process = _launch(recipe, port, upstream, directory / f"server-{port}")
    try:
        wait_until_ready(process, port, "/1k", SMALL)
    except BaseException:
        process.stop()
        raise
    return Server(name, process, port)


def _launch(recipe: Recipe, port: int, upstream: int, place: Path) -> Process:
    if recipe.nginx == "both":
        return start_both(place, port)
    if recipe.nginx:
        return start_nginx(place, proxy_config(port, upstream, kind=recipe.nginx))
    place.mkdir()
    env = {"BENCH_UPSTREAM": f"http://127.0.0.1:{upstream}", "TMPDIR": str(place)}
    command = [word.format(port=port) for word in recipe.command]
    return Process(command, place / "log", env=env)


@contextmanager
def running(
    names: Sequence[str], directory: Path, upstream: int, skip: Skip
) -> Iterator[list[Server]]:
    """Those of `names` that start; `skip` is told the name and the reason of the others."""
    with ExitStack() as stack:
        servers = []
        for name in names:
            try:
                server = start(name, directory, upstream)
            except Unavailable as reason:
                skip(label(name), str(reason))
                continue
            stack.callback(server.process.stop)
            servers.append(server)
        yield servers


def in_turns(
    servers: Sequence[Server], rounds: int, turn: Callable[[Server], T], skip: Skip
) -> Iterator[tuple[str, T]]:
    """The label and the result of one `turn` of each server, round after round.

    A server whose turn fails is left out from then on, so that rounds stay comparable.
    """
    left = list(servers)
    for _ in range(rounds):
        for server in list(left):
            try:
                result = turn(server)
            except Unavailable as reason:
                skip(label(server.name), str(reason))
                left.remove(server)
                continue
            yield label(server.name), result
