"""Rules about what is announced of the original request, and to whom we listen."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rounds import together
from wsgiproxy.errors import BadRequest, ConfigurationError, LoopDetected
from wsgiproxy.sansio.environ.restore import by_family
from wsgiproxy.sansio.fields.forwarded import (
    Public,
    announce,
    believe,
    client_address,
    direct,
    forwarded_element,
    nearest_untrusted,
    node_address,
    public,
    trust,
)
from wsgiproxy.sansio.fields.host import is_host
from wsgiproxy.sansio.fields.names import environ_key, values
from wsgiproxy.sansio.fields.via import with_via
from wsgiproxy.sansio.h1 import Limits, request_head
from wsgiproxy.sansio.message import Headers, Inbound, Request


def inbound(headers: Headers | None = None, **changes: Any) -> Inbound:
    """A request for ``http://public.example/m/x`` from 192.0.2.1."""
    plain = Inbound(
        method="GET",
        scheme="http",
        host="public.example",
        server_name="front.example",
        server_port=8080,
        script_name="/m",
        path="/x",
        query="",
        headers=headers or [],
        peer="192.0.2.1",
        peer_port="",
        protocol="1.1",
        content_length=None,
        chunked=False,
    )
    return plain._replace(**changes)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        pytest.param("192.0.2.1", "192.0.2.1", id="ipv4"),
        pytest.param("2001:DB8::0:1", "2001:db8::1", id="ipv6-in-its-usual-form"),
        pytest.param("::ffff:192.0.2.1", "192.0.2.1", id="ipv4-mapped"),
        pytest.param("fe80::1%eth0", "fe80::1", id="zone"),
        pytest.param("", "", id="empty"),
        pytest.param("unix:", "", id="unix"),
        pytest.param("/run/s", "", id="path"),
        pytest.param("localhost", "", id="name"),
        pytest.param("192.0.2.1:80", "", id="with-port"),
        pytest.param("192.0.2.1, 10.0.0.1", "", id="list"),
        pytest.param("192.0.2.1\r\nX: y", "", id="line-break"),
    ],
)
def test_client_address(peer: str, address: str) -> None:
    assert client_address(peer) == address


@together
@pytest.mark.parametrize(
    ("trusted", "peer", "answer"),
    [
        pytest.param([], "127.0.0.1", False, id="nobody-by-default"),
        pytest.param([], "", False, id="nobody-by-default-unix"),
        pytest.param(["10.0.0.1"], "10.0.0.1", True, id="address"),
        pytest.param(["10.0.0.1"], "10.0.0.2", False, id="another-address"),
        pytest.param(["10.0.0.0/8"], "10.1.2.3", True, id="network"),
        pytest.param(["10.0.0.0/8"], "11.0.0.1", False, id="outside-of-the-network"),
        pytest.param(["10.0.0.0/8"], "::ffff:10.1.2.3", True, id="ipv4-mapped"),
        pytest.param(["::ffff:10.0.0.1"], "10.0.0.1", True, id="entry-ipv4-mapped"),
        pytest.param(["::ffff:10.0.0.1"], "::ffff:10.0.0.1", True, id="both-ipv4-mapped"),
        pytest.param(["::ffff:10.0.0.0/104"], "10.1.2.3", True, id="network-ipv4-mapped"),
        pytest.param(["::ffff:10.0.0.0/104"], "11.0.0.1", False, id="outside-of-a-mapped-network"),
        pytest.param(["::ffff:0:0/96"], "10.1.2.3", True, id="all-that-is-ipv4-mapped"),
        pytest.param(["::/80"], "10.1.2.3", False, id="wider-than-what-is-mapped"),
        pytest.param(["::1"], "::1", True, id="ipv6"),
        pytest.param(["::/0"], "10.0.0.1", False, id="families-are-not-mixed"),
        pytest.param(["0.0.0.0/0"], "::1", False, id="families-are-not-mixed-either"),
        pytest.param(["0.0.0.0/0"], "", False, id="no-address-is-in-no-network"),
        pytest.param(["0.0.0.0/0"], "evil", False, id="a-name-is-in-no-network"),
        pytest.param(["unix"], "", True, id="unix"),
        pytest.param(["unix"], "10.0.0.1", False, id="unix-alone-trusts-no-address"),
        pytest.param(["10.0.0.1", "unix"], "", True, id="unix-among-others"),
        pytest.param(["192.0.2.1", "10.0.0.0/8"], "10.0.0.9", True, id="several"),
    ],
)
def test_trust(trusted: list[str], peer: str, answer: bool) -> None:
    assert trust(trusted)(peer) is answer


