"""Rules about what is believed of a trusted peer: one family of fields, and only what can be true.

The numbers are those of threats.md, 2.4.
"""

from __future__ import annotations

import ipaddress
import re
import time
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.support.rounds import together
from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.environ.restore import by_family
from wsgiproxy.sansio.fields.forwarded import FAMILIES, Counts, Stated, believe, count, trust
from wsgiproxy.sansio.fields.host import authority, is_host

OURS = trust(["10.0.0.0/8"])
NOTHING = Stated()


def environ(**fields: str) -> dict[str, str]:
    return {f"HTTP_{name.upper()}": value for name, value in fields.items()}


def x_forwarded(**fields: str) -> Stated:
    named = {f"x_forwarded_{name.rstrip('_')}": value for name, value in fields.items()}
    return believe(environ(**named), "x-forwarded", OURS)


def forwarded(text: str) -> Stated:
    return believe(environ(forwarded=text), "forwarded", OURS)


# Exactly one family

ALL_SAID = {
    "HTTP_X_FORWARDED_FOR": "192.0.2.1",
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_FORWARDED_HOST": "x.example",
    "HTTP_X_FORWARDED_PORT": "1",
    "HTTP_X_FORWARDED_PREFIX": "/x",
    "HTTP_X_FORWARDED_SCHEME": "http",
    "HTTP_X_FORWARDED_SERVER": "h.example",
    "HTTP_X_FORWARDED_SCRIPT_NAME": "/h",
    "HTTP_X_TRAVERSAL_PATH": "/t",
    "HTTP_FORWARDED": 'for=192.0.2.3;proto=https;host="f.example"',
    "HTTP_FRONT_END_HTTPS": "on",
    "HTTP_X_REAL_IP": "6.6.6.6",
    "HTTP_X_FORWARDED_SSL": "on",
}


@pytest.mark.parametrize(
    ("family", "said"),
    [
        pytest.param(
            "x-forwarded", Stated("192.0.2.1", "https", "x.example", "1", "/x"), id="x-forwarded"
        ),
        pytest.param(
            "historical", Stated("192.0.2.1", "http", "h.example", "", "/h", "/t"), id="historical"
        ),
        pytest.param("forwarded", Stated("192.0.2.3", "https", "f.example"), id="forwarded"),
    ],
)
def test_M6_exactly_one_family_is_read(family: str, said: Stated) -> None:
    """Whatever the others say, and even if they could not be true."""
    assert believe(ALL_SAID, family, OURS) == said
    assert believe({}, family, OURS) == NOTHING
    broken = {key: "<//>" for key in ALL_SAID if key not in READ[family]}
    assert believe({**ALL_SAID, **broken}, family, OURS) == said


