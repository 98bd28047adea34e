"""A real nginx before the middleware: what it says is believed, what its clients say is not."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from webob import Request

from tests.support.backend import FACTS
from tests.support.client import raw_exchange, request_bytes
from tests.support.daemon import daemon, nginx
from tests.support.documented import literal_block
from tests.support.fronts import BACKENDS, Front
from wsgiproxy.app import WSGIProxyApp

pytestmark = [pytest.mark.system("nginx"), pytest.mark.in_turns(2, "server")]

Serve = Callable[..., Front]
#: waitress removes the fields before anybody else sees them, unless told not to.
PASSING = tuple(name for name in BACKENDS if name != "waitress")

SETS_ALL = """
    location /app/ {{
      proxy_pass {backend}/;
      proxy_set_header Host $proxy_host;
      proxy_set_header X-Forwarded-For {chain};
      proxy_set_header X-Forwarded-Proto https;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Port 8443;
      proxy_set_header X-Forwarded-Prefix /app;
      proxy_set_header Forwarded "";
    }}
"""
CHAINS = {
    "proxy_set_header": "$remote_addr",
    "proxy_add_x_forwarded_for": "$proxy_add_x_forwarded_for",
}
CLIENT = "127.0.0.5"
WANTED = {
    "wsgi.url_scheme": "https",
    "HTTP_HOST": "public.example:8443",
    "SERVER_NAME": "public.example",
    "SERVER_PORT": "8443",
    "SCRIPT_NAME": "/app",
    "PATH_INFO": "/a b/c",
    "QUERY_STRING": "x=%26",
    "REMOTE_ADDR": CLIENT,
}
FORGED = {
    "nothing": [],
    "X-Forwarded-For": [("X-Forwarded-For", "6.6.6.6")],
    "X-Forwarded-For that names the proxy": [("X-Forwarded-For", "6.6.6.6, 127.0.0.1")],
    "two lines of X-Forwarded-For": [
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-For", "6.6.6.7"),
    ],
    "X-Forwarded-For that is none": [("X-Forwarded-For", ',"6.6.6.6",,')],
    "X-Forwarded-Host": [("X-Forwarded-Host", "evil.example")],
    "X-Forwarded-Proto": [("X-Forwarded-Proto", "http")],
    "X-Forwarded-Port": [("X-Forwarded-Port", "6666")],
    "X-Forwarded-Prefix": [("X-Forwarded-Prefix", "/evil")],
    "X_Forwarded_For": [("X_Forwarded_For", "6.6.6.6")],
    "X_Forwarded_Host": [("X_Forwarded_Host", "evil.example")],
    "X.Forwarded.Prefix": [("X.Forwarded.Prefix", "/evil")],
    "Forwarded": [("Forwarded", "for=6.6.6.6;host=evil.example;proto=http")],
    "the historical names": [("X-Forwarded-Server", "evil.example"), ("X-Script-Name", "/evil")],
    "an envelope": [("WSGIProxy", "e30"), ("Signature-Input", "wsgiproxy=()")],
}


def ask(
    port: int,
    line: str,
    headers: list[tuple[str, str]],
    *,
    source: str = CLIENT,
    host: str = "public.example:8443",
) -> dict[str, Any]:
    """The environ of the application, for a client at *source*."""
    request = request_bytes(line, headers, host=host)
    answer = raw_exchange(port, request, source=source)
    assert answer.status == 200, answer
    told: dict[str, Any] = json.loads(answer.body)
    return told


def of(told: dict[str, Any], keys: Any = WANTED) -> dict[str, Any]:
    return {key: told.get(key) for key in keys}


def forwarding(told: dict[str, Any]) -> list[str]:
    """Keys of the forwarding namespace that have reached the application."""
    prefixes = ("HTTP_X_", "HTTP_FORWARDED", "HTTP_WSGIPROXY", "HTTP_SIGNATURE", "HTTP_X.")
    return [key for key in told if key.startswith(prefixes)]


@pytest.fixture(scope="module", params=PASSING)
def trusting(request: pytest.FixtureRequest, backend: Serve) -> Front:
    return backend(request.param, trust_ips=["127.0.0.1"])


@pytest.fixture(scope="module", params=CHAINS)
def behind(
    request: pytest.FixtureRequest, trusting: Front, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    address = f"http://127.0.0.1:{trusting.port}"
    server = SETS_ALL.format(backend=address, chain=CHAINS[request.param])
    with nginx(tmp_path_factory.mktemp("nginx"), server) as port:
        yield port


@pytest.mark.parametrize("case", FORGED)
def test_nginx_is_believed_and_its_client_is_not(behind: int, case: str) -> None:
    told = ask(behind, "GET /app/a%20b/c?x=%26", FORGED[case])
    assert of(told) == WANTED
    assert forwarding(told) == []
    assert told["wsgiproxy.orig"]["REMOTE_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize("case", FORGED)
def test_who_comes_past_nginx_is_not_believed(trusting: Front, case: str) -> None:
    told = ask(trusting.port, "GET /app/a%20b/c?x=%26", FORGED[case], source="127.0.0.2")
    wanted = {
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "public.example:8443",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/app/a b/c",
        "REMOTE_ADDR": "127.0.0.2",
    }
    assert of(told, wanted) == wanted
    assert forwarding(told) == []


@pytest.fixture(scope="module")
def documented(trusting: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The configuration that the documentation shows."""
    shown = literal_block("docs/trust.rst", "proxy_set_header")
    assert shown.count("127.0.0.1:8001;") == 1
    server = shown.replace("127.0.0.1:8001;", f"127.0.0.1:{trusting.port};")
    with nginx(tmp_path_factory.mktemp("nginx"), server) as port:
        yield port