@pytest.mark.parametrize(
    "entry", ["", "*", "10.0.0.1/8", "10.0.0.0/33", "localhost", "UNIX", "a b"]
)
def test_trust_refuses(entry: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        trust(["10.0.0.1", entry])
    assert repr(entry) in str(caught.value)


def test_everybody_is_trusted_only_where_that_is_meant() -> None:
    """M3: ``*`` stands alone, and only in a setting that allows it."""
    everybody = trust(["*"], any_peer=True)
    assert [everybody(peer) for peer in ("192.0.2.1", "::1", "", "unix:")] == [True] * 4
    with pytest.raises(ConfigurationError, match=r"trust_ips='\*'"):
        trust(["*", "10.0.0.1"], "trust_ips", any_peer=True)


@together
@pytest.mark.parametrize(
    ("node", "address"),
    [
        pytest.param("192.0.2.1", "192.0.2.1", id="ipv4"),
        pytest.param("192.0.2.1:4711", "192.0.2.1", id="ipv4-and-port"),
        pytest.param("2001:DB8::1", "2001:db8::1", id="ipv6-as-x-forwarded-for-writes-it"),
        pytest.param("[2001:db8::1]", "2001:db8::1", id="ipv6-in-brackets"),
        pytest.param("[2001:db8::1]:80", "2001:db8::1", id="ipv6-in-brackets-and-port"),
        pytest.param("::ffff:192.0.2.1", "192.0.2.1", id="ipv4-mapped"),
        pytest.param("[::ffff:192.0.2.1]:1", "192.0.2.1", id="ipv4-mapped-in-brackets"),
        pytest.param("unknown", "", id="unknown"),
        pytest.param("_hidden", "", id="obfuscated"),
        pytest.param("", "", id="nothing"),
        pytest.param("localhost", "", id="name"),
        pytest.param('"192.0.2.1"', "", id="quotes"),
        pytest.param("192.0.2.1 ", "", id="space"),
        pytest.param("192.0.2.1:", "", id="colon-alone"),
        pytest.param("192.0.2.1:999999", "", id="port-too-long"),
        pytest.param("192.0.2.256", "", id="octet-too-large"),
        pytest.param("1.2.3", "", id="three-octets"),
        pytest.param("[2001:db8::1", "", id="bracket-open"),
        pytest.param("[192.0.2.1]x", "", id="something-behind-the-bracket"),
        pytest.param("fe80::1%eth0", "", id="zone"),
        pytest.param("192.0.2.1\n", "", id="line-end"),
        pytest.param("\u0661.2.3.4", "", id="other-digits"),
    ],
)
def test_node_address(node: str, address: str) -> None:
    assert node_address(node) == address


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        pytest.param([], "", id="nobody"),
        pytest.param(["192.0.2.1"], "192.0.2.1", id="one"),
        pytest.param(["6.6.6.6", "192.0.2.1"], "192.0.2.1", id="what-the-client-wrote"),
        pytest.param(["6.6.6.6", "192.0.2.1", "10.0.0.2"], "192.0.2.1", id="through-one-of-ours"),
        pytest.param(["10.0.0.1", "10.0.0.2"], "10.0.0.1", id="ours-alone-the-leftmost"),
        pytest.param(["192.0.2.1", "?"], "", id="no-address-nearest-to-us"),
        pytest.param(["192.0.2.1", "?", "10.0.0.2"], "", id="no-address-behind-ours"),
        pytest.param(["192.0.2.1", "", "10.0.0.2"], "", id="empty-behind-ours"),
        pytest.param(["?", "192.0.2.1"], "192.0.2.1", id="no-address-where-nobody-looks"),
        pytest.param([" 192.0.2.1\t", " 10.0.0.2"], "192.0.2.1", id="spaces-around"),
        pytest.param(["192.0.2.1"] + ["10.0.0.2"] * 63, "192.0.2.1", id="64-hops"),
        pytest.param(["192.0.2.1"] + ["10.0.0.2"] * 64, "10.0.0.2", id="the-65th-hop-is-not-seen"),
    ],
)
def test_nearest_untrusted(chain: list[str], address: str) -> None:
    """From the right, over our own proxies, at most 64 of them."""
    assert nearest_untrusted(chain, trust(["10.0.0.0/8"])) == address


