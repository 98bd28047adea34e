"""What a spawned process is asked, and what becomes of the addresses in its answer.

The rules that it shares with every reverse proxy are in `test_exchange`.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.in_process import PARSERS, PROXY, Backend, environ_of, front_environ, key_file
from tests.support.in_process import run as called
from wsgiproxy.errors import BadRequest, LoopDetected
from wsgiproxy.exactproxy import Gateway
from wsgiproxy.middleware import WSGIProxyMiddleware
from wsgiproxy.sansio.environ.inbound import read
from wsgiproxy.sansio.environ.restore import by_envelope
from wsgiproxy.sansio.fields.envelope import open_envelope, seal
from wsgiproxy.sansio.fields.names import values
from wsgiproxy.sansio.href import Base
from wsgiproxy.sansio.message import Headers, Moved, Origin, Request, ResponseHead
from wsgiproxy.sansio.pipeline import Outgoing, client_response, outgoing, whole_target
from wsgiproxy.sansio.policy.reverse import ReversePolicy
from wsgiproxy.sansio.policy.spawned import SpawnPolicy
from wsgiproxy.sansio.target import escapes
from wsgiproxy.secretloader import new_key
from wsgiproxy.settings import APP, SIGNING, resolve
from wsgiproxy.signature import configured_signer

ORIGIN = Origin("http", "127.0.0.1", 4711)
UNIX = Origin("http", "localhost", 80, "/run/x/socket")
#: As `SpawningApplication` has them.
PRESERVED = {"preserve_host": True}
#: A request to something that is mounted; `front_environ` has the rest.
MOUNTED = {"SCRIPT_NAME": "/app", "PATH_INFO": "/x", "QUERY_STRING": "a=b"}


def spawned(*, strips: bool = False, origin: Origin = ORIGIN, **options: Any) -> SpawnPolicy:
    return SpawnPolicy(origin, resolve(APP, {**PRESERVED, **options}), "me", strips=strips)


def sent(policy: SpawnPolicy | ReversePolicy, **changes: Any) -> Outgoing:
    """What goes out for a request under a mount, with *changes*."""
    return outgoing(read(front_environ(**{**MOUNTED, **changes})), policy)


def fields(policy: SpawnPolicy | ReversePolicy, **changes: Any) -> Headers:
    return sent(policy, **changes).request.headers


BOTH = pytest.mark.parametrize(
    "policy",
    [pytest.param(spawned(), id="whole"), pytest.param(spawned(strips=True), id="stripped")],
)
ANNOUNCED = [
    ("X-Forwarded-Host", "shop.example"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Port", "443"),
    ("X-Forwarded-Server", "shop.example"),
    ("X-Forwarded-Scheme", "https"),
    ("X-Forwarded-For", "203.0.113.9"),
]
HTTPS = {"wsgi.url_scheme": "https", "HTTP_ACCEPT": "*/*"}


def test_the_whole_original_path_is_sent() -> None:
    """As documented for 0.2.2; nothing was taken off that a receiver had to put back."""
    origin, request, _, _ = sent(spawned(), **HTTPS)
    assert origin == ORIGIN
    assert (request.method, request.target) == ("GET", "/app/x?a=b")
    assert request.headers == [
        ("Host", "shop.example"),
        ("Accept", "*/*"),
        *ANNOUNCED,
        ("X-Script-Name", "/app"),
        ("X-Traversal-Path", "/app"),
        ("Via", "1.1 me"),
    ]


def test_the_mount_may_be_left_out() -> None:
    origin, request, _, _ = sent(spawned(strips=True), **HTTPS)
    assert origin == ORIGIN
    assert request.target == "/x?a=b"
    assert request.headers == [
        ("Host", "shop.example"),
        ("Accept", "*/*"),
        *ANNOUNCED,
        ("X-Forwarded-Prefix", "/app"),
        ("X-Forwarded-Script-Name", "/app"),
        ("X-Script-Name", "/app"),
        ("Via", "1.1 me"),
    ]


def test_without_a_mount_there_is_nothing_to_leave_out() -> None:
    whole, stripped = (sent(spawned(strips=each), SCRIPT_NAME="") for each in (False, True))
    assert whole == stripped
    assert whole.request.target == "/x?a=b"
    names = {name for name, _ in whole.request.headers}
    assert not {name for name in names if "Script" in name or "Traversal" in name}


@pytest.mark.parametrize(
    ("changes", "whole", "stripped"),
    [
        pytest.param({}, "/app/x?a=b", "/x?a=b", id="plain"),
        pytest.param({"PATH_INFO": ""}, "/app?a=b", "/?a=b", id="the-mount-itself"),
        pytest.param({"PATH_INFO": "/"}, "/app/?a=b", "/?a=b", id="the-mount-and-a-slash"),
        pytest.param({"SCRIPT_NAME": ""}, "/x?a=b", "/x?a=b", id="no-mount"),
        pytest.param({"SCRIPT_NAME": "", "PATH_INFO": ""}, "/?a=b", "/?a=b", id="nothing-at-all"),
        pytest.param({"SCRIPT_NAME": "/a/b"}, "/a/b/x?a=b", "/x?a=b", id="mount-in-a-mount"),
        pytest.param({"SCRIPT_NAME": "/a b"}, "/a%20b/x?a=b", "/x?a=b", id="blank-in-the-mount"),
        pytest.param(
            {"SCRIPT_NAME": "/caf\xc3\xa9"}, "/caf%C3%A9/x?a=b", "/x?a=b", id="mount-not-ascii"
        ),
        pytest.param(
            {"SCRIPT_NAME": "/m", "REQUEST_URI": "/%6d/x?a=b"}, "/%6d/x?a=b", "/x?a=b", id="raw"
        ),
        pytest.param(
            {"PATH_INFO": "/a/b", "REQUEST_URI": "/app/a%2Fb?a=b"},
            "/app/a%2Fb?a=b",
            "/a%2Fb?a=b",
            id="escaped-slash",
        ),
        pytest.param({"PATH_INFO": "//x/./y"}, "/app//x/./y?a=b", "//x/./y?a=b", id="as-it-is"),
        pytest.param(
            {"QUERY_STRING": "", "REQUEST_URI": "/app/x?"}, "/app/x?", "/x?", id="question-mark"
        ),
        pytest.param(
            {"REQUEST_URI": "http://evil.example/app/x?a=b"}, "/app/x?a=b", "/x?a=b", id="absolute"
        ),
    ],
)
def test_targets(changes: dict[str, str], whole: str, stripped: str) -> None:
    assert sent(spawned(), **changes).request.target == whole
    assert sent(spawned(strips=True), **changes).request.target == stripped


@BOTH
@pytest.mark.parametrize(
    "key",
    [
        *("X_SCRIPT_NAME", "X.SCRIPT.NAME", "x_script-NAME", "SCRIPT_NAME", "PATH_INFO"),
        *("X_FORWARDED_FOR", "X_FORWARDED_SCHEME", "X_FORWARDED_HOST", "X_FORWARDED_PREFIX"),
        *("X_FORWARDED_SCRIPT_NAME", "X.FORWARDED.FOR", "X_FORWARDED_MADE_UP", "FORWARDED"),
        *("X_TRAVERSAL_PATH", "X_TRAVERSAL_QUERY_STRING", "WSGIPROXY", "REMOTE_USER"),
    ],
)
def test_what_a_client_says_of_itself_is_removed(policy: SpawnPolicy, key: str) -> None:
    """And what is ours is there as if it had said nothing."""
    assert fields(policy, **{f"HTTP_{key}": "/forged"}) == fields(policy)


@BOTH
def test_a_client_cannot_have_ours_removed(policy: SpawnPolicy) -> None:
    """Connection may nominate what a client has sent, and nothing else."""
    nominated = "X-Script-Name, X-Forwarded-For, X-Traversal-Path, Host"
    assert fields(policy, HTTP_CONNECTION=nominated) == fields(policy)
    suppressing = spawned(suppress_headers="x-script-name x-traversal-path x-forwarded-for")
    assert fields(suppressing) == fields(spawned())


@pytest.mark.parametrize(
    ("policy", "host"),
    [
        pytest.param(spawned(), "shop.example:8080", id="as-the-client-wrote-it"),
        pytest.param(spawned(preserve_host=False), "127.0.0.1:4711", id="of-the-process"),
        pytest.param(spawned(origin=UNIX), "shop.example:8080", id="through-a-unix-socket"),
        pytest.param(spawned(origin=UNIX, preserve_host=False), "localhost", id="of-the-socket"),
    ],
)
def test_host(policy: SpawnPolicy, host: str) -> None:
    found = sent(policy, HTTP_HOST="shop.example:8080")
    assert found.request.headers[0] == ("Host", host)
    assert values(found.request.headers, "Host") == [host]


def test_the_connect_address_is_that_of_the_process() -> None:
    """Promise 6: whatever the client asks for."""
    for origin in (ORIGIN, UNIX):
        asked = {"HTTP_HOST": "evil.example:81", "REQUEST_URI": "http://evil.example/app/x?a=b"}
        assert sent(spawned(origin=origin), **asked).origin is origin


@BOTH
@pytest.mark.parametrize("path", ["/../x", "/a/../../x", "/..", "/%2e%2e/x", "/..;/x", "/..\\x"])
def test_the_mount_is_a_wall(policy: SpawnPolicy, path: str) -> None:
    """A process that resolves dots would leave what it was given."""
    with pytest.raises(BadRequest, match="'..' segment"):
        sent(policy, PATH_INFO=path)
    sent(policy, PATH_INFO=path, SCRIPT_NAME="")


@BOTH
def test_what_no_reverse_proxy_sends(policy: SpawnPolicy) -> None:
    with pytest.raises(BadRequest):
        sent(policy, REQUEST_METHOD="OPTIONS", SCRIPT_NAME="", PATH_INFO="*", QUERY_STRING="")
    with pytest.raises(LoopDetected):
        sent(policy, HTTP_VIA="1.1 other, 1.1 me")


def test_options_of_a_reverse_proxy() -> None:
    policy = spawned(allowed_hosts="shop.example", suppress_headers="cookie", forwarded=True)
    found = fields(policy, HTTP_COOKIE="a=b")
    assert values(found, "Cookie") == []
    assert values(found, "Forwarded") == ['for=203.0.113.9;host="shop.example";proto=http']
    with pytest.raises(BadRequest):
        sent(policy, HTTP_HOST="evil.example")


def test_a_trusted_proxy_is_believed() -> None:
    """What it has taken off the path comes before the mount, and is in the envelope."""
    policy = spawned(trusted_proxies="203.0.113.9")
    found = sent(
        policy,
        HTTP_X_FORWARDED_FOR="192.0.2.1",
        HTTP_X_FORWARDED_PROTO="https",
        HTTP_X_FORWARDED_HOST="public.example",
        HTTP_X_FORWARDED_PREFIX="/outer",
        HTTP_X_SCRIPT_NAME="/forged",
    )
    headers = found.request.headers
    assert values(headers, "X-Forwarded-For") == ["192.0.2.1, 203.0.113.9"]
    assert values(headers, "X-Forwarded-Scheme") == ["https"]
    assert values(headers, "X-Forwarded-Host") == ["public.example"]
    assert values(headers, "X-Script-Name") == values(headers, "X-Traversal-Path") == ["/app"]
    assert found.request.target == "/app/x?a=b"
    assert found.facts is not None
    assert json.loads(f"{{{found.facts.json}}}")["script_name"] == "/outer/app"


# Addresses in the answer


def mapped(policy: SpawnPolicy, name: str, value: str, **changes: Any) -> str:
    """What a client gets for one field of an answer."""
    context = sent(policy, **changes).context
    head, _ = client_response(
        Request("GET", "/", []), ResponseHead(302, "Found", [(name, value)]), policy, context
    )
    return head.headers[0][1]


@pytest.mark.parametrize(
    ("location", "whole", "stripped"),
    [
        pytest.param("y", "y", "y", id="relative"),
        pytest.param("?q", "?q", "?q", id="query"),
        pytest.param("/app/y?q#f", "/app/y?q#f", "/app/y?q#f", id="path-of-who-knows-its-mount"),
        pytest.param("/app", "/app", "/app", id="the-mount-itself"),
        pytest.param("/y", "/y", "/app/y", id="path-of-who-does-not"),
        pytest.param("/application", "/application", "/app/application", id="not-the-mount"),
        pytest.param(
            "http://127.0.0.1:4711/app/y",
            "http://shop.example/app/y",
            "http://shop.example/app/y",
            id="own-address-with-the-mount",
        ),
        pytest.param(
            "http://127.0.0.1:4711/y",
            "http://shop.example/y",
            "http://shop.example/app/y",
            id="own-address-without-it",
        ),
        pytest.param(
            "http://localhost:4711/app/y",
            "http://shop.example/app/y",
            "http://shop.example/app/y",
            id="own-address-by-another-name",
        ),
        pytest.param(
            "http://shop.example/app/y",
            "http://shop.example/app/y",
            "http://shop.example/app/y",
            id="public-address",
        ),
        pytest.param(
            "http://shop.example/y",
            "http://shop.example/y",
            "http://shop.example/app/y",
            id="public-address-of-who-does-not-know-its-mount",
        ),
        pytest.param(
            "https://shop.example/y",
            "https://shop.example/y",
            "https://shop.example/y",
            id="public-host-by-another-scheme",
        ),
        pytest.param(
            "http://shop.example:81/y",
            "http://shop.example:81/y",
            "http://shop.example:81/y",
            id="public-host-at-another-port",
        ),
        pytest.param(
            "http://127.0.0.1:4712/app/y",
            "http://127.0.0.1:4712/app/y",
            "http://127.0.0.1:4712/app/y",
            id="another-port",
        ),
        pytest.param("//evil.example/", "//evil.example/", "//evil.example/", id="another-host"),
    ],
)
def test_location(location: str, whole: str, stripped: str) -> None:
    """The path that was asked for is the path that it answers with, if it was sent whole."""
    assert mapped(spawned(), "Location", location) == whole
    assert mapped(spawned(strips=True), "Location", location) == stripped


@pytest.mark.parametrize("location", ["/app/y", "http://127.0.0.1:4711/app/y"])
def test_location_however_a_client_spells_the_mount(location: str) -> None:
    """The address of the process is never the client's, and its path is its own matter."""
    found = mapped(spawned(), "Location", location, REQUEST_URI="/%61pp/x?a=b")
    assert found in ("/app/y", "http://shop.example/app/y")