_X = "HTTP_X_FORWARDED_"
READ = {
    "x-forwarded": {_X + name for name in ("FOR", "PROTO", "HOST", "PORT", "PREFIX")},
    "historical": {_X + name for name in ("FOR", "SCHEME", "SERVER", "SCRIPT_NAME")}
    | {"HTTP_X_SCRIPT_NAME", "HTTP_X_TRAVERSAL_PATH"},
    "forwarded": {"HTTP_FORWARDED"},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_M6_no_other_field_is_even_looked_at(family: str) -> None:
    asked = set()

    class Asked(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            asked.add(key)
            return super().get(key, default)

        def __getitem__(self, key: str) -> Any:
            asked.add(key)
            return super().__getitem__(key)

    believe(Asked(ALL_SAID), family, OURS)
    assert asked <= READ[family]


# The address


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        pytest.param("", "", id="empty"),
        pytest.param("192.0.2.1", "192.0.2.1", id="one"),
        pytest.param("6.6.6.6, 192.0.2.1", "192.0.2.1", id="spoofed-by-the-client"),
        pytest.param("6.6.6.6,192.0.2.1", "192.0.2.1", id="two-lines-joined-by-the-server"),
        pytest.param("6.6.6.6 ,\t192.0.2.1 ", "192.0.2.1", id="spaces"),
        pytest.param("6.6.6.6, 192.0.2.1, 10.0.0.7", "192.0.2.1", id="over-our-own"),
        pytest.param("::ffff:192.0.2.1", "192.0.2.1", id="ipv4-mapped"),
        pytest.param("192.0.2.1, ::ffff:10.0.0.7", "192.0.2.1", id="our-own-ipv4-mapped"),
        pytest.param("2001:DB8::1", "2001:db8::1", id="ipv6"),
        pytest.param("[2001:db8::1]:80", "2001:db8::1", id="brackets-and-port"),
        pytest.param("192.0.2.1:4711", "192.0.2.1", id="port"),
        pytest.param("192.0.2.1, garbage", "", id="garbage"),
        pytest.param("192.0.2.1,", "", id="nothing-behind-the-comma"),
        pytest.param("192.0.2.1, garbage, 10.0.0.7", "", id="garbage-from-one-of-ours"),
        pytest.param('"192.0.2.1"', "", id="quotes"),
        pytest.param("unknown", "", id="unknown"),
        pytest.param("192.0.2.1\r\n X: y", "", id="fold"),
        pytest.param("10.0.0.1, 10.0.0.7", "10.0.0.1", id="nobody-but-ours"),
    ],
)
def test_M4_the_client_is_the_first_untrusted_from_the_right(chain: str, client: str) -> None:
    assert x_forwarded(for_=chain).client == client
    historical = believe(environ(x_forwarded_for=chain), "historical", OURS)
    assert historical.client == client


@pytest.mark.parametrize("piece", ["6.6.6.6", "10.0.0.1", "", " ", "x", "[", '"', "1" * 50])
def test_M4_ten_thousand_entries(piece: str) -> None:
    """At most 64 are looked at, and the true one is always the last."""
    said = x_forwarded(for_=", ".join([piece] * 10_000 + ["192.0.2.1"]))
    assert said.client == "192.0.2.1"
    said = x_forwarded(for_=", ".join(["6.6.6.6"] * 10_000 + ["10.0.0.1"] * 64))
    assert said.client == "10.0.0.1"


# The scheme


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        pytest.param("https", "https", id="https"),
        pytest.param("http", "http", id="http"),
        pytest.param("HTTPS", "https", id="any-case"),
        pytest.param("http, https", "https", id="list-the-nearest"),
        pytest.param("https,http", "http", id="list-of-two-lines"),
        pytest.param("https, javascript", "", id="list-the-nearest-is-none"),
        pytest.param("javascript", "", id="another-scheme"),
        pytest.param("https://", "", id="more-than-a-scheme"),
        pytest.param("on", "", id="no-scheme"),
        pytest.param("wss", "", id="websocket"),
        pytest.param("", "", id="empty"),
        pytest.param("http\n", "", id="line-end"),
        pytest.param("http\u017f", "", id="long-s-that-upper-cases-to-https"),
    ],
)
def test_M5_the_scheme_is_http_or_https(text: str, scheme: str) -> None:
    """What is none is left out: nobody has asked for it to be said."""
    assert x_forwarded(proto=text).scheme == scheme
    assert believe(environ(x_forwarded_scheme=text), "historical", OURS).scheme == scheme
    quoted = "".join(f"\\{c}" for c in text.split(",")[-1].strip(" ") if c != "\n")
    if "\n" not in text:
        assert forwarded(f'for=192.0.2.1;proto="{quoted}"').scheme == scheme


# The host


@pytest.mark.parametrize(
    ("text", "host"),
    [
        pytest.param("a.example", "a.example", id="name"),
        pytest.param("a.example:8080", "a.example:8080", id="port"),
        pytest.param("[::1]:80", "[::1]:80", id="ipv6"),
        pytest.param("A.Example", "A.Example", id="as-it-was-written"),
        pytest.param("evil, a.example", "a.example", id="list-the-nearest"),
        pytest.param("", "", id="empty"),
    ],
)
def test_M7_the_host_is_host_and_port(text: str, host: str) -> None:
    assert x_forwarded(host=text).host == host
    assert believe(environ(x_forwarded_server=text), "historical", OURS).host == host


