"""What holds of one framework alone: its own pages, its checks, its wrappers."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from webtest import TestApp

from tests.examples.mounted import MOUNTS, Mounted, mounted
from tests.examples.running import EXAMPLES, command_of, needs, running
from tests.support.upstream import RawUpstream, answer


@pytest.mark.parametrize(
    ("mount", "page"),
    [
        pytest.param(MOUNTS[0], "This is Flask.", id="flask"),
        pytest.param(MOUNTS[2], "This is Pyramid.", id="pyramid"),
        pytest.param(MOUNTS[3], "This is Django.", id="django"),
        pytest.param(MOUNTS[5], "This is Bottle.", id="bottle"),
    ],
)
def test_the_home_page_is_that_of_the_framework(mount: Any, page: str) -> None:
    with mounted(mount) as example:
        assert example.ask("/").body.decode() == page
        assert example.upstream.requests == []


def test_a_view_lets_nobody_in_before_the_login(upstream: RawUpstream) -> None:
    needs("flask")
    with running("flask_view.py", upstream.netloc) as (port, _):
        example = Mounted(MOUNTS[1], port, upstream, {})
        for path, method in [("/", "GET"), ("/x", "POST"), ("/a%2F..%2Fb", "DELETE")]:
            got = example.get(path, {"Cookie": "session=forged"}, method=method)
            assert (got.status, got.headers["Location"]) == (302, "/login")
        assert upstream.requests == []


def test_the_session_of_a_view_is_not_for_the_upstream() -> None:
    with mounted(MOUNTS[1]) as example:
        assert example.headers["Cookie"].startswith("session=")
        assert example.get("/").received("Cookie") == []


def test_a_form_passes_django_without_its_token() -> None:
    with mounted(MOUNTS[4]) as example:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        got = example.get("/form", kind, method="POST", body=b"a=1&b=2")
        assert got.told["body_length"] == 7


def test_the_wrapper_of_bottle_adds_its_header() -> None:
    with mounted(MOUNTS[5]) as example:
        assert example.get("/").headers.get_all("X-Portal") == ["bottle"]


@pytest.mark.parametrize(
    ("name", "variable", "path"),
    [
        pytest.param("flask_mount.py", "app", "/grafana/x", id="flask"),
        pytest.param("bottle_mount.py", "root", "/portal/x", id="bottle"),
        pytest.param("pyramid_app.py", "app", "/grafana/x", id="pyramid"),
    ],
)
def test_the_rules_of_wsgi_are_kept(
    name: str, variable: str, path: str, upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within this process, with ``webtest.lint`` around it and errors raised."""
    needs(name.partition("_")[0])
    upstream.behaviour = answer(200, [("Content-Type", "text/plain")], b"hello")
    monkeypatch.setenv("UPSTREAM", upstream.url)
    app = TestApp(runpy.run_path(str(EXAMPLES / name))[variable], lint=True)
    assert app.get(path).text == "hello"
    assert app.post(path, {"a": "1"}).text == "hello"
    assert [request.body for request in upstream.requests] == [b"", b"a=1"]


#: All but what runs the ini files.
PROGRAMS = sorted({path.name for path in EXAMPLES.glob("*.py")} - {"serve_ini.py"})


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_says_how_to_run_it(name: str) -> None:
    source = (EXAMPLES / name).read_text("utf-8")
    assert command_of(name)[1]
    assert Path(name).stem in " ".join(command_of(name)[1])
    assert max(map(len, source.splitlines())) <= 100