@pytest.mark.parametrize("case", FORGED)
def test_the_configuration_in_the_documentation(documented: int, case: str) -> None:
    host = f"public.example:{documented}"
    told = ask(documented, "GET /a%20b/c?x=%26", FORGED[case], host=host)
    wanted = {
        **WANTED,
        "wsgi.url_scheme": "http",
        "HTTP_HOST": host,
        "SERVER_PORT": str(documented),
        "SCRIPT_NAME": "",
    }
    assert of(told, wanted) == wanted
    assert forwarding(told) == []


def test_a_field_that_nginx_leaves_alone_is_the_clients_own(
    trusting: Front, tmp_path: Path
) -> None:
    """Which is why the proxy has to set or remove all of a family; counts are more careful."""
    server = f"""
    location / {{
      proxy_pass http://127.0.0.1:{trusting.port};
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}"""
    with nginx(tmp_path, server) as port:
        told = ask(port, "GET /", [*FORGED["X-Forwarded-For"], *FORGED["X-Forwarded-Host"]])
    assert told["REMOTE_ADDR"] == CLIENT
    assert told["HTTP_HOST"] == "evil.example"


def test_waitress_keeps_the_fields_to_itself(backend: Serve, tmp_path: Path) -> None:
    """Unless it is told ``clear_untrusted_proxy_headers=False``, there is nothing to believe."""
    server = backend("waitress", trust_ips=["127.0.0.1"])
    address = f"http://127.0.0.1:{server.port}"
    with nginx(tmp_path, SETS_ALL.format(backend=address, chain="$remote_addr")) as port:
        told = ask(port, "GET /app/a", [])
    # Prefix is not among the fields that waitress knows.
    assert of(told, ["REMOTE_ADDR", "wsgi.url_scheme", "SCRIPT_NAME"]) == {
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "SCRIPT_NAME": "/app",
    }


UNIX = {
    "gunicorn": ["-m", "gunicorn", "--no-control-socket", "--bind", "unix:{path}"],
    "waitress": [
        "-m",
        "waitress",
        "--unix-socket={path}",
        "--no-clear-untrusted-proxy-headers",
    ],
}


@pytest.mark.parametrize("trust", ["unix", "127.0.0.1"])
@pytest.mark.parametrize("server", UNIX)
def test_nginx_by_a_unix_socket(tmp_path: Path, server: str, trust: str) -> None:
    path = str(tmp_path / "backend.sock")
    command = [part.format(path=path) for part in UNIX[server]]
    options = json.dumps({"trust_ips": [trust]})
    with daemon(
        [sys.executable, *command, "tests.support.backend:restored"],
        path,
        env={"OPTIONS": options},
    ):
        os.chmod(path, 0o600)
        settings = SETS_ALL.format(backend=f"http://unix:{path}:", chain=CHAINS["proxy_set_header"])
        with nginx(tmp_path, settings) as port:
            told = ask(port, "GET /app/a%20b/c?x=%26", FORGED["X-Forwarded-Prefix"])
    if trust == "unix":
        assert of(told) == WANTED
    else:
        assert told["REMOTE_ADDR"] not in (CLIENT, "6.6.6.6")
        assert told["SCRIPT_NAME"] == ""
    assert forwarding(told) == []