FORGED = [
    ("X-Forwarded-For", "6.6.6.6"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Port", "666"),
    ("X-Forwarded-Prefix", "/evil"),
    ("Forwarded", "for=6.6.6.6;host=evil.example"),
]


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        pytest.param({}, Public("http", "h", "80", "", "", "", "8080"), id="nothing-more"),
        pytest.param(
            {"scheme": "https"}, Public("https", "h", "443", "", "", "", "8080"), id="tls"
        ),
        pytest.param(
            {"host": "h:81"}, Public("http", "h:81", "81", "", "", "", "8080"), id="port-of-host"
        ),
        pytest.param(
            {"host": "[::1]:81"}, Public("http", "[::1]:81", "81", "", "", "", "8080"), id="ipv6"
        ),
        pytest.param(
            {"peer": "::1"}, Public("http", "h", "80", "", "::1", "::1", "8080"), id="peer"
        ),
        pytest.param(
            {"peer": "::ffff:192.0.2.1"},
            Public("http", "h", "80", "", "192.0.2.1", "::ffff:192.0.2.1", "8080"),
            id="the-client-as-the-server-said-it",
        ),
        pytest.param(
            {"peer": "unix:"}, Public("http", "h", "80", "", "", "unix:", "8080"), id="unix"
        ),
        pytest.param(
            {"script_name": "/m%2F"}, Public("http", "h", "80", "/m%2F", "", "", "8080"), id="mount"
        ),
    ],
)
def test_direct(changes: dict[str, Any], known: Public) -> None:
    """Nothing that the client wrote is in it but Host; the port is where it arrived."""
    facts = {"scheme": "http", "host": "h", "script_name": "", "peer": "", "server_port": 8080}
    assert direct(**{**facts, **changes}) == known


def nobody(address: str) -> bool:
    """We are the trusted peer's neighbour, and know no proxy behind it."""
    return False


PLAIN = Public("http", "public.example", "80", "/m", "192.0.2.1", "192.0.2.1", "80")


