"""The order of stages, and promise 1: one request or none."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.judges import JudgedRequest, h11_requests, llhttp_requests
from wsgiproxy.errors import BadRequest, HeadTooLarge, LoopDetected, ProxyError
from wsgiproxy.sansio.environ.inbound import read
from wsgiproxy.sansio.fields.max_forwards import is_final_recipient
from wsgiproxy.sansio.fields.names import values
from wsgiproxy.sansio.h1 import Limits, request_head
from wsgiproxy.sansio.h1.chunks import LAST_CHUNK, chunk
from wsgiproxy.sansio.href import parse_href
from wsgiproxy.sansio.message import Headers, Inbound, Origin, Request, ResponseHead
from wsgiproxy.sansio.pipeline import Outgoing, Policy, client_response, outgoing
from wsgiproxy.sansio.policy.exact import ExactPolicy
from wsgiproxy.sansio.policy.reverse import ReversePolicy
from wsgiproxy.settings import APP, resolve

ENVIRON: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/x",
    "QUERY_STRING": "",
    "SERVER_NAME": "origin.example",
    "SERVER_PORT": "8080",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "192.0.2.1",
    "HTTP_HOST": "public.example",
    "wsgi.url_scheme": "http",
}
EXACT = ExactPolicy()


def reverse(href: str = "http://up.example/app", **options: Any) -> ReversePolicy:
    return ReversePolicy(parse_href(href), resolve(APP, options), "me")


def sent(policy: Policy, **changes: Any) -> Outgoing:
    """What goes out for the plain environ with *changes*."""
    return outgoing(read({**ENVIRON, **changes}), policy)


def fields_of(policy: Policy, **changes: Any) -> Headers:
    return sent(policy, **changes).request.headers


BOTH = pytest.mark.parametrize(
    "policy", [pytest.param(EXACT, id="exact"), pytest.param(reverse(), id="reverse")]
)


def test_exact_adds_nothing() -> None:
    """No User-Agent, no Accept, no Via; the forwarding fields are part of the request."""
    found = sent(EXACT, HTTP_X_FORWARDED_FOR="1.2.3.4", HTTP_ACCEPT="*/*", CONTENT_LENGTH="3")
    assert found == Outgoing(
        Origin("http", "origin.example", 8080),
        Request(
            "GET",
            "/x",
            [("Host", "public.example"), ("X-Forwarded-For", "1.2.3.4"), ("Accept", "*/*")],
            3,
            False,
            login=False,
        ),
        None,
    )


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        pytest.param({}, "/x", id="plain"),
        pytest.param({"SCRIPT_NAME": "/m"}, "/m/x", id="mount-is-a-part-of-it"),
        pytest.param({"PATH_INFO": ""}, "/", id="nothing-is-the-root"),
        pytest.param({"PATH_INFO": "", "QUERY_STRING": "q"}, "/?q", id="nothing-and-query"),
        pytest.param({"PATH_INFO": "/a/b", "RAW_URI": "/a%2Fb"}, "/a%2Fb", id="raw"),
        pytest.param({"REQUEST_URI": "http://e/x"}, "/x", id="absolute-form-as-origin-form"),
        pytest.param({"PATH_INFO": "*", "REQUEST_METHOD": "OPTIONS"}, "*", id="asterisk"),
        pytest.param({"PATH_INFO": "/a/../../b"}, "/a/../../b", id="nothing-normalised"),
    ],
)
def test_exact_target(changes: dict[str, Any], target: str) -> None:
    assert sent(EXACT, **changes).request.target == target


@pytest.mark.parametrize(
    ("changes", "origin"),
    [
        pytest.param({"REQUEST_URI": "http://evil/x"}, ("http", "origin.example", 8080), id="A8"),
        pytest.param({"HTTP_HOST": "evil"}, ("http", "origin.example", 8080), id="Host"),
        pytest.param({"SERVER_NAME": "[::1]"}, ("http", "::1", 8080), id="ipv6"),
        pytest.param({"wsgi.url_scheme": "https"}, ("https", "origin.example", 8080), id="tls"),
    ],
)
def test_exact_connects_where_the_server_says(changes: dict[str, Any], origin: object) -> None:
    """Promise 6, E12, E20: never to an address that the client has written."""
    assert sent(EXACT, **changes).origin[:3] == origin


MARKING = ExactPolicy("me")


@pytest.mark.parametrize(
    ("changes", "traces"),
    [
        pytest.param({}, ["1.1 me"], id="port-of-the-peer-unknown"),
        pytest.param({"HTTP_VIA": "1.0 a"}, ["1.0 a, 1.1 me"], id="appended"),
        pytest.param({"REMOTE_PORT": "4711"}, [], id="port-of-the-peer-known"),
        pytest.param({"REMOTE_PORT": 4711, "HTTP_VIA": "1.0 a"}, ["1.0 a"], id="left-alone"),
        pytest.param({"REMOTE_ADDR": ""}, [], id="not-from-a-network"),
    ],
)
def test_exact_marks_loops_where_it_must(changes: dict[str, Any], traces: list[str]) -> None:
    """The one field that is added, and only if nothing else can show a loop."""
    assert values(fields_of(MARKING, **changes), "Via") == traces
    assert values(fields_of(EXACT, **changes), "Via") == (
        [changes["HTTP_VIA"]] if "HTTP_VIA" in changes else []
    )


def test_exact_ends_a_loop() -> None:
    """B7, E21."""
    with pytest.raises(LoopDetected):
        sent(MARKING, HTTP_VIA="1.1 me")


def test_exact_needs_somewhere_to_connect_to() -> None:
    with pytest.raises(BadRequest):
        sent(EXACT, SERVER_NAME="")


@BOTH
@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        pytest.param({"HTTP_CONNECTION": "X-A", "HTTP_X_A": "1"}, "X-A", id="nominated"),
        pytest.param({"HTTP_CONNECTION": "x_a", "HTTP_X_A": "1"}, "X-A", id="by-skeleton"),
        pytest.param({"HTTP_CONNECTION": "close"}, "Connection", id="Connection-itself"),
        pytest.param({"HTTP_UPGRADE": "h2c"}, "Upgrade", id="h2c"),
        pytest.param({"HTTP_TE": "trailers"}, "TE", id="TE"),
        pytest.param({"HTTP_TRAILER": "X"}, "Trailer", id="Trailer"),
        pytest.param(
            {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True},
            "Transfer-Encoding",
            id="coding-is-never-copied",
        ),
        pytest.param({"HTTP_CONTENT_LENGTH": "5"}, "Content-Length", id="length-is-never-copied"),
        pytest.param({"HTTP_PROXY": "http://evil/"}, "Proxy", id="httpoxy"),
        pytest.param({"HTTP_PROXY_AUTHORIZATION": "x"}, "Proxy-Authorization", id="for-a-proxy"),
        pytest.param({"HTTP_EXPECT": "100-continue"}, "Expect", id="Expect"),
    ],
)
def test_never_sent(policy: Policy, changes: dict[str, Any], gone: str) -> None:
    assert values(fields_of(policy, **changes), gone) == []


@BOTH
@pytest.mark.parametrize(
    "name",
    [
        "ACCEPT_ENCODING",
        "AUTHORIZATION",
        "COOKIE",
        "RANGE",
        "IF_RANGE",
        "EARLY_DATA",
        "X_REQUEST_ID",
    ],
)
def test_passed_on(policy: Policy, name: str) -> None:
    """B13, B21, B22, E14."""
    found = fields_of(policy, **{f"HTTP_{name}": "a  b"})
    assert values(found, name.replace("_", "-")) == ["a  b"]


@BOTH
@pytest.mark.parametrize(
    "nominated", ["Host", "close, X-Forwarded-For, Content-Length, Host", "Via"]
)
def test_connection_does_not_reach_what_we_add(policy: Policy, nominated: str) -> None:
    """Stage 1 is over before stage 3 begins."""
    plain = fields_of(policy)
    found = sent(policy, HTTP_CONNECTION=nominated, CONTENT_LENGTH="3").request
    assert found.headers == plain
    assert found.content_length == 3


@BOTH
def test_one_host_and_it_comes_first(policy: Policy) -> None:
    """E13, B12."""
    found = fields_of(policy, HTTP_hOST="evil", HTTP_A="1")
    assert found[0][0] == "Host"
    assert len(values(found, "Host")) == 1


@BOTH
@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS", "POST", "X-NEW"])
def test_framing_is_that_of_the_body(policy: Policy, method: str) -> None:
    """E4, C4, C6, A11 (CVE-2026-29057)."""
    found = sent(policy, REQUEST_METHOD=method, CONTENT_LENGTH="3").request
    assert (found.method, found.content_length, found.chunked) == (method, 3, False)
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    found = sent(policy, REQUEST_METHOD=method, **chunked).request
    assert (found.method, found.content_length, found.chunked) == (method, None, True)


# The reverse proxy's stage 3, as far as the order of the stages shows in it


def test_reverse_overwrites_what_the_client_says() -> None:
    """Removed by skeleton and prefix, then set afresh."""
    forged = {
        f"HTTP_{name}": "evil"
        for name in (
            "X_FORWARDED_FOR",
            "X.FORWARDED.FOR",
            "X_FORWARDED_HOST",
            "X_FORWARDED_PREFIX",
            "X_FORWARDED_NEW",
            "X_SCRIPT_NAME",
            "X_TRAVERSAL_PATH",
            "X_WSGIPROXY_STR_0",
            "WSGIPROXY",
            "FORWARDED",
            "X_REAL_IP",
            "REMOTE_USER",
        )
    }
    found = fields_of(reverse(forwarded=True), **forged)
    assert "evil" not in "".join(value for _, value in found)
    assert values(found, "X-Forwarded-For") == ["192.0.2.1"]
    assert values(found, "X-Traversal-Path") == ["/app"]
    assert values(found, "Forwarded") == ['for=192.0.2.1;host="public.example";proto=http']
    assert values(found, "Via") == ["1.1 me"]


def test_reverse_goes_where_href_says() -> None:
    """Promise 6, A4, B11."""
    found = sent(reverse(), REQUEST_URI="http://evil/x", HTTP_HOST="evil")
    assert found.origin == Origin("http", "up.example", 80)
    assert found.request.target == "/app/x"
    assert values(found.request.headers, "Host") == ["up.example"]
    kept = sent(reverse(preserve_host=True), HTTP_HOST="evil").request
    assert values(kept.headers, "Host") == ["evil"]


@pytest.mark.parametrize(
    "changes",
    [
        *(
            pytest.param({"PATH_INFO": path}, id=f"{path!r}")
            for path in ("/../admin", "/%2e%2e/", "/%252e%252e/", "/x/..;/", "/..\\admin")
        ),
        pytest.param({"PATH_INFO": "/../admin", "RAW_URI": "/..%2fadmin"}, id="raw"),
        pytest.param({"PATH_INFO": "*", "REQUEST_METHOD": "OPTIONS"}, id="asterisk"),
    ],
)
def test_reverse_refuses(changes: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        sent(reverse(), **changes)


def test_the_mount_is_a_wall_too() -> None:
    """P4, A14."""
    with pytest.raises(BadRequest):
        sent(reverse("http://up.example"), SCRIPT_NAME="/m", PATH_INFO="/../admin")


@pytest.mark.parametrize("href", ["http://up.example", "http://up.example/app"])
def test_a_slash_escaped_behind_the_mount_does_not_leave_href(href: str) -> None:
    """P4, promise 1: client writes ``/m%2Fx``, and the server keeps the raw target."""
    found = sent(reverse(href), SCRIPT_NAME="/m", PATH_INFO="/x", RAW_URI="/m%2Fx")
    assert found.request.target in (href[17:] + "/x", href[17:] + "/%2Fx")


def test_a_loop_ends() -> None:
    """B7, E21."""
    with pytest.raises(LoopDetected):
        sent(reverse(), HTTP_VIA="1.0 other, 1.1 me")


def test_allowed_hosts() -> None:
    """P8."""
    policy = reverse(allowed_hosts="public.example .trusted.example")
    assert sent(policy, HTTP_HOST="a.trusted.example:81")
    for host in ("evil.example", "trusted.example.evil.example", "nottrusted.example"):
        with pytest.raises(BadRequest):
            sent(policy, HTTP_HOST=host)


@pytest.mark.parametrize("host", ["[::1]", "[::1]:8080"])
def test_an_ipv6_address_can_be_allowed(host: str) -> None:
    """Written as a Host header writes it."""
    assert sent(reverse(allowed_hosts="[::1]"), HTTP_HOST=host)


def test_suppress_headers() -> None:
    """Gone from the client's fields, and never from ours."""
    policy = reverse(suppress_headers="authorization cookie x-forwarded-for")
    found = fields_of(policy, HTTP_AUTHORIZATION="Basic x", HTTP_COOKIE="a=b")
    assert values(found, "Authorization") == values(found, "Cookie") == []
    assert values(found, "X-Forwarded-For") == ["192.0.2.1"]