COUNTS = {
    "x_for alone": {"x_for": 1},
    "all of them": {"x_for": 1, "x_proto": 1, "x_host": 1, "x_port": 1, "x_prefix": 1},
    "none of them": {"x_for": 0, "x_proto": 0},
    "more than there are": {"x_for": 9, "x_proto": 1},
}


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("server", ["wsgiref", "gunicorn", "granian"])
def test_counts_as_werkzeug_counts(
    backend: Serve, tmp_path: Path, server: str, counts: str
) -> None:
    told = {}
    for app in ("restored", "fix"):
        address = f"http://127.0.0.1:{backend(server, app, **COUNTS[counts]).port}"
        settings = SETS_ALL.format(backend=address, chain=CHAINS["proxy_add_x_forwarded_for"])
        with nginx(tmp_path, settings) as port:
            told[app] = ask(port, "GET /app/a%20b/c?x=%26", [("X-Forwarded-For", "6.6.6.6")])
    compared = [key for key in WANTED if key != "HTTP_HOST"]
    if counts != "all of them":
        compared = [key for key in compared if key not in ("SERVER_PORT",)]
    assert of(told["restored"], compared) == of(told["fix"], compared)
    if counts == "all of them":
        assert of(told["restored"]) == of(told["fix"]) == WANTED
    if counts == "x_for alone":
        assert told["restored"]["REMOTE_ADDR"] == CLIENT


# -- between the two ends of a signature ----------------------------------------------------

PLAIN = "location / {{ proxy_pass {backend}; proxy_set_header Host {host}; }}"
#: With a path in proxy_pass, nginx decodes the path and writes it again.
REWRITES = "location / {{ proxy_pass {backend}/; proxy_set_header Host {host}; }}"
PATHS = {
    "plain": "/a/b",
    "%2F": "/a%2Fb",
    "%25": "/a%25b",
    "UTF-8": "/caf%C3%A9",
    "lower case": "/caf%c3%a9",
    "parameters": "/a;b=1",
    "two slashes": "/a//b",
    "a dot": "/a/./b",
    "a slash at the end": "/a/",
}


@pytest.fixture(scope="module", params=["waitress", "gunicorn", "cheroot", "paste"])
def verifying(request: pytest.FixtureRequest, backend: Serve, secret_file: str) -> Front:
    return backend(request.param, secret_file=secret_file, accept_keys=["REMOTE_USER"])


@pytest.fixture(scope="module", params=[PLAIN, REWRITES], ids=["plain", "rewrites the path"])
def between(
    request: pytest.FixtureRequest,
    verifying: Front,
    secret_file: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[WSGIProxyApp]:
    address = f"http://127.0.0.1:{verifying.port}"
    settings = request.param.format(backend=address, host="$http_host")
    with nginx(tmp_path_factory.mktemp("nginx"), settings) as port:
        app = WSGIProxyApp(f"http://127.0.0.1:{port}", secret_file, string_keys=["REMOTE_USER"])
        yield app
        app.close()


@pytest.mark.parametrize("path", PATHS)
def test_a_signature_survives_nginx(between: WSGIProxyApp, path: str) -> None:
    request = Request.blank(
        f"{PATHS[path]}?a=%2F&b",
        base_url="https://public.example:8443",
        environ={"REMOTE_ADDR": "203.0.113.9", "REMOTE_USER": "bob", "REQUEST_URI": ""},
        method="PUT",
        body=b"hello",
    )
    response = request.get_response(between)
    assert response.status_code == 200, response.text
    wanted = {key: request.environ[key] for key in (*FACTS, "REMOTE_USER")}
    assert of(response.json, wanted) == wanted
    assert response.json["wsgiproxy.verified"] == "k1"


def test_a_host_that_nginx_rewrites_is_refused_and_logged(
    verifying: Front, secret_file: str, tmp_path: Path
) -> None:
    settings = PLAIN.format(backend=f"http://127.0.0.1:{verifying.port}", host="internal.example")
    with nginx(tmp_path, settings) as port:
        app = WSGIProxyApp(f"http://127.0.0.1:{port}", secret_file)
        response = Request.blank("/a").get_response(app)
        app.close()
    assert response.status_code == 403
    assert "internal.example" not in response.text
    assert "Host 'internal.example'" in verifying.log
    assert "has changed what it covers" in verifying.log
