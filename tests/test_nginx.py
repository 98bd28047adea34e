"""A real nginx behind the proxy: files, ranges, conditions, keep-alive."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest
from webob import Request

from wsgiproxy.app import WSGIProxyApp

pytestmark = pytest.mark.system("nginx")

CONFIG = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port}; root {folder}/root;
    location = /moved {{ return 302 http://$http_host/file; }}
  }}
}}
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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "nginx.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""
    config.write_text(user + CONFIG.format(folder=folder, port=port))
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or "nginx"
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(config), "-e", "stderr"])
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError("nginx does not listen")


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
