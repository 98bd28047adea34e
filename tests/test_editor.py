"""What an editor and ``help()`` know of the names and their options, and that it is true."""

from __future__ import annotations

import inspect
import pydoc
import re
import subprocess
import sys
import textwrap
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

import wsgiproxy
import wsgiproxy.asgi
from tests.support import options
from tests.support.in_process import front_environ, key_file, run
from wsgiproxy.compat import options as of_clients
from wsgiproxy.requests_client import HttpClient as RequestsClient
from wsgiproxy.secretloader import new_key
from wsgiproxy.settings import options as typed
from wsgiproxy.settings.parts import PARTS

ROOT = Path(__file__).parents[1]

#: Public class -> its keyword arguments beside those with a name.
TAKES = {
    "ASGIProxyMiddleware": "MiddlewareOptions",
    "WSGIProxyApp": "AppOptions",
    "WSGIProxyMiddleware": "MiddlewareOptions",
    "SpawningApplication": "SpawnOptions",
    "ForwardProxy": "ForwardOptions",
    "PooledTransport": "TransportOptions",
}


def public(name: str) -> type:
    found: type = getattr(wsgiproxy.asgi if name.startswith("ASGI") else wsgiproxy, name)
    return found


# Each line with the error that a type checker has to find there, if any.
RIGHT_AND_WRONG = """
    from pathlib import Path
    import wsgiproxy
    from wsgiproxy import ExactProxy, ForwardProxy, Guard, HostProxy, PooledTransport, Proxy
    from wsgiproxy import SpawningApplication, TransparentProxy, WSGIProxyApp, WSGIProxyMiddleware
    from wsgiproxy import WSGIProxyApplication  # attr-defined
    from wsgiproxy.settings import APPS  # attr-defined
    wsgiproxy.WSGIProxyApp("http://h").close()
    wsgiproxy.wsgi_proxy_app  # attr-defined

    app = WSGIProxyApp("http://h", Path("keys"), connect_timeout=1, verify="no", guard=Guard())
    WSGIProxyApp("http://h", via=None, max_body="64k", suppress_headers=["X-One"])
    WSGIProxyApp("http://h", ca_file=Path("ca.pem"), allowed_hosts="a.example b.example")
    WSGIProxyApp("http://h", preserve_hosts=True)  # call-arg
    WSGIProxyApp("http://h", connect_timeout=None)  # arg-type
    WSGIProxyApp("http://h", idle_shutdown=60)  # call-arg

    WSGIProxyMiddleware(app, "keys", unsigned="strip", family="forwarded", scheme="https")
    WSGIProxyMiddleware(app, replay="memory", x_for=1)
    WSGIProxyMiddleware(app, unsigned="ignore")  # arg-type
    WSGIProxyMiddleware(app, family="x-forwarded-for")  # arg-type
    WSGIProxyMiddleware(app, scheme="ftp")  # arg-type
    WSGIProxyMiddleware(app, replay="disk")  # arg-type
    WSGIProxyMiddleware(app, trusted_proxies="10.0.0.0/8")  # call-arg
    WSGIProxyMiddleware.from_env(app, unsigned="reject")
    WSGIProxyMiddleware.from_env(app, unsigned="ignore")  # arg-type

    SpawningApplication("prog {fd}", socket="inherit", share=Path("run"), secret_file="keys")
    SpawningApplication(["prog"], preserve_host=False, ready="/health", sign=True)
    SpawningApplication("prog", socket="tcp")  # arg-type
    SpawningApplication("prog", verify=False)  # call-arg
    SpawningApplication("prog", guard=True)  # call-arg

    ForwardProxy(ports="*", credentials=lambda user, password: True)
    ForwardProxy(verify=False)  # call-arg
    ExactProxy(guard=True, max_body="1m")
    ExactProxy(preserve_host=True)  # call-arg
    PooledTransport(client_key="k.pem")
    PooledTransport(timeout=3)  # call-arg

    Proxy(), Proxy(None, ["GET"], True), TransparentProxy(client="httplib", verify=False)
    HostProxy("http://h", connect_timeout=3)
    HostProxy("http://h", client="urllib3", chunk_size=1024, retries=False)
    HostProxy("http://h", client="requests", timeout=(3, 10), verify="ca.pem")
    HostProxy("http://h", client=lambda uri, method, body, headers: ("200 OK", None, [], []))
    HostProxy("http://h", conect_timeout=3)  # call-overload
    HostProxy("http://h", timeout=3)  # call-overload
    HostProxy("http://h", client="httplib", session=None)  # call-overload
    HostProxy("http://h", client="urllib3", verify=False)  # call-overload
    HostProxy("http://h", client="requests", connect_timeout=3)  # call-overload
    Proxy(allow_methods=["GET"])  # call-overload
    TransparentProxy(client="requests", retries=3)  # call-overload
"""