BAD_HOSTS = [
    pytest.param("evil/", id="slash"),
    pytest.param("a:b:c", id="colons"),
    pytest.param("a:b", id="port-is-no-number"),
    pytest.param("a:65536", id="port-too-high"),
    pytest.param("user@a", id="userinfo"),
    pytest.param("user:pass@a", id="userinfo-with-password"),
    pytest.param("a b", id="space"),
    pytest.param("a\\b", id="backslash"),
    pytest.param("a?b", id="query"),
    pytest.param("a#b", id="fragment"),
    pytest.param("a<b", id="markup"),
    pytest.param("[::1", id="bracket-open"),
    pytest.param("a\r\n b", id="fold"),
    pytest.param("a\n", id="line-end"),
    pytest.param("\xe9", id="latin-1"),
]


@pytest.mark.parametrize("text", BAD_HOSTS)
def test_M7_a_host_that_is_none_is_a_400(text: str) -> None:
    """A trusted peer that says it does not say what its client asked for."""
    for family, name in [("x-forwarded", "x_forwarded_host"), ("historical", "x_forwarded_server")]:
        with pytest.raises(BadRequest, match="host"):
            believe(environ(**{name: text}), family, OURS)
    with pytest.raises(BadRequest, match="host"):
        count(environ(x_forwarded_host=text), Counts(x_host=1))
    quoted = re.sub(r"([\\\"])", r"\\\1", text)
    with pytest.raises(BadRequest, match="host|malformed"):
        forwarded(f'for=192.0.2.1;host="{quoted}"')


def test_M7_what_a_client_wrote_before_it_does_not_matter() -> None:
    """Only the nearest is looked at; the rest is anybody's."""
    assert x_forwarded(host="ev il/, a:b:c, a.example").host == "a.example"


@pytest.mark.parametrize(
    ("text", "port"),
    [
        pytest.param("443", "443", id="number"),
        pytest.param("80, 8443", "8443", id="list-the-nearest"),
        pytest.param("65535", "65535", id="largest"),
        pytest.param("65536", "", id="too-large"),
        pytest.param("0", "", id="zero"),
        pytest.param("-1", "", id="negative"),
        pytest.param("+80", "", id="plus"),
        pytest.param("80x", "", id="no-number"),
        pytest.param("8_0", "", id="underscore"),
        pytest.param("\u0668\u0660", "", id="other-digits"),
        pytest.param("9" * 5000, "", id="endless"),
        pytest.param("", "", id="empty"),
        pytest.param("80\n", "", id="line-end"),
    ],
)
def test_port(text: str, port: str) -> None:
    assert x_forwarded(port=text).port == port


# The prefix


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        pytest.param("/a", "/a", id="one-segment"),
        pytest.param("/a/b", "/a/b", id="two"),
        pytest.param("/a/", "/a", id="slash-at-the-end"),
        pytest.param("/", "", id="the-root"),
        pytest.param("", "", id="empty"),
        pytest.param("/caf%C3%A9", "/caf%C3%A9", id="escaped-stays-raw"),
        pytest.param("/a%2Fb", "/a%2Fb", id="escaped-slash-within"),
        pytest.param("/%252F", "/%252F", id="escaped-twice-is-a-percent-sign"),
        pytest.param("/~a.b-c_d!$&'()*+;=:@", "/~a.b-c_d!$&'()*+;=:@", id="all-that-segments-hold"),
        pytest.param("/.a/..b/c..", "/.a/..b/c..", id="dots-in-names"),
        pytest.param("//evil.example, /a", "/a", id="list-the-nearest"),
    ],
)
def test_M8_the_prefix_is_a_path(text: str, prefix: str) -> None:
    assert x_forwarded(prefix=text).prefix == prefix