@pytest.mark.parametrize(
    ("location", "found"),
    [
        pytest.param("/app/y", "/outer/app/y", id="of-who-knows-its-mount"),
        pytest.param("/outer/app/y", "/outer/app/y", id="of-who-knows-all-of-it"),
        pytest.param(
            "http://127.0.0.1:4711/app/y", "http://shop.example/outer/app/y", id="own-address"
        ),
    ],
)
def test_location_behind_a_proxy_that_strips(location: str, found: str) -> None:
    policy = spawned(trusted_proxies="203.0.113.9")
    assert mapped(policy, "Location", location, HTTP_X_FORWARDED_PREFIX="/outer") == found


@pytest.mark.parametrize(
    ("cookie", "whole", "stripped"),
    [
        pytest.param("a=b; Path=/", "a=b; Path=/app", "a=b; Path=/app", id="root"),
        pytest.param("a=b; Path=/app", "a=b; Path=/app", "a=b; Path=/app", id="mount"),
        pytest.param("a=b; Path=/app/y", "a=b; Path=/app/y", "a=b; Path=/app/y", id="below-it"),
        pytest.param("a=b; Path=/y", "a=b; Path=/app", "a=b; Path=/app/y", id="beside-it"),
        pytest.param("a=b", "a=b", "a=b", id="none"),
    ],
)
def test_cookies(cookie: str, whole: str, stripped: str) -> None:
    """Scoped to the mount if that is asked for."""
    for strips, expected in ((False, whole), (True, stripped)):
        assert mapped(spawned(strips=strips), "Set-Cookie", cookie) == cookie
        scoping = spawned(strips=strips, scope_cookies=True)
        assert mapped(scoping, "Set-Cookie", cookie) == expected