def test_suppress_cookies() -> None:
    """The session of a login in front is not for what is behind it, in both directions."""
    policy = reverse(suppress_cookies="session")
    found = fields_of(policy, HTTP_COOKIE="a=b; session=secret")
    assert values(found, "Cookie") == ["a=b"]


def test_trusted_proxies() -> None:
    """Kept and appended to if the peer is named, and only then."""
    policy = reverse(trusted_proxies="192.0.2.0/24")
    chain = {"HTTP_X_FORWARDED_FOR": "203.0.113.9"}
    assert values(fields_of(policy, **chain), "X-Forwarded-For") == ["203.0.113.9, 192.0.2.1"]
    found = fields_of(policy, REMOTE_ADDR="198.51.100.1", **chain)
    assert values(found, "X-Forwarded-For") == ["198.51.100.1"]


# Max-Forwards


@pytest.mark.parametrize(
    ("method", "value", "is_final"),
    [
        pytest.param("OPTIONS", "0", True, id="zero"),
        pytest.param("OPTIONS", "1", False, id="one"),
        pytest.param("OPTIONS", None, False, id="none"),
        pytest.param("OPTIONS", "", False, id="empty"),
        pytest.param("GET", "0", False, id="other-method"),
    ],
)
def test_is_final_recipient(method: str, value: str | None, is_final: bool) -> None:
    changes = {} if value is None else {"HTTP_MAX_FORWARDS": value}
    inbound = read({**ENVIRON, "REQUEST_METHOD": method, **changes})
    assert is_final_recipient(inbound) is is_final


