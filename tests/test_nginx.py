"""A real nginx behind the proxy: files, ranges, conditions, keep-alive."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from webob import Request

from tests.support.daemon import nginx as running_nginx
from wsgiproxy.app import WSGIProxyApp

pytestmark = pytest.mark.system("nginx")

SERVER = """
    root {folder}/root;
    location = /moved {{ return 302 http://$http_host/file; }}
"""
DATA = bytes(range(256)) * 4000


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "root").mkdir()
    (folder / "root" / "file").write_bytes(DATA)
    # nginx drops root for its workers, and they have to read the file.
    for path in (folder.parent, folder, folder / "root"):
        path.chmod(0o755)
    with running_nginx(folder, SERVER.format(folder=folder)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def app(nginx: str) -> Iterator[WSGIProxyApp]:
    app = WSGIProxyApp(nginx)
    yield app
    app.close()


def get(app: WSGIProxyApp, path: str = "/file", **options: object):
    return Request.blank(f"http://public.example{path}", **options).get_response(app)


def test_a_file_arrives_whole(app: WSGIProxyApp) -> None:
    response = get(app)
    assert (response.status, response.content_length) == ("200 OK", len(DATA))
    assert response.body == DATA


def test_a_range(app: WSGIProxyApp) -> None:
    response = get(app, headers={"Range": "bytes=100-199"})
    assert (response.status_code, response.body) == (206, DATA[100:200])


def test_a_condition(app: WSGIProxyApp) -> None:
    tag = get(app, method="HEAD").headers["ETag"]
    response = get(app, headers={"If-None-Match": tag})
    assert (response.status_code, response.body) == (304, b"")


def test_head(app: WSGIProxyApp) -> None:
    response = get(app, method="HEAD")
    assert (response.content_length, response.body) == (len(DATA), b"")


def test_a_redirect_to_itself_comes_back_to_us(app: WSGIProxyApp) -> None:
    assert get(app, "/moved").headers["Location"] == "http://public.example:80/file"


def test_what_nginx_refuses_is_relayed(app: WSGIProxyApp) -> None:
    response = get(app, "/nothing-here")
    assert response.status_code == 404
    assert b"nginx" in response.body
