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
from tests.benchmarks.upstream import SMALL, proxy_config, start_nginx
from tests.support.ports import free_port

_APPS = "tests.benchmarks.apps"
Skip = Callable[[str, str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """How to start one proxy: what must be importable, and the command with ``{port}``.

    A command without a program is nginx with the configuration of that kind.
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
FLOOR = "granian, a bare socket loop"
# The limits are raised as far as 1000 open clients need; threads as a user would first choose.
RECIPES = {
    "granian": _python("wsgiproxy.app granian", f"{_GRANIAN}:ours"),
    "granian, urllib3": _python("granian urllib3", f"{_GRANIAN}:urllib3_loop"),
    FLOOR: _python("granian", f"{_GRANIAN}:raw_socket"),
    "waitress": _python("wsgiproxy.app waitress", f"{_WAITRESS}:ours"),
    "waitress, urllib3": _python("waitress urllib3", f"{_WAITRESS}:urllib3_loop"),
    "gunicorn": _python("wsgiproxy.app gunicorn", f"{_GUNICORN}:ours()"),
    "gunicorn, urllib3": _python("gunicorn urllib3", f"{_GUNICORN}:urllib3_loop()"),
    "werkzeug": _python("wsgiproxy.app werkzeug", f"{_APPS} werkzeug {{port}}"),
    "wsgiref": _python("wsgiproxy.app", f"{_APPS} wsgiref {{port}}"),
    "aiorp": _python("aiorp", f"{_APPS} aiorp {{port}}"),
    "fastapi-proxy-lib": _python(
        "fastapi_proxy_lib starlette uvicorn",
        f"uvicorn --no-access-log --log-level warning --timeout-keep-alive 600 "
        f"--host 127.0.0.1 --port {{port}} --factory {_APPS}:fastapi_proxy_lib",
    ),
    "nginx, keep-alive": Recipe((), (), nginx="keepalive"),
    "nginx, as it comes": Recipe((), (), nginx="default"),
    "nginx, unbuffered": Recipe((), (), nginx="unbuffered"),
}
OURS = ("granian", "waitress", "gunicorn", "werkzeug", "wsgiref")
_THREADS = {"granian": "granian, 4 threads", "waitress": "waitress, 8 threads"}
_THREADS["gunicorn"] = "gunicorn gthread, 4 threads"


def label(name: str) -> str:
    """The name for a table: ours say so, with the number of threads."""
    return f"ours, {_THREADS.get(name, name)}" if name in OURS else name


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