@together
@pytest.mark.parametrize(
    ("headers", "known"),
    [
        pytest.param([], PLAIN, id="nothing-said"),
        pytest.param(
            FORGED,
            Public(
                "https",
                "evil.example:666",
                "666",
                "/evil/m",
                "6.6.6.6, 192.0.2.1",
                client="6.6.6.6",
                server_port="666",
            ),
            id="all-said",
        ),
        pytest.param(
            [("X-Forwarded-Proto", "HTTPS")],
            PLAIN._replace(scheme="https", port="443", server_port="443"),
            id="scheme-in-any-case",
        ),
        pytest.param([("X-Forwarded-Proto", "ftp")], PLAIN, id="no-scheme-of-ours"),
        pytest.param([("X-Forwarded-Proto", "")], PLAIN, id="empty-scheme"),
        pytest.param(
            [("X-Forwarded-Host", "a, b")], PLAIN._replace(host="b"), id="nearest-of-a-list"
        ),
        pytest.param(
            [("X-Forwarded-Host", "a"), ("X-Forwarded-Host", "b")],
            PLAIN._replace(host="b"),
            id="nearest-of-two-lines",
        ),
        pytest.param([("X-Forwarded-Host", "a b")], PLAIN, id="no-host"),
        pytest.param([("X-Forwarded-Host", "")], PLAIN, id="empty-host"),
        pytest.param(
            [("X-Forwarded-Host", "a:81")],
            PLAIN._replace(host="a:81", port="81", server_port="81"),
            id="port-of-host",
        ),
        pytest.param(
            [("X-Forwarded-Host", "a:81"), ("X-Forwarded-Port", "82")],
            PLAIN._replace(host="a:82", port="82", server_port="82"),
            id="port-said",
        ),
        pytest.param(
            [
                ("X-Forwarded-Host", "shop.example"),
                ("X-Forwarded-Port", "8443"),
                ("X-Forwarded-Proto", "https"),
            ],
            PLAIN._replace(
                scheme="https", host="shop.example:8443", port="8443", server_port="8443"
            ),
            id="host-and-port-in-two-fields",
        ),
        pytest.param(
            [("X-Forwarded-Port", "443"), ("X-Forwarded-Proto", "https")],
            PLAIN._replace(scheme="https", port="443", server_port="443"),
            id="the-default-port-is-not-written",
        ),
        pytest.param(
            [("X-Forwarded-Host", "[::1]:81"), ("X-Forwarded-Port", "80")],
            PLAIN._replace(host="[::1]"),
            id="the-default-port-replaces-another",
        ),
        pytest.param([("X-Forwarded-Port", "65536")], PLAIN, id="port-too-high"),
        pytest.param([("X-Forwarded-Port", "0")], PLAIN, id="port-0"),
        pytest.param(
            [("X-Forwarded-Port", "00081")],
            PLAIN._replace(host="public.example:81", port="81", server_port="81"),
            id="port-behind-zeros",
        ),
        pytest.param([("X-Forwarded-Port", "-1")], PLAIN, id="port-negative"),
        pytest.param([("X-Forwarded-Port", "\xb2")], PLAIN, id="port-in-other-digits"),
        pytest.param([("X-Forwarded-Port", "9" * 5000)], PLAIN, id="port-endless"),
        pytest.param([("X-Forwarded-Port", "065535999")], PLAIN, id="port-too-high-behind-a-zero"),
        pytest.param(
            [("X-Forwarded-Prefix", "/a/b/")], PLAIN._replace(prefix="/a/b/m"), id="prefix"
        ),
        pytest.param([("X-Forwarded-Prefix", "//evil")], PLAIN, id="prefix-with-authority"),
        pytest.param([("X-Forwarded-Prefix", "a")], PLAIN, id="prefix-without-slash"),
        pytest.param([("X-Forwarded-Prefix", "/\\evil")], PLAIN, id="prefix-with-backslash"),
        pytest.param([("X-Forwarded-Prefix", "/")], PLAIN, id="prefix-of-the-root"),
        pytest.param([("X-Forwarded-Prefix", "/a\r\nX: y")], PLAIN, id="prefix-with-line-break"),
        pytest.param([("X-Forwarded-Prefix", "/a/../b")], PLAIN, id="prefix-with-dots"),
        pytest.param([("X-Forwarded-Prefix", "/%2e%2e")], PLAIN, id="prefix-with-escaped-dots"),
        pytest.param([("X-Forwarded-Prefix", "/%2Fevil")], PLAIN, id="escaped-authority"),
        pytest.param([("X-Forwarded-Prefix", "/%0d%0aX:y")], PLAIN, id="escaped-line-break"),
        pytest.param(
            [("X-Forwarded-For", "a"), ("x-forwarded-for", "b, c")],
            PLAIN._replace(chain="a, b, c, 192.0.2.1"),
            id="chain-is-appended-to",
        ),
        pytest.param(
            [("X-Forwarded-For", "6.6.6.6, 192.0.2.7")],
            PLAIN._replace(chain="6.6.6.6, 192.0.2.7, 192.0.2.1", client="192.0.2.7"),
            id="the-client-is-the-first-untrusted-from-the-right",
        ),
        pytest.param(
            [("X-Forwarded-For", "192.0.2.7, 10.0.0.9")],
            PLAIN._replace(chain="192.0.2.7, 10.0.0.9, 192.0.2.1", client="192.0.2.7"),
            id="behind-another-proxy-of-ours",
        ),
        pytest.param(
            [("X-Forwarded-For", "192.0.2.7, ?")],
            PLAIN._replace(chain="192.0.2.7, ?, 192.0.2.1"),
            id="what-is-no-address-leaves-the-peer",
        ),
        pytest.param([("X-Forwarded-For", "")], PLAIN, id="empty-chain"),
    ],
)
def test_public_of_a_trusted_peer(headers: Headers, known: Public) -> None:
    assert public(inbound(headers), trust(["10.0.0.0/8"])) == known