BAD_PREFIXES = [
    pytest.param("//evil.example", id="authority"),
    pytest.param("/%2Fevil.example", id="authority-escaped"),
    pytest.param("/%2fevil.example", id="authority-escaped-lower"),
    pytest.param("/a//b", id="empty-segment"),
    pytest.param("/\\evil.example", id="backslash"),
    pytest.param("/%5Cevil.example", id="backslash-escaped"),
    pytest.param('"><script>', id="markup"),
    pytest.param('/"><script>', id="markup-behind-a-slash"),
    pytest.param("/../x", id="dots"),
    pytest.param("/a/..", id="dots-at-the-end"),
    pytest.param("/./x", id="one-dot"),
    pytest.param("/%2e%2e/x", id="dots-escaped"),
    pytest.param("/%252e%252E", id="dots-escaped-twice"),
    pytest.param("/%2e", id="one-dot-escaped"),
    pytest.param("/a%2F", id="slash-escaped-at-the-end"),
    pytest.param("/a%0d%0aSet-Cookie:x", id="line-end-escaped"),
    pytest.param("/a\r\nSet-Cookie: x", id="line-end"),
    pytest.param("/%00", id="nul-escaped"),
    pytest.param("a", id="no-slash"),
    pytest.param("http://evil.example/", id="address"),
    pytest.param("/a?b", id="query"),
    pytest.param("/a#b", id="fragment"),
    pytest.param("/a b", id="space"),
    pytest.param("/\xe9", id="latin-1"),
]


@together
@pytest.mark.parametrize("text", BAD_PREFIXES)
@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("x-forwarded", "x_forwarded_prefix"),
        ("historical", "x_forwarded_script_name"),
        ("historical", "x_script_name"),
        ("historical", "x_traversal_path"),
    ],
)
def test_M8_a_prefix_that_is_no_path_is_a_400(family: str, name: str, text: str) -> None:
    """It would end up in links, forms and redirects of the application."""
    with pytest.raises(BadRequest, match="prefix"):
        believe(environ(**{name: text}), family, OURS)


@pytest.mark.parametrize(
    ("fields", "prefix"),
    [
        pytest.param({"x_forwarded_script_name": "/m"}, "/m", id="as-0.2-sent-it"),
        pytest.param({"x_script_name": "/m"}, "/m", id="as-0.2-read-it"),
        pytest.param({"x_script_name": "/m", "x_forwarded_script_name": "/m/"}, "/m", id="both"),
        pytest.param({"x_script_name": ""}, "", id="empty"),
    ],
)
def test_the_historical_prefix_has_two_names(fields: dict[str, str], prefix: str) -> None:
    assert believe(environ(**fields), "historical", OURS).prefix == prefix


def test_the_historical_names_must_not_differ() -> None:
    """One of them was not overwritten by the peer, and so comes from its client."""
    said = environ(x_script_name="/evil", x_forwarded_script_name="/m")
    with pytest.raises(BadRequest, match="differ"):
        believe(said, "historical", OURS)


# Forwarded (RFC 7239)


