"""What the pages on trust say is so: tables, examples, and configurations of others."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import logging
import os
import re
import subprocess
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from webob import Request

from tests.support.client import raw_exchange, request_bytes
from tests.support.daemon import daemon, nginx, program
from tests.support.in_process import Backend, front_environ, key_file, run, signed_environ
from tests.support.ports import free_port
from tests.support.rounds import together
from tests.support.upstream import RawUpstream
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.asgi.middleware import ASGIProxyMiddleware
from wsgiproxy.middleware import WSGIProxyMiddleware
from wsgiproxy.sansio.environ.scope_environ import OWN_MEMBERS
from wsgiproxy.sansio.fields import signature as signing
from wsgiproxy.sansio.fields.envelope import open_envelope
from wsgiproxy.sansio.fields.forwarded import FAMILIES, Stated, believe
from wsgiproxy.sansio.fields.namespace import is_forwarding_key
from wsgiproxy.sansio.fields.signature_members import Fields
from wsgiproxy.sansio.keys import base64url, ed25519_halves, parse_keys, unbase64url
from wsgiproxy.secretloader import KeyFile, new_key
from wsgiproxy.settings import SIGNING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PAGE = (Path(__file__).parents[1] / "docs" / "trust.rst").read_text()


def section(heading: str) -> str:
    """The text below a heading, up to the next one."""
    title = rf"^{re.escape(heading)}\n([-~])\1+\n"
    match = re.search(rf"{title}(.*?)(?=^\S[^\n]*\n[-~]{{3}}|\Z)", PAGE, re.S | re.M)
    assert match is not None, heading
    return match[2]


def literal(text: str) -> str:
    return textwrap.dedent(text).strip("\n")


def literals(text: str) -> list[str]:
    """The literal blocks of a text, with folded lines put together (RFC 8792)."""
    blocks = re.findall(r"::\n\n((?:(?:    .*)?\n)+)", re.sub(r"\.\. code-block::.*", "", text))
    return [re.sub(r"\\\n +", "", literal(block)) for block in blocks]


def listed(text: str) -> list[list[str]]:
    """The rows of a list-table without its head, each cell on one line."""
    rows = re.split(r"^   \* - ", text.partition(".. list-table::")[2], flags=re.M)[2:]
    return [re.split(r"\n     - ?", row.partition("\n\n")[0]) for row in rows]


def names(text: str) -> set[str]:
    return set(re.findall("``([^`]+)``", text))


def field_key(name: str) -> str:
    return "HTTP_" + name.upper().replace("-", "_")


@pytest.fixture
def secret(tmp_path: Path) -> str:
    return key_file(tmp_path / "secret", new_key("k1"))


# -- what is restored ------------------------------------------------------------------


class Seen:
    """An application that remembers the environ it was called with."""

    def __init__(self) -> None:
        self.environ: dict[str, Any] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        self.environ = environ
        start_response("200 OK", [])
        return []


def everything(
    secret: str, href: str = "http://10.0.0.1:8001/base?key=1"
) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
    """A request of which all can be said: headers sent, envelope, environ of the application."""
    seen = Seen()
    middleware = WSGIProxyMiddleware(seen, secret, accept_keys=["REMOTE_USER"])

    def server(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        more = {"HTTPS": "off", "REQUEST_SCHEME": "http", "RAW_URI": "/x", "REMOTE_PORT": "4000"}
        return middleware({**environ, **more}, start_response)

    backend = Backend(server)
    app = WSGIProxyApp(href, secret, string_keys=["REMOTE_USER"], transport=backend)
    # Neither the empty path nor the space is sent as it is.
    path = {"SCRIPT_NAME": "/m", "PATH_INFO": "", "QUERY_STRING": "a b"}
    answer = run(app, front_environ(**path, **{"wsgi.url_scheme": "https"}, REMOTE_USER="ada"))
    assert answer.head.status == 200
    headers = dict(backend.sent[0][0].headers)
    return headers, json.loads(unbase64url(headers["WSGIProxy"])), seen.environ


def test_what_is_restored(secret: str) -> None:
    headers, envelope, environ = everything(secret)
    rows = listed(section("What is restored"))
    assert all(len(row) == 4 for row in rows)
    for _, announced, _, restored in rows:
        assert names(announced) <= headers.keys()
        assert names(restored) - {"accept_keys"} <= environ.keys()
    # An empty path is sent as "/" where href has none.
    envelope |= everything(secret, "http://10.0.0.1:8001")[1]
    assert set().union(*(names(row[2]) for row in rows)) == envelope.keys() - {"v"}


def test_the_environ_keys(secret: str) -> None:
    environ = everything(secret)[2]
    documented = set().union(*(names(row[0]) for row in listed(section("Environ keys"))))
    ours = {key for key in environ if key.startswith("wsgiproxy.")}
    assert documented == ours | {"wsgiproxy.peer", "REMOTE_HOST", "REMOTE_PORT"}
    assert "REMOTE_PORT" not in environ
    assert environ["wsgiproxy.orig"]["REMOTE_PORT"] == "4000"


def test_the_members_of_a_scope(secret: str) -> None:
    rows = listed(section("At an ASGI backend"))
    environ = {"PATH_INFO": "/a", "wsgi.url_scheme": "https", "HTTP_X_OWN": "1"}
    request = signed_environ(secret, front_environ(**environ))
    members = {"type": "http", "path": request["PATH_INFO"], "client": ("10.0.0.2", 4711)}
    members |= {"query_string": request["QUERY_STRING"].encode(), "headers": []}
    members["headers"] = [
        (key[5:].replace("_", "-").lower().encode(), value.encode("latin-1"))
        for key, value in request.items()
        if key.startswith("HTTP_")
    ]
    seen: list[dict[str, Any]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    middleware: Any = ASGIProxyMiddleware(application, secret)
    asyncio.run(middleware(members, application, application))
    changed = {name for name, value in seen[0].items() if value != members.get(name)}
    assert set().union(*(names(row[0]) for row in rows)) - {"host"} == changed
    assert {name for row in rows for name in names(row[1])} >= OWN_MEMBERS
    assert seen[0]["wsgiproxy"].keys() == OWN_MEMBERS - {"peer"}


def test_the_namespace_that_is_removed() -> None:
    table = section("Headers").partition("Covered by")[0]
    begin, rest = table.partition("Names that begin with")[2].split("Names that end with")
    end, rest = re.split(r"^Names  ", rest, flags=re.M)
    exact = names(rest.partition("Members of a field")[0])
    assert (len(names(begin)), len(names(end)), len(exact)) == (5, 19, 21)
    meant = {name + "anything" for name in names(begin)} | {"Any-" + name for name in names(end)}
    for name in meant | names(end) | exact:
        assert is_forwarding_key(field_key(name)), name


def test_what_is_covered() -> None:
    table = section("Headers").partition("Covered by")[2].partition("Signatures of others")[0]
    documented = re.findall("^``([^`]+)``", table, re.M)
    assert tuple(documented) == signing.REQUIRED + signing.OPTIONAL


def test_the_types_of_carried_keys() -> None:
    documented = re.findall(r"^``(\w+_keys)``", section("Values of your own"), re.M)
    assert documented == [row.name for row in SIGNING if row.name.endswith("_keys")]


# -- families --------------------------------------------------------------------------

VALUES = {
    "X-Forwarded-For": "192.0.2.1",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Scheme": "https",
    "X-Forwarded-Host": "shop.example",
    "X-Forwarded-Server": "shop.example",
    "X-Forwarded-Port": "8443",
    "X-Forwarded-Prefix": "/app",
    "X-Forwarded-Script-Name": "/app",
    "X-Script-Name": "/app",
    "X-Traversal-Path": "/app",
    "Forwarded": "for=192.0.2.1;proto=https;host=shop.example",
}


def family_table() -> dict[str, set[str]]:
    rows = re.split(r"^``([\w-]+)``  ", section("Families").partition("``family``")[2], flags=re.M)
    return {
        family: names(text.partition("=====")[0].partition("(RFC")[0])
        for family, text in zip(rows[1::2], rows[2::2], strict=True)
    }


def test_there_are_no_other_families() -> None:
    assert family_table().keys() == FAMILIES.keys()


@together
@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_what_the_table_says(family: str, name: str) -> None:
    said = believe({field_key(name): VALUES[name]}, family, lambda address: False)
    assert (said != Stated()) == (name in family_table()[family])


# -- refusals --------------------------------------------------------------------------


def unsigned(environ: WSGIEnvironment) -> None:
    for key in ("HTTP_WSGIPROXY", "HTTP_SIGNATURE", "HTTP_SIGNATURE_INPUT"):
        del environ[key]


def verified(environ: WSGIEnvironment) -> None:
    unsigned(environ)
    environ["wsgiproxy.verified"] = "k1"


def without(key: str) -> Callable[[WSGIEnvironment], object]:
    return lambda environ: environ.pop(key)


def replaced(pattern: str, replacement: str) -> Callable[[WSGIEnvironment], None]:
    def replace(environ: WSGIEnvironment) -> None:
        key = "HTTP_SIGNATURE_INPUT"
        environ[key], count = re.subn(pattern, replacement, environ[key])
        assert count == 1

    return replace


def with_value(key: str, value: str) -> Callable[[WSGIEnvironment], None]:
    return lambda environ: environ.update({key: value})


# What the page shows of the log -> what has to happen to a signed request for it.
REFUSED: dict[str, Callable[[WSGIEnvironment], object]] = {
    "not signed": unsigned,
    "no such key": replaced('"k1"', '"k2"'),
    "created 95 seconds ago": replaced(r"created=\d+", f"created={int(time.time()) - 95}"),
    "in the future": replaced(r"created=\d+", f"created={int(time.time()) + 86400}"),
    "wrong signature by key": with_value("HTTP_HOST", "other.example"),
    "signed for '/a', but it came to": with_value("PATH_INFO", "/b"),
    "signed for 'a.example', which is none of": lambda environ: None,
    "is a public half": lambda environ: None,
    "was used before": lambda environ: None,
    "Signature did not arrive": without("HTTP_SIGNATURE"),
    "wsgiproxy is covered, but not there": without("HTTP_WSGIPROXY"),
    "verified already": verified,
    "the body is not covered": with_value("CONTENT_LENGTH", "1"),
}


@pytest.mark.parametrize(
    ("logged", "spoil"), [pytest.param(*item, id=item[0]) for item in REFUSED.items()]
)
def test_what_the_log_says(
    logged: str,
    spoil: Callable[[WSGIEnvironment], object],
    secret: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    environ = signed_environ(secret, front_environ(PATH_INFO="/a"), href="http://10.0.0.1:8001")
    middleware = WSGIProxyMiddleware(Seen(), secret, replay="memory", sign_body=True)
    if "'a.example'" in logged:
        environ = signed_environ(secret, href="http://a.example")
        middleware = WSGIProxyMiddleware(Seen(), secret, authorities="b.example")
    if logged == "is a public half":
        private, public = (f"k1:ed25519:{base64url(half)}" for half in ed25519_halves(b"s" * 32))
        file = key_file(tmp_path / "key", private)
        environ = signed_environ(file)
        middleware = WSGIProxyMiddleware(Seen(), file)
        os.replace(key_file(tmp_path / "new", public), file)
    if logged == "was used before":
        assert run(middleware, dict(environ)).head.status == 200
    spoil(environ)
    with caplog.at_level(logging.WARNING, "wsgiproxy.error"):
        assert run(middleware, environ).head.status == 403
    # The time of the example was taken when this module was loaded.
    assert logged in re.sub(r"created \d+ seconds", "created 95 seconds", caplog.text)


def test_every_refusal_of_the_table_is_tried() -> None:
    rows = listed(section("When it says 403"))
    assert [names(row[0]) for row in rows] == [{logged} for logged in REFUSED]


# -- the example of a signature --------------------------------------------------------


def test_the_example_of_a_signature() -> None:
    """Key, request, envelope and signature base of the page belong together."""
    text = section("What the signature looks like")
    key, request, envelope, base = literals(text)
    keys = parse_keys(key.encode()).keys
    head = Request.from_text(request + "\r\n\r\n")
    fields = Fields(head.headers["Signature-Input"], head.headers["Signature"])
    components = {
        "@method": head.method,
        "@authority": head.host,
        "@query": f"?{head.query_string}",
        "wsgiproxy": head.headers["WSGIProxy"],
    }
    proof = signing.verify(fields, components.get, keys, now=1795225108)
    assert (proof.keyid, proof.created) == ("k1", 1795225108)
    assert json.loads(unbase64url(components["wsgiproxy"])) == json.loads(envelope)
    opened = open_envelope(components["wsgiproxy"])
    assert opened.carried == {"string": {"REMOTE_USER": "ada"}}
    signature = hmac.digest(unbase64url(key.partition(":")[2]), base.encode(), "sha256")
    assert keys["k1"].verify(base.encode(), signature)
    assert fields.signature == f"wsgiproxy=:{base64.b64encode(signature).decode()}:"
    block = text.partition(".. code-block:: python")[2]
    assert re.sub(r'"\s+"', "", block).count(components["wsgiproxy"]) == 1


@pytest.mark.system("openssl", "basenc")
def test_the_commands_for_ed25519(tmp_path: Path) -> None:
    (commands,) = literals(section("ed25519"))
    subprocess.run(["sh", "-ec", commands], cwd=tmp_path, check=True, capture_output=True)
    private = str(tmp_path / "private.txt")
    KeyFile(tmp_path / "public.txt")
    environ = signed_environ(private)
    assert 'alg="ed25519"' in environ["HTTP_SIGNATURE_INPUT"]
    middleware = WSGIProxyMiddleware(
        Seen(), str(tmp_path / "public.txt"), authorities=["10.0.0.1:8001"]
    )
    assert run(middleware, environ).head.status == 200


# -- configurations of others ----------------------------------------------------------

FORGED = [
    ("X-Forwarded-For", "6.6.6.6"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Port", "1"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X_Forwarded_Prefix", "/evil"),
    ("Forwarded", "for=6.6.6.6"),
]


def check_what_arrives(port: int, upstream: RawUpstream) -> None:
    raw_exchange(port, request_bytes("GET /x", FORGED, host="shop.example"))
    fields = [(name.lower(), value) for name, value in upstream.requests[0].headers]
    assert sorted(field for field in fields if "forwarded" in field[0]) == [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-port", str(port)),
        ("x-forwarded-proto", "http"),
    ]


@pytest.mark.system("nginx")
def test_the_configuration_of_nginx(tmp_path: Path, upstream: RawUpstream) -> None:
    server = literals(section("Behind nginx or HAProxy"))[0]
    with nginx(tmp_path, server.replace("127.0.0.1:8001", upstream.netloc)) as port:
        check_what_arrives(port, upstream)


@pytest.mark.system("haproxy")
def test_the_configuration_of_haproxy(tmp_path: Path, upstream: RawUpstream) -> None:
    text, port = literals(section("Behind nginx or HAProxy"))[1], free_port()
    text = text.replace("bind :80", f"bind 127.0.0.1:{port}")
    text = text.replace("127.0.0.1:8001", upstream.netloc)
    limits = "defaults\n  timeout client 10s\n  timeout server 10s\n  timeout connect 10s\n"
    (tmp_path / "haproxy.cfg").write_text(f"{limits}{text}\n")
    command = [program("haproxy"), "-db", "-f", str(tmp_path / "haproxy.cfg")]
    with daemon(command, ("127.0.0.1", port)):
        check_what_arrives(port, upstream)
