"""Requests that were changed on their way, on a raw socket to each server."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.support.client import RawClient, raw_exchange
from tests.support.fronts import BACKENDS, Front
from tests.support.judges import JudgedResponse
from tests.support.upstream import RawUpstream
from wsgiproxy.app import WSGIProxyApp

pytestmark = pytest.mark.in_turns(2, "server")

Serve = Callable[..., Front]

FIELDS = ("WSGIProxy", "Signature-Input", "Signature")
TRAVERSAL = "/base?key=1"
BODY = b"name=value"
FOREIGN = [
    ("Signature-Input", 'sig1=("@method");created=1;tag="web-bot-auth"'),
    ("Signature", "sig1=:AAAA:"),
]


@pytest.fixture(scope="module", params=[*BACKENDS, "wsgiref -O"])
def server(request: pytest.FixtureRequest, backend: Serve, secret_file: str) -> Front:
    """Each server, and one without assertions."""
    name = request.param.removesuffix(" -O")
    return backend(
        name,
        optimised=request.param != name,
        secret_file=secret_file,
        accept_keys=["REMOTE_USER"],
    )


@pytest.fixture
def signed(secret_file: str) -> Iterator[bytes]:
    """One signed request, as WSGIProxyApp puts it on the wire."""
    with RawUpstream() as upstream:
        app = WSGIProxyApp(
            upstream.url + TRAVERSAL,
            secret_file,
            string_keys=["REMOTE_USER"],
            preserve_host=True,
            sign_body=True,
        )
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/a/bc",
            "QUERY_STRING": "x=1",
            "HTTP_HOST": "public.example:8080",
            "HTTP_SIGNATURE_INPUT": FOREIGN[0][1],
            "HTTP_SIGNATURE": FOREIGN[1][1],
            "SERVER_PORT": "8080",
            "REMOTE_ADDR": "203.0.113.9",
            "REMOTE_USER": "bob",
            "CONTENT_LENGTH": str(len(BODY)),
            "CONTENT_TYPE": "text/plain",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(BODY),
        }
        b"".join(app(environ, lambda *arguments: None))
        app.close()
        request = upstream.wait_for_requests(1)[0]
        yield request.head + request.raw_body


def verified(answer: JudgedResponse) -> dict[str, Any]:
    """The environ of the application, which must be that of the signed request."""
    assert answer.status == 200, answer
    told: dict[str, Any] = json.loads(answer.body)
    facts = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a/bc",
        "QUERY_STRING": "x=1",
        "HTTP_HOST": "public.example:8080",
        "SERVER_NAME": "public.example",
        "SERVER_PORT": "8080",
        "REMOTE_ADDR": "203.0.113.9",
        "REMOTE_USER": "bob",
        "wsgi.url_scheme": "http",
        "wsgiproxy.verified": "k1",
        "body_sha256": hashlib.sha256(BODY).hexdigest(),
    }
    assert {key: told.get(key) for key in facts} == facts
    return told


def test_the_request_itself_is_verified(server: Front, signed: bytes) -> None:
    told = verified(raw_exchange(server.port, signed))
    assert told["HTTP_SIGNATURE_INPUT"] == FOREIGN[0][1]
    assert told["HTTP_SIGNATURE"] == FOREIGN[1][1]


# Where each covered part is on the wire: the first group.
PARTS = {
    "method": rb"^([A-Z]+) ",
    "path": rb"^\S+ /([^? ]+)",
    "query": rb"^\S+ \S+\?(\S+)",
    "Host": rb"\r\nHost: ([^\r]+)",
    "WSGIProxy": rb"\r\nWSGIProxy: ([^\r]+)",
    "X-Traversal-Path": rb"\r\nX-Traversal-Path: /([^\r]+)",
    "X-Traversal-Query-String": rb"\r\nX-Traversal-Query-String: ([^\r]+)",
    "Content-Digest": rb"\r\nContent-Digest: sha-256=:([^\r:=]+)",
    "components": rb'wsgiproxy=\(("@method" "@authority" "@query" "wsgiproxy"[^)]*)\)',
    "created": rb"created=([0-9]+);keyid",
    "keyid": rb'keyid="(k1)"',
    "alg": rb'alg="([^"]+)"',
    "nonce": rb'nonce="([^"]+)"',
    "tag": rb'tag="(wsgiproxy)"',
    "label of the input": rb"(wsgiproxy)=\(",
    "label of the signature": rb"(wsgiproxy)=:",
    "signature": rb"wsgiproxy=:([^=:]+)",
    "body": rb"\r\n\r\n(.+)",
}


def places(signed: bytes, pattern: bytes) -> list[int]:
    """First, last and three other letters or digits of a part."""
    match = re.search(pattern, signed)
    assert match is not None, pattern
    found = [at for at in range(*match.span(1)) if signed[at : at + 1].isalnum()]
    return sorted({found[len(found) * step // 5] for step in range(5)} | {found[-1]})


def changed(signed: bytes, at: int) -> bytes:
    """The same with another letter, or another digit, in one place."""
    old = signed[at : at + 1]
    new = b"%c" % (old[0] - 1) if old in b"zZ9" else b"%c" % (old[0] + 1)
    return signed[:at] + new + signed[at + 1 :]


@pytest.mark.parametrize("part", PARTS)
def test_a_changed_byte_is_refused(server: Front, signed: bytes, part: str) -> None:
    for at in places(signed, PARTS[part]):
        request = changed(signed, at)
        answer = raw_exchange(server.port, request)
        assert answer.status == 403, (request, answer.body)
        assert b"k1" not in answer.body, "the reason is for the log alone"


def test_every_byte_of_the_signature_and_its_parameters_counts(
    backend: Serve, secret_file: str, signed: bytes
) -> None:
    """All of them, on one server."""
    port = backend("waitress", secret_file=secret_file, accept_keys=["REMOTE_USER"]).port
    own = [re.search(rb"wsgiproxy=\(.*", signed), re.search(rb"wsgiproxy=:[^=\r]*", signed)]
    letters = [
        at
        for match in own
        if match is not None
        for at in range(*match.span())
        if signed[at : at + 1].isalnum()
    ]
    assert len(letters) > 200
    with RawClient(port) as client:
        for at in letters:
            client.send(changed(signed, at))
            assert client.response("POST").status == 403, signed[at - 10 : at + 10]


INSERTED = [
    b"\r\n",
    b"\r\n ",
    b"\r",
    b"\n",
    b"\0",
    b" ",
    b",",
    b";",
    b'"',
    b"_",
    b"%",
    b"wsgiproxy",
]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.floats(0, 1, exclude_max=True),
    cut=st.integers(0, 3),
    put=st.binary(max_size=2) | st.sampled_from(INSERTED),
)
def test_whatever_is_changed_passes_as_the_signed_request_or_not_at_all(
    server: Front, signed: bytes, where: float, cut: int, put: bytes
) -> None:
    at = int(where * len(signed))
    request = signed[:at] + put + signed[at + cut :]
    # Else the server waits for more.
    head, end, body = request.partition(b"\r\n\r\n")
    assume(end and len(body) >= len(BODY) and b"\r\nContent-Length: 10\r\n" in head + b"\r\n")
    answer = raw_exchange(server.port, request)
    if answer.status == 200:
        verified(answer)
    else:
        assert answer.status in (0, 400, 403), answer


def lines(signed: bytes) -> tuple[list[bytes], bytes]:
    head, _, body = signed.partition(b"\r\n\r\n")
    return head.split(b"\r\n"), body


def put(signed: bytes, field: bytes, *, first: bool) -> bytes:
    """With one more field line, before or after all others."""
    head, body = lines(signed)
    at = 1 if first else len(head)
    return b"\r\n".join([*head[:at], field, *head[at:], b"", b""]) + body


def dropped(signed: bytes, *names: str) -> bytes:
    head, body = lines(signed)
    prefixes = tuple(f"{name}:".lower().encode() for name in names)
    kept = [line for line in head if not line.lower().startswith(prefixes)]
    return b"\r\n".join([*kept, b"", b""]) + body


def value(signed: bytes, name: str) -> bytes:
    found = re.search(rf"\r\n{name}: ([^\r]+)".encode(), signed)
    assert found is not None
    return found[1]


UNSIGNED = {
    "none of the three": FIELDS,
    **{f"no {name}": (name,) for name in FIELDS},
    "the envelope alone": FIELDS[1:],
    "no X-Traversal-Path, which is covered": ("X-Traversal-Path",),
    "no X-Traversal-Query-String, which is covered": ("X-Traversal-Query-String",),
    "no Content-Digest, which is covered": ("Content-Digest",),
}


@pytest.mark.parametrize("case", UNSIGNED)
def test_what_is_not_signed_is_refused(server: Front, signed: bytes, case: str) -> None:
    answer = raw_exchange(server.port, dropped(signed, *UNSIGNED[case]))
    assert answer.status == 403


SPELLINGS = {
    "the same name": str,
    "with underscores": lambda name: name.replace("-", "_"),
    "in lower case": str.lower,
    "with a dot": lambda name: name.replace("-", "."),
}
SECOND = {
    "the same again": lambda old: old,
    "an empty one": lambda old: b"",
    "a forged one": lambda old: b"e30",
    "a forged member": lambda old: b"wsgiproxy=:AAAA:",
    "another member": lambda old: b"sig9=:AAAA:",
    "no list": lambda old: b"))((",
}
COVERED = (*FIELDS, "X-Traversal-Path", "X-Traversal-Query-String", "Content-Digest")


@pytest.mark.parametrize("name", COVERED)
@pytest.mark.parametrize("second", SECOND)
def test_a_second_line_changes_nothing_or_is_refused(
    server: Front, signed: bytes, name: str, second: str
) -> None:
    for spelling in SPELLINGS.values():
        for first in (True, False):
            field = spelling(name).encode() + b": " + SECOND[second](value(signed, name))
            answer = raw_exchange(server.port, put(signed, field, first=first))
            # gunicorn and granian refuse some names by themselves.
            if answer.status not in (400, 403):
                verified(answer)


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_a_second_host_changes_nothing_or_is_refused(
    server: Front, signed: bytes, first: bool
) -> None:
    answer = raw_exchange(server.port, put(signed, b"Host: evil.example", first=first))
    if answer.status not in (400, 403):
        verified(answer)


FORGED = [
    "X-Forwarded-For",
    "X_Forwarded_For",
    "x_forwarded-for",
    "X.Forwarded.For",
    "X_Forwarded_Host",
    "X_Forwarded_Proto",
    "X-Forwarded-Anything",
    "X_Forwarded_Anything",
    "Forwarded",
    "X_Real_IP",
    "X_Script_Name",
    "Script-Name",
    "Remote_User",
    "Remote-User",
    "X_WSGIProxy_STR_0",
    "WSGIProxy_Verified",
    "X-Original-URL",
    "X_Rewrite_URL",
    "Proxy",
]


@pytest.mark.parametrize("name", FORGED)
def test_what_is_not_covered_never_reaches_the_application(
    server: Front, signed: bytes, name: str
) -> None:
    answer = raw_exchange(server.port, put(signed, f"{name}: 6.6.6.6".encode(), first=False))
    if answer.status == 400:  # gunicorn and granian refuse some names by themselves
        assert name not in ("X-Forwarded-For", "Forwarded")
        return
    told = verified(answer)
    del told["wsgiproxy.orig"]
    assert "6.6.6.6" not in json.dumps(told)


def test_a_mount_that_gunicorn_would_believe_is_not_believed(server: Front, signed: bytes) -> None:
    """It takes SCRIPT_NAME from 127.0.0.1."""
    verified(raw_exchange(server.port, put(signed, b"Script_Name: /base", first=True)))