@together
@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", NOTHING, id="empty"),
        pytest.param("for=192.0.2.1", Stated("192.0.2.1"), id="for"),
        pytest.param('for="[2001:db8::1]:4711"', Stated("2001:db8::1"), id="7239-4-ipv6"),
        pytest.param(
            "for=192.0.2.1;proto=https;by=10.0.0.1;host=a.example",
            Stated("192.0.2.1", "https", "a.example"),
            id="7239-4-all",
        ),
        pytest.param("For=192.0.2.1;PROTO=HTTPS", Stated("192.0.2.1", "https"), id="any-case"),
        pytest.param('host="a.example:81"', Stated("", "", "a.example:81"), id="quoted-host"),
        pytest.param(r'host="a\.exam\ple"', Stated("", "", "a.example"), id="escapes"),
        pytest.param("for=6.6.6.6, for=192.0.2.1", Stated("192.0.2.1"), id="the-nearest"),
        pytest.param(
            "for=6.6.6.6;proto=http, for=192.0.2.1;proto=https, for=10.0.0.7;proto=http",
            Stated("192.0.2.1", "https"),
            id="what-our-own-proxy-was-told",
        ),
        pytest.param(
            "for=192.0.2.1;host=a.example,for=10.0.0.7",
            Stated("192.0.2.1", "", "a.example"),
            id="no-space-behind-the-comma",
        ),
        pytest.param('for=192.0.2.1;x="a, for=6.6.6.6"', Stated("192.0.2.1"), id="quoted-comma"),
        pytest.param('x=";for=6.6.6.6;";for=192.0.2.1', Stated("192.0.2.1"), id="quoted-semicolon"),
        pytest.param(r'x="\",for=6.6.6.6";for=192.0.2.1', Stated("192.0.2.1"), id="quoted-quote"),
        pytest.param(r'x="\\";for=192.0.2.1', Stated("192.0.2.1"), id="quoted-backslash"),
        pytest.param('for=192.0.2.1;x=""', Stated("192.0.2.1"), id="empty-string"),
        pytest.param("for=192.0.2.1;proto=javascript", Stated("192.0.2.1"), id="no-scheme"),
        pytest.param(
            "for=unknown;proto=https;host=a", Stated("", "https", "a"), id="7239-6.2-unknown"
        ),
        pytest.param("for=6.6.6.6, for=_hidden", NOTHING, id="7239-6.3-nobody-is-behind-a-mask"),
        pytest.param("for=6.6.6.6, proto=https", Stated("", "https"), id="no-for-at-all"),
        pytest.param(" \tfor=192.0.2.1 ; proto=https\t", Stated("192.0.2.1", "https"), id="spaces"),
        pytest.param(",, for=192.0.2.1,;,", Stated("192.0.2.1"), id="empty-elements"),
        pytest.param(";for=192.0.2.1;;proto=http;", Stated("192.0.2.1", "http"), id="empty-pairs"),
        pytest.param("for=10.0.0.1, for=10.0.0.2;proto=https", Stated("10.0.0.1"), id="all-ours"),
    ],
)
def test_forwarded(text: str, said: Stated) -> None:
    assert forwarded(text) == said


@together
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("for", id="no-value"),
        pytest.param("for=", id="empty-value"),
        pytest.param("=192.0.2.1", id="no-name"),
        pytest.param("for =192.0.2.1", id="space-before-the-equals-sign"),
        pytest.param("for= 192.0.2.1", id="space-behind-it"),
        pytest.param("for=192.0.2.1 proto=http", id="no-semicolon"),
        pytest.param("for=[::1]", id="ipv6-without-quotes"),
        pytest.param("for=192.0.2.1:80", id="port-without-quotes"),
        pytest.param('for="192.0.2.1', id="quote-open"),
        pytest.param('for="192.0.2.1"x', id="something-behind-a-quote"),
        pytest.param('for="192.0.2.1\\"', id="escaped-quote-at-the-end"),
        pytest.param("for='192.0.2.1'; for=1", id="other-quotes-are-a-token-and-for-twice"),
        pytest.param("for=6.6.6.6;for=192.0.2.1", id="twice"),
        pytest.param("for=6.6.6.6;FOR=192.0.2.1", id="twice-in-any-case"),
        pytest.param('for=192.0.2.1, "', id="quote-alone"),
        pytest.param('", for=192.0.2.1', id="quote-that-swallows-the-rest"),
        pytest.param("for=192.0.2.1\n", id="line-end"),
        pytest.param("for=192.0.2.1\r\n ", id="fold"),
        pytest.param("\n", id="line-end-alone"),
        pytest.param("for=\xe9", id="latin-1"),
    ],
)
def test_forwarded_that_is_malformed_is_a_400(text: str) -> None:
    """Nobody can tell any more who has written which part of it."""
    with pytest.raises(BadRequest, match="Forwarded"):
        forwarded(text)


