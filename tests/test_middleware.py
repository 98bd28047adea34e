"""The receiving end: who is believed, what is restored, and what never gets through."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webtest import lint
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Request

from tests.support.in_process import PROXY, front_environ, key_file, run, signed_environ
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.middleware import WSGIProxyMiddleware
from wsgiproxy.sansio.fields.signature import sign
from wsgiproxy.sansio.fields.signature_members import Fields
from wsgiproxy.secretloader import KeyFile, new_key
from wsgiproxy.settings import MIDDLEWARE

PEER = "10.0.0.2"
CLIENT = "192.0.2.1"


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> str:
    return key_file(tmp_path_factory.mktemp("keys") / "secret", new_key("k1"))


class Behind:
    """An application behind the middleware; remembers the last environ."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.seen: dict[str, Any] | None = None
        self.middleware = WSGIProxyMiddleware(self._application, *arguments, **options)

    def _application(self, environ, start_response):
        self.seen = environ
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return []

    def __call__(self, environ: dict[str, Any]) -> dict[str, Any]:
        """The environ that the application gets."""
        answer = run(self.middleware, environ)
        assert answer.head.status == 200, answer.whole
        assert self.seen is not None
        return self.seen

    def status(self, environ: dict[str, Any]) -> int:
        self.seen = None
        status = run(self.middleware, environ).head.status
        assert (status == 200) == (self.seen is not None)
        return status


def asked(**more: Any) -> dict[str, Any]:
    """A request that a peer brings to the backend."""
    return front_environ(REMOTE_ADDR=PEER, HTTP_HOST="backend.example", **more)


NAMESPACE = [
    "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PREFIX", "HTTP_X_FORWARDED_SERVER", "HTTP_X_FORWARDED_ANYTHING",
    "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_X_SCRIPT_NAME", "HTTP_SCRIPT_NAME",
    "HTTP_PATH_INFO", "HTTP_REMOTE_USER", "HTTP_X_ORIGINAL_URL", "HTTP_X_REWRITE_URL",
    "HTTP_X_TRAVERSAL_PATH", "HTTP_X_WSGIPROXY_STR_0", "HTTP_WSGIPROXY", "HTTP_PROXY",
    "HTTP_X.FORWARDED.FOR", "HTTP_X_FORWARDED-FOR",
]  # fmt: skip


# -- M1 to M16 -------------------------------------------------------------------------


@pytest.mark.parametrize("key", NAMESPACE)
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="nothing-set"),
        pytest.param({"trust_ips": "10.9.9.9"}, id="another-peer-trusted"),
        pytest.param({"scheme": "https"}, id="facts-set"),
    ],
)
def test_no_peer_is_believed_by_default(key, options):
    environ = asked(**{key: "1.2.3.4"})
    after = Behind(**options)(environ)
    assert key not in after
    changed = {name for name in after if after[name] != environ.get(name)} - {"wsgi.url_scheme"}
    assert changed == {"wsgiproxy.orig"}
    assert after["wsgiproxy.orig"][key] == "1.2.3.4"


@pytest.mark.parametrize(
    ("trusted", "peer", "client"),
    [
        pytest.param("10.0.0.2", "::ffff:10.0.0.2", CLIENT, id="mapped-address"),
        pytest.param("10.0.0.0/8", "::FFFF:10.0.0.2", CLIENT, id="mapped-network"),
        pytest.param("::ffff:10.0.0.2", "10.0.0.2", CLIENT, id="mapped-entry"),
        pytest.param("::ffff:10.0.0.2", "::ffff:10.0.0.2", CLIENT, id="mapped-entry-and-peer"),
        pytest.param("::ffff:10.0.0.0/104", "10.0.0.2", CLIENT, id="mapped-network-as-entry"),
        pytest.param("fe80::/10", "fe80::2%eth0", CLIENT, id="zone"),
        pytest.param("::1", "::1", CLIENT, id="ipv6"),
        pytest.param("10.0.0.2", "::10.0.0.2", "::10.0.0.2", id="compatible-is-not-mapped"),
        pytest.param("0.0.0.0/0", "2001:db8::1", "2001:db8::1", id="other-family"),
    ],
)
def test_addresses_are_compared_unmapped(trusted, peer, client):
    environ = asked() | {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": CLIENT}
    assert Behind(trust_ips=trusted)(environ)["REMOTE_ADDR"] == client


@pytest.mark.parametrize(
    ("trusted", "peer", "believed"),
    [
        pytest.param("10.0.0.1", "10.0.0.1", True, id="itself"),
        pytest.param("10.0.0.1", "10.0.0.11", False, id="longer"),
        pytest.param("10.0.0.11", "10.0.0.1", False, id="part-of-the-string"),
        pytest.param("10.0.0.1, 10.0.1.0/24", "10.0.1.7", True, id="list-in-a-string"),
        pytest.param(["10.0.0.1", "unix"], "", True, id="unix"),
        pytest.param(["10.0.0.1", "unix"], "unix:/run/sock", True, id="unix-named"),
        pytest.param("10.0.0.1", "", False, id="unix-not-named"),
        pytest.param("10.0.0.1", "localhost", False, id="name"),
        pytest.param("*", "198.51.100.7", True, id="all"),
        pytest.param("*", "", True, id="all-unix"),
    ],
)
def test_trust_ips(trusted, peer, believed):
    environ = asked() | {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": CLIENT}
    after = Behind(trust_ips=trusted)(environ)
    assert after["REMOTE_ADDR"] == (CLIENT if believed else peer)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        pytest.param({}, 403, id="nothing"),
        pytest.param({"HTTP_X_FORWARDED_PROTO": "https"}, 403, id="something-else"),
        pytest.param({"HTTP_X_FORWARDED_FOR": ""}, 403, id="an-empty-field"),
        pytest.param({"HTTP_X_FORWARDED_FOR": "unknown"}, 403, id="no-address"),
        pytest.param({"HTTP_X_FORWARDED_FOR": CLIENT}, 200, id="a-client"),
    ],
)
@pytest.mark.parametrize("counts", [{}, {"x_for": 1}], ids=["by-address", "by-count"])
def test_a_trusted_peer_must_name_the_client_on_demand(said, status, counts):
    """A server that stops at a malformed line drops what the proxy says behind it."""
    environ = asked() | {"REMOTE_ADDR": "10.0.0.1"} | said
    options = {"trust_ips": "10.0.0.0/8", **counts}
    assert Behind(require_forwarded=True, **options).status(environ) == status
    assert Behind(**options).status(environ) == 200
    stranger = environ | {"REMOTE_ADDR": "192.0.2.7"}
    assert Behind(require_forwarded=True, **options).status(stranger) == 200


@pytest.mark.parametrize("counts", [{"x_for": 0}, {"x_for": 0, "x_proto": 1}])
def test_a_client_that_is_not_read_cannot_be_required(counts):
    """Else every request of a trusted peer would be refused."""
    with pytest.raises(ConfigurationError, match="require_forwarded=True: expected no x_for=0"):
        WSGIProxyMiddleware(print, trust_ips="10.0.0.1", require_forwarded=True, **counts)
    WSGIProxyMiddleware(print, trust_ips="10.0.0.1", require_forwarded=True, x_host=1)


@pytest.fixture
def halves(tmp_path):
    """Files with the private and the public half of one key."""
    from wsgiproxy.sansio.keys import base64url, ed25519_halves

    found = [f"e:ed25519:{base64url(half)}" for half in ed25519_halves(b"s" * 32)]
    return [key_file(tmp_path / f"half{number}", text) for number, text in enumerate(found)]


def passed_on(environ, host):
    """What backend A, which has no key that signs, makes of a request for backend B."""
    return environ | {"HTTP_HOST": host, "HTTP_COOKIE": "session=of-a", "REMOTE_ADDR": "10.0.0.1"}


@pytest.mark.parametrize(
    ("authorities", "status"),
    [
        ("10.0.0.1:8001", 200),
        (["b.example", "10.0.0.1:8001"], 200),
        ("b.example", 403),
        ("10.0.0.1", 403),
        ("10.0.0.1:8002", 403),
    ],
)
def test_a_request_for_another_backend_is_refused(halves, secret, authorities, status):
    private, public = halves
    environ = signed_environ(private)
    assert environ["HTTP_HOST"] == "10.0.0.1:8001"
    assert Behind(public, authorities=authorities).status(environ) == status
    assert Behind(secret, authorities=authorities).status(signed_environ(secret)) == status
    # Another Host is no longer what was signed.
    for host in ("b.example", "10.0.0.1", "10.0.0.1:8002"):
        assert Behind(public, authorities=host).status(passed_on(environ, host)) == 403


