"""The reverse proxy: Host, what is announced, the wall, addresses on the way back."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.in_process import key_file
from tests.support.upstream import answer
from tests.test_exactproxy import call, environ_for
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.observe import warn
from wsgiproxy.sansio.keys import base64url, unbase64url
from wsgiproxy.secretloader import new_key
from wsgiproxy.transport import PooledTransport


@pytest.fixture
def made(upstream):
    """Make an application for a path under the upstream; closed at the end."""
    apps = []

    def make(path: str = "", **options) -> WSGIProxyApp:
        apps.append(WSGIProxyApp(upstream.url + path, **options))
        return apps[-1]

    yield make
    for app in apps:
        app.close()


@pytest.fixture
def secret_file(tmp_path):
    return key_file(tmp_path / "secret", new_key("k1"))


def sent(upstream, app, path="/", **environ):
    """The request that reached the upstream."""
    upstream.behaviour = answer()
    environ = environ_for(upstream, path, **{"HTTP_HOST": "public.example", **environ})
    called = call(environ, app)
    assert called.status == 200, called.read()
    return upstream.requests[-1]


def back(upstream, app, headers, **environ):
    """The header fields that come back to the client."""
    upstream.behaviour = answer(302, headers)
    environ = environ_for(upstream, **{"HTTP_HOST": "public.example", **environ})
    return [value for name, value in call(environ, app).headers if name != "Content-Length"]


def test_an_upstream_cannot_set_the_cookie_that_is_kept_from_it(upstream, made):
    headers = [("Set-Cookie", "session=theirs; Path=/"), ("Set-Cookie", "a=1")]
    assert back(upstream, made(suppress_cookies=["session"]), headers) == ["a=1"]


# -- what goes up ----------------------------------------------------------------------


def test_host_is_the_targets_and_the_original_is_announced(upstream, made):
    request = sent(
        upstream, made("/base?key=1"), "/x", QUERY_STRING="a=b", SCRIPT_NAME="/mount",
        REMOTE_ADDR="192.0.2.7", **{"wsgi.url_scheme": "https"},
    )  # fmt: skip
    assert request.line == "GET /base/x?key=1&a=b HTTP/1.1"
    fields = dict(request.headers)
    assert fields.pop("Via").startswith("1.0 wsgiproxy-")
    assert fields == {
        "Host": upstream.netloc,
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Host": "public.example",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Prefix": "/mount",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Scheme": "https",
        "X-Forwarded-Script-Name": "/mount",
        "X-Forwarded-Server": "public.example",
        "X-Traversal-Path": "/base",
        "X-Traversal-Query-String": "key=1",
    }


def test_host_can_be_preserved(upstream, made):
    assert sent(upstream, made(preserve_host=True)).values("Host") == ["public.example"]


SPOOFED = [
    "X-Forwarded-For", "X_Forwarded_For", "X.Forwarded.For", "X-Forwarded-Proto",
    "X-Forwarded-Host", "X-Forwarded-Prefix", "X-Forwarded-Anything", "Forwarded", "X-Real-IP",
    "X-Script-Name", "Script-Name", "Path-Info", "Remote-User", "X-Original-URL",
    "X-Rewrite-URL", "X-Traversal-Path", "X-WSGIProxy-Str-0", "WSGIProxy", "Proxy",
]  # fmt: skip


@pytest.mark.parametrize("name", SPOOFED)
@pytest.mark.parametrize("connection", ["close", "{name}"])
def test_the_forwarding_namespace_is_ours(upstream, made, name, connection):
    key = "HTTP_" + name.upper().replace("-", "_")
    request = sent(
        upstream,
        made(),
        REMOTE_ADDR="192.0.2.7",
        HTTP_CONNECTION=connection.format(name=name),
        **{key: "evil"},
    )
    assert "evil" not in request.head.decode("latin-1")
    # And what we add cannot be nominated away.
    assert request.values("X-Forwarded-For") == ["192.0.2.7"]


@pytest.mark.parametrize("network", ["10.0.0.0/8", "::ffff:10.0.0.0/104", "::ffff:10.0.0.9"])
def test_the_chain_grows_behind_trusted_peers_only(upstream, made, network):
    app = made(trusted_proxies=f"{network}, unix")
    theirs = {
        "HTTP_X_FORWARDED_FOR": "203.0.113.5",
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_FORWARDED_HOST": "www.example",
        "HTTP_X_FORWARDED_PREFIX": "/outer",
    }
    trusted = sent(upstream, app, SCRIPT_NAME="/inner", REMOTE_ADDR="::ffff:10.0.0.9", **theirs)
    assert trusted.values("X-Forwarded-For") == ["203.0.113.5, 10.0.0.9"]
    assert trusted.values("X-Forwarded-Proto") == trusted.values("X-Forwarded-Scheme") == ["https"]
    assert trusted.values("X-Forwarded-Host") == ["www.example"]
    assert trusted.values("X-Forwarded-Port") == ["443"]
    assert trusted.values("X-Forwarded-Prefix") == ["/outer/inner"]
    stranger = sent(upstream, app, SCRIPT_NAME="/inner", REMOTE_ADDR="192.0.2.7", **theirs)
    assert stranger.values("X-Forwarded-For") == ["192.0.2.7"]
    assert stranger.values("X-Forwarded-Prefix") == ["/inner"]


def test_host_and_port_of_a_trusted_peer_make_one_address(upstream, made, secret_file):
    """It is announced, signed, written into Forwarded and into Location."""
    app = made(trusted_proxies="10.0.0.9", forwarded=True, secret_file=secret_file)
    asked = {
        "REMOTE_ADDR": "10.0.0.9",
        "HTTP_X_FORWARDED_HOST": "shop.example",
        "HTTP_X_FORWARDED_PORT": "8443",
        "HTTP_X_FORWARDED_PROTO": "https",
    }
    request = sent(upstream, app, **asked)
    for name in ("X-Forwarded-Host", "X-Forwarded-Server"):
        assert request.values(name) == ["shop.example:8443"]
    assert request.values("X-Forwarded-Port") == ["8443"]
    assert 'host="shop.example:8443";proto=https' in request.values("Forwarded")[0]
    envelope = json.loads(unbase64url(request.values("WSGIProxy")[0]))
    assert envelope["host"] == "shop.example:8443"
    to_itself = [("Location", f"{upstream.url}/login")]
    trusting = made(trusted_proxies="10.0.0.9")
    assert back(upstream, trusting, to_itself, **asked) == ["https://shop.example:8443/login"]


@pytest.mark.parametrize(
    ("peer", "chain", "status"),
    [
        pytest.param("10.0.0.9", "", 403, id="silent"),
        pytest.param("10.0.0.9", "192.0.2.1", 200, id="named"),
        pytest.param("10.0.0.9", "10.0.0.9", 200, id="names-itself"),
        pytest.param("10.0.0.9", "192.0.2.1, ", 403, id="an-empty-member"),
        pytest.param("10.0.0.9", "not-an-address", 403, id="no-address"),
        pytest.param("192.0.2.7", "", 200, id="a-stranger-is-the-client"),
    ],
)
@pytest.mark.parametrize("signs", [False, True], ids=["plain", "signed"])
def test_a_trusted_proxy_can_be_made_to_name_the_client(
    upstream, made, secret_file, peer, chain, status, signs
):
    """Else the proxy itself would be announced, and signed, as the client."""
    options = {"trusted_proxies": "10.0.0.9", "secret_file": secret_file if signs else None}
    environ = environ_for(upstream, REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=chain)
    upstream.behaviour = answer()
    for required in (False, True):
        found = call(environ, made(require_forwarded=required, **options)).status
        assert found == (status if required else 200)
    assert len(upstream.requests) == (1 if status == 403 else 2)


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"scope_cookies": True}, ["/login", "a=1; Path=/mount; Domain=b.example"]),
        ({"cookie_domain": "c.example"}, ["/login", "a=1; Path=/; Domain=c.example"]),
        ({"cookie_domain": ""}, ["/login", "a=1; Path=/"]),
        ({}, ["/login", "a=1; Path=/; Domain=b.example"]),
    ],
)
def test_cookies_are_mapped_whether_or_not_addresses_are(upstream, made, options, fields):
    headers = [("Location", "/login"), ("Set-Cookie", "a=1; Path=/; Domain=b.example")]
    app = made(rewrite_location=False, **options)
    assert back(upstream, app, headers, SCRIPT_NAME="/mount") == fields


@pytest.mark.parametrize(("path", "found"), [("", "/mount/docs"), ("/", "docs"), ("/a/b", "docs")])
def test_a_relative_location_leads_below_the_mount(upstream, made, path, found):
    """Asked for ``/mount``, the upstream saw ``/``, and so ``docs`` is ``/mount/docs``."""
    asked = {"SCRIPT_NAME": "/mount", "PATH_INFO": path}
    for name in ("Location", "Content-Location"):
        assert back(upstream, made(), [(name, "docs")], **asked) == [found]
    assert back(upstream, made(), [("Refresh", "1;url=docs")], **asked) == [f"1;url={found}"]


@pytest.mark.parametrize("front", ["", "http://public.example", "http://{netloc}"])
@pytest.mark.parametrize("path", ["/login", "/mount/login"])
def test_every_form_of_a_redirect_is_below_the_mount_once(upstream, made, front, path):
    """As an application writes it that knows its prefix or does not, or its public host."""
    location = front.format(netloc=upstream.netloc) + path
    [found] = back(upstream, made(), [("Location", location)], SCRIPT_NAME="/mount")
    assert found == ("http://public.example" if front else "") + "/mount/login"


def test_the_url_in_a_challenge_is_mapped(upstream, made):
    """RFC 9728, 5.1."""
    bearer = 'Bearer resource_metadata="{}/.well-known/oauth-protected-resource"'
    headers = [("WWW-Authenticate", bearer.format(upstream.url))]
    found = bearer.format("http://public.example/mount")
    assert back(upstream, made(), headers, SCRIPT_NAME="/mount") == [found]


@pytest.mark.parametrize("preserves", [False, True])
def test_the_destination_of_a_move_is_the_upstreams(upstream, made, preserves):
    """RFC 4918, 10.3 and 10.4: WebDAV names a second resource in a header field."""
    request = sent(
        upstream,
        made("/base", preserve_host=preserves),
        "/x",
        REQUEST_METHOD="MOVE",
        SCRIPT_NAME="/mount",
        HTTP_DESTINATION="http://public.example/mount/a%2Fb",
        HTTP_IF="</mount/x> (<urn:uuid:1>)",
    )
    host = "public.example" if preserves else upstream.netloc
    assert request.values("Destination") == [f"http://{host}/base/a%2Fb"]
    assert request.values("If") == ["</base/x> (<urn:uuid:1>)"]


def test_a_destination_does_not_lead_out_of_the_mount(upstream, made):
    environ = environ_for(upstream, "/x", REQUEST_METHOD="COPY", HTTP_HOST="public.example")
    environ |= {"SCRIPT_NAME": "/mount", "HTTP_DESTINATION": "/mount/%2e%2e/x"}
    assert call(environ, made()).status == 400
    assert not upstream.requests


@pytest.mark.parametrize("peer", ["", None, "unix:", "nonsense"])
def test_no_address_no_field(upstream, made, peer):
    request = sent(upstream, made(), REMOTE_ADDR=peer)
    assert request.values("X-Forwarded-For") == []


def test_forwarded_on_request(upstream, made):
    request = sent(upstream, made(forwarded=True), REMOTE_ADDR="2001:db8::1")
    assert request.values("Forwarded") == ['for="[2001:db8::1]";host="public.example";proto=http']
    assert sent(upstream, made(forwarded=True), REMOTE_ADDR="").values("Forwarded") == [
        'for=unknown;host="public.example";proto=http'
    ]


def test_via_is_appended_and_ends_loops(upstream, made):
    app = made(via="here")
    request = sent(upstream, app, HTTP_VIA="1.1 there, 1.0 elsewhere", SERVER_PROTOCOL="HTTP/1.1")
    assert request.values("Via") == ["1.1 there, 1.0 elsewhere, 1.1 here"]
    environ = environ_for(upstream, HTTP_VIA="1.1 there,1.1 here")
    assert call(environ, app).status == 508


def test_two_proxies_do_not_take_each_other_for_a_loop(upstream, made):
    first = sent(upstream, made()).values("Via")[0]
    assert sent(upstream, made(), HTTP_VIA=first).values("Via")[0].startswith(first + ", ")


def test_fields_that_are_not_sent_on(upstream, made):
    app = made(suppress_headers="Cookie Authorization")
    request = sent(
        upstream, app, HTTP_COOKIE="a=b", HTTP_AUTHORIZATION="Basic x",
        HTTP_PROXY_AUTHORIZATION="Basic y", HTTP_PROXY="http://evil", HTTP_ACCEPT="*/*",
    )  # fmt: skip
    assert request.values("Accept") == ["*/*"]
    for name in ("Cookie", "Authorization", "Proxy-Authorization", "Proxy"):
        assert request.values(name) == []


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("public.example", 200),
        ("PUBLIC.example:8080", 200),
        ("www.public.example", 400),
        ("a.wild.example", 200),
        ("wild.example", 400),
        ("evil.example", 400),
    ],
)
def test_allowed_hosts(upstream, made, host, status):
    upstream.behaviour = answer()
    app = made(allowed_hosts=["public.example", ".wild.example"])
    assert call(environ_for(upstream, HTTP_HOST=host), app).status == status


# -- the wall --------------------------------------------------------------------------

ESCAPES = [
    "/../admin", "/..%2fadmin", "/%2e%2e/", "/%252e%252e/", "/%25252e%25252e/", "/x/..;/",
    "/..\\admin", "/..%5cadmin", "/%2e%2e%5c", "/x/%2e./y", "/a/..",
]  # fmt: skip


@pytest.mark.parametrize("raw", ESCAPES)
@pytest.mark.parametrize(("base", "mount"), [("/app", ""), ("/app/", ""), ("", "/mount")])
def test_a_path_cannot_leave_href_or_the_mount(upstream, made, raw, base, mount):
    from urllib.parse import unquote_to_bytes

    decoded = unquote_to_bytes(raw).decode("latin-1")
    for more in ({"REQUEST_URI": mount + raw}, {}):
        environ = environ_for(upstream, decoded, SCRIPT_NAME=mount, **more)
        assert call(environ, made(base)).status == 400
    assert upstream.connections == 0


def test_without_base_or_mount_dots_pass(upstream, made):
    path = "/a/../b/./c"
    assert sent(upstream, made(), path, REQUEST_URI=path).target == path


@pytest.mark.parametrize(
    ("base", "mount", "raw", "path_info", "target"),
    [
        pytest.param("", "", "/a%2Fb%2fc", "/a/b/c", "/a%2Fb%2fc", id="encoded-slashes"),
        pytest.param("", "", "//x//y", "//x//y", "//x//y", id="two-slashes"),
        pytest.param("", "", "/x?", "/x", "/x?", id="empty-query"),
        pytest.param("", "", "/caf%C3%A9;p=1", "/caf\xc3\xa9;p=1", "/caf%C3%A9;p=1", id="utf-8"),
        pytest.param("/b", "/m", "/m/a%2Fb", "/a/b", "/b/a%2Fb", id="under-a-mount"),
        pytest.param("/b", "/m", "/m", "", "/b", id="the-mount-itself"),
        pytest.param("/b/", "/m", "/m", "", "/b/", id="the-mount-itself-slash"),
        pytest.param("/b/", "/m", "/m/", "/", "/b/", id="slash-under-the-mount"),
        pytest.param("", "/m", "/m", "", "/", id="mount-of-the-root"),
        pytest.param("", "/m%20n", "/m%20n/x", "/x", "/x", id="encoded-mount"),
        pytest.param("", "", "/old", "/new", "/new", id="rewritten-by-middleware"),
        pytest.param("", "", "", "/50% off", "/50%25%20off", id="percent-is-never-safe"),
    ],
)
def test_targets(upstream, made, base, mount, raw, path_info, target):
    from urllib.parse import unquote

    query = raw.partition("?")[2]
    request = sent(
        upstream, made(base), path_info, SCRIPT_NAME=unquote(mount), QUERY_STRING=query,
        **({"REQUEST_URI": raw} if raw else {}),
    )  # fmt: skip
    assert request.target == target


def test_the_star_is_not_for_a_reverse_proxy(upstream, made):
    environ = environ_for(upstream, "*", REQUEST_METHOD="OPTIONS")
    assert call(environ, made()).status == 400


# -- what comes back -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Location", "Content-Location"])
def test_addresses_are_mapped_to_the_public_one(upstream, made, name):
    app = made("/app")
    there = f"http://{upstream.netloc}/app/login?next=/#top"
    mapped = back(upstream, app, [(name, there)], SCRIPT_NAME="/mount")
    assert mapped == ["http://public.example/mount/login?next=/#top"]


def test_mapping_can_be_switched_off(upstream, made):
    there = f"http://{upstream.netloc}/app/"
    assert back(upstream, made("/app", rewrite_location=False), [("Location", there)]) == [there]


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1.evil.example:{port}/",
        "https://127.0.0.1:{port}/",
        "http://127.0.0.1:{port}0/",
        "http://user@127.0.0.1:{port}/",
        "http://127.0.0.1/",
        "//evil.example/",
        "\\\\evil.example",
        "/\\evil.example",
        "relative/path",
        "?query",
        "",
    ],
)
def test_everything_else_passes_unchanged(upstream, made, location):
    location = location.format(port=upstream.port)
    assert back(upstream, made(), [("Location", location)]) == [location]


def test_refresh_is_mapped(upstream, made):
    there = f'5; URL="http://{upstream.netloc}/x"'
    mapped = back(upstream, made(), [("Refresh", there)], SCRIPT_NAME="/m")
    assert mapped == ['5; URL="http://public.example/m/x"']


def test_cookies_can_be_scoped(upstream, made):
    app = made("/app", scope_cookies=True, cookie_domain="")
    cookies = [
        ("Set-Cookie", "a=1; Path=/; Domain=backend.example; Secure"),
        ("Set-Cookie", "b=2; path=/app/x; HttpOnly"),
        ("Set-Cookie", "__Host-c=3; Path=/; Secure"),
    ]
    assert back(upstream, app, cookies, SCRIPT_NAME="/mount") == [
        "a=1; Path=/mount; Secure",
        "b=2; path=/mount/x; HttpOnly",
        "__Host-c=3; Path=/; Secure",
    ]


def test_cookies_are_not_touched_by_default(upstream, made):
    cookie = "a=1; Path=/; Domain=backend.example"
    assert back(upstream, made("/app"), [("Set-Cookie", cookie)], SCRIPT_NAME="/m") == [cookie]


def test_alternatives_of_the_upstream_are_not_ours(upstream, made):
    assert back(upstream, made(), [("Alt-Svc", 'h3=":443"'), ("X-A", "1")]) == ["1"]


# -- settings --------------------------------------------------------------------------


def test_href_may_be_reassigned(upstream, made):
    app = made("/one")
    assert sent(upstream, app, "/x").target == "/one/x"
    app.href = f"{upstream.url}/two?k=v"
    assert sent(upstream, app, "/x").target == "/two/x?k=v"
    assert (app.href_scheme, app.href_netloc) == ("http", upstream.netloc)
    assert (app.href_path, app.href_query, app.href_fragment) == ("/two", "k=v", "")


def test_a_bad_href_leaves_the_old_one(made):
    app = made("/one")
    before = app.href
    with pytest.raises(ConfigurationError):
        app.href = "nowhere"
    assert app.href == before


KEYS = ["string_keys", "unicode_keys", "json_keys"]


@pytest.mark.parametrize("name", [*KEYS, "pickle_keys", "sign_body"])
def test_what_only_a_signature_can_carry_needs_a_secret(name):
    value = True if name == "sign_body" else ["REMOTE_USER"]
    with pytest.raises(ConfigurationError, match=f"{name}=.*: expected secret_file beside it"):
        WSGIProxyApp("http://127.0.0.1/", allow_pickle=True, **{name: value})


@pytest.mark.parametrize("name", [*KEYS, "pickle_keys"])
@pytest.mark.parametrize(
    "key", ["wsgi.input", "HTTP_COOKIE", "REQUEST_METHOD", "wsgiproxy.x", "PATH_INFO", "HTTPS"]
)
def test_reserved_keys_cannot_be_carried(secret_file, name, key):
    with pytest.raises(ConfigurationError, match=f"{name}=.*: expected environ keys other than"):
        WSGIProxyApp("http://a/", secret_file, allow_pickle=True, **{name: ["REMOTE_USER", key]})


@pytest.mark.parametrize("allow", [{}, {"allow_pickle": False}, {"allow_pickle": "no"}])
def test_pickle_is_off(secret_file, allow):
    with pytest.raises(ConfigurationError, match="pickle_keys=.*: expected allow_pickle=True"):
        WSGIProxyApp("http://a/", secret_file, pickle_keys="a.key", **allow)


@pytest.mark.parametrize("second", ["unicode_keys", "json_keys", "string_keys"])
def test_a_key_is_carried_once(secret_file, second):
    keys = {"string_keys": ["a", "b"], second: ["b", "b"]}
    with pytest.raises(ConfigurationError, match="'b' is to be carried twice"):
        WSGIProxyApp("http://a/", secret_file, **keys)


def test_a_public_half_cannot_sign(tmp_path):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = Ed25519PrivateKey.generate().public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    name = key_file(tmp_path / "public", f"k1:ed25519:{base64url(der)}")
    with pytest.raises(ConfigurationError, match="'k1': a public half cannot sign"):
        WSGIProxyApp("http://a/", name)


def test_a_signed_request_as_it_goes_up(upstream, made, secret_file):
    """Each of our fields once, on one line, beside what is announced for others."""
    app = made("/base?key=1", secret_file=secret_file, string_keys="REMOTE_USER")
    known = {"REMOTE_USER": "bob", "REMOTE_ADDR": "203.0.113.9"}
    request = sent(upstream, app, "/x", QUERY_STRING="a=b", **known)
    assert request.line == "GET /base/x?key=1&a=b HTTP/1.1"
    [envelope] = request.values("WSGIProxy")
    found = json.loads(unbase64url(envelope))
    assert found == {
        "v": 1,
        "target": "/base/x?",
        "for": "203.0.113.9",
        "host": "public.example",
        "scheme": "http",
        "port": str(upstream.port),
        "traversal_path": "/base",
        "traversal_query": "key=1",
        "env": {"string": {"REMOTE_USER": "bob"}},
    }
    [said] = request.values("Signature-Input")
    assert said.startswith(
        'wsgiproxy=("@method" "@authority" "@query" "wsgiproxy" "x-traversal-path"'
        ' "x-traversal-query-string");created='
    )
    assert said.endswith(';tag="wsgiproxy"')
    [signature] = request.values("Signature")
    assert re.fullmatch("wsgiproxy=:[A-Za-z0-9+/]{43}=:", signature)
    assert request.values("X-Forwarded-Host") == ["public.example"]
    assert "bob" not in request.head.decode("latin-1")


def test_without_a_secret_nothing_is_signed(upstream, made):
    request = sent(upstream, made(), "/x")
    for name in ("WSGIProxy", "Signature-Input", "Signature", "Content-Digest"):
        assert request.values(name) == []


def test_another_transport_has_its_own_settings():
    transport = PooledTransport()
    assert WSGIProxyApp("http://127.0.0.1/", transport=transport).transport is transport
    with pytest.raises(ConfigurationError, match="transport"):
        WSGIProxyApp("http://127.0.0.1/", transport=transport, idle_timeout=5)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({"preserve_hosts": True}, "did you mean preserve_host", id="unknown"),
        pytest.param({"trusted_proxies": ["10.0.0.300"]}, "10.0.0.300", id="not-an-address"),
        pytest.param({"trusted_proxies": "*"}, "[*]", id="no-wildcard"),
        pytest.param({"max_body": "many"}, "max_body='many'", id="size"),
        pytest.param({"via": "two words"}, "via='two words'", id="via"),
        pytest.param({"idle_timeout": "0"}, "idle_timeout='0'", id="no-wait-without-limit"),
    ],
)
def test_bad_settings_fail_at_construction(options, named):
    with pytest.raises(ConfigurationError, match=named):
        WSGIProxyApp("http://127.0.0.1/", **options)


def test_a_unix_socket(unix_upstream):
    app = WSGIProxyApp(f"{unix_upstream.url}:/base")
    unix_upstream.behaviour = answer()
    assert call(environ_for_unix(), app).status == 200
    assert unix_upstream.requests[0].line == "GET /base/ HTTP/1.1"
    assert unix_upstream.requests[0].values("Host") == ["localhost"]
    app.close()


def environ_for_unix():
    class Nowhere:
        port = 80

    return environ_for(Nowhere())  # type: ignore[arg-type]


def test_only_an_own_transport_is_closed(upstream):
    upstream.behaviour = answer()
    with_own = WSGIProxyApp(upstream.url)
    shared = PooledTransport()
    with_shared = WSGIProxyApp(upstream.url, transport=shared)
    for app in (with_own, with_shared):
        call(environ_for(upstream), app)
        app.close()
    assert upstream.wait_until(lambda: upstream.accepted[0].ended)
    assert not upstream.accepted[1].ended
    shared.close()
    assert upstream.wait_closed()


def test_a_base_below_a_mount_of_the_same_name(upstream, made):
    app = made("/api/v1")
    assert back(upstream, app, [("Location", "/api/v1/items/5")], SCRIPT_NAME="/api") == [
        "/api/items/5"
    ]


def test_it_says_what_it_is(made, upstream):
    assert repr(made("/x")) == f"WSGIProxyApp('{upstream.url}/x')"


def test_secret_file_may_not_be_empty():
    with pytest.raises(ConfigurationError, match="secret_file"):
        WSGIProxyApp("http://127.0.0.1/", secret_file="")


@pytest.mark.parametrize(
    ("options", "passed"),
    [({}, ["no"]), ({"pass_accel": True}, ["/protected", "no"])],
    ids=["removed", "passed"],
)
def test_a_command_for_the_server_in_front_passes_on_demand(upstream, made, options, passed):
    headers = [("X-Accel-Redirect", "/protected"), ("X-Accel-Buffering", "no")]
    assert back(upstream, made(**options), headers) == passed


HANDSHAKE = {
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_CONNECTION": "keep-alive, Upgrade",
    "HTTP_UPGRADE": "websocket",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}


@pytest.mark.parametrize("accept", ["text/html", "application/json", "text/plain"])
def test_a_websocket_is_refused_by_name(upstream, made, accept):
    environ = environ_for(upstream, **HANDSHAKE)
    called = call({**environ, "HTTP_ACCEPT": accept}, made())
    assert called.status == 501
    assert b"WebSocket is not carried here. Of servers for WSGI, gunicorn" in called.read()
    assert upstream.connections == 0


def test_a_refused_websocket_is_a_warning_once(upstream, made, monkeypatch, caplog):
    """Once, and not for each request: a page tries again and again."""
    monkeypatch.setattr(warn, "_warned", set())
    app = made()
    for _ in range(3):
        environ = environ_for(upstream, **HANDSHAKE)
        assert call(environ, app).status == 501
    call(environ_for(upstream, HTTP_EXPECT="a miracle"), app)
    warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "this server gives no socket" in warnings[0]