@given(
    st.sampled_from(["shop.example", "shop.example:81", "[::1]", "[::1]:443", "a:"]),
    st.sampled_from(["", "80", "81", "443", "8443", "0", "x"]),
    st.sampled_from(["", "http", "https"]),
)
def test_both_ends_read_one_address_out_of_host_port_and_scheme(
    host: str, port: str, scheme: str
) -> None:
    """What is announced again is what a receiver of the same fields believes."""
    names = {"Host": host, "Port": port, "Proto": scheme}
    headers = [(f"X-Forwarded-{name}", value) for name, value in names.items()]
    known = public(inbound(headers), nobody)
    environ = {environ_key(name): value for name, value in headers}
    environ |= {"HTTP_HOST": "public.example", "wsgi.url_scheme": "http"}
    believed = environ | by_family(believe(environ, "x-forwarded", nobody), environ)
    assert (known.scheme, known.host) == (believed["wsgi.url_scheme"], believed["HTTP_HOST"])


def test_chain_of_a_trusted_unix_peer() -> None:
    """The socket itself has no address to append."""
    headers = [("X-Forwarded-For", "192.0.2.7")]
    assert public(inbound(headers, peer=""), nobody).chain == "192.0.2.7"
    assert public(inbound(peer=""), nobody).chain == ""