@pytest.mark.parametrize(
    ("href", "authority"),
    [
        ("http://b.example/x", "b.example:80"),
        ("http://b.example:80/x", "b.example"),
        ("http://B.example/x", "b.EXAMPLE"),
        ("http://[::1]:81/", "[::1]:81"),
    ],
)
def test_an_authority_is_compared_without_its_default_port(halves, href, authority):
    private, public = halves
    environ = signed_environ(private, href=href)
    assert Behind(public, authorities=authority).status(environ) == 200


def test_a_public_half_needs_authorities(halves, secret):
    with pytest.raises(ConfigurationError, match="public half: expected authorities"):
        Behind(halves[1])
    assert Behind(halves[0]).status(signed_environ(halves[0])) == 200


def test_a_public_half_that_replaces_a_secret_needs_it_too(halves, tmp_path):
    changing = key_file(tmp_path / "changing", Path(halves[0]).read_text())
    behind = Behind(changing)
    environ = signed_environ(halves[0])
    assert behind.status(environ) == 200
    key_file(tmp_path / "new", Path(halves[1]).read_text())
    os.replace(tmp_path / "new", changing)
    assert behind.status(environ) == 403


@pytest.mark.parametrize(
    "trusted",
    ["10.0.0.300", "10.0.0.1/8", "localhost", "*, 10.0.0.1", "10.*", "10.0.0.1;10.0.0.2", "0x7f"],
)
def test_a_bad_address_in_trust_ips_is_an_error(trusted):
    with pytest.raises(ConfigurationError, match="trust_ips=.*expected an address, a network"):
        Behind(trust_ips=trusted)


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        pytest.param("6.6.6.6, 192.0.2.1", "192.0.2.1", id="spoof-to-the-left"),
        pytest.param("6.6.6.6, 192.0.2.1, 10.0.0.3", "192.0.2.1", id="over-a-trusted-hop"),
        pytest.param("6.6.6.6,192.0.2.1,10.0.0.3", "192.0.2.1", id="lines-joined"),
        pytest.param("10.0.0.4, 10.0.0.3", "10.0.0.4", id="all-of-them-ours"),
        pytest.param("192.0.2.1:4711", "192.0.2.1", id="port"),
        pytest.param("[2001:db8::1]:4711", "2001:db8::1", id="brackets"),
        pytest.param("6.6.6.6, garbage", PEER, id="garbage-ends-it"),
        pytest.param('6.6.6.6, "192.0.2.1"', PEER, id="quotes"),
        pytest.param("6.6.6.6, ", PEER, id="empty-member"),
        pytest.param("6.6.6.6, unknown, 10.0.0.3", PEER, id="unknown-behind-ours"),
        pytest.param("192.0.2.1\r\n X: y", PEER, id="fold"),
        pytest.param("6.6.6.6, " * 10_000 + "192.0.2.1", "192.0.2.1", id="ten-thousand"),
        pytest.param("6.6.6.6, " + "10.0.0.3, " * 70, PEER, id="over-64-hops-and-a-comma"),
        pytest.param("6.6.6.6" + ", 10.0.0.3" * 70, "10.0.0.3", id="over-64-hops"),
        pytest.param("", PEER, id="empty"),
    ],
)
def test_the_chain_is_walked_from_the_right(chain, client):
    after = Behind(trust_ips="10.0.0.0/8")(asked(HTTP_X_FORWARDED_FOR=chain))
    assert after["REMOTE_ADDR"] == client


@pytest.mark.parametrize(
    ("proto", "scheme"),
    [
        ("https", "https"), ("HTTPS", "https"), ("http, https", "https"), ("https,http", "http"),
        ("javascript", "http"), ("https, javascript", "http"), ("", "http"), ("https,", "http"),
        ("wss", "http"), ("https\r\n", "http"),
    ],
)  # fmt: skip
def test_the_scheme_is_http_or_https(proto, scheme):
    after = Behind(trust_ips=PEER)(asked(HTTP_X_FORWARDED_PROTO=proto))
    assert after["wsgi.url_scheme"] == scheme


FAMILIES = {
    "x-forwarded": {"HTTP_X_FORWARDED_PROTO": "https", "HTTP_X_FORWARDED_HOST": "x.example"},
    "historical": {"HTTP_X_FORWARDED_SCHEME": "https", "HTTP_X_FORWARDED_SERVER": "x.example"},
    "forwarded": {"HTTP_FORWARDED": "for=192.0.2.1;proto=https;host=x.example"},
}
OTHERS = {
    "HTTP_X_FORWARDED_PROTO": "http",
    "HTTP_X_FORWARDED_HOST": "evil.example",
    "HTTP_X_FORWARDED_SCHEME": "http",
    "HTTP_X_FORWARDED_SERVER": "evil.example",
    "HTTP_FORWARDED": "for=6.6.6.6;proto=http;host=evil.example",
}


@pytest.mark.parametrize("family", FAMILIES)
def test_one_family_is_read_and_all_are_removed(family):
    environ = asked(HTTP_FRONT_END_HTTPS="off", **{**OTHERS, **FAMILIES[family]})
    after = Behind(trust_ips=PEER, family=family)(environ)
    assert (after["wsgi.url_scheme"], after["HTTP_HOST"]) == ("https", "x.example")
    assert not OTHERS.keys() & after.keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_fields_of_another_family_are_not_read(family):
    silent = {name: value for name, value in OTHERS.items() if name not in FAMILIES[family]}
    after = Behind(trust_ips=PEER, family=family)(asked(**silent))
    assert (after["HTTP_HOST"], after["REMOTE_ADDR"]) == ("backend.example", PEER)


@pytest.mark.parametrize(
    "text",
    ["for=192.0.2.1;for=6.6.6.6", 'for="192.0.2.1', "for=192.0.2.1;proto", "for==1", "a b", "=x"],
)
def test_a_malformed_forwarded_is_a_400(text):
    assert Behind(trust_ips=PEER, family="forwarded").status(asked(HTTP_FORWARDED=text)) == 400


def test_a_quoted_separator_is_text():
    """CVE-2026-32762: the semicolon ended the value, and another host followed."""
    environ = asked(HTTP_FORWARDED='for=192.0.2.1;x="a;host=evil.example,for=6.6.6.6";proto=https')
    after = Behind(trust_ips=PEER, family="forwarded")(environ)
    assert (after["REMOTE_ADDR"], after["HTTP_HOST"]) == (CLIENT, "backend.example")


@pytest.mark.parametrize(
    "host",
    ["evil/", "a:b:c", "user@evil", "a b", "a:99999", "[::1", "a\r\nX: y", "a\0", "caf\xe9", "a?b"],
)
def test_a_host_that_cannot_be_one_is_a_400(host):
    environ = asked(HTTP_X_FORWARDED_HOST=host)
    assert Behind(trust_ips=PEER).status(environ) == 400
    assert Behind(trust_ips="10.9.9.9").status(environ) == 200


@pytest.mark.parametrize(
    ("said", "host", "name", "port"),
    [
        ("a.example", "a.example", "a.example", "80"),
        ("evil.example, a.example:8443", "a.example:8443", "a.example", "8443"),
        ("[2001:db8::1]:81", "[2001:db8::1]:81", "2001:db8::1", "81"),
        ("", "backend.example", "front", "80"),
    ],
)
def test_the_host_of_the_nearest_hop(said, host, name, port):
    after = Behind(trust_ips=PEER)(asked(HTTP_X_FORWARDED_HOST=said))
    assert (after["HTTP_HOST"], after["SERVER_NAME"], after["SERVER_PORT"]) == (host, name, port)


BAD_PREFIXES = [
    "//evil.example", '"><script>', "/a/../b", "/a/./b", "no-slash", "/a//b", "/a b", "/a\\b",
    "/a?b", "/a#b", "/..", "https://evil.example/", "/caf\xe9", "/a\r\nSet-Cookie: b",
]  # fmt: skip


