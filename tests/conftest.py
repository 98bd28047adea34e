"""Fixtures for all tests; what they are made of is in `tests.support`."""

from __future__ import annotations

import functools
import gc
import os
import shutil
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

# The package and the tests of this checkout win over installed ones of the same name.
_ROOT = Path(__file__).resolve().parents[1]
if str(_ROOT) not in sys.path:
    sys.path.insert(0, str(_ROOT))

pytest.register_assert_rewrite("tests.support")

from tests.support.echo import echo as echo_behaviour  # noqa: E402 (needs the path)
from tests.support.fronts import FRONTS, Front, Fronts  # noqa: E402
from tests.support.rounds import FULL, in_turns  # noqa: E402
from tests.support.upstream import RawUpstream  # noqa: E402

# A signal that is ignored is ignored by the programs that we start, too (execve(2)), and a shell
# ignores SIGINT for what runs in its background, as nohup does SIGHUP. A signal that is handled
# has its default effect on them, and the run itself goes on all the same.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda number, frame: None)

_PURE = Path(__file__).parent / "sansio"

settings.register_profile("short", derandomize=True, deadline=None, max_examples=30)
settings.register_profile("full", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "full" if FULL else "short"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """``@pytest.mark.in_turns(2)``: in the short form, one case in two of each test is run.

    ``in_turns(2, "server")`` is for the tests alone that have such a parameter.
    """
    if FULL:
        return
    rows: dict[tuple[int, Path], list[pytest.Item]] = {}
    for item in items:
        mark = item.get_closest_marker("in_turns")
        if mark is not None and set(mark.args[1:]) <= _parameters(item).keys():
            rows.setdefault((mark.args[0], item.path), []).append(item)
    left = set()
    for (count, _), cases in rows.items():
        tests = [(each.function, _parameters(each)) for each in cases]  # type: ignore[attr-defined]
        kept = in_turns(count, tests)
        left |= {case for case, is_kept in zip(cases, kept, strict=True) if not is_kept}
    config.hook.pytest_deselected(items=[item for item in items if item in left])
    items[:] = [item for item in items if item not in left]


def _parameters(item: pytest.Item) -> Mapping[str, object]:
    call = getattr(item, "callspec", None)
    return {} if call is None else call.params


def pytest_collection_finish() -> None:
    """What all the modules of tests are made of is no garbage, and takes half a second to look at.

    Many tests collect garbage, to see what is left.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_sockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pure room is tested without sockets."""
    if not request.path.is_relative_to(_PURE):
        return

    def refuse(*arguments: object) -> NoReturn:
        raise AssertionError(f"a test of the pure room connects to {arguments[1:]!r}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


@pytest.fixture(autouse=True)
def _system(request: pytest.FixtureRequest) -> None:
    """``@pytest.mark.system("nginx")``: skipped where the program is absent.

    With WSGIPROXY_REQUIRE_SYSTEM=1 it fails instead, so that CI cannot forget it.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    for mark in request.node.iter_markers("system"):
        for program in mark.args:
            if shutil.which(program, path=path) is None:
                reason = f"{program} is not installed"
                if os.environ.get("WSGIPROXY_REQUIRE_SYSTEM") == "1":
                    pytest.fail(reason)
                pytest.skip(reason)


@pytest.fixture
def upstream() -> Iterator[RawUpstream]:
    """A raw upstream; assign its ``behaviour``."""
    with RawUpstream() as server:
        yield server


@pytest.fixture
def unix_upstream() -> Iterator[RawUpstream]:
    """The same on a Unix socket."""
    with RawUpstream(unix=True) as server:
        yield server


@pytest.fixture
def echo() -> Iterator[RawUpstream]:
    """An upstream that answers with a description of the bytes it received."""
    with RawUpstream(echo_behaviour) as server:
        yield server


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context for 127.0.0.1 and localhost, and the file of its authority."""
    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost", "upstream.example").configure_cert(context)
    path = tmp_path_factory.mktemp("tls") / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return context, path


@pytest.fixture
def tls_upstream(tls_files: tuple[ssl.SSLContext, Path]) -> Iterator[RawUpstream]:
    """An upstream that speaks TLS; see `tls_files` for its authority."""
    with RawUpstream(tls=tls_files[0]) as server:
        yield server


@pytest.fixture(scope="session")
def fronts() -> Iterator[Fronts]:
    """Front servers by name and application, each started once."""
    running = Fronts()
    yield running
    running.stop()


@pytest.fixture(params=FRONTS)
def front_server(request: pytest.FixtureRequest, fronts: Fronts) -> Callable[..., Front]:
    """Every front server in turn: ``front_server("module:app", UPSTREAM=...)``."""
    return functools.partial(fronts.get, request.param)
