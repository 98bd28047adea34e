"""Each test is a coroutine, and runs on the standard event loop and on uvloop.

The short form takes them in turns for tests without a part for TLS, where the loops differ most.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.loops import LOOPS, ended
from tests.support.parent import ParentProxy
from tests.support.rounds import FULL
from wsgiproxy.transport import AsyncPooledTransport


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each case once in the short form, but where TLS plays a part."""
    if FULL:
        return
    here = Path(__file__).parent
    for item in list(items):
        if not item.path.is_relative_to(here) or "tls" in item.nodeid or "https" in item.nodeid:
            continue
        assert isinstance(item, pytest.Function)
        case = item.nodeid.replace("asyncio", "").replace("uvloop", "")
        # By the text, so that every worker of a run has the same.
        kind = "uvloop" if sum(case.encode()) % 2 else "asyncio"
        if item.callspec.params.get("kind") != kind:
            items.remove(item)


@pytest.fixture(params=LOOPS, autouse=True)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of the event loop."""
    return str(request.param)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine, close the transports that it was given, and look at what is left."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    maker = pyfuncitem.funcargs.get("made")
    transports = maker.transports if maker is not None else []

    async def main() -> None:
        try:
            await pyfuncitem.obj(**arguments)
        finally:
            for transport in transports:
                transport.close()

    ended(LOOPS[pyfuncitem.funcargs["kind"]](), main())
    return True


class Maker:
    """Makes transports, which are closed at the end of the test."""

    def __init__(self) -> None:
        self.transports: list[AsyncPooledTransport] = []

    def __call__(self, **options: Any) -> AsyncPooledTransport:
        self.transports.append(AsyncPooledTransport(**options))
        return self.transports[-1]


@pytest.fixture
def made() -> Maker:
    """Make a transport: ``made(ca_file=...)``."""
    return Maker()


@pytest.fixture
def transport(made: Maker) -> AsyncPooledTransport:
    """A transport with limits that a test can wait for."""
    return made(connect_timeout=5, head_timeout=5, idle_timeout=5)


@pytest.fixture
def parent() -> Iterator[ParentProxy]:
    """A proxy that speaks CONNECT and SOCKS5."""
    proxy = ParentProxy()
    yield proxy
    proxy.close()


@pytest.fixture
def ca_file(tls_files: Any) -> str:
    """The authority of the upstream that speaks TLS."""
    return str(tls_files[1])