@pytest.mark.parametrize("prefix", BAD_PREFIXES)
@pytest.mark.parametrize(
    ("family", "key"),
    [
        ("x-forwarded", "HTTP_X_FORWARDED_PREFIX"),
        ("historical", "HTTP_X_FORWARDED_SCRIPT_NAME"),
        ("historical", "HTTP_X_SCRIPT_NAME"),
        ("historical", "HTTP_X_TRAVERSAL_PATH"),
    ],
)
def test_a_prefix_that_is_no_path_is_a_400(prefix, family, key):
    assert Behind(trust_ips=PEER, family=family).status(asked(**{key: prefix})) == 400


@pytest.mark.parametrize(
    ("prefix", "script_name"),
    [("/a", "/a"), ("/a/", "/a"), ("/", ""), ("", ""), ("/a%20b/c;d=1", "/a b/c;d=1")],
)
def test_a_good_prefix_goes_before_script_name(prefix, script_name):
    environ = asked(HTTP_X_FORWARDED_PREFIX=prefix) | {"SCRIPT_NAME": "/m", "PATH_INFO": "/x"}
    after = Behind(trust_ips=PEER)(environ)
    assert (after["SCRIPT_NAME"], after["PATH_INFO"]) == (script_name + "/m", "/x")


@pytest.mark.parametrize("trusted", [PEER, "10.9.9.9"])
def test_nothing_of_it_is_left_for_the_framework(trusted):
    fields = dict.fromkeys(NAMESPACE, "6.6.6.6, 192.0.2.1")
    fields |= {"HTTP_X_FORWARDED_HOST": "x.example", "HTTP_X_FORWARDED_PREFIX": "/p"}
    environ = asked(**fields)
    after = Behind(trust_ips=trusted)(environ)
    assert not [key for key in after if key in fields]
    assert {key: after["wsgiproxy.orig"][key] for key in fields} == fields


def test_what_was_replaced_is_kept():
    environ = asked(HTTP_X_FORWARDED_FOR=CLIENT, REMOTE_HOST="peer.example", REMOTE_PORT="4711")
    after = Behind(trust_ips=PEER, scheme="https")(environ)
    assert after["wsgiproxy.orig"] == {
        "HTTP_X_FORWARDED_FOR": CLIENT,
        "REMOTE_ADDR": PEER,
        "REMOTE_HOST": "peer.example",
        "REMOTE_PORT": "4711",
        "wsgi.url_scheme": "http",
    }
    # They were the peer's, and would contradict the new address.
    assert "REMOTE_HOST" not in after
    assert "REMOTE_PORT" not in after


@pytest.mark.parametrize(("peer", "client"), [(PEER, CLIENT), ("10.9.9.9", "198.51.100.7")])
def test_the_peer_is_that_of_wsgiproxy_peer(peer, client):
    environ = asked(HTTP_X_FORWARDED_FOR=CLIENT) | {"REMOTE_ADDR": "198.51.100.7"}
    environ["wsgiproxy.peer"] = peer
    assert Behind(trust_ips=PEER)(environ)["REMOTE_ADDR"] == client


def forged(secret: str, env: object, **facts: object) -> dict[str, Any]:
    """A request with any envelope at all, signed by a holder of the key."""
    environ = asked()
    said = {"v": 1, "target": "/", "host": "a", "scheme": "http", "port": "80", **facts}
    if env is not None:
        said["env"] = env
    return resealed(secret, environ, json.dumps(said))


def resealed(secret: str, environ: dict[str, Any], text: str) -> dict[str, Any]:
    envelope = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    components = {
        "@method": environ["REQUEST_METHOD"],
        "@authority": environ["HTTP_HOST"],
        "@query": "?" + environ["QUERY_STRING"],
        "wsgiproxy": envelope,
    }
    key = KeyFile(secret).keyring().first
    fields: Fields = sign(components, key, created=int(time.time()), nonce="n" * 16)
    return {
        **environ,
        "HTTP_WSGIPROXY": envelope,
        "HTTP_SIGNATURE_INPUT": fields.signature_input,
        "HTTP_SIGNATURE": fields.signature,
    }


RESERVED = [
    "wsgi.input", "wsgi.url_scheme", "HTTP_COOKIE", "HTTP_HOST", "REQUEST_METHOD", "PATH_INFO",
    "SCRIPT_NAME", "wsgiproxy.verified", "wsgiproxy.orig", "CONTENT_LENGTH", "REMOTE_ADDR",
    "HTTPS", "REQUEST_URI",
]  # fmt: skip


@pytest.mark.parametrize("key", [*RESERVED, "AUTH_TYPE"])
def test_a_key_that_is_not_accepted_never_arrives(secret, key):
    """Even from a holder of the key."""
    after = Behind(secret, accept_keys="REMOTE_USER")(
        forged(secret, {"string": {key: "forged", "REMOTE_USER": "bob"}})
    )
    assert after["REMOTE_USER"] == "bob"
    assert after.get(key) != "forged"


@pytest.mark.parametrize("key", RESERVED)
def test_reserved_keys_cannot_be_accepted(secret, key):
    with pytest.raises(ConfigurationError, match="accept_keys=.*expected environ keys other"):
        Behind(secret, accept_keys=["REMOTE_USER", key])


@pytest.mark.parametrize(
    "env",
    [
        pytest.param({"string": {"REMOTE_USER": 5}}, id="string-that-is-a-number"),
        pytest.param({"string": {"REMOTE_USER": None}}, id="string-that-is-null"),
        pytest.param({"string": {"REMOTE_USER": "\u2603"}}, id="string-that-is-text"),
        pytest.param({"text": {"REMOTE_USER": ["a"]}}, id="text-that-is-a-list"),
        pytest.param({"pickle": {"REMOTE_USER": {}}}, id="pickle-that-is-an-object"),
        pytest.param({"bytes": {"REMOTE_USER": "a"}}, id="unknown-type"),
        pytest.param({"string": {"A": "a"}, "json": {"A": "b"}}, id="two-types-for-one"),
        pytest.param({"string": ["REMOTE_USER"]}, id="names-alone"),
        pytest.param([], id="list"),
        pytest.param("x", id="text"),
    ],
)
def test_types_are_as_declared(secret, env):
    assert Behind(secret, accept_keys="REMOTE_USER").status(forged(secret, env)) == 403


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("member", "status"),
    [
        pytest.param('"env":{"json":{"a":' + nested(20) + "}}", 200, id="depth-20"),
        pytest.param('"env":{"json":{"a":' + nested(21) + "}}", 403, id="depth-21"),
        pytest.param('"env":{"json":{"a":' + nested(2000) + "}}", 403, id="depth-2000"),
        pytest.param('"env":{"json":{"a":NaN}}', 403, id="nan"),
        pytest.param('"env":{"json":{"a":-Infinity}}', 403, id="infinity"),
        pytest.param('"env":{"json":{"a":1,"a":2}}', 403, id="key-twice"),
        pytest.param('"env":{"json":{"a":{"b":1,"b":2}}}', 403, id="inner-key-twice"),
        pytest.param('"host":"a","host":"evil"', 403, id="fact-twice"),
        pytest.param('"env":{"json":{"a":' + "9" * 5000 + "}}", 403, id="huge-integer"),
        pytest.param('"env":{"json":{"a":"' + "x" * 9000 + '"}}', 403, id="too-long"),
        pytest.param('"other":1', 403, id="unknown-member"),
    ],
)
def test_json(secret, member, status):
    facts = '"v":1,"target":"/","host":"a","scheme":"http","port":"80"'
    environ = resealed(secret, asked(), "{" + facts + "," + member + "}")
    assert Behind(secret, accept_keys="a").status(environ) == status


@pytest.mark.parametrize("text", ["", "[]", "null", '{"v":2}', "{}", '{"v":true}', "{", "\xff"])
def test_what_is_no_envelope_is_a_403(secret, text):
    assert Behind(secret).status(resealed(secret, asked(), text)) == 403


def test_a_signature_is_needed(secret):
    assert Behind(secret).status(asked()) == 403
    assert Behind(secret).status(signed_environ(secret)) == 200


