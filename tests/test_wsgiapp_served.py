"""Ini files of Paste Deploy with each of our factories, in a real server, read by a real client."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import raw_exchange, request_bytes
from tests.support.in_process import key_file
from tests.support.ini import entry_points, served
from tests.support.upstream import RawUpstream
from wsgiproxy.sansio.keys import base64url

pytestmark = pytest.mark.in_turns(2)

#: A section of the applications under test: who asks for ``/environ`` gets the environ.
ENVIRON = """
[app:environ]
paste.app_factory = tests.test_wsgiapp_served:environ_app
"""


def environ_app(global_conf: dict[str, str]) -> Any:
    from tests.support.apps import environ_dump

    return environ_dump


def asked(port: int, target: str, *, method: str = "GET", host: str = "front.example") -> Any:
    answer = raw_exchange(port, request_bytes(f"{method} {target}", host=host))
    assert answer.complete
    return answer


def seen(port: int, target: str, *, host: str = "front.example") -> tuple[str, dict[str, str]]:
    """The request line and the fields that an echoing upstream got."""
    answer = asked(port, target, host=host)
    assert answer.status == 200, answer.body
    told = json.loads(answer.body)
    return told["line"], {name.lower(): value for name, value in told["headers"]}


@pytest.mark.parametrize("server", ["egg:wsgiproxy#main", "egg:waitress#main", "egg:Paste#http"])
def test_main(server: str, tmp_path: Path, echo: RawUpstream) -> None:
    ini = f"[app:main]\nuse = egg:WSGIProxy\nhref = {echo.url}/base\npreserve_host = true\n"
    with served(tmp_path, ini, server) as port:
        line, fields = seen(port, "/a%2Fb?x")
    # Stock Paste hands out no raw target.
    path = "/base/a/b?x" if server == "egg:Paste#http" else "/base/a%2Fb?x"
    assert line == f"GET {path} HTTP/1.1"
    assert fields["host"] == "front.example"
    assert fields["x-forwarded-for"] == "127.0.0.1"


def test_without_an_installation_a_factory_is_called_by_its_name(
    tmp_path: Path, echo: RawUpstream
) -> None:
    ini = f"[app:main]\nuse = call:wsgiproxy.wsgiapp:make_app\nhref = {echo.url}\n"
    with served(tmp_path, ini) as port:
        assert seen(port, "/x")[0] == "GET /x HTTP/1.1"


def test_host(tmp_path: Path, echo: RawUpstream) -> None:
    ini = f"[app:main]\nuse = egg:wsgiproxy#host\nuri = {echo.url}\nallowed_methods = GET\n"
    with served(tmp_path, ini) as port:
        line, fields = seen(port, "/x?y")
        assert (line, fields["host"]) == ("GET /x?y HTTP/1.1", echo.netloc)
        assert asked(port, "/x", method="DELETE").status == 405


def test_exact_behind_the_filter_for_proxies(tmp_path: Path, echo: RawUpstream) -> None:
    ini = """
[pipeline:main]
pipeline = asked exact

[filter:asked]
use = egg:wsgiproxy#paste_proxy

[app:exact]
use = egg:wsgiproxy#exact
max_body = 10
"""
    with served(tmp_path, ini) as port:
        line, fields = seen(port, f"{echo.url}/a%2Fb", host=echo.netloc)
    assert (line, fields["host"]) == ("GET /a%2Fb HTTP/1.1", echo.netloc)


def test_real_proxy(tmp_path: Path, echo: RawUpstream) -> None:
    ini = f"[app:main]\nuse = egg:wsgiproxy#real_proxy\nallow = {echo.netloc}\n"
    with served(tmp_path, ini) as port:
        assert seen(port, f"{echo.url}/x")[0] == "GET /x HTTP/1.1"
        assert asked(port, "http://127.0.0.1:1/").status == 403


def test_spawn(tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text("spawned")
    ini = f"""