@BOTH
def test_addresses_may_be_left_alone(policy: SpawnPolicy) -> None:
    context = sent(policy).context
    assert policy.response([("X-A", "1")], context) == [("X-A", "1")]
    alone = spawned(strips=True, rewrite_location=False)
    assert mapped(alone, "Location", "/y") == "/y"


def test_each_answer_is_mapped_to_the_mount_of_its_request() -> None:
    """One process, mounted more often than a memory of mounts could hold."""
    policy = spawned(strips=True)
    mounts = [f"/m{number}" for number in range(40)] + ["/long" * 100, ""]
    contexts = [(mount, sent(policy, SCRIPT_NAME=mount).context) for mount in [*mounts, *mounts]]
    for mount, context in reversed(contexts):
        assert policy.response([("Location", "/y")], context) == [("Location", f"{mount}/y")]


# Any request

#: Pieces of raw paths: what servers decode, resolve, keep, or take for something else.
PIECES = ["/", "//", "a", ".", "..", ";", ":", "@", "~", "'", "%20", "%2F", "%2f", "%5C", "%25"]
PIECES += ["%252F", "%3F", "%23", "%2e", "%00", "%0A", "%C3%A9", "%FF", "%", "%zz", "app", "/app"]
raw_paths = st.lists(st.sampled_from(PIECES), max_size=6).map(lambda some: "/" + "".join(some))
# As people mount things, and as clients write that: "%6d" is "m".
mounts = st.sampled_from(["", "", "/app", "/m", "/%6d", "/a/b", "/m%20n", "/caf%C3%A9/x", "/%FF"])
queries = st.sampled_from(["", "?", "?a=b", "?a%20b&c=/app", "?a?b"])


