"""A real HAProxy before the middleware; unlike nginx it passes underscores and dots in names."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from webob import Request

from tests.support.backend import FACTS
from tests.support.client import raw_exchange, request_bytes
from tests.support.daemon import haproxy, program
from tests.support.documented import literal_block
from tests.support.fronts import BACKENDS, Front
from wsgiproxy.app import WSGIProxyApp

pytestmark = [pytest.mark.system("haproxy"), pytest.mark.in_turns(2)]

Serve = Callable[..., Front]
CLIENT = "127.0.0.5"
#: waitress removes the fields before anybody else sees them, unless told not to.
PASSING = tuple(name for name in BACKENDS if name != "waitress")

LISTEN = """
listen public
  bind :80
  server one 127.0.0.1:{port}
"""
X_FORWARDED = """
  option forwardfor
  http-request set-header X-Forwarded-Proto https
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port 8443
  http-request set-header X-Forwarded-Prefix /app
  http-request set-header Host internal.example
"""
BY_HAND = """
  http-request add-header Forwarded \
for=%[src];host=\\"%[req.hdr(host)]\\";proto=https;by=_backend
  http-request set-header Host internal.example
"""
# It names the scheme of its own side, which is http here.
BY_OPTION = """
  option forwarded proto host for by
  http-request set-header Host internal.example