@pytest.mark.parametrize(
    ("path", "script_name", "path_info"),
    [
        ("/bar", "/m/bar", ""),
        ("/bar/", "/m/bar", "/"),
        ("/bar/x/bar", "/m/bar", "/x/bar"),
        ("/bar//x", "/m/bar", "//x"),
    ],
)
def test_pop_prefix(path, script_name, path_info):
    environ = asked() | {"SCRIPT_NAME": "/m", "PATH_INFO": path}
    after = Behind(pop_prefix="/bar")(environ)
    assert (after["SCRIPT_NAME"], after["PATH_INFO"]) == (script_name, path_info)


@pytest.mark.parametrize("prefix", ["/caf%C3%A9/a%20b", "/caf%C3%A9/a%20b/"])
def test_prefixes_are_written_as_in_a_url_and_decoded_as_a_path_is(prefix):
    environ = asked() | {"PATH_INFO": "/caf\xc3\xa9/a b/x"}
    after = Behind(pop_prefix=prefix)(environ)
    assert (after["SCRIPT_NAME"], after["PATH_INFO"]) == ("/caf\xc3\xa9/a b", "/x")
    assert Behind(prefix=prefix)(environ)["SCRIPT_NAME"] == "/caf\xc3\xa9/a b"


@pytest.mark.parametrize(
    "path",
    ["/barbaz", "/bar/../x", "/bar/x/..", "//bar", "/", "", "/BAR", "/bar%2f..", "/bar/%2e%2e/x"],
)
def test_what_is_not_under_the_prefix_is_a_404(path):
    environ = asked() | {"PATH_INFO": path, "HTTP_ACCEPT": "text/html"}
    behind = Behind(pop_prefix="/bar")
    assert behind.status(environ) == 404
    assert b"bar" not in run(behind.middleware, environ).whole.lower()


@pytest.mark.parametrize("path", ["/bar/\udcff%2e", "/bar/%\ud800", "/bar/\u2603%41"])
def test_what_is_no_path_is_a_400(path):
    """Waitress and others decode in their own way; nothing of it may be raised out of us."""
    assert Behind(pop_prefix="/bar").status(asked() | {"PATH_INFO": path}) == 400


@pytest.mark.parametrize(
    ("options", "host", "name", "port"),
    [
        pytest.param({"host": "a.example:8443"}, "a.example:8443", "a.example", "8443", id="host"),
        pytest.param({"host": "a.example:80"}, "a.example", "a.example", "80", id="default-port"),
        pytest.param(
            {"host": "a.example:443", "scheme": "https"}, "a.example", "a.example", "443",
            id="default-port-of-https",
        ),
        pytest.param({"host": "[::1]:81"}, "[::1]:81", "::1", "81", id="ipv6"),
        pytest.param({"domain": "a.example"}, "a.example", "a.example", "80", id="domain"),
        pytest.param({"domain": "[::1]"}, "[::1]", "::1", "80", id="ipv6-domain"),
        pytest.param({"port": 8443}, "x.example:8443", "x.example", "8443", id="port"),
        pytest.param({"port": "80"}, "x.example", "x.example", "80", id="port-80"),
        pytest.param(
            {"domain": "a.example", "port": 8080}, "a.example:8080", "a.example", "8080",
            id="domain-and-port",
        ),
    ],
)  # fmt: skip
def test_constants_win_over_fields(options, host, name, port):
    after = Behind(trust_ips=PEER, **options)(asked(HTTP_X_FORWARDED_HOST="x.example"))
    assert (after["HTTP_HOST"], after["SERVER_NAME"], after["SERVER_PORT"]) == (host, name, port)


@pytest.mark.parametrize("bad", ["\r", "\n", "\0", "\x7f", "\xe9", " ", '"'])
@pytest.mark.parametrize(
    ("family", "key", "good"),
    [
        ("x-forwarded", "HTTP_X_FORWARDED_FOR", CLIENT),
        ("x-forwarded", "HTTP_X_FORWARDED_PROTO", "https"),
        ("x-forwarded", "HTTP_X_FORWARDED_HOST", "x.example"),
        ("x-forwarded", "HTTP_X_FORWARDED_PORT", "443"),
        ("x-forwarded", "HTTP_X_FORWARDED_PREFIX", "/p"),
        ("historical", "HTTP_X_FORWARDED_SERVER", "x.example"),
        ("forwarded", "HTTP_FORWARDED", f"for={CLIENT};host=x.example"),
    ],
)
def test_no_value_brings_another_character_in(family, key, good, bad):
    behind = Behind(trust_ips=PEER, family=family)
    for place in range(len(good) + 1):
        environ = asked(**{key: good[:place] + bad + good[place:]})
        if behind.status(environ) == 200:
            after = behind.seen
            facts = ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST", "SERVER_PORT", "SCRIPT_NAME")
            assert bad not in "".join(after[fact] for fact in facts)


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("host", "a\r\nX: y"), ("host", "a b"), ("host", ""), ("host", "a,b"), ("scheme", "ftp"),
        ("scheme", ""), ("port", "80\r\n"), ("port", "x"), ("port", 80), ("for", "1.2.3.4\r\n"),
        ("for", "caf\xe9"), ("for", ["1.2.3.4"]), ("script_name", "m"), ("script_name", "/m\n"),
        ("script_name", "/caf\xe9"), ("target", "x"), ("target", ""), ("target", "/a b"),
        ("traversal_path", "x"), ("traversal_query", "a b"), ("path_info", "\u2603"),
        ("path_info", 5), ("query", "\u2603"), ("host", None), ("host", {}),
    ],
)  # fmt: skip
def test_facts_of_an_envelope_are_checked_too(secret, fact, value):
    assert Behind(secret).status(forged(secret, None)) == 200
    assert Behind(secret).status(forged(secret, None, **{fact: value})) == 403


# -- any change to what is covered -----------------------------------------------------

BODY = b"pay=100&to=bob"
COVERED = {
    "REQUEST_METHOD": "method",
    "HTTP_HOST": "host",
    "QUERY_STRING": "query",
    "HTTP_WSGIPROXY": "envelope",
    "HTTP_X_TRAVERSAL_PATH": "traversal-path",
    "HTTP_X_TRAVERSAL_QUERY_STRING": "traversal-query",
    "HTTP_CONTENT_DIGEST": "content-digest",
    "HTTP_SIGNATURE_INPUT": "signature-input",
    "HTTP_SIGNATURE": "signature",
}


@pytest.fixture(scope="module")
def signed_post(secret: str) -> dict[str, Any]:
    """A signed request with everything that can be covered."""
    environ = front_environ(BODY, PATH_INFO="/pay", QUERY_STRING="a=b", REMOTE_USER="bob")
    return signed_environ(secret, environ, sign_body=True, string_keys="REMOTE_USER")


def with_body(environ: dict[str, Any], body: bytes = BODY) -> dict[str, Any]:
    return front_environ(body) | {**environ, "wsgi.input": front_environ(body)["wsgi.input"]}


def others(text: str) -> list[tuple[int, str]]:
    """*text* with one character changed, left out or put in, at each place in turn."""
    found = []
    for place, char in enumerate(text):
        before, after = text[:place], text[place + 1 :]
        instead = {chr(ord(char) ^ 1), char.swapcase(), "A", "0", '"', "\xe9", "", char * 2, "\n"}
        found += [(place, before + new + after) for new in sorted(instead - {char})]
    return found


@pytest.mark.parametrize("key", COVERED, ids=COVERED.values())
def test_any_change_to_a_covered_byte_is_a_403(secret, signed_post, key):
    behind = Behind(secret)
    assert behind.status(with_body(signed_post)) == 200
    for place, changed in others(signed_post[key]):
        # RFC 9421, 2.2.3: the case of Host is not a difference.
        same = key == "HTTP_HOST" and changed.lower() == signed_post[key].lower()
        status = behind.status(with_body({**signed_post, key: changed}))
        assert status == (200 if same else 403), (place, changed)


@pytest.mark.parametrize("key", COVERED, ids=COVERED.values())
def test_what_is_covered_cannot_be_left_out(secret, signed_post, key):
    environ = with_body({**signed_post, key: ""})
    assert Behind(secret).status(environ) == 403
    if key != "REQUEST_METHOD":  # PEP 3333: always there
        del environ[key]
        assert Behind(secret).status(environ) == 403