@BOTH
@pytest.mark.parametrize(
    ("method", "value", "left"),
    [
        pytest.param("OPTIONS", "1", "0", id="one-less"),
        pytest.param("OPTIONS", "10", "9", id="one-less-than-ten"),
        pytest.param("OPTIONS", "007", "6", id="leading-zeros"),
        pytest.param("OPTIONS", "x", "x", id="no-number"),
        pytest.param("OPTIONS", "-1", "-1", id="negative"),
        pytest.param("OPTIONS", "\xb2", "\xb2", id="other-digits"),
        pytest.param("OPTIONS", "9" * 40, "9" * 40, id="endless"),
        pytest.param("GET", "1", "1", id="other-method"),
    ],
)
def test_max_forwards(policy: Policy, method: str, value: str, left: str) -> None:
    found = fields_of(policy, REQUEST_METHOD=method, HTTP_MAX_FORWARDS=value)
    assert values(found, "Max-Forwards") == [left]


@pytest.mark.parametrize("value", ["0", "00", "000"])
def test_max_forwards_never_falls_below_zero(value: str) -> None:
    """Whoever is no final recipient has no negative number to send."""
    inbound = read({**ENVIRON, "REQUEST_METHOD": "OPTIONS", "HTTP_MAX_FORWARDS": value})
    if not is_final_recipient(inbound):
        left = values(outgoing(inbound, EXACT).request.headers, "Max-Forwards")
        assert all(re.fullmatch("[0-9]+", each) for each in left)