def test_announce() -> None:
    known = Public("https", "h:81", "81", "/a/m", "192.0.2.1")
    assert list(announce(known, "/m")) == [
        ("X-Forwarded-Host", "h:81"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Port", "81"),
        ("X-Forwarded-Server", "h:81"),
        ("X-Forwarded-Scheme", "https"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-Prefix", "/a/m"),
        ("X-Forwarded-Script-Name", "/m"),
    ]


def test_announce_leaves_out_what_is_unknown() -> None:
    """No field rather than an empty one."""
    names = [name for name, _ in announce(Public("http", "h", "80", "", ""), "")]
    assert names == [
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Server",
        "X-Forwarded-Scheme",
    ]


# RFC 7239, sections 4 and 6: a node is an address, "unknown" or an obfuscated one.
_NODE = r'(?:[0-9.]+|"[0-9.]+(?::[0-9]{1,5})?"|"\[[0-9a-f:.]+\](?::[0-9]{1,5})?"|unknown|_[\w.-]+)'
_ELEMENT = re.compile(rf'for={_NODE};host="[A-Za-z0-9._~:\[\]-]+";proto=https?')


@pytest.mark.parametrize(
    ("chain", "node"),
    [
        pytest.param("192.0.2.1", "192.0.2.1", id="ipv4"),
        pytest.param("2001:db8::1", '"[2001:db8::1]"', id="ipv6-quoted-and-in-brackets"),
        pytest.param("6.6.6.6, 192.0.2.1", "192.0.2.1", id="the-nearest"),
        pytest.param("", "unknown", id="nobody"),
    ],
)
def test_forwarded_element(chain: str, node: str) -> None:
    element = forwarded_element(Public("https", "h:81", "81", "/m", chain))
    assert element == f'for={node};host="h:81";proto=https'
    assert _ELEMENT.fullmatch(element)


@pytest.mark.parametrize(
    "chain",
    [
        pytest.param('x";host="evil.example', id="quote"),
        pytest.param("x;host=evil.example", id="semicolon"),
        pytest.param("[2001:db8::1]", id="brackets-already"),
        pytest.param("[2001:db8::1]:4711", id="brackets-and-port"),
        pytest.param("192.0.2.1:4711", id="port"),
        pytest.param("a b", id="space"),
        pytest.param("a,", id="nothing-behind-the-last-comma"),
    ],
)
def test_forwarded_element_of_what_a_trusted_unix_peer_says(chain: str) -> None:
    """The last of the chain may be any text then; the element stays one element."""
    known = public(inbound([("X-Forwarded-For", chain)], peer=""), nobody)
    assert _ELEMENT.fullmatch(forwarded_element(known))


@pytest.mark.parametrize(
    ("headers", "left", "value"),
    [
        pytest.param([("A", "1")], [("A", "1")], "1.1 me", id="first"),
        pytest.param(
            [("Via", "1.0 a"), ("A", "1"), ("Via", "2 b (c)")],
            [("A", "1")],
            "1.0 a, 2 b (c), 1.1 me",
            id="appended",
        ),
        pytest.param([("Via", "1.1 meme")], [], "1.1 meme, 1.1 me", id="another-name"),
        pytest.param([("Via", "")], [], ", 1.1 me", id="empty"),
    ],
)
def test_via(headers: Headers, left: Headers, value: str) -> None:
    assert with_via(headers, "1.1", "me") == [*left, ("Via", value)]


@pytest.mark.parametrize("value", ["1.1 me", "1.0 a, 1.1 me", "1.1 me,1.1 b", "1.1 me (x)"])
def test_via_ends_a_loop(value: str) -> None:
    with pytest.raises(LoopDetected):
        with_via([("A", "1"), ("Via", value)], "1.1", "me")


hosts = st.from_regex(r"[A-Za-z0-9._~-]{1,9}(:[0-9]{0,4})?|\[[0-9a-f:.]{2,9}\]", fullmatch=True)
paths = st.from_regex(r"(/[!-~]{0,5}){0,3}", fullmatch=True)
schemes = st.sampled_from(["http", "https"])
peers = st.text(max_size=9) | st.ip_addresses().map(str)


def head_of(fields: Headers) -> bytes:
    return request_head(Request("GET", "/", [("Host", "a"), *fields]), Limits())


@given(schemes, hosts, paths, peers)
def test_what_we_announce_can_always_be_sent(scheme, host, mount, peer) -> None:
    """Whatever the address of the request, its announcement is a well-formed head."""
    assert is_host(host)
    known = direct(scheme, host, mount, peer, 80)
    fields = [*announce(known, mount), ("Forwarded", forwarded_element(known))]
    assert all(value for _, value in fields)
    assert _ELEMENT.fullmatch(fields[-1][1])
    head = head_of(fields)
    assert head.count(b"\r\n") == len(fields) + 3


_SAID = ["X-Forwarded-" + name for name in ("Proto", "Host", "Port", "Prefix")]
said = st.tuples(
    st.sampled_from(_SAID), st.text(max_size=12) | st.text('/a.,:%"\r\n\x00', max_size=9)
)


@given(st.lists(said, max_size=4), peers)
def test_what_a_trusted_peer_says_is_checked(headers: Headers, peer: str) -> None:
    """Scheme, host, port and prefix of a trusted peer are valid or not believed."""
    known = public(inbound(headers, peer=peer), nobody)
    assert known.scheme in ("http", "https")
    assert is_host(known.host)
    assert 0 <= int(known.port) <= 65535
    assert re.fullmatch(r"(?:/[!-~]+)*/m", known.prefix)
    head_of([*announce(known, "/m"), ("Forwarded", forwarded_element(known))])


def test_a_chain_with_a_line_break_is_never_sent() -> None:
    """What a trusted peer appends to is checked with the rest of the head."""
    known = public(inbound([("X-Forwarded-For", "a\r\nX-Evil: 1")]), nobody)
    with pytest.raises(BadRequest):
        head_of(announce(known, ""))


def test_announcements_are_fresh_enough() -> None:
    """What is remembered of one client is not told of another."""
    for peer in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
        known = direct("http", "h", "/m", peer, 80)
        assert values(announce(known, "/m"), "X-Forwarded-For") == [peer]