def test_a_type_checker_tells_right_from_wrong(tmp_path: Path) -> None:
    mypy = pytest.importorskip("mypy.api")
    lines = textwrap.dedent(RIGHT_AND_WRONG).strip().splitlines()
    (tmp_path / "snippet.py").write_text("\n".join(lines) + "\n")
    strict = ["--strict", "--follow-imports=silent", "--ignore-missing-imports", "--config-file="]
    cache = ["--cache-dir", str(tmp_path / "cache")]
    output, trouble, _ = mypy.run([*strict, *cache, str(tmp_path / "snippet.py")])
    assert trouble == ""
    found = re.findall(r"^\S*snippet\.py:(\d+): error: .* \[([\w-]+)\]$", output, re.M)
    wanted = [
        (str(number), line.rpartition("# ")[2])
        for number, line in enumerate(lines, 1)
        if "  # " in line
    ]
    assert sorted(set(found)) == sorted(wanted), output


@pytest.mark.parametrize("name", TAKES)
def test_what_is_typed_is_what_is_taken(name: str) -> None:
    """So that no checker lets pass what construction refuses, nor the other way about."""
    kind, rows = TAKES[name], PARTS[name]
    named = set(inspect.signature(public(name)).parameters)
    keys = set(getattr(typed, kind).__annotations__)
    assert named & keys == set()
    assert keys <= {row.name for row in rows} <= named | keys


def test_the_options_are_those_of_the_rows() -> None:
    assert options.PATH.read_text() == options.source(), f"python -m {options.__name__}"


def test_every_option_has_a_sentence() -> None:
    text = options.source()
    fields = re.findall(r'^    (\w+): .*\n    """[A-Z](?:.|\n)*?\."""$', text, re.M)
    assert len(fields) == len(re.findall(r"^    [a-z_]+: ", text, re.M)) > 70


@pytest.mark.parametrize("name", [*TAKES, "ExactProxy"])
def test_help_lists_all_options(name: str) -> None:
    kind = TAKES.get(name, "TransportOptions")
    page = pydoc.plain(pydoc.render_doc(public(name)))
    for row in PARTS[name]:
        if row.name in getattr(typed, kind).__annotations__:
            (sentence,) = re.findall(
                rf"^ \|  ``{row.name}``.*\n((?: \|      +\S.*\n)+)", page, re.M
            )
            words = " ".join(sentence.replace("|", " ").replace("``", "").split())
            assert row.help[1:] in words
            assert row.expected in words
        else:
            assert f":param {row.name}:" in page


def test_help_has_preserve_host_true_for_the_spawner() -> None:
    page = pydoc.plain(pydoc.render_doc(wsgiproxy.SpawningApplication))
    assert "``preserve_host`` = ``True``" in page


def test_nothing_is_added_where_docstrings_are_left_out() -> None:
    code = "import wsgiproxy; print(wsgiproxy.WSGIProxyApp.__doc__)"
    done = subprocess.run(
        [sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "None\n"


def test_the_options_of_requests_are_its_own() -> None:
    theirs = set(inspect.signature(requests.Session.request).parameters)
    ours = set(inspect.signature(RequestsClient).parameters) - {"requests_options"}
    replaced = {"self", "method", "url", "data", "headers", "stream"}
    assert set(of_clients.RequestsOptions.__annotations__) == theirs - replaced | ours


def test_the_options_of_urllib3_are_its_own() -> None:
    theirs: dict[str, Any] = dict(inspect.signature(urllib3.HTTPConnectionPool.urlopen).parameters)
    named = set(of_clients.Urllib3Options.__annotations__) - {"pool", "chunk_size"}
    assert named <= set(theirs)


def lazy_packages() -> list[str]:
    files = (ROOT / "wsgiproxy").rglob("*.py")
    found = [path for path in files if "def __getattr__(name" in path.read_text()]
    parts = [path.relative_to(ROOT).with_suffix("").parts for path in found]
    return [".".join(each[:-1] if each[-1] == "__init__" else each) for each in parts]


@pytest.mark.parametrize("name", lazy_packages())
def test_completion_shows_what_is_loaded_on_first_use(name: str) -> None:
    """In a fresh interpreter, where nothing has been used, and nothing is by looking."""
    code = f"import sys, {name} as m; n = len(sys.modules); print(*dir(m)); n -= len(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print(n)"], capture_output=True, text=True, check=True
    )
    names, _, loaded = done.stdout.strip().rpartition("\n")
    assert set(import_module(name).__all__) <= set(names.split())
    assert loaded == "0"


def test_a_path_is_taken_where_it_is_typed(tmp_path: Path) -> None:
    keys = Path(key_file(tmp_path / "secret", new_key("k1")))
    backend = wsgiproxy.WSGIProxyMiddleware(lambda *_: [], keys)
    wsgiproxy.WSGIProxyApp("http://127.0.0.1:1", keys).close()
    with wsgiproxy.SpawningApplication("true {port}", tmp_path, secret_file=keys) as spawner:
        assert spawner.state == "stopped"
    assert run(backend, front_environ()).head.status == 403