def test_any_change_to_a_byte_of_the_body_is_a_403(secret, signed_post):
    behind = Behind(secret)
    for place in range(len(BODY)):
        changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        assert behind.status(with_body(signed_post, changed)) == 403, place
    for changed in (BODY[:-1], BODY + b"!", b"", BODY * 2):
        environ = with_body(signed_post, changed) | {"CONTENT_LENGTH": str(len(changed))}
        assert behind.status(environ) == 403, changed


class Broken:
    """A body whose client has left."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, size: int = -1) -> bytes:
        raise self._error


@pytest.mark.parametrize("error", [OSError("gone"), EOFError(), ValueError("closed"), KeyError(1)])
def test_a_body_that_cannot_be_read_is_a_400(secret, signed_post, error):
    environ = {**signed_post, "wsgi.input": Broken(error)}
    assert Behind(secret).status(environ) == 400
    assert Behind(secret, sign_body=True, unsigned="strip").status(environ) == 400


def test_a_length_that_cuts_the_body_is_a_403(secret, signed_post):
    for length in ("0", "13", ""):
        environ = with_body(signed_post) | {"CONTENT_LENGTH": length}
        assert Behind(secret).status(environ) == 403, length


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/base/pay", 200),
        ("/base/pay/", 200),
        ("//base/pay", 200),
        ("/base//pay/", 403),
        ("/base/x/../pay", 403),
        ("/other/../base/pay", 403),
        ("/base/pay2", 403),
        ("/pay", 403),
        ("/base/PAY", 403),
        ("/base/pay/more", 403),
        ("/", 403),
        ("", 403),
        ("/base/pay\n", 403),
    ],
)
def test_the_path_is_that_of_the_envelope(secret, signed_post, path, status):
    """Servers resolve dots and slashes; the application gets the path that was asked for."""
    behind = Behind(secret)
    assert behind.status(with_body({**signed_post, "PATH_INFO": path})) == status
    if status == 200:
        assert behind.seen["PATH_INFO"] == "/pay"


@pytest.mark.parametrize("more", [{}, {"REQUEST_URI": "/a/x"}, {"RAW_URI": "/a/x"}])
def test_no_raw_target_excuses_another_path(secret, more):
    """What stands before the middleware (a dispatcher, a guard) has gone by PATH_INFO."""
    environ = signed_environ(secret, front_environ(PATH_INFO="/a/x"), href="http://b/")
    assert Behind(secret).status({**environ, **more}) == 200
    for path in ("/b/../a/x", "/b", "/a/./x"):
        assert Behind(secret).status({**environ, **more, "PATH_INFO": path}) == 403


def test_a_signature_is_not_good_for_another_mount(secret, signed_post):
    environ = with_body({**signed_post, "SCRIPT_NAME": "/base", "PATH_INFO": "/pay"})
    assert Behind(secret)(environ)["PATH_INFO"] == "/pay"
    environ = with_body({**signed_post, "SCRIPT_NAME": "/other"})
    assert Behind(secret).status(environ) == 403


@given(st.data())
def test_two_signed_requests_cannot_be_mixed(secret, data):
    """Of two requests no part can be put into the other."""
    one = signed_environ(secret, front_environ(PATH_INFO="/a", QUERY_STRING="x=1"))
    two = signed_environ(
        secret, front_environ(PATH_INFO="/a", QUERY_STRING="x=2", REQUEST_METHOD="PUT")
    )
    parts = ["REQUEST_METHOD", "QUERY_STRING", "HTTP_WSGIPROXY", "HTTP_SIGNATURE"]
    parts = [name for name in [*parts, "HTTP_SIGNATURE_INPUT"] if one[name] != two[name]]
    taken = data.draw(st.sets(st.sampled_from(parts), min_size=1, max_size=len(parts) - 1))
    mixed = {**one, **{name: two[name] for name in taken}}
    assert Behind(secret).status(mixed) == 403


def test_case_and_default_port_of_host_do_not_matter(secret):
    environ = signed_environ(secret, href="http://Backend.example:80/")
    # 443 too: gunicorn takes the scheme from X-Forwarded-Proto, and it is unknown whose
    # default it was.
    for host in ("backend.example", "BACKEND.example:80", "backend.example:443"):
        assert Behind(secret).status({**environ, "HTTP_HOST": host}) == 200
    for host in ("backend.example:8080", "backend.example.", "backend.example:", ""):
        assert Behind(secret).status({**environ, "HTTP_HOST": host}) == 403


def test_another_key_is_a_403(secret, tmp_path):
    stranger = key_file(tmp_path / "secret", new_key("k1"))
    assert Behind(secret).status(signed_environ(stranger)) == 403


# -- with a secret ---------------------------------------------------------------------


def test_what_is_covered_is_believed_and_nothing_else(secret):
    environ = signed_environ(secret) | {
        "HTTP_X_FORWARDED_FOR": "6.6.6.6",
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_FORWARDED_HOST": "evil.example",
        "HTTP_FORWARDED": "for=6.6.6.6;host=evil.example",
        "HTTP_X_REAL_IP": "6.6.6.6",
    }
    after = Behind(secret)(environ)
    assert after["REMOTE_ADDR"] == "203.0.113.9"
    assert (after["HTTP_HOST"], after["wsgi.url_scheme"]) == ("shop.example", "http")
    assert not [key for key in after if key.startswith(("HTTP_X_", "HTTP_FORW", "HTTP_SIG"))]
    assert "HTTP_WSGIPROXY" not in after
    assert after["wsgiproxy.verified"] == "k1"
    assert after["wsgiproxy.traversal_path"] == "/base"
    assert after["wsgiproxy.traversal_query_string"] == "key=1"
    assert after["wsgiproxy.orig"]["REMOTE_ADDR"] == PROXY
    assert after["wsgiproxy.orig"]["PATH_INFO"] == "/base/"


def test_reject_is_the_default(secret):
    environ = asked(HTTP_X_FORWARDED_FOR=CLIENT, REMOTE_USER="server")
    assert Behind(secret).status(environ) == 403
    assert Behind(secret, unsigned="reject").status(environ) == 403


def test_strip_lets_the_unsigned_in_with_nothing(secret):
    fields = dict.fromkeys([key for key in NAMESPACE if key != "HTTP_WSGIPROXY"], "evil")
    behind = Behind(secret, unsigned="strip", accept_keys="REMOTE_USER a.key")
    environ = asked(**fields, REMOTE_USER="server") | {"a.key": "server"}
    after = behind(environ)
    assert not [key for key in after if key in fields]
    assert "wsgiproxy.verified" not in after
    # They stand for what a proxy has verified, so no client may set them.
    assert "REMOTE_USER" not in after
    assert "a.key" not in after
    assert after["wsgiproxy.orig"]["REMOTE_USER"] == "server"


@pytest.mark.parametrize(
    "key", ["HTTP_WSGIPROXY", "HTTP_SIGNATURE", "HTTP_SIGNATURE_INPUT", "HTTP_HOST"]
)
def test_strip_does_not_let_the_badly_signed_in(secret, key):
    environ = signed_environ(secret)
    behind = Behind(secret, unsigned="strip")
    assert behind.status({**environ, key: environ[key] + "x"}) == 403
    assert behind.status({name: environ[name] for name in environ if name != key}) == 403


@pytest.mark.parametrize("kind", ["string_keys", "unicode_keys", "json_keys"])
def test_accepted_keys_are_those_of_the_envelope_or_absent(secret, kind):
    behind = Behind(secret, accept_keys=["REMOTE_USER"])
    front = front_environ(REMOTE_USER="bob")
    environ = signed_environ(secret, front, **{kind: ["REMOTE_USER"]})
    assert behind({**environ, "REMOTE_USER": "server"})["REMOTE_USER"] == "bob"
    environ = signed_environ(secret, front_environ(), **{kind: ["REMOTE_USER"]})
    assert "REMOTE_USER" not in behind({**environ, "REMOTE_USER": "server"})


def test_a_key_that_is_not_accepted_stays_the_servers(secret):
    environ = signed_environ(secret, front_environ(REMOTE_USER="bob"), string_keys="REMOTE_USER")
    assert Behind(secret)({**environ, "REMOTE_USER": "server"})["REMOTE_USER"] == "server"


class Tripwire:
    """Unpickling it shows."""

    fired = False

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return setattr, (Tripwire, "fired", True)


@pytest.mark.parametrize(
    ("options", "status", "fired"),
    [
        pytest.param({"accept_keys": "a.key"}, 403, False, id="accepted-but-not-allowed"),
        pytest.param({"allow_pickle": True}, 200, False, id="allowed-but-not-accepted"),
        pytest.param({"accept_keys": "a.key", "allow_pickle": True}, 200, True, id="both"),
    ],
)
def test_pickle_needs_both(secret, monkeypatch, options, status, fired):
    monkeypatch.setattr(Tripwire, "fired", False)
    front = front_environ() | {"a.key": Tripwire()}
    environ = signed_environ(secret, front, pickle_keys="a.key", allow_pickle=True)
    assert Behind(secret, **options).status(environ) == status
    assert Tripwire.fired is fired


def test_pickle_is_not_opened_before_the_signature_is_verified(secret, monkeypatch):
    monkeypatch.setattr(Tripwire, "fired", False)
    front = front_environ() | {"a.key": Tripwire()}
    environ = signed_environ(secret, front, pickle_keys="a.key", allow_pickle=True)
    behind = Behind(secret, accept_keys="a.key", allow_pickle=True)
    assert behind.status({**environ, "QUERY_STRING": "x"}) == 403
    assert not Tripwire.fired


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!", "gARjb3MKc3lzdGVtCg=="])
def test_a_broken_pickle_is_a_403(secret, text):
    behind = Behind(secret, accept_keys="a", allow_pickle=True)
    assert behind.status(forged(secret, {"pickle": {"a": text}})) == 403


@pytest.mark.parametrize(
    ("age", "options", "status"),
    [
        pytest.param(0, {}, 200, id="now"),
        pytest.param(59, {}, 200, id="59-seconds-old"),
        pytest.param(61, {}, 403, id="61-seconds-old"),
        pytest.param(-4, {}, 200, id="4-seconds-ahead"),
        pytest.param(-6, {}, 403, id="6-seconds-ahead"),
        pytest.param(9, {"max_age": 10}, 200, id="max-age"),
        pytest.param(11, {"max_age": "10"}, 403, id="over-max-age"),
        pytest.param(-29, {"clock_skew": 30}, 200, id="clock-skew"),
        pytest.param(-31, {"clock_skew": "30"}, 403, id="over-clock-skew"),
        pytest.param(10**9, {}, 403, id="thirty-years"),
    ],
)
def test_freshness(secret, monkeypatch, age, options, status):
    environ = signed_environ(secret)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + age)
    assert Behind(secret, **options).status(environ) == status


def test_the_log_has_the_age_of_a_stale_signature(secret, monkeypatch, caplog):
    environ = signed_environ(secret)
    now = int(time.time())
    monkeypatch.setattr(time, "time", lambda: now + 3600)
    assert Behind(secret).status(environ) == 403
    assert "created 3600 seconds ago" in caplog.text or "created 3599 seconds ago" in caplog.text
    assert "clocks" in caplog.text


# -- replay ----------------------------------------------------------------------------


class Store:
    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[tuple[str, float]] = []

    def add(self, key: str, ttl: float) -> Any:
        self.asked.append((key, ttl))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("replay", "second"),
    [
        pytest.param(None, 200, id="window-alone"),
        pytest.param("memory", 403, id="memory"),
        pytest.param(Store(True), 200, id="own-says-new"),
    ],
)
def test_a_replayed_signature_is_refused(secret, replay, second):
    environ = signed_environ(secret)
    behind = Behind(secret, replay=replay)
    assert behind.status(dict(environ)) == 200
    assert behind.status(dict(environ)) == second
    assert behind.status(signed_environ(secret)) == 200


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param(True, 200, id="new"),
        pytest.param(1, 200, id="redis-says-1"),
        pytest.param(False, 403, id="known"),
        pytest.param(None, 403, id="redis-says-none"),
        pytest.param(OSError("connection refused at 10.1.1.1"), 503, id="out-of-order"),
        pytest.param(KeyError("x"), 503, id="whatever-it-raises"),
    ],
)
def test_an_own_store(secret, answer, status):
    store = Store(answer)
    behind = Behind(secret, replay=store)
    environ = signed_environ(secret)
    result = run(behind.middleware, environ)
    assert result.head.status == status
    assert b"10.1.1.1" not in result.whole
    [(key, ttl)] = store.asked
    assert key.startswith("k1:")
    assert key[3:] in environ["HTTP_SIGNATURE_INPUT"]
    # As long as the signature could come again, the sender's clock being ahead.
    assert 60 <= ttl <= 66


def test_the_store_is_called_after_all_other_checks(secret):
    """A request that is refused for another reason uses no nonce up, and fills no store."""
    store = Store(True)
    behind = Behind(secret, replay=store)
    environ = signed_environ(secret)
    assert behind.status({**environ, "QUERY_STRING": "x"}) == 403
    assert behind.status({**environ, "PATH_INFO": "/other"}) == 403
    assert store.asked == []


# -- what is told, and to whom ---------------------------------------------------------


def failures(secret: str) -> dict[str, dict[str, Any]]:
    """Requests that are refused, each for another reason."""
    good = signed_environ(secret)
    signature_input = good["HTTP_SIGNATURE_INPUT"]
    return {
        "unsigned": asked(),
        "changed": {**good, "QUERY_STRING": "x"},
        "elsewhere": {**good, "PATH_INFO": "/other"},
        "stale": {**good, "HTTP_SIGNATURE_INPUT": signature_input.replace("created=1", "created=")},
        "unknown-key": {**good, "HTTP_SIGNATURE_INPUT": signature_input.replace("k1", "k2")},
        "malformed": {**good, "HTTP_SIGNATURE": "wsgiproxy"},
        "envelope": resealed(secret, asked(), "{}"),
        "carried": forged(secret, {"string": {"a": 5}}),
    }


@pytest.mark.parametrize("accept", ["text/html", "application/json", "text/plain"])
def test_every_403_says_the_same(secret, accept):
    middleware = Behind(secret).middleware
    pages = {
        name: run(middleware, {**environ, "HTTP_ACCEPT": accept})
        for name, environ in failures(secret).items()
    }
    assert {page.head.status for page in pages.values()} == {403}
    assert len({page.whole for page in pages.values()}) == 1
    assert len({str(page.head) for page in pages.values()}) == 1
    said = pages["stale"].whole.decode().lower()
    assert "not allowed" in said
    for word in ("sign", "key", "created", "clock", "secret", "wsgiproxy", "nonce"):
        assert word not in said


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that goes as one sets it."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_the_log_says_why(secret, caplog, clock):
    middleware = Behind(secret).middleware
    for environ in failures(secret).values():
        run(middleware, environ)
        clock[0] += 1
    reasons = [record.getMessage() for record in caplog.records]
    assert len(set(reasons)) == len(failures(secret))
    assert all(reason.startswith("refused: 403 BadSignature: ") for reason in reasons)


def test_the_log_knows_a_middleware_that_is_applied_twice(secret, caplog):
    twice = WSGIProxyMiddleware(Behind(secret).middleware, secret)
    assert run(twice, signed_environ(secret)).head.status == 403
    [record] = caplog.records
    assert "verified already: is the middleware applied twice?" in record.getMessage()


def test_the_log_says_it_once_a_second(secret, caplog, clock):
    middleware = Behind(secret).middleware
    for _ in range(50):
        run(middleware, asked())
    assert len(caplog.records) == 1
    clock[0] += 0.99
    run(middleware, asked())
    assert len(caplog.records) == 1
    clock[0] += 0.01
    run(middleware, asked())
    assert len(caplog.records) == 2


def test_no_log_line_shows_the_secret_or_obeys_the_client(secret, caplog, clock):
    middleware = Behind(secret).middleware
    for environ in failures(secret).values():
        environ["REQUEST_METHOD"] = "GET\r\nforged line"
        environ["HTTP_HOST"] = "evil\r\nforged line"
        run(middleware, environ)
        clock[0] += 1
    with open(secret) as file:
        assert file.read().partition(":")[2].strip() not in caplog.text
    assert not any("\n" in record.getMessage() for record in caplog.records)


# -- signatures of others --------------------------------------------------------------

THEIRS = (
    'sig1=("@method" "@authority");created=1618884473;keyid="bot";tag="web-bot-auth"',
    "sig1=:AAAA:",
)
LIKE_OURS = ('wsgiproxy2=("@method");keyid="wsgiproxy"', "wsgiproxy2=:AAAA:")
CAVAGE = 'keyId="https://a.example/users/1#main-key",headers="(request-target) date",signature="x="'


@pytest.mark.parametrize(
    ("sent", "arrived"),
    [
        pytest.param(THEIRS, THEIRS, id="another-label"),
        pytest.param((None, CAVAGE), (None, CAVAGE), id="draft-cavage"),
        pytest.param((f'{THEIRS[0]}, wsgiproxy=("@method");tag="wsgiproxy"', "sig1=:AAAA:"), THEIRS,
                     id="ours-is-forged-beside-it"),
        pytest.param(('x=("@method");tag="wsgiproxy"', "x=:AAAA:"), (None, None), id="our-tag"),
        pytest.param(("wsgiproxy=()", "wsgiproxy=:AAAA:"), (None, None), id="our-label"),
        pytest.param(("Wsgiproxy=(", None), (None, None), id="malformed-and-names-us"),
        pytest.param((THEIRS[0], 'sig1=:AAAA:, x=:AAAA:;tag="wsgiproxy"'), THEIRS,
                     id="our-tag-in-the-other-field"),
        pytest.param(LIKE_OURS, LIKE_OURS, id="our-name-in-a-value"),
        pytest.param(("wsgiproxy garbage", None), ("wsgiproxy garbage", None), id="malformed"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("way", ["no-secret", "trusted", "signed", "unsigned"])
def test_members_of_others_pass_and_ours_do_not(secret, sent, arrived, way):
    fields = ("HTTP_SIGNATURE_INPUT", "HTTP_SIGNATURE")
    said = {key: value for key, value in zip(fields, sent, strict=True) if value}
    if way == "signed":
        # Together with a field that is no dictionary ours could not be read.
        arrived = (None, None) if CAVAGE in sent or "wsgiproxy garbage" in sent else arrived
        after = Behind(secret)(signed_environ(secret, front_environ(**said)))
    elif way == "unsigned":
        behind = Behind(secret, unsigned="strip")
        if arrived != sent:
            assert behind.status(asked(**said)) == 403
            return
        after = behind(asked(**said))
    else:
        after = Behind(trust_ips=PEER if way == "trusted" else None)(asked(**said))
    assert (after.get(fields[0]), after.get(fields[1])) == arrived


# -- everything that is set ------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        pytest.param("a.example\r\n b", 400, id="folded"),
        pytest.param("a.example,b.example", 400, id="two"),
        pytest.param("user@a.example", 400, id="userinfo"),
        pytest.param("a.example:8443", 200, id="with a port"),
        pytest.param("", 200, id="empty"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"trust_ips": PEER}], ids=["nothing", "trust_ips"])
def test_a_host_that_is_none_is_refused(options, host, status):
    """wsgiref and Paste hand over the line end of a folded field."""
    assert Behind(**options).status(asked() | {"HTTP_HOST": host}) == status


@pytest.mark.parametrize(
    ("host", "status"),
    [("a.example", 200), ("A.example:8443", 200), ("b.a.example", 400), ("x.w.example", 200),
     ("w.example", 400), ("evil.example", 400), (None, 400)],
)  # fmt: skip
def test_allowed_hosts(secret, host, status):
    options = {"allowed_hosts": ["a.example", ".w.example"]}
    environ = asked() | {"HTTP_HOST": host}
    if host is None:
        del environ["HTTP_HOST"]
    assert Behind(**options).status(environ) == status
    if host is not None:
        told = asked(HTTP_X_FORWARDED_HOST=host)
        assert Behind(trust_ips=PEER, **options).status(told) == status
        environ = signed_environ(secret, front_environ() | {"HTTP_HOST": host})
        assert Behind(secret, **options).status(environ) == status
        assert Behind(domain=host.partition(":")[0], **options).status(asked()) == status


NEED_SECRET = [
    "accept_keys", "unsigned", "max_age", "clock_skew", "replay", "allow_pickle", "sign_body",
]  # fmt: skip
SET = [
    pytest.param({"trust_ips": "10.0.0.300"}, "trust_ips='10.0.0.300': expected an", id="ip"),
    pytest.param({"trust_ips": 5}, "trust_ips=5: expected addresses", id="ip-type"),
    pytest.param({"trust_ip": "::1"}, "trust_ip='::1'.*did you mean trust_ips", id="unknown-name"),
    pytest.param({"prefix": "app"}, "prefix='app': expected a path", id="prefix"),
    pytest.param({"prefix": "/a/../b"}, "prefix=.*: expected a path", id="prefix-dots"),
    pytest.param({"pop_prefix": "//a"}, "pop_prefix='//a': expected a path", id="pop-prefix"),
    pytest.param({"prefix": "/a", "pop_prefix": "/b"}, "pop_prefix='/b': expected no pre", id="pp"),
    pytest.param({"scheme": "ftp"}, "scheme='ftp': expected http or https", id="scheme"),
    pytest.param({"host": "a.example"}, "host='a.example': expected host:port", id="host"),
    pytest.param({"host": "a:b"}, "host='a:b': expected host:port", id="host-port"),
    pytest.param({"host": "a:1", "port": 2}, "port=2: expected no host", id="host-and-port"),
    pytest.param({"host": "a:1", "domain": "b"}, "domain='b': expected no host", id="hosts"),
    pytest.param({"domain": "a:80"}, "domain='a:80': expected a host without port", id="domain"),
    pytest.param({"domain": "::1"}, "domain='::1': expected a host", id="ipv6-without-brackets"),
    pytest.param({"domain": ""}, "domain='': expected a host without port", id="domain-empty"),
    pytest.param({"port": 0}, "port=0: expected a port number", id="port-0"),
    pytest.param({"port": 65536}, "port=65536: expected a port number", id="port-too-large"),
    pytest.param({"port": "http"}, "port='http': expected a port number", id="port-name"),
    pytest.param({"secret_file": ""}, "secret_file='': expected the path of a file", id="secret"),
    pytest.param({"secret_file": "/nowhere"}, "secret_file='/nowhere': cannot be", id="missing"),
    pytest.param({"family": "forwarded"}, "family='forwarded': expected trust", id="family-alone"),
    pytest.param({"trust_ips": "::1", "family": "rfc7239"}, "family='rfc7239': expected", id="fam"),
    pytest.param({"trust_ips": "::1", "family": "forwarded", "x_for": 1},
                 "x_for=1: expected no family", id="family-and-counts"),
    pytest.param({"x_for": -1}, "x_for=-1: expected a whole number", id="count"),
    pytest.param({"x_proto": True}, "x_proto=True: expected a whole number", id="count-boolean"),
    pytest.param({"allowed_hosts": "a/b"}, "allowed_hosts='a/b': expected host", id="allowed"),
    *[pytest.param({name: value}, f"{name}=.*: expected secret_file", id=f"{name}-alone")
      for name, value in [
          ("accept_keys", "REMOTE_USER"), ("unsigned", "strip"), ("max_age", 5), ("clock_skew", 0),
          ("replay", "memory"), ("allow_pickle", True), ("sign_body", True)]],
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), SET)
def test_a_bad_setting_is_named_with_its_value_and_what_was_expected(options, message):
    with pytest.raises(ConfigurationError, match=message):
        Behind(**options)


@pytest.mark.parametrize(
    "options",
    [{row.name: row.default} for row in MIDDLEWARE if row.name in NEED_SECRET],
    ids=lambda options: next(iter(options)),
)
def test_what_changes_nothing_needs_no_secret(options):
    """Settings that a program passes through, with their defaults."""
    assert Behind(**options).status(asked()) == 200


@pytest.mark.parametrize(
    ("options", "good"),
    [
        ({"max_age": 5}, True),
        ({"clock_skew": 0}, True),
        ({"replay": "memory"}, True),
        ({"accept_keys": "a"}, False),
        ({"unsigned": "strip"}, False),
        ({"sign_body": True}, False),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_checked_for_the_doctor_is_set_beside_its_file(secret, options, good):
    if good:
        assert Behind(doctor_file=secret, **options).status(asked()) == 200
    else:
        with pytest.raises(ConfigurationError, match="expected secret_file beside it"):
            Behind(doctor_file=secret, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"trust_ips": "::1"}, "trust_ips='::1': expected no secret_file", id="trust"),
        pytest.param({"family": "forwarded"}, "family=.*expected no secret_file", id="family"),
        pytest.param({"x_for": 1}, "x_for=1: expected no secret_file", id="counts"),
        pytest.param({"accept_keys": "wsgi.input"}, "accept_keys=.*expected environ", id="keys"),
        pytest.param({"unsigned": "ignore"}, "unsigned='ignore': expected reject", id="unsigned"),
        pytest.param({"max_age": 0}, "max_age=0: expected a number of seconds", id="max-age"),
        pytest.param({"clock_skew": "x"}, "clock_skew='x': expected a number", id="clock-skew"),
        pytest.param({"replay": "redis"}, "replay='redis': expected 'memory'", id="replay"),
        pytest.param({"replay": {}}, "replay={}: expected 'memory'", id="replay-without-add"),
        pytest.param({"allow_pickle": "maybe"}, "allow_pickle='maybe': expected true", id="pickle"),
    ],
)  # fmt: skip
def test_a_bad_setting_beside_a_secret(secret, options, message):
    with pytest.raises(ConfigurationError, match=message):
        Behind(secret, **options)


def test_the_callers_environ_is_not_changed(secret, signed_post):
    requests = [
        (Behind(secret, accept_keys="REMOTE_USER"), signed_environ(secret)),
        (Behind(secret), with_body(signed_post)),
        (Behind(trust_ips=PEER), asked(HTTP_X_FORWARDED_FOR=CLIENT, HTTP_X_FORWARDED_PREFIX="/p")),
        (Behind(pop_prefix="/a", scheme="https", host="a:1"), asked() | {"PATH_INFO": "/a/b"}),
        (Behind(), asked(HTTP_WSGIPROXY="x")),
    ]
    for behind, environ in requests:
        before = dict(environ)
        after = behind(environ)
        assert environ == before
        assert after is not environ


@pytest.mark.parametrize("check", [validator, lint.middleware], ids=["wsgiref", "webtest"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("way", ["signed", "refused", "trusted", "no-trust", "not-found"])
def test_it_obeys_pep_3333_on_both_sides(secret, check, method, way):
    def application(environ, start_response):
        block = environ["wsgi.input"].read(100)
        body = b"" if method == "HEAD" else b"hello" + block
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        start_response("200 OK", headers)
        return [body]

    options = {
        "signed": {"secret_file": secret},
        "refused": {"secret_file": secret},
        "trusted": {"trust_ips": PROXY},
        "no-trust": {"scheme": "https"},
        "not-found": {"pop_prefix": "/elsewhere"},
    }[way]
    app = check(WSGIProxyMiddleware(check(application), **options))
    body = BODY if method == "POST" else b""
    front = front_environ(body, CONTENT_TYPE="text/plain", REQUEST_METHOD=method)
    environ = signed_environ(secret, front, href="http://10.0.0.1:8001", sign_body=True)
    if not environ["CONTENT_LENGTH"]:
        del environ["CONTENT_LENGTH"]  # wsgiref has it empty, which its own validator refuses
    if way == "refused":
        environ["QUERY_STRING"] = "x"
    expected = {"refused": 403, "not-found": 404}.get(way, 200)
    assert run(app, environ).head.status == expected


# -- Werkzeug --------------------------------------------------------------------------

a_name = st.sampled_from(["a.example", "b.example:8080", "c.example:443", "d", "[::1]:81"])
an_address = st.ip_addresses().filter(lambda ip: not getattr(ip, "ipv4_mapped", None)).map(str)
a_port = st.integers(1, 65535).map(str) | st.sampled_from(["80", "443"])
a_prefix = st.sampled_from(["/a", "/a/b", "/c-d_e.f~"])
SAID = {
    "FOR": an_address,
    "PROTO": st.sampled_from(["http", "https"]),
    "HOST": a_name,
    "PORT": a_port,
    "PREFIX": a_prefix,
}
said = st.fixed_dictionaries(
    {},
    optional={
        f"HTTP_X_FORWARDED_{name}": st.lists(values, min_size=1, max_size=3).map(", ".join)
        for name, values in SAID.items()
    },
)
counts = st.fixed_dictionaries(
    {}, optional={f"x_{name.lower()}": st.integers(0, 3) for name in SAID}
).filter(bool)


@given(fields=said, counts=counts, host=a_name)
def test_counts_mean_what_they_mean_to_proxyfix(fields, counts, host):
    """Address, URL and mount are the same as behind Werkzeug's ProxyFix."""
    seen: list[tuple[object, ...]] = []

    def application(environ, start_response):
        request = Request(environ)
        seen.append((request.remote_addr, request.url, request.script_root, request.scheme))
        start_response("200 OK", [])
        return []

    environ = asked(**fields) | {"HTTP_HOST": host, "PATH_INFO": "/x"}
    run(ProxyFix(application, **counts), dict(environ))
    run(WSGIProxyMiddleware(application, **counts), environ)
    assert seen[0] == seen[1]