@pytest.mark.parametrize("piece", ["for=6.6.6.6", "for=10.0.0.1", "", ";", 'x=","', 'x=";"'])
def test_M4_forwarded_of_ten_thousand_elements(piece: str) -> None:
    assert forwarded(", ".join([piece] * 10_000 + ["for=192.0.2.1"])).client == "192.0.2.1"


@pytest.mark.parametrize(("hops", "client"), [(63, "192.0.2.1"), (64, "10.0.0.1")])
def test_M4_forwarded_is_walked_for_64_hops(hops: int, client: str) -> None:
    assert forwarded(", ".join(["for=192.0.2.1"] + ["for=10.0.0.1"] * hops)).client == client


def seconds(text: str) -> float:
    """The best of several tries, which is what a busy machine disturbs least."""
    tries = []
    for _ in range(5):
        start = time.process_time()
        with pytest.raises(BadRequest):
            forwarded(text)
        tries.append(time.process_time() - start)
    return min(tries)


@pytest.mark.parametrize(
    ("piece", "end"),
    [
        pytest.param(" ", "x", id="spaces"),
        pytest.param("\t", "=", id="tabs"),
        pytest.param("a", "", id="name"),
        pytest.param("a=b;c=d,", "!", id="pairs"),
        pytest.param('a="', "", id="quotes"),
        pytest.param("a=b ", " ", id="spaces-between"),
        pytest.param('\\"', "", id="escapes"),
        pytest.param(";", "!", id="semicolons"),
    ],
)
def test_forwarded_takes_linear_time(piece: str, end: str) -> None:
    """Sixteen times the text takes not 256 times as long."""
    short, long = (piece * (size // len(piece)) + end for size in (4096, 65536))
    assert seconds(long) < 80 * seconds(short) + 0.002


# Whatever it says


_texts = (
    st.text(max_size=20)
    | st.text('/.%2fF5Cae:,;="\\[] \t\r\n@<', max_size=20)
    | st.lists(
        st.sampled_from(
            ["192.0.2.1", "10.0.0.1", "::1", "[::1]:80", ",", " ", "https", "a:1", "/a", "/..", ";"]
            + ["for=", "host=", "proto=", '"', "%2e", "//"]
        ),
        max_size=8,
    ).map("".join)
)
_keys = st.sampled_from(sorted(set().union(*READ.values())))


def assert_valid(said: Stated) -> None:
    assert said.client == "" or str(ipaddress.ip_address(said.client)) == said.client
    assert said.scheme in ("", "http", "https")
    assert said.host == "" or is_host(said.host)
    assert said.port == "" or 0 < int(said.port) <= 65535
    for path in (said.prefix, said.traversal_path):
        assert re.fullmatch(r"(/[!-~]+)*", path)
        assert not re.search(r'//|/\.\.?(/|\Z)|[\\"<>?#]|/\Z', path)


@given(st.dictionaries(_keys, _texts), st.sampled_from(sorted(FAMILIES)))
def test_any_fields_are_believed_or_refused(fields: dict[str, str], family: str) -> None:
    """What is believed is valid, whatever the fields hold; else it is a 400."""
    try:
        said = believe(fields, family, OURS)
    except BadRequest:
        return
    assert_valid(said)


@given(st.dictionaries(_keys, _texts), st.tuples(*[st.integers(0, 3)] * 5))
def test_any_fields_are_counted_or_refused(
    fields: dict[str, str], counts: tuple[int, int, int, int, int]
) -> None:
    try:
        said = count(fields, Counts(*counts))
    except BadRequest:
        return
    assert_valid(said)


# Counting as ProxyFix does


@pytest.mark.parametrize(
    ("chain", "number", "client"),
    [
        pytest.param("192.0.2.1, 10.0.0.1", 0, "", id="nobody-appends"),
        pytest.param("192.0.2.1, 10.0.0.1", 1, "10.0.0.1", id="one"),
        pytest.param("192.0.2.1, 10.0.0.1", 2, "192.0.2.1", id="two"),
        pytest.param("192.0.2.1, 10.0.0.1", 3, "", id="fewer-than-stated"),
        pytest.param("x, 192.0.2.1", 2, "", id="what-is-no-address"),
        pytest.param("", 1, "", id="empty"),
        pytest.param("6.6.6.6,,1.2.3.4", 2, "6.6.6.6", id="an-empty-member-does-not-count"),
        pytest.param("6.6.6.6, 1.2.3.4,", 2, "6.6.6.6", id="nor-does-an-empty-end"),
        pytest.param(" ,\t, 1.2.3.4 , ", 1, "1.2.3.4", id="nor-do-blanks"),
        pytest.param(",1.2.3.4", 2, "", id="nor-an-empty-beginning"),
        pytest.param('"6.6.6.6, 1.2.3.4', 1, "1.2.3.4", id="a-quote-hides-nothing"),
    ],
)
def test_count(chain: str, number: int, client: str) -> None:
    assert count(environ(x_forwarded_for=chain), Counts(x_for=number)).client == client


def test_each_field_has_its_own_count() -> None:
    """Werkzeug issue 1414: the prefix was counted as the address."""
    fields = environ(
        x_forwarded_for="192.0.2.1, 192.0.2.2",
        x_forwarded_proto="https, http",
        x_forwarded_host="a, b",
        x_forwarded_port="1, 2",
        x_forwarded_prefix="/a, /b",
    )
    assert count(fields, Counts()) == NOTHING
    assert count(fields, Counts(2, 1, 2, 1, 2)) == Stated("192.0.2.1", "http", "a", "2", "/a")


def listed(strategy: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Lists with empty members among the others (RFC 9110, 5.6.1.2)."""
    members = st.lists(strategy | st.sampled_from(["", " ", "\t"]), min_size=1, max_size=5)
    return members.map(",".join) | members.map(" , ".join)


_label = st.from_regex(r"[a-z][a-z0-9.-]{0,8}", fullmatch=True)
_host = st.builds("{}{}".format, _label | st.just("[::1]"), st.sampled_from(["", ":80", ":8443"]))
_valid = st.fixed_dictionaries(
    {},
    optional={
        "HTTP_X_FORWARDED_FOR": listed(st.ip_addresses().map(str)),
        "HTTP_X_FORWARDED_PROTO": listed(st.sampled_from(["http", "https"])),
        "HTTP_X_FORWARDED_HOST": listed(_host),
        "HTTP_X_FORWARDED_PORT": listed(st.integers(1, 65535).map(str)),
        "HTTP_X_FORWARDED_PREFIX": listed(
            st.from_regex("(/[a-z0-9_~-]{1,5}){1,2}", fullmatch=True)
        ),
    },
)


@given(_valid, st.tuples(*[st.integers(0, 3)] * 5))
def test_count_as_proxy_fix(fields: dict[str, str], counts: tuple[int, ...]) -> None:
    """For what can be true, the environ is that of Werkzeug's ProxyFix.

    But for three spellings of the same: ProxyFix keeps the default port in HTTP_HOST, the
    brackets in SERVER_NAME, and an IPv4-mapped address.
    """
    plain = {
        "REMOTE_ADDR": "10.0.0.1",
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "backend:8000",
        "SERVER_NAME": "backend",
        "SERVER_PORT": "8000",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/x",
    }
    assume("::ffff:" not in fields.get("HTTP_X_FORWARDED_FOR", ""))
    theirs = {**plain, **fields}
    ProxyFix(lambda environ, start_response: [], *counts)(theirs, lambda *_: lambda _: None)
    ours = {**plain, **fields}
    ours.update(by_family(count(ours, Counts(*counts)), ours))
    for name in ("REMOTE_ADDR", "wsgi.url_scheme", "SERVER_PORT", "SCRIPT_NAME", "PATH_INFO"):
        assert ours[name] == theirs[name]
    assert ours["SERVER_NAME"] == theirs["SERVER_NAME"].strip("[]")
    scheme = ours["wsgi.url_scheme"]
    assert authority(ours["HTTP_HOST"], scheme) == authority(theirs["HTTP_HOST"], scheme)