def unquote(raw: str) -> str:
    """A path as PEP 3333 has it."""
    return unquote_to_bytes(raw).decode("latin-1")


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """The environ of a request to a front application: with the raw target, or without."""
    mount, path, query = draw(mounts), draw(raw_paths), draw(queries)
    path = "" if mount and draw(st.booleans()) else path
    more: dict[str, Any] = {"wsgi.url_scheme": draw(st.sampled_from(["http", "https"]))}
    environ = front_environ(
        SCRIPT_NAME=unquote(mount),
        PATH_INFO=unquote(path),
        QUERY_STRING=query[1:],
        REMOTE_ADDR=draw(st.sampled_from(["203.0.113.9", "2001:db8::1"])),
        HTTP_HOST=draw(st.sampled_from(["shop.example", "shop.example:8080", "[::1]:81"])),
        HTTP_X_SCRIPT_NAME="/forged",
        HTTP_X_TRAVERSAL_PATH="/forged",
        **more,
    )
    if draw(st.booleans()):
        environ["REQUEST_URI"] = mount + path + query
    return environ


def sent_for(policy: SpawnPolicy | ReversePolicy, environ: dict[str, Any]) -> Outgoing | None:
    """What goes out; None if the path would leave the mount."""
    inbound = read(environ)
    if inbound.script_name and escapes(inbound.path):
        with pytest.raises(BadRequest):
            outgoing(inbound, policy)
        return None
    return outgoing(inbound, policy)


