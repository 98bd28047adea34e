"""The mount: what is below the prefix, and what is said beside it."""

from __future__ import annotations

import pytest
from webtest import TestApp

from wsgiproxy.cli.mount import Mount, shifted


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
def test_shifted(path_info, place):
    assert shifted("", path_info, "/app") == place


def test_shifted_within_another_mount():
    assert shifted("/outer", "/app/x", "/app") == ("/outer/app", "/x")


def inner(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    keys = ("SCRIPT_NAME", "PATH_INFO", "REQUEST_URI")
    return [repr([environ[key] for key in keys]).encode()]


def test_the_environ_below_and_after():
    environ = {"SCRIPT_NAME": "", "PATH_INFO": "/app/x", "REQUEST_URI": "/app/%78"}
    before = dict(environ)
    body = Mount(inner, "/app")(environ, lambda *arguments: None)
    assert list(body) == [b"['/app', '/x', '/app/%78']"]
    assert environ == before


def test_the_root_redirects_to_the_prefix():
    app = TestApp(Mount(inner, "/app"), lint=True)
    answer = app.get("/")
    assert (answer.status_int, answer.location) == (302, "/app/")
    assert app.post("/", status=404).status_int == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_page_asked_for_at_the_prefix_alone_gets_its_slash(method):
    app = TestApp(Mount(inner, "/app", is_folder=True), lint=True)
    answer = app.request("/app?a=%2F&b", method=method)
    assert (answer.status_int, answer.location) == (302, "/app/?a=%2F&b")


@pytest.mark.parametrize(
    ("is_folder", "method", "path"),
    [
        pytest.param(False, "GET", "/app", id="no-folder"),
        pytest.param(True, "POST", "/app", id="a-body-is-not-sent-twice"),
        pytest.param(True, "OPTIONS", "/app", id="no-page"),
        pytest.param(True, "GET", "/app/", id="with-its-slash"),
        pytest.param(True, "GET", "/app/x", id="below"),
    ],
)
def test_all_else_below_the_prefix_is_the_application_s(is_folder, method, path):
    app = TestApp(Mount(inner, "/app", is_folder=is_folder))
    answer = app.request(path, method=method, environ={"REQUEST_URI": path})
    assert answer.status_int == 200


def test_elsewhere_is_a_page_that_links_to_the_prefix():
    answer = TestApp(Mount(inner, "/a&b"), lint=True).get("/x", status=404)
    assert 'href="/a&amp;b/"' in answer.text
    assert answer.content_type == "text/html"
