"""The plugin for pytest: the fixture ``wsgiproxy_har``. What it needs is loaded when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pluggy import Result

    from wsgiproxy.har.cassette import Cassette

__all__ = ["wsgiproxy_har"]

_PASSED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two options."""
    group = parser.getgroup("wsgiproxy", "HTTP archives (wsgiproxy)")
    group.addoption(
        "--wsgiproxy-har",
        choices=("once", "all", "none"),
        default="once",
        help="record archives that are not there (once), all of them anew (all), or none; the"
        " others are replayed",
    )
    group.addoption(
        "--wsgiproxy-har-keep",
        metavar="NAME",
        action="append",
        default=[],
        help="a header or a parameter that looks like a credential, and is recorded as it is; may"
        " be repeated",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "wsgiproxy_har(name, match=..., repeat=..., **options): the file of the fixture of that"
        " name, from the folder cassettes on, what requests are compared by, and options of"
        " wsgiproxy.ExactProxy",
    )


@pytest.hookimpl(hookwrapper=True)  # old versions of pytest know no other
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Result[pytest.TestReport], None]:
    """Note which tests have passed: others write no archive."""
    report = (yield).get_result()
    if report.when == "call":
        item.stash[_PASSED] = report.passed


@pytest.fixture
def wsgiproxy_har(request: pytest.FixtureRequest) -> Iterator[Cassette]:
    """An archive of this test: recorded when it is not there, and replayed from then on.

    Its ``app`` is a WSGI application for WebTest, ``mount(session)`` is for requests, and
    ``transport()`` for httpx. The file is ``cassettes/MODULE/TEST.har`` beside the module; another
    one is named by the marker ``wsgiproxy_har``, or by calling the fixture.
    """
    from wsgiproxy.har.cassette import Cassette, file_name

    mark = request.node.get_closest_marker("wsgiproxy_har")
    folder = request.path.parent / "cassettes"
    test = ".".join(part for part in request.node.nodeid.split("::")[1:] if part)
    path = folder / request.path.stem / file_name(test)
    if mark is not None and mark.args:
        path = folder / mark.args[0]
    settings = {} if mark is None else mark.kwargs
    mode = request.config.getoption("--wsgiproxy-har")
    shown = request.config.getoption("--wsgiproxy-har-keep")
    cassette = Cassette(path, mode=mode, shown=shown, **settings)
    yield cassette
    passed = request.node.stash.get(_PASSED, False)
    misses = cassette.close(save=passed)
    if misses and passed:  # the program has caught the error
        pytest.fail("\n".join(misses), pytrace=False)