@pytest.mark.parametrize("outer", ["", "/outer"])
@pytest.mark.parametrize(
    ("strips", "location", "found"),
    [
        pytest.param(False, "/app/v1/y", "/app/api/y", id="whole"),
        pytest.param(False, "/app/y", "/app/y", id="whole-and-another"),
        pytest.param(True, "/v1/y", "/app/api/y", id="stripped"),
        pytest.param(True, "{outer}/app/v1/y", "/app/api/y", id="stripped-but-known"),
        pytest.param(True, "../y", "../y", id="relative"),
    ],
)
def test_location_below_a_path_that_a_hook_has_moved(
    outer: str, strips: bool, location: str, found: str
) -> None:
    policy = spawned(strips=strips, trusted_proxies="203.0.113.9")
    more = {"HTTP_X_FORWARDED_PREFIX": outer} if outer else {}
    inbound = read(front_environ(**{**MOUNTED, **more, "PATH_INFO": "/v1/x"}))
    assert inbound.path == "/v1/x"
    going = outgoing(inbound._replace(moved=Moved("/api", "/v1", "/api/x")), policy)
    answered = ResponseHead(302, "Found", [("Location", location.format(outer=outer))])
    head, _ = client_response(Request("GET", "/", []), answered, policy, going.context)
    assert head.headers == [("Location", outer + found if found.startswith("/") else found)]


@given(requests())
def test_a_process_is_asked_for_what_the_client_asked_for(environ: dict[str, Any]) -> None:
    """Whatever the request: the target is the client's own, byte for byte where it is known."""
    found = sent_for(spawned(), environ)
    assume(found is not None)
    assert found is not None
    assert found.request.target == whole_target(read(environ))
    assert found.request.target == environ.get("REQUEST_URI", found.request.target)
    script_names = values(found.request.headers, "X-Script-Name")
    assert "".join(map(unquote, script_names)) == environ["SCRIPT_NAME"]
    assert len(script_names) == bool(environ["SCRIPT_NAME"])
    assert values(found.request.headers, "X-Traversal-Path") == script_names
    assert not values(found.request.headers, "X-Forwarded-Prefix")
    assert not values(found.request.headers, "X-Forwarded-Script-Name")


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "preserve_host": st.booleans(),
        "forwarded": st.booleans(),
        "trusted_proxies": st.sampled_from(["", "203.0.113.9", "2001:db8::/32"]),
        "scope_cookies": st.booleans(),
    },
)
ANSWER = [
    ("Location", "http://127.0.0.1:4711/app/y"),
    ("Content-Location", "/y"),
    ("Refresh", "3; url=/app/y"),
    ("Set-Cookie", "a=b; Path=/"),
    ("X-A", "/y"),
]