# Stages 5 to 7


class Witness:
    """A policy that shows what it was given."""

    keeps_namespace = False
    passes_commands = False
    seen: Headers
    context: object

    def request(self, inbound: Inbound, headers: Headers) -> Outgoing:
        """Add a field that a client might want to be rid of."""
        self.seen = headers
        request = Request("GET", "/", [("Host", "a"), ("X-Auth-User", "root"), *headers])
        return Outgoing(Origin("http", "a", 80), request, "context")

    def response(self, headers: Headers, context: object) -> Headers:
        """Add one to the answer, too."""
        self.seen, self.context = headers, context
        return [*headers, ("X-Ours", "1")]


def test_the_policy_comes_between_cleaning_and_sending() -> None:
    """Stages 1 and 2 before 3."""
    policy = Witness()
    found = sent(policy, HTTP_CONNECTION="X-Auth-User", HTTP_X_AUTH_USER="evil", HTTP_B="2")
    assert policy.seen == [("B", "2")]
    assert values(found.request.headers, "X-Auth-User") == ["root"]


def test_the_policy_sees_a_cleaned_answer() -> None:
    """Stage 5 before 6."""
    policy = Witness()
    headers = [("Connection", "X-Ours, X-A"), ("X-Ours", "evil"), ("X-A", "1"), ("B", "2")]
    head, _ = client_response(
        Request("GET", "/", []), ResponseHead(200, "OK", headers), policy, "context"
    )
    assert policy.seen == [("B", "2")]
    assert policy.context == "context"
    assert head == (200, "OK", [("B", "2"), ("X-Ours", "1")])


