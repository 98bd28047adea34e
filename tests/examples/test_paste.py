"""The ini files of Paste Deploy, served by ``serve_ini.py``."""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.examples.mounted import Mount, Mounted
from tests.examples.running import EXAMPLES, ROOT, needs
from tests.support.backend import echo
from tests.support.daemon import daemon
from tests.support.echo import echo as behave
from tests.support.in_process import key_file
from tests.support.ports import free_port
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.secretloader import new_key

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

INI = EXAMPLES / "paste"


def make_echo(global_conf: Mapping[str, str]) -> WSGIApplication:
    """``use = call:tests.examples.test_paste:make_echo``: an application that tells all."""
    return echo


@pytest.fixture(scope="module")
def entry_points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH: the entry points of this checkout, whatever is installed."""
    needs("paste.deploy", "paste.httpserver")
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    groups = config["options.entry_points"].items()
    folder = tmp_path_factory.mktemp("installed")
    about = folder / "wsgiproxy-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: wsgiproxy\nVersion: 0\n")
    (about / "entry_points.txt").write_text("".join(f"[{name}]{text}\n" for name, text in groups))
    return folder


@contextlib.contextmanager
def served(
    source: Path, folder: Path, entry_points: Path, changes: Mapping[str, str]
) -> Iterator[int]:
    """The port of an ini file, of which *folder* gets a copy with *changes*."""
    port = free_port()
    text = source.read_text("utf-8")
    own = "3000" if "port = 3000" in text else "8080"
    text = text.replace(f"port = {own}", f"port = {port}")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    copy = folder / source.name
    copy.write_text(text)
    command = [sys.executable, str(EXAMPLES / "serve_ini.py"), str(copy)]
    env = {"PYTHONPATH": os.pathsep.join([str(entry_points), str(ROOT)])}
    with daemon(command, ("127.0.0.1", port), env=env):
        yield port


def at(port: int, upstream: RawUpstream, prefix: str = "") -> Mounted:
    return Mounted(Mount("", prefix, ()), port, upstream, {})


def test_proxy_ini_sends_everything_to_href(
    upstream: RawUpstream, tmp_path: Path, entry_points: Path
) -> None:
    upstream.behaviour = behave
    change = {"localhost:3000": upstream.netloc}
    with served(INI / "proxy.ini", tmp_path, entry_points, change) as port:
        got = at(port, upstream).get("/a%2Fb?x=1", {"X-Forwarded-For": "192.0.2.1"})
        assert got.told["line"] == "GET /a%2Fb?x=1 HTTP/1.1"
        assert got.received("X-Forwarded-For") == ["127.0.0.1"]
        assert got.received("Signature") == []


def test_middleware_ini_lets_in_whom_proxy_ini_has_signed(
    upstream: RawUpstream, tmp_path: Path, entry_points: Path
) -> None:
    key_file(tmp_path / "secret.txt", new_key("k1"))
    own = {"egg:Paste#test": "call:tests.examples.test_paste:make_echo"}
    with served(INI / "middleware.ini", tmp_path, entry_points, own) as backend:
        signed = {"localhost:3000": f"127.0.0.1:{backend}", "; secret_file": "secret_file"}
        with served(INI / "proxy.ini", tmp_path, entry_points, signed) as port:
            told = json.loads(at(port, upstream).get("/x").body)
            assert told["HTTP_HOST"] == f"127.0.0.1:{port}"
            assert told["wsgiproxy.verified"] == "k1"
        assert at(backend, upstream).get("/x", {"X-Forwarded-For": "192.0.2.1"}).status == 403


def test_middleware_ini_runs_as_it_is(
    upstream: RawUpstream, tmp_path: Path, entry_points: Path
) -> None:
    key_file(tmp_path / "secret.txt", new_key("k1"))
    trusting = {"secret_file =": "; secret_file =", "; trust_ips = 10.0.0.1": "trust_ips ="}
    with served(INI / "middleware.ini", tmp_path, entry_points, {}) as port:
        assert at(port, upstream).get("/").status == 403
    with served(INI / "middleware.ini", tmp_path, entry_points, trusting) as port:
        assert at(port, upstream).get("/").status == 200


def test_composite_ini_has_a_target_for_each_prefix(
    upstream: RawUpstream, tmp_path: Path, entry_points: Path
) -> None:
    upstream.behaviour = behave
    with RawUpstream(behave) as other:
        change = {"localhost:3000": upstream.netloc, "localhost:3001": other.netloc}
        with served(INI / "composite.ini", tmp_path, entry_points, change) as port:
            first = at(port, upstream, "/grafana").get("/x")
            second = at(port, other, "/wiki").get("/x")
            assert first.told["line"] == "GET /x HTTP/1.1"
            assert first.received("X-Forwarded-Prefix") == ["/grafana"]
            assert second.told["line"] == "GET /base/x HTTP/1.1"
            assert second.received("X-Forwarded-Prefix") == ["/wiki"]
            assert at(port, upstream).get("/wikipedia").status == 404
        assert (len(upstream.requests), len(other.requests)) == (1, 1)


def test_a_redirect_comes_back_below_its_prefix(
    upstream: RawUpstream, tmp_path: Path, entry_points: Path
) -> None:
    upstream.behaviour = answer(302, [("Location", "/base/login")])
    change = {"localhost:3001": upstream.netloc}
    with served(INI / "composite.ini", tmp_path, entry_points, change) as port:
        got = at(port, upstream, "/wiki").get("/x")
        assert (got.status, got.headers["Location"]) == (302, "/wiki/login")


@pytest.mark.parametrize("name", sorted(path.name for path in INI.glob("*.ini")))
def test_an_ini_file_says_how_to_run_it(name: str) -> None:
    text = (INI / name).read_text("utf-8")
    assert f";     python docs/examples/serve_ini.py docs/examples/paste/{name}\n" in text
