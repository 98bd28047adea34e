"""Several applications below their prefixes: which one gets a request, and its environ."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webob import Request
from webtest import TestApp

from tests.support.in_process import front_environ, run
from wsgiproxy.router import Route, Routes, shifted

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def named(name: str) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{name} {environ['SCRIPT_NAME']!r} {environ['PATH_INFO']!r}".encode()]

    return app


def three() -> Routes:
    return Routes([Route("", named("rest")), Route("/a", named("a")), Route("/a/b", named("ab"))])


def text(routes: Routes, path: str, **more: Any) -> str:
    answer = run(routes, front_environ(PATH_INFO=path, **more))
    assert answer.head.status == 200
    return answer.whole.decode()


@pytest.mark.parametrize(
    ("path_info", "place"),
    [
        pytest.param("/app", ("/app", ""), id="the-prefix-alone"),
        pytest.param("/app/", ("/app", "/"), id="with-its-slash"),
        pytest.param("/app/a//b", ("/app", "/a//b"), id="below"),
        pytest.param("/app//", ("/app", "//"), id="two-slashes"),
        pytest.param("/application", None, id="begins-alike"),
        pytest.param("/APP/", None, id="case-counts"),
        pytest.param("//app/", None, id="not-tidied-up"),
        pytest.param("/", None, id="above"),
        pytest.param("", None, id="empty"),
    ],
)
def test_shifted(path_info: str, place: tuple[str, str] | None) -> None:
    assert shifted("", path_info, "/app") == place


def test_shifted_within_another_mount() -> None:
    assert shifted("/outer", "/app/x", "/app") == ("/outer/app", "/x")


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        pytest.param("/a", "a '/a' ''", id="the-prefix-alone-as-urlmap-has-it"),
        pytest.param("/a/", "a '/a' '/'", id="with-its-slash"),
        pytest.param("/a/x", "a '/a' '/x'", id="below"),
        pytest.param("/a/b/x", "ab '/a/b' '/x'", id="the-longest-wins"),
        pytest.param("/a/bc", "a '/a' '/bc'", id="on-segment-boundaries"),
        pytest.param("/ab", "rest '' '/ab'", id="begins-alike"),
        pytest.param("//a/x", "rest '' '//a/x'", id="not-tidied-up"),
        pytest.param("/A/x", "rest '' '/A/x'", id="case-counts"),
        pytest.param("/", "rest '' '/'", id="root"),
        pytest.param("", "rest '' ''", id="empty"),
    ],
)
def test_the_longest_prefix_gets_the_request(path: str, seen: str) -> None:
    assert text(three(), path) == seen


def test_routes_within_another_mount() -> None:
    assert text(three(), "/a/x", SCRIPT_NAME="/outer") == "a '/outer/a' '/x'"


def test_the_order_of_routes_does_not_count() -> None:
    routes = Routes([Route("/a/b", named("ab")), Route("/a", named("a")), Route("", named("r"))])
    assert [text(routes, path) for path in ("/a/b/", "/a/c", "/c")] == [
        text(three(), "/a/b/"),
        text(three(), "/a/c"),
        "r '' '/c'",
    ]


def test_the_environ_of_the_caller_is_not_changed() -> None:
    environ = front_environ(PATH_INFO="/a/x")
    before = dict(environ)
    run(three(), environ)
    assert environ == before


def test_a_path_outside_all_prefixes_gets_404_and_a_log_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "wsgiproxy.access")
    answer = TestApp(Routes([Route("/a", named("a"))]), lint=True).get("/b", status=404)
    assert "There is nothing here." in answer.text
    assert "/a" not in answer.text
    (record,) = [each for each in caplog.records if each.name == "wsgiproxy.access"]
    assert "'/b' 404" in record.getMessage()


# -- folders ---------------------------------------------------------------------------


def folder() -> Routes:
    return Routes([Route("/ä b".encode().decode("latin-1"), named("f"), is_folder=True)])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_folder_is_redirected_to_its_slash(method: str) -> None:
    environ = front_environ(
        REQUEST_METHOD=method,
        PATH_INFO="/ä b".encode().decode("latin-1"),
        QUERY_STRING="q=%20",
        SCRIPT_NAME="/outer",
    )
    answer = run(folder(), environ)
    assert answer.head.status == 302
    assert dict(answer.head.headers) == {
        "Location": "/outer/%C3%A4%20b/?q=%20",
        "Content-Length": "0",
    }
    assert answer.whole == b""


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        pytest.param("POST", "", id="a-body-is-not-sent-twice"),
        pytest.param("GET", "/", id="it-has-its-slash"),
        pytest.param("GET", "/x", id="below"),
    ],
)
def test_other_requests_of_a_folder_reach_the_application(method: str, rest: str) -> None:
    routes = Routes([Route("/f", named("f"), is_folder=True)])
    assert text(routes, f"/f{rest}", REQUEST_METHOD=method) == f"f '/f' {rest!r}"


def test_the_root_of_a_server_is_not_redirected() -> None:
    assert text(Routes([Route("", named("r"), is_folder=True)]), "") == "r '' ''"


def test_an_invalid_query_gets_400_instead_of_a_redirect() -> None:
    routes = Routes([Route("/f", named("f"), is_folder=True)])
    answer = run(routes, front_environ(PATH_INFO="/f", QUERY_STRING="\u20ac"))
    assert answer.head.status == 400


def test_a_line_end_in_a_query_is_escaped_in_location() -> None:
    routes = Routes([Route("/f", named("f"), is_folder=True)])
    answer = run(routes, front_environ(PATH_INFO="/f", QUERY_STRING="a\r\nSet-Cookie: x"))
    assert dict(answer.head.headers)["Location"] == "/f/?a%0D%0ASet-Cookie:%20x"


# -- the rest --------------------------------------------------------------------------


def test_close_closes_the_applications() -> None:
    class Closable:
        closed = 0

        def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
            raise AssertionError("not to be called")

        def close(self) -> None:
            self.closed += 1

    app = Closable()
    Routes([Route("/a", app), Route("/b", named("b"))]).close()
    assert app.closed == 1


def test_repr_shows_the_routes() -> None:
    assert repr(Routes([Route("/a", named("a"))])).startswith("Routes([Route(prefix='/a', ")


SEGMENTS = st.lists(st.sampled_from(["a", "b", "ab", "", ".."]), max_size=4)


@given(SEGMENTS, SEGMENTS)
def test_script_name_and_path_info_are_the_whole_path(path: list[str], prefix: list[str]) -> None:
    """``SCRIPT_NAME + PATH_INFO`` stays what it was, and is cut at a slash."""
    path_info = "".join(f"/{segment}" for segment in path)
    mount = "".join(f"/{segment}" for segment in prefix).rstrip("/")
    place = shifted("/outer", path_info, mount)
    if place is None:
        assert path_info != mount and not path_info.startswith(f"{mount}/")
    else:
        assert "".join(place) == "/outer" + path_info
        assert place[1][:1] in ("", "/")


def test_a_redirect_to_the_slash_has_no_other_host() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        raise AssertionError("it is asked for its folder")

    routes = Routes([Route("/r", app, is_folder=True)])
    request = Request.blank("/r")
    request.environ["SCRIPT_NAME"] = "//evil.example"
    assert request.get_response(routes).headers["Location"] == "/.//evil.example/r/"