LENGTH = ("Content-Length", "5")


@pytest.mark.parametrize(
    ("method", "status", "headers", "expected"),
    [
        pytest.param("GET", 200, [LENGTH], ([LENGTH], True), id="length-is-kept"),
        pytest.param("GET", 404, [], ([], True), id="any-status"),
        pytest.param("POST", 299, [LENGTH], ([LENGTH], True), id="unknown-status"),
        pytest.param("HEAD", 200, [LENGTH], ([LENGTH], False), id="HEAD"),
        pytest.param("GET", 304, [LENGTH], ([LENGTH], False), id="304"),
        pytest.param("GET", 204, [LENGTH], ([], False), id="204"),
        pytest.param("GET", 204, [("content-LENGTH", "0")], ([], False), id="204-any-case"),
        pytest.param(
            "GET", 200, [("Transfer-Encoding", "chunked")], ([], True), id="coding-is-one-hop's"
        ),
        pytest.param(
            "GET",
            200,
            [("Connection", "Content-Length"), LENGTH],
            ([LENGTH], True),
            id="framing",
        ),
        pytest.param(
            "GET",
            200,
            [("Set-Cookie", "a"), ("Alt-Svc", "b"), ("Set-Cookie", "c")],
            ([("Set-Cookie", "a"), ("Set-Cookie", "c")], True),
            id="cookies-and-alt-svc",
        ),
        pytest.param(
            "GET",
            200,
            [("Content-Encoding", "gzip")],
            ([("Content-Encoding", "gzip")], True),
            id="E14",
        ),
    ],
)
def test_answer(method: str, status: int, headers: Headers, expected: tuple[Headers, bool]) -> None:
    before = list(headers)
    head, body = client_response(
        Request(method, "/", []), ResponseHead(status, "Why", headers), EXACT, None
    )
    assert (head.status, head.reason) == (status, "Why")
    assert (head.headers, body) == expected
    assert headers == before


def test_answer_of_the_reverse_proxy() -> None:
    """Stage 6 maps addresses, unless told not to."""
    upstream = ResponseHead(302, "Found", [("Location", "/app/y"), ("Set-Cookie", "a; Path=/app")])
    for options, location, cookie in (
        ({}, "/m/y", "a; Path=/app"),
        ({"scope_cookies": True}, "/m/y", "a; Path=/m"),
        ({"rewrite_location": False}, "/app/y", "a; Path=/app"),
        ({"rewrite_location": False, "scope_cookies": True}, "/app/y", "a; Path=/m"),
    ):
        policy = reverse(**options)
        context = sent(policy, SCRIPT_NAME="/m").context
        head, _ = client_response(Request("GET", "/", []), upstream, policy, context)
        assert head.headers == [("Location", location), ("Set-Cookie", cookie)]


