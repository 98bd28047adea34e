"""The environ after proxy and middleware equals the environ before them, on real servers."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.support.backend import FACTS, REPORT, reported
from tests.support.fronts import BACKENDS, FRONTS, Front, Fronts, raw_exchange, request_bytes
from wsgiproxy.app import WSGIProxyApp

KEYS = {
    "string_keys": ["REMOTE_USER", "front.bytes"],
    "unicode_keys": ["front.text"],
    "json_keys": ["front.json", "front.list"],
}
DECLARED = tuple(name for names in KEYS.values() for name in names)
MIDDLEWARE = {"accept_keys": DECLARED, "sign_body": True}
#: A path below href and a query in it, which are sent before the client's.
TRAVERSAL = "/base/a%2Fb?key=1&%C3%A9"

VARIANTS = ("plain", "preserve_host", "traversal")

Serve = Callable[..., Front]


def environ(**changes: Any) -> dict[str, Any]:
    """A request as a server hands it over; None removes a key."""
    body = changes.pop("body", b"")
    before: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "HTTP_HOST": "public.example",
        "SERVER_NAME": "public.example",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.9",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        **changes,
    }
    if body:
        before.setdefault("CONTENT_LENGTH", str(len(body)))
    return {key: value for key, value in before.items() if value is not None}


def path(path_info: str, raw: str = "", **more: Any) -> dict[str, Any]:
    """A path, with the raw target if the server has kept it."""
    return {"PATH_INFO": path_info, **({"REQUEST_URI": raw} if raw else {}), **more}


def host(text: str, name: str, port: str = "80", scheme: str = "http") -> dict[str, Any]:
    return {"HTTP_HOST": text, "SERVER_NAME": name, "SERVER_PORT": port, "wsgi.url_scheme": scheme}


def utf8(text: str) -> str:
    """A native string (PEP 3333): each byte one character."""
    return text.encode().decode("latin-1")


CASES: dict[str, dict[str, Any]] = {
    "path: the root": path("/", "/"),
    "path: empty, under a mount": path("", "/mount", SCRIPT_NAME="/mount"),
    "path: empty, under a mount, no raw target": path("", SCRIPT_NAME="/mount"),
    "path: a slash, under a mount": path("/", "/mount/", SCRIPT_NAME="/mount"),
    "path: empty": path(""),
    "path: a slash at the end": path("/a/b/", "/a/b/"),
    "path: %2F": path("/a/b", "/a%2Fb"),
    "path: %2f in lower case": path("/a/b", "/a%2fb"),
    "path: %2F that the server has left, as cheroot": path("/a%2Fb/\xe9", "/a%2fb/%e9"),
    "path: %2F, no raw target": path("/a/b"),
    "path: %25": path("/100%/%2F", "/100%25/%252F"),
    "path: a percent sign, no raw target": path("/100%/%2F"),
    "path: two slashes": path("/a//b", "/a//b"),
    "path: two slashes first": path("//a/b", "//a/b"),
    "path: nothing but slashes": path("///", "///"),
    "path: parameters": path("/a;x=1/b;y", "/a;x=1/b;y"),
    "path: a dot": path("/a/./b", "/a/./b"),
    "path: dots at the end": path("/a/.", "/a/."),
    "path: two dots": path("/a/../b", "/a/../b"),
    "path: UTF-8": path(utf8("/café/☃"), "/caf%C3%A9/%E2%98%83"),
    "path: UTF-8, no raw target": path(utf8("/café/☃")),
    "path: bytes that are no UTF-8": path("/\xff\xfe", "/%FF%FE"),
    "path: a line end and a NUL": path("/a\r\nb\0", "/a%0D%0Ab%00"),
    "path: a blank, a quote and a hash": path('/a b"#?', "/a%20b%22%23%3F"),
    "path: unreserved, but encoded": path("/a~b", "/%61%7eb"),
    "path: what is seldom encoded": path("/:@!$&'()*+,;=-._~", "/:@!$&'()*+,;=-._~"),
    "path: long": path("/" + "x" * 2000, "/" + "x" * 2000),
    "path: a mount with %2F": path("/x", "/m%2Fn/x", SCRIPT_NAME="/m/n"),
    "path: a mount of UTF-8": path("/x", "/%C3%A9/x", SCRIPT_NAME=utf8("/é")),
    "path: changed by a middleware": path("/rewritten", "/original"),
    "query: empty, but there": path("/", "/?"),
    "query: &&": {"QUERY_STRING": "&&"},
    "query: =": {"QUERY_STRING": "="},
    "query: %00": {"QUERY_STRING": "a=%00"},
    "query: question marks and slashes": {"QUERY_STRING": "?a=/b?c"},
    "query: semicolons, plus and brackets": {"QUERY_STRING": "a[]=1;b=2+3&|^`{}"},
    "query: escapes in lower case": {"QUERY_STRING": "a=%c3%a9&b=%C3%A9"},
    "query: quotes and angle brackets": {"QUERY_STRING": 'a="<b>"&\''},
    "query: raw bytes": {"QUERY_STRING": utf8("a=é")},
    "query: blanks": {"QUERY_STRING": "a=1 2"},
    "query: escapes that are none": {"QUERY_STRING": "100%&a=%zz"},
    "host: a port": host("public.example:8080", "public.example", "8080"),
    "host: the default port": host("public.example:80", "public.example", "80"),
    "host: https": host("public.example", "public.example", "443", "https"),
    "host: https and its port": host("public.example:443", "public.example", "443", "https"),
    "host: https, the port of http": host("public.example:80", "public.example", "80", "https"),
    "host: upper case": host("Public.EXAMPLE:8080", "Public.EXAMPLE", "8080"),
    "host: IPv4": host("192.0.2.1:8080", "192.0.2.1", "8080"),
    "host: IPv6": host("[2001:db8::A]:8080", "2001:db8::A", "8080"),
    "host: IPv6, no port": host("[::1]", "::1", "80"),
    "host: another port than the server's": host("public.example", "public.example", "8443"),
    **{
        f"method: {method}": {"REQUEST_METHOD": method}
        for method in ("HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "X-COOK")
    },
    "address: IPv6": {"REMOTE_ADDR": "2001:db8::9"},
    "address: IPv6 as some write it": {"REMOTE_ADDR": "2001:DB8:0::9"},
    "address: IPv4, mapped": {"REMOTE_ADDR": "::ffff:192.0.2.1"},
    "address: with a zone": {"REMOTE_ADDR": "fe80::1%eth0"},
    "address: empty": {"REMOTE_ADDR": ""},
    "address: a name, as waitress for Unix sockets": {"REMOTE_ADDR": "localhost"},
    "body: short": {"REQUEST_METHOD": "POST", "body": b"hello"},
    "body: one byte": {"REQUEST_METHOD": "PUT", "body": b"\0"},
    "body: 200 KiB": {"REQUEST_METHOD": "POST", "body": bytes(range(256)) * 800},
    "body: of chunks": {
        "REQUEST_METHOD": "POST",
        "body": b"hello" * 9000,
        "CONTENT_LENGTH": None,
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input_terminated": True,
    },
    "body: empty": {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": "0"},
    "key: a string": {"REMOTE_USER": "bob", "front.bytes": utf8("Zoë\r\n\0")},
    "key: an empty string": {"REMOTE_USER": ""},
    "key: text": {"front.text": "☃ \U0001f600 \0\r\n\u2028"},
    "key: JSON": {"front.json": {"a": [1, 1.5, None, True, "é"], "": {}}, "front.list": []},
    "key: JSON that is null": {"front.json": None, "front.list": [None]},
    "key: numbers": {"front.json": 2**70, "front.list": [-0.1, 1e300, 0]},
    "key: all of them": {
        "REMOTE_USER": "alice",
        "front.bytes": "\xff",
        "front.text": "Ω",
        "front.json": {"roles": ["admin"]},
        "front.list": [[[]]],
    },
    "all at once": {
        "REQUEST_METHOD": "PUT",
        "SCRIPT_NAME": "/m",
        **host("[2001:db8::1]:8443", "2001:db8::1", "8443", "https"),
        **path(utf8("/é//a/b;x"), "/m/%c3%A9//a%2Fb;x?q=%26&&"),
        "QUERY_STRING": "q=%26&&",
        "body": b"\xff" * 999,
        "REMOTE_USER": "bob",
        "front.json": [1],
    },
}


# What is refused, and with which status, instead.
REFUSED = {
    # cheroot reads a host in it: "Absolute URI not allowed if server is not a proxy".
    ("cheroot", "path: two slashes first", "plain"): "400",
    ("cheroot", "path: two slashes first", "preserve_host"): "400",
    # It reads the target as RFC 3986 has it.
    **{("granian", "query: quotes and angle brackets", variant): "400" for variant in VARIANTS},
    # The path of href is a wall.
    **{(server, "path: two dots", "traversal"): "400" for server in BACKENDS},
}


# The raw target is another: a middleware has changed the path since; a bare "?" is not there
# any more behind the query of href.
OTHER_TARGET = {
    *(("path: changed by a middleware", name) for name in VARIANTS),
    ("query: empty, but there", "traversal"),
}


class Refused(Exception):
    """Another answer than 200: status, body, and the log of the server."""


class Caller:
    """`WSGIProxyApp` in process, before a real server."""

    def __init__(self, server: Front, secret_file: str) -> None:
        address = f"http://127.0.0.1:{server.port}"
        self.name = server.name
        self._log = lambda: server.log
        self._apps = {
            variant: WSGIProxyApp(
                address + suffix, secret_file, **KEYS, sign_body=True, preserve_host=preserve
            )
            for variant, suffix, preserve in [
                ("plain", "", False),
                ("preserve_host", "", True),
                ("traversal", TRAVERSAL, False),
            ]
        }

    def after(self, variant: str, before: dict[str, Any]) -> dict[str, Any]:
        """The environ of the application behind the middleware."""
        seen: list[Any] = []
        blocks = self._apps[variant](before, lambda *arguments: seen.extend(arguments))
        try:
            body = b"".join(blocks)
        finally:
            getattr(blocks, "close", lambda: None)()
        if not seen[0].startswith("200 "):
            raise Refused(seen[0], body, self._log()[-1000:])
        report = [value for name, value in seen[1] if name.lower() == REPORT]
        return reported(body, *report)

    def close(self) -> None:
        for app in self._apps.values():
            app.close()


@pytest.fixture(scope="module", params=BACKENDS)
def caller(request: pytest.FixtureRequest, backend: Serve, secret_file: str) -> Iterator[Caller]:
    found = Caller(backend(request.param, secret_file=secret_file, **MIDDLEWARE), secret_file)
    yield found
    found.close()


def turns(refused: Iterable[tuple[str, str, str]]) -> list[Any]:
    """Each case in each variant; in the short form each server sees it in one of them.

    :param refused: server, case and variant of what is refused: these cases are run in all.
    """
    special = {case for _, case, _ in refused}
    one_in_three = pytest.mark.in_turns(len(VARIANTS))
    return [
        pytest.param(case, variant, marks=() if case in special else one_in_three)
        for case in CASES
        for variant in VARIANTS
    ]


@pytest.mark.parametrize(("case", "variant"), turns(REFUSED))
def test_what_the_client_asked_for_comes_back(caller: Caller, case: str, variant: str) -> None:
    before = environ(**CASES[case])
    body = before["wsgi.input"].getvalue()
    if (caller.name, case, variant) in REFUSED:
        with pytest.raises(Refused) as refused:
            caller.after(variant, before)
        assert refused.value.args[0][:3] == REFUSED[caller.name, case, variant]
        return
    after = caller.after(variant, before)
    if before["REQUEST_METHOD"] == "HEAD":
        assert after == {key: before[key] for key in FACTS}
        return
    wanted = (*FACTS, "SERVER_NAME", *DECLARED)
    if "REQUEST_URI" in before and (case, variant) not in OTHER_TARGET:
        wanted += ("REQUEST_URI",)
    assert {key: after.get(key) for key in wanted} == {key: before.get(key) for key in wanted}
    assert {key for key in after if key in DECLARED} == {key for key in before if key in DECLARED}
    assert after["body_sha256"] == hashlib.sha256(body).hexdigest()
    assert after["wsgiproxy.verified"] == "k1"
    left = [key for key in after if key.startswith(("HTTP_X_", "HTTP_WSGIPROXY", "HTTP_SIGNATURE"))]
    assert left == []


#: What clients send to a real front server; the application is under /mount.
REQUESTS: dict[str, tuple[str, list[tuple[str, str]], bytes]] = {
    "plain": ("GET /mount/a/b?x=1", [], b""),
    "an empty path": ("GET /mount", [], b""),
    "hard characters": ("GET /mount/a%2Fb/%c3%A9;x//y/%25?q=%00&&=", [], b""),
    "an empty query": ("GET /mount/?", [], b""),
    "a body": ("POST /mount/a", [("Content-Type", "text/plain")], b"hello" * 1000),
    "forged": (
        "GET /mount/a",
        [
            ("X-Forwarded-For", "6.6.6.6"),
            ("X_Forwarded_Host", "evil.example"),
            ("X-Forwarded-Prefix", "/evil"),
            ("X-Traversal-Path", "/mount"),
            ("Forwarded", "for=6.6.6.6;host=evil.example"),
            ("WSGIProxy", "e30"),
            ("Remote-User", "root"),
            ("Signature-Input", 'wsgiproxy=("@method");created=1;keyid="k1"'),
            ("Signature", "wsgiproxy=:AA==:"),
        ],
        b"",
    ),
    "another signature": (
        "GET /mount/a",
        [("Signature-Input", 'sig1=("@method")'), ("Signature", "sig1=:AA==:")],
        b"",
    ),
}
PAIRS = list(zip(FRONTS, reversed(BACKENDS), strict=True))


@pytest.mark.parametrize("request_id", REQUESTS)
@pytest.mark.parametrize("ends", PAIRS, ids=" to ".join)
def test_with_a_real_server_at_both_ends(
    fronts: Fronts, backend: Serve, secret_file: str, ends: tuple[str, str], request_id: str
) -> None:
    front, behind = ends
    options = {"secret_file": secret_file, "sign_body": True}
    server = backend(behind, secret_file=secret_file, **MIDDLEWARE)
    app = fronts.get(
        front,
        "tests.support.backend:compared",
        UPSTREAM=f"http://127.0.0.1:{server.port}",
        OPTIONS=json.dumps({**options, "string_keys": "REMOTE_USER", "json_keys": "front.list"}),
    )
    line, headers, body = REQUESTS[request_id]
    answer = raw_exchange(app.port, request_bytes(line, headers, body, host="Public.Example:81"))
    both = json.loads(answer.body)
    before, after = both["before"], both["after"]
    assert both["status"] == "200 OK", (after, server.log)
    wanted = (*FACTS, "REMOTE_USER", "front.list")
    if "REQUEST_URI" in before:
        wanted += ("REQUEST_URI",)
    assert {key: after[key] for key in wanted} == {key: before[key] for key in wanted}
    assert after["SERVER_NAME"] == "Public.Example"
    assert after["body_sha256"] == hashlib.sha256(body).hexdigest()
    kept = {key: after[key] for key in after if key.startswith("HTTP_SIGNATURE")}
    assert kept == ({} if request_id != "another signature" else theirs(before))
    assert [key for key in after if key.startswith(("HTTP_X_", "HTTP_WSGI", "HTTP_REMOTE"))] == []


def theirs(before: dict[str, Any]) -> dict[str, Any]:
    return {key: before[key] for key in ("HTTP_SIGNATURE_INPUT", "HTTP_SIGNATURE")}