@given(requests(), OPTIONS)
def test_one_that_strips_is_a_reverse_proxy(
    environ: dict[str, Any], options: dict[str, Any]
) -> None:
    """With strip_script_name it differs from WSGIProxyApp by X-Script-Name, and by nothing else."""
    settled = resolve(APP, {**PRESERVED, **options})
    base = Base(ORIGIN, "", False, "")
    reverse = ReversePolicy(base, settled, "me")
    policy = SpawnPolicy(ORIGIN, settled, "me", strips=True)
    found, expected = sent_for(policy, environ), sent_for(reverse, environ)
    if found is None or expected is None:
        assert found is expected
        return
    headers = [field for field in found.request.headers if field[0] != "X-Script-Name"]
    assert found.request._replace(headers=headers) == expected.request
    assert found.origin == expected.origin
    assert found.facts == expected.facts
    assert policy.response(ANSWER, found.context) == reverse.response(ANSWER, expected.context)


# What the receiver makes of it

FACTS = ("wsgi.url_scheme", "HTTP_HOST", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR")
STRIPS = pytest.mark.parametrize("strips", [False, True], ids=["whole", "stripped"])


def facts_of(environ: dict[str, Any]) -> dict[str, Any]:
    return {name: environ[name] for name in FACTS}


class Application:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.seen = environ
        start_response("200 OK", [])
        return []


@STRIPS
@given(environ=requests())
def test_the_facts_in_the_envelope_restore_it(strips: bool, environ: dict[str, Any]) -> None:
    """By the rules alone: sealed, opened, and put into the environ of another server."""
    found = sent_for(spawned(strips=strips), environ)
    assume(found is not None)
    assert found is not None and found.facts is not None
    target, mark, query = found.request.target.partition("?")
    envelope = open_envelope(
        seal(found.facts.json, target + mark, path_info=environ["PATH_INFO"], query=query)
    )
    before = environ_of(found.request)
    changes = by_envelope(envelope, before)
    restored = {key: value for key, value in {**before, **changes}.items() if value is not None}
    assert facts_of(restored) == facts_of(environ)
    assert restored["REQUEST_URI"] == whole_target(read(environ))


@STRIPS
@given(environ=requests())
def test_a_receiver_of_the_historical_fields_restores_it(
    strips: bool, environ: dict[str, Any]
) -> None:
    """What 0.2.2 documented is enough, for whoever trusts our address."""
    found = sent_for(spawned(strips=strips), environ)
    assume(found is not None)
    assert found is not None
    assume(not found.request.target.startswith("//"))  # which http.server shortens
    application = Application()
    receiver = WSGIProxyMiddleware(application, trust_ips=PROXY, family="historical")
    assert called(receiver, environ_of(found.request)).head.status == 200
    expected = facts_of(environ)
    if strips and not expected["PATH_INFO"]:
        expected["PATH_INFO"] = "/"  # a target is never empty
    assert facts_of(application.seen) == expected
    assert not [key for key in application.seen if key.startswith(("HTTP_X_", "HTTP_WSGIPROXY"))]


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> str:
    return key_file(tmp_path_factory.mktemp("keys") / "secret", new_key("spawn"))


@STRIPS
@pytest.mark.parametrize("server", PARSERS)
@given(environ=requests())
def test_a_receiver_with_the_key_restores_it(
    server: str, strips: bool, secret: str, environ: dict[str, Any]
) -> None:
    """Through a signature, and through whatever a server makes of the path."""
    found = sent_for(spawned(strips=strips), environ)
    assume(found is not None)
    assert found is not None
    assume(not found.request.target.startswith("//"))  # which they shorten, or refuse
    before = dict(environ)
    application = Application()
    receiver = WSGIProxyMiddleware(application, secret)
    signer = configured_signer(resolve(SIGNING, {"secret_file": secret}))
    gateway = Gateway(spawned(strips=strips), Backend(receiver, server), signer=signer)
    assert called(gateway, environ).head.status == 200
    assert facts_of(application.seen) == facts_of(before)
    assert application.seen["wsgiproxy.verified"] == "spawn"
    prefix = values(found.request.headers, "X-Script-Name")
    assert application.seen["wsgiproxy.traversal_path"] == ("" if strips else "".join(prefix))
    assert environ == before