# Promise 1

_HOSTILE = st.text("\r\n\t\x00\x0b\x7f \xe9\u0100a:/,;=", max_size=6) | st.text(max_size=5)
_SMUGGLED = st.sampled_from(
    ["a\r\nX-Evil: 1", "a\r\n b", "a\r\n\r\nGET /evil HTTP/1.1\r\n\r\n", "a"]
)
_METHODS = st.sampled_from(["GET", "GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"])
_ODD_METHODS = st.sampled_from(
    ["get", "CONNECT", "TRACE", "M-SEARCH", "QUERY", "G ET", "GET\r\n", ""]
)
_PATH_PIECES = [
    "/",
    "/",
    "a",
    "..",
    ".",
    "%",
    "%2F",
    "%2e",
    "%0d%0a",
    "\r\n",
    "\x00",
    " ",
    "?",
    "#",
]
_PATH_PIECES += ["\xe9", "\u0100", ";", "\\", "*", "@", "http://evil", "[", "|"]
_LENGTHS = ["", "0", "3", "3", "007", "+3", "0_3", "-1", "3,3", "3\r\n", "9" * 30, "\u0663"]
_CODINGS = ["chunked", "chunked", "Chunked", "gzip", "gzip, chunked", "\x0bchunked", "identity", ""]
_HOSTS = ["a", "a:81", "[::1]", "a,b", "a b", "u@a", "a:99999", "", "a\r\nX-Evil: 1", "\xe9"]
_NOMINATED = ["close", "X-Forwarded-For", "Host", "content-length", "Via", "X_Forwarded_Host", ""]
_FORGED = [
    "X_FORWARDED_FOR",
    "X_FORWARDED_HOST",
    "X.FORWARDED.FOR",
    "x_forwarded-PREFIX",
    "FORWARDED",
]
_FORGED += ["X_REAL_IP", "WSGIPROXY", "X_WSGIPROXY_STR_0", "X_TRAVERSAL_PATH", "X_SCRIPT_NAME"]
_FORGED += ["SCRIPT_NAME", "PATH_INFO", "REMOTE_USER", "X_ORIGINAL_URL", "X_REWRITE_URL", "PROXY"]
_PLAIN = ["ACCEPT", "COOKIE", "X_A", "VIA", "EXPECT", "UPGRADE", "TE", "CONTENT_LENGTH", "hOST"]

_paths = st.lists(st.sampled_from(_PATH_PIECES), max_size=6).map("".join)
_names = st.sampled_from(_PLAIN) | st.sampled_from(_PLAIN) | _HOSTILE
_lists = st.lists(st.sampled_from(_NOMINATED), max_size=3).map(", ".join)


