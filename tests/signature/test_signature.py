"""Signing and checking: the names of 0.2, covered bodies, and what is shown of a secret."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.in_process import (
    Backend,
    environ_of,
    front_environ,
    key_file,
    run,
    signed_environ,
)
from tests.support.rounds import together
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.errors import BadRequest, ConfigurationError, Forbidden
from wsgiproxy.middleware import WSGIProxyMiddleware
from wsgiproxy.sansio.fields.content_digest import LARGEST_BODY
from wsgiproxy.sansio.keys import parse_keys
from wsgiproxy.secretloader import get_secret, new_key
from wsgiproxy.signature import BadSignature, Verifier, check_request, sign_request

SECRET = b"0123456789abcdef0123456789abcdef"
FIELDS = ("HTTP_WSGIPROXY", "HTTP_SIGNATURE_INPUT", "HTTP_SIGNATURE")


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> str:
    return key_file(tmp_path_factory.mktemp("keys") / "secret", new_key("k1"))


def test_one_request_is_checked_by_one_state_of_the_key_file() -> None:
    """A key that is removed in the middle is still known at the end."""
    line = new_key("k1")
    states = [parse_keys(line.encode()), parse_keys(line.encode())]

    def keys():
        return states.pop(0) if states else parse_keys(new_key("k2").encode())

    verifier = Verifier(keys)
    environ = front_environ()
    sign_request(environ, f"# one line\n{line}")
    proof, _, _ = verifier.check(environ)
    assert proof.keyid == "k1"
    with pytest.raises(BadSignature, match="no such key"):
        verifier.check(environ)


# -- sign_request and check_request ----------------------------------------------------


@together
@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="plain"),
        pytest.param({"REQUEST_METHOD": "POST", "QUERY_STRING": "a=b&c"}, id="post-with-query"),
        pytest.param({"SCRIPT_NAME": "/m", "PATH_INFO": ""}, id="mount-alone"),
        pytest.param({"PATH_INFO": "/caf\xe9/a b;c//d/.."}, id="strange-path"),
        pytest.param({"PATH_INFO": "/a/b", "REQUEST_URI": "/a%2Fb"}, id="raw-target"),
        pytest.param({"wsgi.url_scheme": "https", "HTTP_HOST": "A.example:443"}, id="https"),
        pytest.param({"REMOTE_ADDR": ""}, id="no-address"),
    ],
)
@pytest.mark.parametrize(
    "key",
    [SECRET, SECRET.decode(), f"# mine\n{new_key('k1')}"],
    ids=["bytes", "text", "key file"],
)
def test_what_was_signed_passes_once_checked(more, key):
    environ = front_environ(**more)
    before = dict(environ)
    sign_request(environ, key)
    assert environ.keys() - before.keys() == set(FIELDS)
    check_request(environ, key)
    # And is as it was.
    assert environ == before


def test_it_works_with_get_secret(secret):
    environ = front_environ()
    sign_request(environ, get_secret(secret))
    check_request(environ, get_secret(secret))


def changed(environ: dict[str, Any], **changes: str) -> dict[str, Any]:
    return {**environ, **changes}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"REQUEST_METHOD": "POST"}, "wrong signature", id="method"),
        pytest.param({"HTTP_HOST": "evil.example"}, "wrong signature", id="host"),
        pytest.param({"QUERY_STRING": "x"}, "wrong signature", id="query"),
        pytest.param({"PATH_INFO": "/other"}, "signed for '/'", id="path"),
        pytest.param({"HTTP_WSGIPROXY": "e30"}, "wrong signature", id="envelope"),
        pytest.param({"HTTP_SIGNATURE": "wsgiproxy=:AAAA:"}, "wrong signature", id="signature"),
        pytest.param({"HTTP_SIGNATURE": "a=:AAAA:"}, "no signature is labelled", id="label"),
        pytest.param({"HTTP_SIGNATURE": "wsgiproxy=:A A:"}, "no member|comma", id="grammar"),
        pytest.param({"HTTP_SIGNATURE_INPUT": ""}, "Input did not arrive", id="empty-input"),
        pytest.param({"HTTP_SIGNATURE_INPUT": "a" * 3000}, "more than 2048", id="too-long"),
    ],
)
def test_a_changed_request_is_refused(change, reason):
    environ = front_environ()
    sign_request(environ, SECRET)
    with pytest.raises(BadSignature, match=reason):
        check_request(changed(environ, **change), SECRET)


def test_an_unsigned_request_is_refused():
    environ = front_environ()
    with pytest.raises(BadSignature, match="not signed"):
        check_request(environ, SECRET)


def test_another_secret_is_refused():
    environ = front_environ()
    sign_request(environ, SECRET)
    with pytest.raises(BadSignature, match="no such key"):
        check_request(environ, SECRET[::-1])
    sign_request(environ := front_environ(), f"k1:{'A' * 43}")
    with pytest.raises(BadSignature, match="wrong signature by key 'k1'"):
        check_request(environ, f"k1:{'B' * 43}")


def test_a_stale_signature_is_refused(monkeypatch):
    environ = front_environ()
    sign_request(environ, SECRET)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 70)
    with pytest.raises(BadSignature, match="created .* seconds ago, allowed is up to 60 ago"):
        check_request(environ, SECRET)


def test_a_refused_environ_is_left_as_it_was():
    environ = front_environ(QUERY_STRING="x")
    sign_request(environ, SECRET)
    environ["QUERY_STRING"] = "y"
    before = dict(environ)
    with pytest.raises(BadSignature):
        check_request(environ, SECRET)
    assert environ == before


@pytest.mark.parametrize("framed", ["length", "chunked"])
def test_a_covered_body_that_was_checked_can_be_read(secret, framed):
    asked = front_environ(BODY) if framed == "length" else chunked(BODY)
    environ = signed_environ(secret, asked, sign_body=True)
    check_request(environ, get_secret(secret))
    assert environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])) == BODY
    assert not environ.keys() & {*FIELDS, "HTTP_TRANSFER_ENCODING"}


def test_signing_twice_leaves_one_signature():
    environ = front_environ()
    sign_request(environ, SECRET)
    first = environ["HTTP_SIGNATURE"]
    sign_request(environ, SECRET)
    assert environ["HTTP_SIGNATURE"] != first
    assert environ["HTTP_SIGNATURE"].count("wsgiproxy=") == 1
    check_request(environ, SECRET)


def test_members_of_others_stay():
    theirs = {
        "HTTP_SIGNATURE_INPUT": 'sig1=("@method");keyid="bot"',
        "HTTP_SIGNATURE": "sig1=:AAAA:",
    }
    environ = front_environ(**theirs)
    sign_request(environ, SECRET)
    assert environ["HTTP_SIGNATURE"].startswith("sig1=:AAAA:, wsgiproxy=:")
    check_request(environ, SECRET)
    assert {key: environ[key] for key in theirs} == theirs


def test_the_error_is_a_value_error_as_in_0_2():
    assert issubclass(BadSignature, ValueError)
    assert issubclass(BadSignature, Forbidden)
    assert BadSignature("x").status == 403


@pytest.mark.parametrize("function", [sign_request, check_request])
@pytest.mark.parametrize("key", [b"", b"short", "k1:AAAA", "# nothing"])
def test_what_is_no_secret_is_refused(function, key):
    with pytest.raises(ConfigurationError) as caught:
        function(front_environ(), key)
    assert "AAAA" not in str(caught.value)
    assert "short" not in str(caught.value)


def test_what_is_no_request_is_not_signed():
    with pytest.raises(BadRequest):
        sign_request(front_environ(HTTP_HOST="a b"), SECRET)


def test_no_two_signatures_have_the_same_nonce():
    seen = set()
    for _ in range(200):
        sign_request(environ := front_environ(), SECRET)
        seen.add(environ["HTTP_SIGNATURE_INPUT"].partition("nonce=")[2])
    assert len(seen) == 200


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_no_text_of_the_three_fields_is_more_than_a_bad_signature(envelope, members, signature):
    """Whatever stands in the fields, the answer is a signature or BadSignature."""
    environ = front_environ(
        HTTP_WSGIPROXY=envelope, HTTP_SIGNATURE_INPUT=members, HTTP_SIGNATURE=signature
    )
    with pytest.raises(BadSignature):
        check_request(environ, SECRET)


# -- covered bodies --------------------------------------------------------------------

BODY = b"hello, world"


def digest(body: bytes, algorithm: str = "sha-256") -> str:
    value = hashlib.new(algorithm.replace("-", ""), body).digest()
    return f"{algorithm}=:{base64.b64encode(value).decode()}:"


class Application:
    """Reads its body to the end, as the server has framed it."""

    def __init__(self) -> None:
        self.environ: dict[str, Any] = {}
        self.body: bytes | None = None

    def __call__(self, environ, start_response):
        self.environ = environ
        length = environ.get("CONTENT_LENGTH")
        self.body = environ["wsgi.input"].read(int(length)) if length else b""
        start_response("200 OK", [])
        return []


def exchange(secret: str, environ: dict[str, Any], *, front=(), back=(), server="wsgiref"):
    """The status, the application, and the transport, with covered bodies at both ends."""
    application = Application()
    restoring = WSGIProxyMiddleware(application, secret, sign_body=True, **dict(back))
    backend = Backend(restoring, server)
    proxy = WSGIProxyApp("http://b/", secret, sign_body=True, transport=backend, **dict(front))
    return run(proxy, environ).head.status, application, backend


@pytest.mark.parametrize(
    ("environ", "arrives"),
    [
        pytest.param(lambda: front_environ(), b"", id="get-without-a-body"),
        pytest.param(lambda: front_environ(REQUEST_METHOD="POST"), b"", id="post-without-length"),
        pytest.param(lambda: front_environ(REQUEST_METHOD="POST", CONTENT_LENGTH="0"), b"", id="0"),
        pytest.param(lambda: front_environ(BODY), BODY, id="post"),
        pytest.param(lambda: front_environ(BODY, REQUEST_METHOD="GET"), BODY, id="get-with-a-body"),
        pytest.param(lambda: front_environ(bytes(range(256)) * 3000), bytes(range(256)) * 3000,
                     id="750-kib"),
        pytest.param(lambda: chunked(BODY), BODY, id="chunked"),
        pytest.param(lambda: chunked(b""), b"", id="chunked-and-empty"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("server", ["wsgiref", "cheroot", "paste"])
def test_bodies_arrive_whole(secret, environ, arrives, server):
    status, application, _ = exchange(secret, environ(), server=server)
    assert status == 200
    assert application.body == arrives


def chunked(body: bytes) -> dict[str, Any]:
    environ = front_environ(HTTP_TRANSFER_ENCODING="chunked", REQUEST_METHOD="POST")
    return environ | {"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True}


def test_a_chunked_body_gets_a_length(secret):
    """It has been read to its end, so that servers that know no chunks can take it."""
    _, application, backend = exchange(secret, chunked(BODY))
    [(request, _)] = backend.sent
    assert (request.content_length, request.chunked) == (len(BODY), False)
    assert application.environ["CONTENT_LENGTH"] == str(len(BODY))


@pytest.mark.parametrize("make", [front_environ, chunked], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("size", "front", "status", "sent"),
    [
        pytest.param(LARGEST_BODY, {}, 200, 1, id="exactly"),
        pytest.param(LARGEST_BODY + 1, {}, 413, 0, id="over"),
        pytest.param(6, {"max_body": 5}, 413, 0, id="over-max-body"),
    ],
)
def test_a_body_over_the_limit_gets_413_from_the_front(secret, make, size, front, status, sent):
    body = b"x" * size
    found, application, backend = exchange(secret, make(body), front=front)
    assert found == status
    assert len(backend.sent) == sent
    assert (application.body == body) == (status == 200)


def test_a_body_over_the_limit_gets_413_from_the_backend(secret):
    signed = signed_environ(secret, front_environ(BODY), sign_body=True, href="http://b/")
    body = b"x" * (LARGEST_BODY + 1)
    signed |= {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    assert run(WSGIProxyMiddleware(Application(), secret), signed).head.status == 413


class Endless:
    """A body without an end; counts what was asked of it."""

    def __init__(self) -> None:
        self.given = 0

    def read(self, size: int) -> bytes:
        self.given += size
        return b"x" * size


@pytest.mark.parametrize("end", ["front", "back"])
def test_an_endless_body_is_not_read_to_its_end(secret, end):
    body = Endless()
    environ = chunked(b"") | {"wsgi.input": body}
    if end == "front":
        assert exchange(secret, environ)[0] == 413
    else:
        signed = signed_environ(secret, front_environ(BODY), sign_body=True, href="http://b/")
        del signed["CONTENT_LENGTH"]
        environ = signed | {"wsgi.input": body, "wsgi.input_terminated": True}
        environ["HTTP_TRANSFER_ENCODING"] = "chunked"
        assert run(WSGIProxyMiddleware(Application(), secret), environ).head.status == 413
    assert body.given <= 1024**2 + 2 * 65536


@pytest.mark.parametrize(
    ("theirs", "arrives"),
    [
        pytest.param(None, digest(BODY), id="none"),
        pytest.param(digest(BODY), digest(BODY), id="right"),
        pytest.param(digest(b"other"), digest(BODY), id="wrong"),
        pytest.param(digest(BODY, "sha-512"), f"{digest(BODY, 'sha-512')}, {digest(BODY)}",
                     id="sha-512"),
        pytest.param(f"{digest(BODY)}, {digest(BODY, 'sha-512')}",
                     f"{digest(BODY)}, {digest(BODY, 'sha-512')}", id="both-right"),
        pytest.param(f"sha-512=:AAAA:, {digest(b'x')}", f"sha-512=:AAAA:, {digest(BODY)}",
                     id="wrong-beside-another"),
        pytest.param("not a dictionary!", digest(BODY), id="malformed"),
        pytest.param(f"{digest(BODY)},\tsha-512=:AAAA:", f"sha-512=:AAAA:, {digest(BODY)}",
                     id="a-tab-between"),
        pytest.param(f"\t{digest(BODY)}\t", digest(BODY), id="tabs-around"),
    ],
)  # fmt: skip
def test_a_clients_own_content_digest(secret, theirs, arrives):
    """What is covered is true; a client's member for another hash is the client's affair."""
    environ = front_environ(BODY, **({"HTTP_CONTENT_DIGEST": theirs} if theirs else {}))
    status, application, _ = exchange(secret, environ)
    assert (status, application.body) == (200, BODY)
    assert application.environ["HTTP_CONTENT_DIGEST"] == arrives


@pytest.mark.parametrize("theirs", [digest(b""), digest(b"x"), "junk"])
def test_a_content_digest_without_a_body_passes_unchanged(secret, theirs):
    status, application, _ = exchange(secret, front_environ(HTTP_CONTENT_DIGEST=theirs))
    assert status == 200
    assert application.environ["HTTP_CONTENT_DIGEST"] == theirs


@pytest.mark.parametrize(
    ("body", "status"), [(BODY, 403), (b"", 200)], ids=["with-a-body", "without-one"]
)
def test_a_body_that_is_not_covered_is_refused_where_it_must_be(secret, body, status):
    environ = signed_environ(secret, front_environ(body))
    middleware = WSGIProxyMiddleware(Application(), secret, sign_body=True)
    assert run(middleware, environ).head.status == status


def test_a_body_that_is_covered_is_checked_where_it_need_not_be(secret):
    environ = signed_environ(secret, front_environ(BODY), sign_body=True)
    application = Application()
    assert run(WSGIProxyMiddleware(application, secret), environ).head.status == 200
    assert application.body == BODY


def test_a_body_cannot_be_added_to_a_request_without_one(secret):
    environ = signed_environ(secret, front_environ(REQUEST_METHOD="POST"), sign_body=True)
    environ |= {"CONTENT_LENGTH": "4", "wsgi.input": io.BytesIO(b"evil")}
    middleware = WSGIProxyMiddleware(Application(), secret, sign_body=True)
    assert run(middleware, environ).head.status == 403


def test_without_sign_body_a_body_streams(secret):
    """Not one byte is read before the transport or the application asks for it."""
    endless, asked = Endless(), []

    class Asking(Backend):
        def send(self, origin, request, body=None, call=None):
            asked.append((endless.given, len(next(iter(body))) > 0))
            return super().send(origin, request, None, call)

    environ = chunked(b"") | {"wsgi.input": endless}
    proxy = WSGIProxyApp("http://b/", secret, transport=Asking())
    assert run(proxy, environ).head.status == 200
    assert asked == [(0, True)]
    application = Application()
    environ = signed_environ(secret, front_environ(BODY)) | {"wsgi.input": Endless()}
    run(WSGIProxyMiddleware(application, secret), environ)
    assert application.environ["wsgi.input"].given == len(BODY)


# -- at the sending end ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "values", "message"),
    [
        pytest.param({"json_keys": "a b"}, {"a": "x", "b": "y" * 4000}, "'b' of 4002 bytes makes "
                     "the keys in the envelope larger than 4096", id="over-4-kib"),
        pytest.param({"json_keys": "a b", "string_keys": "c"},
                     {"a": "x" * 1500, "b": "y" * 1400, "c": "z" * 300}, "'a' of 1502 bytes",
                     id="over-4-kib-together"),
        pytest.param({"string_keys": "a"}, {"a": 5}, "'a' is int, not str", id="number"),
        pytest.param({"string_keys": "a"}, {"a": None}, "'a' is NoneType, not str", id="none"),
        pytest.param({"string_keys": "a"}, {"a": b"x"}, "'a' is bytes, not str", id="bytes"),
        pytest.param({"string_keys": "a"}, {"a": "\u2603"}, "'a' is text.*unicode_keys", id="text"),
        pytest.param({"unicode_keys": "a"}, {"a": ["x"]}, "'a' is list, not str", id="list"),
        pytest.param({"json_keys": "a"}, {"a": {1, 2}}, "'a' is not JSON", id="set"),
        pytest.param({"json_keys": "b a"}, {"b": 1, "a": math.nan}, "'a' is not JSON", id="nan"),
        pytest.param({"json_keys": "a"}, {"a": {"b": [object()]}}, "'a' is not JSON", id="object"),
        pytest.param({"pickle_keys": "a", "allow_pickle": True}, {"a": lambda: 0},
                     "'a' cannot be pickled", id="lambda"),
    ],
)  # fmt: skip
def test_a_key_that_cannot_be_carried_is_a_500_and_named_in_the_log(
    secret, caplog, keys, values, message
):
    backend = Backend()
    proxy = WSGIProxyApp("http://b/", secret, transport=backend, **keys)
    answer = run(proxy, front_environ() | values)
    assert answer.head.status == 500
    assert backend.sent == []
    [record] = [each for each in caplog.records if "carried key" in each.getMessage()]
    assert record.levelname == "WARNING"
    assert re.search(message, record.getMessage())
    assert b"'a'" not in answer.whole
    assert b"carried" not in answer.whole


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(("levels", "status"), [(20, 200), (21, 500), (100_000, 500)])
def test_the_depth_is_bounded_at_both_ends_alike(secret, levels, status):
    backend = Backend(WSGIProxyMiddleware(Application(), secret, accept_keys="a"))
    proxy = WSGIProxyApp("http://b/", secret, json_keys="a", transport=backend)
    assert run(proxy, front_environ() | {"a": deep(levels)}).head.status == status


def test_a_value_that_contains_itself_is_a_500(secret):
    value: list[Any] = []
    value.append(value)
    proxy = WSGIProxyApp("http://b/", secret, json_keys="a", transport=Backend())
    assert run(proxy, front_environ() | {"a": value}).head.status == 500


def test_a_long_path_is_the_clients_fault(secret):
    proxy = WSGIProxyApp("http://b/", secret, transport=Backend())
    assert run(proxy, front_environ(PATH_INFO="/" + "x" * 7000)).head.status == 431


@pytest.mark.parametrize(("letters", "status"), [(3100, 200), (7000, 431)])
def test_a_long_host_is_not_the_fault_of_a_carried_key(secret, caplog, letters, status):
    proxy = WSGIProxyApp("http://b/", secret, string_keys="a", transport=Backend())
    environ = front_environ(HTTP_HOST="h" * letters) | {"a": "x"}
    assert run(proxy, environ).head.status == status
    assert "carried key" not in caplog.text


def test_what_a_client_signs_in_our_name_does_not_go_up(secret):
    theirs = {
        "HTTP_SIGNATURE_INPUT": 'wsgiproxy=("@method"), sig1=("@method"), x=();tag="wsgiproxy"',
        "HTTP_SIGNATURE": "wsgiproxy=:AAAA:, sig1=:AAAA:, x=:AAAA:",
        "HTTP_WSGIPROXY": "AAAA",
    }
    for key in (None, secret):
        backend = Backend()
        run(WSGIProxyApp("http://b/", key, transport=backend), front_environ(**theirs))
        environ = environ_of(backend.sent[0][0])
        assert environ["HTTP_SIGNATURE"].startswith("sig1=:AAAA:")
        ours = 0 if key is None else 1
        assert environ["HTTP_SIGNATURE"].count("wsgiproxy=") == ours
        assert environ["HTTP_SIGNATURE_INPUT"].count('tag="wsgiproxy"') == ours
        assert environ.get("HTTP_WSGIPROXY") != "AAAA"


def test_our_fields_cannot_be_nominated_away(secret):
    for nominated in ("WSGIProxy, Signature, Signature-Input", "wsgiproxy", "signature_input"):
        environ = signed_environ(secret, front_environ(HTTP_CONNECTION=nominated))
        assert run(WSGIProxyMiddleware(Application(), secret), environ).head.status == 200


@pytest.mark.parametrize(
    "module",
    [
        "wsgiproxy.asgi.middleware",
        "wsgiproxy.middleware",
        "wsgiproxy.restorer",
        "wsgiproxy.secretloader",
        "wsgiproxy.signature",
    ],
)
def test_the_receiving_end_loads_no_transport(module):
    # asyncio has ssl itself.
    heavy = [
        *(["ssl"] if module != "wsgiproxy.asgi.middleware" else []),
        "webob",
        "urllib3",
        "httptools",
        "wsgiproxy.transport",
        "wsgiproxy.app",
        "cryptography",
    ]
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