def test_counts_can_be_held_to_known_peers():
    environ = asked(HTTP_X_FORWARDED_FOR=CLIENT)
    assert Behind(x_for=1)(environ)["REMOTE_ADDR"] == CLIENT
    assert Behind(x_for=1, trust_ips=PEER)(environ)["REMOTE_ADDR"] == CLIENT
    assert Behind(x_for=1, trust_ips="10.9.9.9")(environ)["REMOTE_ADDR"] == PEER


@pytest.mark.parametrize("empty", ["", [], (), " , "], ids=repr)
@pytest.mark.parametrize("counts", [{"x_for": 1}, {"x_for": 1, "x_host": 1}, {}])
def test_an_empty_trust_ips_trusts_no_peer(empty, counts):
    """As a deployment has it that fills the list from a variable, which is empty."""
    environ = asked(HTTP_X_FORWARDED_FOR=CLIENT, HTTP_X_FORWARDED_HOST="x.example")
    after = Behind(trust_ips=empty, **counts)(environ)
    assert (after["REMOTE_ADDR"], after["HTTP_HOST"]) == (PEER, "backend.example")
    assert "HTTP_X_FORWARDED_FOR" not in after


# -- any request at all ----------------------------------------------------------------

PIECE = st.sampled_from(
    ["a.example", "10.0.0.3", "::1", "[", "]", ":", ",", ";", "=", '"', "\\", "/", "..", "%2e", "%",
     "for=", "host=", "proto=https", "80", "99999", " ", "\r\n", "\0", "\xe9", "\u0660", "_", "-"]
)  # fmt: skip
anything = st.lists(PIECE, max_size=6).map("".join) | st.text(max_size=10)
requests = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ["HTTP_HOST", "PATH_INFO", "SCRIPT_NAME", "QUERY_STRING", "REQUEST_URI", "REMOTE_ADDR",
         "CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "HTTP_SIGNATURE", "HTTP_SIGNATURE_INPUT",
         "HTTP_X_SCRIPT_NAME", *NAMESPACE[:8]],
        anything,
    ),
)  # fmt: skip
WAYS = [
    pytest.param({}, id="no-trust"),
    pytest.param({"trust_ips": "*"}, id="all"),
    pytest.param({"trust_ips": "*", "family": "historical"}, id="historical"),
    pytest.param({"trust_ips": "*", "family": "forwarded"}, id="forwarded"),
    pytest.param({"trust_ips": "10.0.0.0/8 ::/0 unix"}, id="networks"),
    pytest.param({"x_for": 1, "x_host": 2, "x_port": 1, "x_prefix": 1}, id="counts"),
    pytest.param({"unsigned": "strip", "sign_body": True}, id="strip"),
]


CONSTANTS: list[dict[str, Any]] = [
    {},
    {"allowed_hosts": "a.example"},
    {"port": 8443, "pop_prefix": "/a"},
    {"host": "b.example:1", "scheme": "https"},
    {"domain": "b.example"},
]


@pytest.mark.parametrize("options", WAYS)
@given(fields=requests, more=st.sampled_from(CONSTANTS))
def test_any_environ_is_served_or_refused(secret, options, fields, more):
    """No request raises, and no environ that passes has a field of the namespace."""
    arguments = [secret] if "unsigned" in options else []
    behind = Behind(*arguments, **options, **more)
    assert behind.status({**asked(), **fields}) in (200, 400, 403, 404)
    assert not behind.seen or not [key for key in behind.seen if key in NAMESPACE]