[app:main]
use = egg:wsgiproxy#spawn
start_script = {sys.executable} -m http.server --bind 127.0.0.1 {{port}}
cwd = %(here)s
idle_shutdown = 600
logger = my.backend
"""
    with served(tmp_path, ini) as port:
        answer = asked(port, "/page.txt")
    assert (answer.status, answer.body) == (200, b"spawned")


def test_middleware_behind_main_with_one_secret_in_default(tmp_path: Path) -> None:
    secret = key_file(tmp_path / "secret.txt", "k1:" + base64url(b"1" * 32))
    default = f"[DEFAULT]\nsecret_file = {secret}\n"
    (tmp_path / "back").mkdir()
    back = f"""
{default}
[app:main]
paste.app_factory = tests.test_wsgiapp_served:environ_app
filter-with = proxied

[filter:proxied]
use = egg:wsgiproxy#main
accept_keys = myapp.user
"""
    with served(tmp_path / "back", back) as behind:
        front = f"{default}[app:main]\nuse = egg:wsgiproxy#main\nhref = http://127.0.0.1:{behind}\n"
        with served(tmp_path, front) as port:
            environ = json.loads(asked(port, "/a%2Fb?x").body)
        assert asked(behind, "/").status == 403
    assert (environ["HTTP_HOST"], environ["PATH_INFO"]) == ("front.example", "/a/b")
    assert environ["wsgiproxy.verified"] == "k1"


def test_an_empty_value_of_a_section_removes_a_default(tmp_path: Path) -> None:
    """Paste Deploy leaves out options of a section that DEFAULT has, but for ``set``."""
    ini = f"""
[DEFAULT]
secret_file = /no/such/file

[pipeline:main]
pipeline = open environ
{ENVIRON}
[filter:open]
use = egg:wsgiproxy#main
set secret_file =
prefix = /app
"""
    with served(tmp_path, ini) as port:
        assert json.loads(asked(port, "/x").body)["SCRIPT_NAME"] == "/app"


def test_routes(tmp_path: Path, echo: RawUpstream) -> None:
    ini = f"""
[composite:main]
use = egg:wsgiproxy#routes
/ = {echo.url}/rest
/one = {echo.url}
/one/two = {echo.url}/two/
/local = environ
via = front
{ENVIRON}
"""
    with served(tmp_path, ini) as port:
        line, fields = seen(port, "/one/a%2Fb?x")
        assert line == "GET /a%2Fb?x HTTP/1.1"
        assert (fields["x-forwarded-prefix"], fields["via"]) == ("/one", "1.1 front")
        assert seen(port, "/one/two/x")[0] == "GET /two/x HTTP/1.1"
        assert seen(port, "/onetwo")[0] == "GET /rest/onetwo HTTP/1.1"
        bare = asked(port, "/one/two?q")
        assert (bare.status, dict(bare.headers)["Location"]) == (302, "/one/two/?q")
        environ = json.loads(asked(port, "/local/x").body)
        assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/local", "/x")


def test_routes_by_the_name_of_the_factory_and_nothing_beside_them(
    tmp_path: Path, echo: RawUpstream
) -> None:
    ini = f"[composite:main]\nuse = call:wsgiproxy.wsgiapp:make_routes\n/a = {echo.url}\n"
    with served(tmp_path, ini) as port:
        assert seen(port, "/a/x")[0] == "GET /x HTTP/1.1"
        assert asked(port, "/").status == 404
        assert asked(port, "/ab").status == 404


def test_a_bad_option_is_an_error_at_loading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from paste.deploy import loadapp

    monkeypatch.syspath_prepend(str(entry_points(tmp_path / "eggs")))
    path = tmp_path / "x.ini"
    path.write_text("[app:main]\nuse = egg:wsgiproxy#main\nhref = http://a\nviaa = x\n")
    with pytest.raises(ValueError, match=r"app egg:wsgiproxy#main: viaa='x': .*mean via\?"):
        loadapp(f"config:{path}")
    path.write_text("[composite:main]\nuse = egg:wsgiproxy#routes\n/a = nobody\n")
    with pytest.raises(ValueError, match="routes: /a='nobody': expected .*No section 'nobody'"):
        loadapp(f"config:{path}")