"""
WANTED = {
    "x-forwarded": {
        "wsgi.url_scheme": "https",
        "HTTP_HOST": "public.example:8443",
        "SERVER_NAME": "public.example",
        "SERVER_PORT": "8443",
        "SCRIPT_NAME": "/app",
        "PATH_INFO": "/a b/c",
        "QUERY_STRING": "x=%26",
        "REMOTE_ADDR": CLIENT,
    },
    "forwarded": {
        "wsgi.url_scheme": "https",
        "HTTP_HOST": "public.example:8443",
        "SERVER_NAME": "public.example",
        "SERVER_PORT": "8443",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/c",
        "QUERY_STRING": "x=%26",
        "REMOTE_ADDR": CLIENT,
    },
}
CONFIGURATION = {"x-forwarded": X_FORWARDED, "forwarded": BY_HAND}
FORGED = {
    "nothing": [],
    "X-Forwarded-For": [("X-Forwarded-For", "6.6.6.6")],
    "X-Forwarded-For that names the proxy": [("X-Forwarded-For", "6.6.6.6, 127.0.0.1")],
    "X-Forwarded-Host": [("X-Forwarded-Host", "evil.example")],
    "X-Forwarded-Proto": [("X-Forwarded-Proto", "http")],
    "X-Forwarded-Prefix": [("X-Forwarded-Prefix", "/evil")],
    "X_Forwarded_For": [("X_Forwarded_For", "6.6.6.6")],
    "X_Forwarded_Host": [("X_Forwarded_Host", "evil.example")],
    "X_Forwarded_Prefix": [("X_Forwarded_Prefix", "/evil")],
    "X.Forwarded.For": [("X.Forwarded.For", "6.6.6.6")],
    "Forwarded": [("Forwarded", "for=6.6.6.6;host=evil.example;proto=http")],
    "Forwarded, an address of ours": [("Forwarded", "for=127.0.0.1, for=6.6.6.6")],
    "the historical names": [("X-Forwarded-Server", "evil.example"), ("X-Script-Name", "/evil")],
    "an envelope": [("WSGIProxy", "e30"), ("Signature-Input", "wsgiproxy=()")],
}


def of(told: dict[str, Any], keys: Any) -> dict[str, Any]:
    return {key: told.get(key) for key in keys}


def ask(
    port: int,
    headers: list[tuple[str, str]],
    *,
    source: str = CLIENT,
    host: str = "public.example:8443",
) -> dict[str, Any]:
    """The environ of the application, for a client at *source*."""
    request = request_bytes("GET /a%20b/c?x=%26", headers, host=host)
    answer = raw_exchange(port, request, source=source)
    assert answer.status == 200, answer
    told: dict[str, Any] = json.loads(answer.body)
    return told


def forwarding(told: dict[str, Any]) -> list[str]:
    """Keys of the forwarding namespace that have reached the application."""
    prefixes = ("HTTP_X_", "HTTP_X.", "HTTP_FORWARDED", "HTTP_WSGIPROXY", "HTTP_SIGNATURE")
    return [key for key in told if key.startswith(prefixes)]


@pytest.fixture(scope="module", params=CONFIGURATION)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=PASSING)
def trusting(request: pytest.FixtureRequest, backend: Serve, family: str) -> Front:
    return backend(request.param, trust_ips=["127.0.0.1"], family=family)


@pytest.fixture(scope="module")
def behind(trusting: Front, family: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    lines = LISTEN.format(port=trusting.port) + CONFIGURATION[family]
    with haproxy(tmp_path_factory.mktemp("haproxy"), lines) as port:
        yield port


@pytest.mark.parametrize("case", FORGED)
def test_haproxy_is_believed_and_its_client_is_not(behind: int, family: str, case: str) -> None:
    told = ask(behind, FORGED[case])
    assert of(told, WANTED[family]) == WANTED[family]
    assert forwarding(told) == []


@pytest.mark.parametrize("case", FORGED)
def test_who_comes_past_haproxy_is_not_believed(trusting: Front, case: str) -> None:
    told = ask(trusting.port, FORGED[case], source="127.0.0.2")
    wanted = {
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "public.example:8443",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/c",
        "REMOTE_ADDR": "127.0.0.2",
    }
    assert of(told, wanted) == wanted
    assert forwarding(told) == []


@pytest.fixture(scope="module", params=PASSING)
def documented(
    request: pytest.FixtureRequest, backend: Serve, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """The configuration that the documentation shows."""
    shown = literal_block("docs/trust.rst", "default_backend")
    assert shown.count("127.0.0.1:8001\n") == 1
    server = backend(request.param, trust_ips=["127.0.0.1"])
    sections = shown.replace("127.0.0.1:8001\n", f"127.0.0.1:{server.port}\n")
    with haproxy(tmp_path_factory.mktemp("haproxy"), sections) as port:
        yield port


@pytest.mark.parametrize("case", FORGED)
def test_the_configuration_in_the_documentation(documented: int, case: str) -> None:
    told = ask(documented, FORGED[case], host=f"public.example:{documented}")
    wanted = {
        **WANTED["forwarded"],
        "wsgi.url_scheme": "http",
        "HTTP_HOST": f"public.example:{documented}",
        "SERVER_PORT": str(documented),
    }
    assert of(told, wanted) == wanted
    assert forwarding(told) == []


def _version() -> tuple[int, ...]:
    said = subprocess.run([program("haproxy"), "-v"], capture_output=True, text=True, check=True)
    found = re.search(r"version (\d+)\.(\d+)", said.stdout)
    assert found is not None, said.stdout
    return tuple(map(int, found.groups()))


def test_option_forwarded(backend: Serve, tmp_path_factory: pytest.TempPathFactory) -> None:
    if _version() < (2, 8):
        pytest.skip("option forwarded came with HAProxy 2.8")
    server = backend("gunicorn", trust_ips=["127.0.0.1"], family="forwarded")
    lines = LISTEN.format(port=server.port) + BY_OPTION
    with haproxy(tmp_path_factory.mktemp("haproxy"), lines) as port:
        told = ask(port, FORGED["Forwarded"])
    wanted = {**WANTED["forwarded"], "wsgi.url_scheme": "http"}
    assert of(told, wanted) == wanted


# -- between the two ends of a signature ----------------------------------------------------


@pytest.mark.parametrize("server", BACKENDS)
@pytest.mark.parametrize("path", ["/a/b", "/a%2Fb/%c3%A9;x//y/%25?q=%00&&=", "/?"])
def test_a_signature_survives_haproxy(
    backend: Serve,
    secret_file: str,
    tmp_path_factory: pytest.TempPathFactory,
    server: str,
    path: str,
) -> None:
    verifying = backend(server, secret_file=secret_file)
    lines = LISTEN.format(port=verifying.port) + "  option forwardfor\n"
    request = Request.blank(
        path, base_url="https://public.example:8443", environ={"REMOTE_ADDR": "203.0.113.9"}
    )
    with haproxy(tmp_path_factory.mktemp("haproxy"), lines) as port:
        app = WSGIProxyApp(f"http://127.0.0.1:{port}", secret_file)
        response = request.get_response(app)
        app.close()
    assert response.status_code == 200, response.text
    assert of(response.json, FACTS) == of(request.environ, FACTS)
    assert response.json["wsgiproxy.verified"] == "k1"
    assert forwarding(response.json) == []