def _often(plain: st.SearchStrategy[str], odd: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Mostly *plain*: an environ that is hostile everywhere is always refused."""
    return st.integers(0, 7).flatmap(lambda number: odd if number == 0 else plain)


_values = _often(st.sampled_from(["", "a", "a, b", "\xe9", "100-continue", "x\ty"]), _SMUGGLED)


@st.composite
def environs(draw: st.DrawFn) -> dict[str, Any]:
    """What no server should hand over, and some do (threats.md 1.1)."""
    path, script = "/" + draw(_paths), draw(st.sampled_from(["", "", "/m", "/m/n", "m", "/"]))
    raw = draw(st.sampled_from(["", "", "whole", "encoded", "absolute", "odd"]))
    found: dict[str, Any] = {
        **ENVIRON,
        "REQUEST_METHOD": draw(_often(_METHODS, _ODD_METHODS | _HOSTILE)),
        "SCRIPT_NAME": script,
        "PATH_INFO": draw(_often(st.just(path), _paths | st.just("*"))),
        "QUERY_STRING": draw(st.sampled_from(["", "", "a=1"]) | _paths),
        "HTTP_HOST": draw(_often(st.sampled_from(_HOSTS[:3]), st.sampled_from(_HOSTS))),
        "REMOTE_ADDR": draw(_often(st.sampled_from(["192.0.2.1", "", "::1"]), _HOSTILE)),
    }
    if raw == "odd":
        found["RAW_URI"] = draw(_paths)
    elif raw:
        # As a server and a mount would: decoded, and cut where decoded slashes are.
        target = path if raw == "encoded" else path + "?a"
        decoded = unquote_to_bytes(path.encode("latin-1", "replace")).decode("latin-1")
        cut = draw(st.sampled_from([m.start() for m in re.finditer("/", decoded)] + [0, 2]))
        found["SCRIPT_NAME"], found["PATH_INFO"] = decoded[:cut], decoded[cut:]
        found["QUERY_STRING"] = target[len(path) + 1 :]
        found["REQUEST_URI"] = "http://evil" + target if raw == "absolute" else target
    if draw(st.booleans()):
        found["CONTENT_LENGTH"] = draw(st.sampled_from(_LENGTHS))
    if draw(st.integers(0, 3)) == 0:
        found["HTTP_TRANSFER_ENCODING"] = draw(st.sampled_from(_CODINGS))
    if draw(st.booleans()):
        found["wsgi.input_terminated"] = True
    if draw(st.booleans()):
        found["HTTP_CONNECTION"] = draw(_lists)
    for name in draw(st.lists(st.sampled_from(_FORGED), max_size=4)):
        found[f"HTTP_{name}"] = "forged"
    for name in draw(st.lists(_often(st.sampled_from(_PLAIN), _names), max_size=3)):
        found[f"HTTP_{name}"] = draw(_values)
    return found


MANY = settings(max_examples=2 * settings.default.max_examples)
POLICIES = [
    pytest.param(EXACT, id="exact"),
    pytest.param(MARKING, id="exact-marking"),
    pytest.param(reverse(), id="reverse"),
    pytest.param(reverse("http://up.example:81"), id="reverse-without-base"),
    pytest.param(reverse("https://[::1]/b/?k=1", forwarded=True), id="reverse-with-query"),
    pytest.param(reverse(preserve_host=True), id="reverse-preserving-host"),
    pytest.param(reverse(trusted_proxies="192.0.2.1 unix"), id="reverse-trusting"),
    pytest.param(reverse("unix:/s:/b", suppress_headers="x-a"), id="reverse-to-unix"),
]
TRUSTING = {"exact", "exact-marking", "reverse-trusting"}
UNTRUSTING = [each for each in POLICIES if each.id not in TRUSTING]

#: A body that is a request itself, if somebody takes it for one.
BODY = b"GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"
# llhttp knows registered methods alone, and treats some of them in ways of their own.
_REGISTERED = re.compile("GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH")


def went_out(environ: dict[str, Any], policy: Policy) -> tuple[Outgoing, bytes] | None:
    """What goes upstream for an environ, with a body as announced; None for an error of ours."""
    try:
        found = outgoing(read(environ), policy)
        head = request_head(found.request, Limits())
    except ProxyError:
        return None
    request = found.request
    if request.chunked:
        return found, head + chunk(BODY) + LAST_CHUNK
    return found, head + (BODY * 3)[: request.content_length or 0]


def judged(raw: bytes, method: str) -> list[list[JudgedRequest]]:
    """What h11 and llhttp find in the bytes."""
    known = raw
    if not _REGISTERED.fullmatch(method):
        known = b"PUT" + raw[len(method) :]
    found = [one._replace(method=method) for one in llhttp_requests(known)]
    return [h11_requests(raw), found]


@pytest.mark.parametrize("policy", POLICIES)
@MANY
@given(environs())
def test_one_request_or_none(policy: Policy, environ: dict[str, Any]) -> None:
    """Promise 1: whatever the environ, nothing goes out or exactly one well-formed request."""
    before = dict(environ)
    result = went_out(environ, policy)
    assert environ == before
    if result is None:
        return
    found, raw = result
    method, target, headers, length, chunked, *_ = found.request
    expected = [(name.lower(), value.strip(" \t")) for name, value in headers]
    for requests in judged(raw, method):
        assert [(one.method, one.target) for one in requests] == [(method, target)]
        fields = [(name, value.strip(" \t")) for name, value in requests[0].headers]
        assert fields[: len(expected)] == expected
        assert len(fields) <= len(expected) + 1
        assert {name for name, _ in fields[len(expected) :]} <= {
            "transfer-encoding" if chunked else "content-length"
        }
        assert requests[0].body == (BODY if chunked else (BODY * 3)[: length or 0])
    assert target.startswith("/") or (target == "*" and method == "OPTIONS")
    assert [name for name, _ in expected].count("host") == 1
    names = {name for name, _ in expected}
    assert not names & {"connection", "te", "trailer", "upgrade", "proxy", "expect", "keep-alive"}
    assert not names & {"transfer-encoding", "content-length"}


_BONES = re.compile(
    "(?:x-forwarded-|forwarded-|x-wsgiproxy|x-traversal-|wsgiproxy).*|x-forwarded|forwarded"
    "|x-script-name"
    "|script-name|path-info|remote-user|x-original-(?:url|uri|host|proto|for|method)"
    "|x-rewrite-url|x-url-scheme|x-scheme|x-host|x-http-host-override|front-end-https|proxy"
    "|.*(?:real|client|cluster|connecting|originating|remote|source|user)-ip|.*clientip"
)
_ANNOUNCED = {"Host", "Proto", "Port", "Server", "Scheme", "For", "Prefix", "Script-Name"}
_OURS = {f"X-Forwarded-{name}" for name in _ANNOUNCED}
_OURS |= {"X-Traversal-Path", "X-Traversal-Query-String", "Forwarded"}


@pytest.mark.parametrize("policy", UNTRUSTING)
@given(environs())
def test_nothing_of_the_namespace_is_the_clients(policy: Policy, environ: dict[str, Any]) -> None:
    """Promise 5: what goes out under the forwarding namespace was written by us alone."""
    result = went_out(environ, policy)
    if result is None:
        return
    fields = result[0].request.headers
    bones = [(re.sub("[^a-z0-9]", "-", name.lower()), name, value) for name, value in fields]
    reserved = [(name, value) for bone, name, value in bones if _BONES.fullmatch(bone)]
    names = [name for name, _ in reserved]
    assert set(names) <= _OURS
    assert len(names) == len(set(names))
    assert not [name for name, value in reserved if "forged" in value]
    for required in ("X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port"):
        assert required in names
    assert values(fields, "Via")[0].endswith(" me")


@pytest.mark.parametrize("policy", UNTRUSTING)
@given(environs())
def test_the_target_stays_below_href(policy: ReversePolicy, environ: dict[str, Any]) -> None:
    """However it is decoded, the target of a reverse proxy with a base does not leave it."""
    result = went_out(environ, policy)
    if result is None:
        return
    found = result[0]
    base = found.context[0].base  # type: ignore[index]
    assert found.origin == base.origin
    path = found.request.target.partition("?")[0]
    assert path.startswith(base.path + "/") or path == base.path
    for _ in range(4 if base.path else 0):
        segments = [part.split(";")[0] for part in path.replace("\\", "/").split("/")]
        assert ".." not in segments
        path = unquote_to_bytes(path).decode("latin-1")


def test_limits_hold_for_what_we_add_too() -> None:
    """E18."""
    many = {f"HTTP_X_{number}": "1" for number in range(196)}
    with pytest.raises(HeadTooLarge):
        request_head(sent(reverse(), **many).request, Limits())


def test_a_205_has_no_content() -> None:
    head, body = client_response(
        Request("GET", "/", []),
        ResponseHead(205, "Reset Content", [("Content-Length", "5")]),
        ExactPolicy(),
        None,
    )
    assert (head.headers, body) == ([("Content-Length", "0")], False)


def test_status_is_not_a_field_for_wsgi() -> None:
    head, _ = client_response(
        Request("GET", "/", []),
        ResponseHead(200, "OK", [("Status", "500 x")]),
        ExactPolicy(),
        None,
    )
    assert head.headers == []
