"""The mount: requests below the prefix, and the page for other paths."""

from __future__ import annotations

import pytest
from webtest import TestApp

from wsgiproxy.cli.mount import Mount


def inner(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    keys = ("SCRIPT_NAME", "PATH_INFO", "REQUEST_URI")
    return [repr([environ[key] for key in keys]).encode()]


def test_the_environ_below_the_prefix():
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
def test_a_folder_is_redirected_to_its_slash(method):
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
def test_other_requests_reach_the_application(is_folder, method, path):
    app = TestApp(Mount(inner, "/app", is_folder=is_folder))
    answer = app.request(path, method=method, environ={"REQUEST_URI": path})
    assert answer.status_int == 200


def test_other_paths_get_a_page_with_a_link_to_the_prefix():
    answer = TestApp(Mount(inner, "/a&b"), lint=True).get("/x", status=404)
    assert 'href="/a&amp;b/"' in answer.text
    assert answer.content_type == "text/html"
