"""Rules about the envelope: what is put in comes out, and nothing else is ever read."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rounds import together
from wsgiproxy.errors import BadSignature, HeadTooLarge, ProxyError
from wsgiproxy.sansio.fields.envelope import (
    Envelope,
    belongs,
    client_path,
    client_query,
    facts,
    is_reserved,
    open_envelope,
    seal,
)
from wsgiproxy.sansio.fields.forwarded import Public
from wsgiproxy.sansio.fields.names import words
from wsgiproxy.sansio.keys import base64url, unbase64url

KNOWN = Public("https", "a.example", "443", "/m", "x", "192.0.2.1", "443")
SAID = facts(KNOWN, "", "").json
PLAIN = {
    "v": 1,
    "target": "/x?",
    "for": "192.0.2.1",
    "host": "a.example",
    "scheme": "https",
    "port": "443",
    "script_name": "/m",
}
OPENED = Envelope(
    target="/x?",
    client="192.0.2.1",
    host="a.example",
    scheme="https",
    port="443",
    script_name="/m",
    traversal_path="",
    traversal_query="",
    path_info=None,
    query=None,
    carried={},
)


def raw(text: str) -> str:
    """A header of any JSON, or of none."""
    return base64url(text.encode("utf-8"))


def written(**changes: Any) -> str:
    """A header as another program might have written it."""
    return raw(json.dumps({**PLAIN, **changes}))


def test_what_is_written() -> None:
    """Compact JSON, ASCII, no padding: facts that are empty are left out."""
    text = seal(SAID, "/x?")
    assert json.loads(unbase64url(text)) == PLAIN
    assert unbase64url(text) == json.dumps(PLAIN, separators=(",", ":")).encode("ascii")
    assert re.fullmatch("[A-Za-z0-9_-]+", text)
    assert open_envelope(text) == OPENED
    assert open_envelope(written()) == OPENED


def test_all_that_can_be_written() -> None:
    carried = {"string": {"a": "\xe9"}, "text": {"b": "\u2603"}, "json": {"c": [1, None]}}
    text = seal(
        facts(KNOWN, "/app", "k=1").json,
        "/app/x",
        path_info="/\xc3\xa9\n",
        query="\xff",
        carried=carried,
    )
    assert open_envelope(text) == OPENED._replace(
        target="/app/x",
        traversal_path="/app",
        traversal_query="k=1",
        path_info="/\xc3\xa9\n",
        query="\xff",
        carried=carried,
    )


_ascii = st.characters(min_codepoint=33, max_codepoint=126)
_paths = st.text(_ascii, max_size=20).map(lambda text: f"/{text}")
_prefixes = st.just("") | _paths
_hosts = st.from_regex(r"[A-Za-z0-9._~-]{1,9}(:[0-9]{1,4})?|\[[0-9a-f:]{2,9}\]", fullmatch=True)
_native = st.text(st.characters(max_codepoint=255), max_size=20)
_names = st.text(min_size=1, max_size=8)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=6,
)
_values = {
    "string": _native,
    "text": st.text(max_size=20),
    "json": _json,
    "pickle": st.text("aB+/="),
}


@st.composite
def carried_keys(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """Values by type; a name has one type."""
    names = draw(st.lists(st.tuples(_names, st.sampled_from(sorted(_values))), max_size=4))
    found: dict[str, dict[str, Any]] = {}
    for name, kind in dict(names).items():
        found.setdefault(kind, {})[name] = draw(_values[kind])
    return found


@given(
    st.builds(
        Public,
        scheme=st.sampled_from(["http", "https"]),
        host=_hosts,
        port=st.just(""),
        prefix=_prefixes,
        chain=st.just("6.6.6.6"),
        client=st.ip_addresses().map(str) | st.sampled_from(["", "unix:", "/run/a b.sock"]),
        server_port=st.integers(0, 65535).map(str),
    ),
    _paths,
    _prefixes,
    st.text(_ascii, max_size=20),
    st.none() | _native,
    st.none() | _native,
    carried_keys(),
)
def test_what_is_sealed_is_opened(known, target, path, query, path_info, client, carried) -> None:
    """Whatever the facts and the carried keys, the other end reads the same."""
    text = seal(
        facts(known, path, query).json, target, path_info=path_info, query=client, carried=carried
    )
    assert open_envelope(text) == Envelope(
        target=target,
        client=known.client,
        host=known.host,
        scheme=known.scheme,
        port=known.server_port,
        script_name=known.prefix,
        traversal_path=path,
        traversal_query=query,
        path_info=path_info,
        query=client,
        carried=carried,
    )


# Limits


def test_the_carried_keys_have_a_limit() -> None:
    """4 KiB of them, not counting what the client says; the message names the largest key."""
    carried = {"string": {"small": "x", "large": "x" * 2000}, "json": {"list": ["y" * 1050]}}
    with pytest.raises(ProxyError, match="the carried key 'large' of 2002 bytes .* 4096") as caught:
        seal(SAID, "/", carried=carried)
    assert caught.value.status == 500
    assert "large" not in caught.value.public


@pytest.mark.parametrize("target", ["/", "/" + "x" * 2500])
def test_the_limit_is_exact(target: str) -> None:
    def of(size: int) -> str:
        return seal(SAID, target, carried={"string": {"k": "x" * size}})

    size = 4096 * 3 // 4 - len('{"string":{"k":""}}')
    carried = {"string": {"k": "x" * size}}
    assert open_envelope(of(size)).carried == carried
    with pytest.raises(ProxyError, match="'k'"):
        of(size + 1)


def test_facts_alone_have_no_limit_but_the_whole() -> None:
    """A long path or host is the client's doing, not that of the configuration: 431, not 500."""
    assert len(seal(SAID, "/" + "x" * 5500)) < 8000
    with pytest.raises(HeadTooLarge, match="over 8000: path or host are too long") as caught:
        seal(SAID, "/" + "x" * 6000)
    assert caught.value.status == 431


def test_the_whole_has_a_limit_at_both_ends() -> None:
    longest = 8000 * 3 // 4 - len(json.dumps(PLAIN, separators=(",", ":"))) + len("/x?") - 1
    text = seal(SAID, "/" + "x" * longest)
    assert len(text) == 8000
    assert open_envelope(text).target == "/" + "x" * longest
    with pytest.raises(HeadTooLarge):
        seal(SAID, "/" + "x" * (longest + 1))
    with pytest.raises(BadSignature, match="more than 8000"):
        open_envelope(text + "A")


@pytest.mark.parametrize(
    ("carried", "message"),
    [
        pytest.param({"string": {"k": 1}}, "'k' is int, not str", id="a-number-as-string"),
        pytest.param({"string": {"k": b"x"}}, "'k' is bytes, not str", id="bytes-as-string"),
        pytest.param({"string": {"k": None}}, "'k' is NoneType", id="none-as-string"),
        pytest.param({"string": {"k": "\u2603"}}, "'k' is text.*unicode_keys", id="text-as-string"),
        pytest.param({"text": {"k": 1}}, "'k' is int, not str", id="a-number-as-text"),
        pytest.param({"json": {"k": {1, 2}}}, "'k' is not JSON", id="a-set-as-json"),
        pytest.param({"json": {"a": 1, "k": b"x"}}, "'k' is not JSON", id="bytes-as-json"),
        pytest.param({"json": {"k": float("nan")}}, "'k' is not JSON", id="nan"),
        pytest.param({"json": {"k": [float("inf")]}}, "'k' is not JSON", id="infinity"),
        pytest.param({"json": {"k": {(1,): 2}}}, "'k' has a name", id="a-tuple-as-a-name"),
        pytest.param({"json": {"k": [{1: 2}]}}, "'k' has a name", id="a-number-as-a-name"),
    ],
)
def test_what_cannot_be_carried(carried: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(ProxyError, match=message):
        seal(SAID, "/", carried=carried)


def nested(depth: int, leaf: object = 1) -> object:
    """Lists and objects in turn."""
    value = leaf
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    return value


def test_json_may_be_nested_twenty_levels() -> None:
    """At both ends."""
    carried = {"json": {"k": nested(20)}}
    assert open_envelope(seal(SAID, "/", carried=carried)).carried == carried
    assert open_envelope(written(env=carried)).carried == carried
    for value in (nested(21), (((nested(18),),),)):
        with pytest.raises(ProxyError, match="'k' is nested deeper than 20"):
            seal(SAID, "/", carried={"json": {"k": value}})
    with pytest.raises(BadSignature, match="'k' is nested deeper than 20"):
        open_envelope(written(env={"json": {"k": nested(21)}}))


def test_a_list_that_holds_itself_is_too_deep() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ProxyError, match="nested deeper"):
        seal(SAID, "/", carried={"json": {"k": endless}})


def test_no_carried_keys_leave_no_trace() -> None:
    assert seal(SAID, "/", carried={"string": {}, "json": {}}) == seal(SAID, "/", carried=None)


# What is refused. Only those who have a key can send it, but a key is not a licence.

_BOMB = '{"v":1,"target":' + "[" * 5000
_DEEP = json.dumps(PLAIN).replace('"/x?"', "[" * 400 + "]" * 400)
_FIELDS = json.dumps(PLAIN)[1:-1]

HOSTILE = [
    pytest.param("", "no JSON", id="empty"),
    pytest.param("e", "no JSON", id="six-bits"),
    pytest.param("e30=", "no JSON", id="padding"),
    pytest.param("e3+0", "no JSON", id="plain-base64"),
    pytest.param("e30\n", "no JSON", id="line-end"),
    pytest.param(" " + written(), "no JSON", id="space"),
    pytest.param(written() + "\xe9", "no JSON", id="latin-1"),
    pytest.param(base64url(b'{"v":1,"target":"/\xc3\xa9"}'), "no JSON", id="utf-8-in-json"),
    pytest.param(raw("{"), "no JSON", id="json-that-breaks-off"),
    pytest.param(raw("{} {}"), "version", id="two-values"),
    pytest.param(raw(json.dumps(PLAIN) + "\n"), "version", id="something-behind-it"),
    pytest.param(raw(" " + json.dumps(PLAIN)), "no JSON|version", id="something-before-it"),
    pytest.param(raw("[1]"), "version", id="a-list"),
    pytest.param(raw('"v"'), "version", id="a-string"),
    pytest.param(raw("null"), "version", id="null"),
    pytest.param(raw("{}"), "version", id="no-version"),
    pytest.param(written(v=2), "version", id="v-2"),
    pytest.param(written(v="1"), "version", id="v-is-a-string"),
    pytest.param(written(v=None), "version", id="v-is-null"),
    pytest.param(written(v=[1]), "version", id="v-is-a-list"),
    pytest.param(written(x=1), r"unknown.*'x'", id="unknown-name"),
    pytest.param(written(Target="/"), "unknown", id="another-case"),
    pytest.param(raw(f'{{{_FIELDS},"for":"6.6.6.6"}}'), "twice", id="name-twice"),
    pytest.param(raw(f'{{{_FIELDS},"env":{{"json":{{"k":1,"k":2}}}}}}'), "twice", id="key-twice"),
    pytest.param(
        raw(f'{{{_FIELDS},"env":{{"json":{{"k":{{"a":1,"a":2}}}}}}}}'),
        "twice",
        id="twice-within",
    ),
    *(
        pytest.param(raw(f'{{{_FIELDS},"env":{{"json":{{"k":{value}}}}}}}'), "no JSON", id=name)
        for name, value in [
            ("nan", "NaN"),
            ("infinity", "[Infinity]"),
            ("minus-infinity", "-Infinity"),
            ("larger-than-any-float", "1e999"),
            ("smaller-than-any-float", "-1e999"),
            ("a-number-with-a-zero-in-front", "01"),
            ("a-number-of-another-base", "0x1"),
            ("a-trailing-comma", "[1,]"),
            ("a-control-character", '"\t"'),
        ]
    ),
    pytest.param(raw(_BOMB), "no JSON", id="depth-bomb-that-breaks-off"),
    pytest.param(raw(_DEEP), "target", id="depth-bomb"),
    pytest.param(
        raw(f'{{{_FIELDS},"env":{{"json":{{"k":{"[" * 400 + "]" * 400}}}}}}}'),
        "deeper than 20",
        id="depth-bomb-in-a-key",
    ),
    *(
        pytest.param(written(**{name: value}), "envelope", id=f"{name}-is-{value!r}"[:40])
        for name in ("target", "for", "host", "scheme", "port", "script_name")
        for value in (
            None,
            1,
            1.0,
            True,
            ["/"],
            {"/": "/"},
            "\u2603",
            "a\nb",
            "a\r\n",
            "\x7f",
            "\0",
        )
    ),
    *(
        pytest.param(written(**{name: value}), name, id=f"{name}-is-{value!r}"[:40])
        for name, value in [
            ("target", ""),
            ("target", "x"),
            ("target", "*"),
            ("target", "http://a/"),
            ("target", "/a b"),
            ("for", "x" * 129),
            ("host", ""),
            ("host", "a,b"),
            ("host", "a@b"),
            ("host", "a/b"),
            ("host", "a:99999"),
            ("scheme", ""),
            ("scheme", "HTTP"),
            ("scheme", "javascript"),
            ("port", ""),
            ("port", "x"),
            ("port", "-1"),
            ("port", "123456"),
            ("port", "\u0661"),
            ("script_name", "m"),
            ("script_name", "/a b"),
            ("traversal_path", "x"),
            ("traversal_path", "/a b"),
            ("traversal_query", "a b"),
            ("traversal_query", None),
        ]
    ),
    *(
        pytest.param(written(**{name: value}), "path_info or query", id=f"{name}-is-{value!r}")
        for name in ("path_info", "query")
        for value in (1, True, ["/"], {}, "\u2603")
    ),
    *(
        pytest.param(written(env=env), "carried key", id=f"env-is-{env!r}"[:50])
        for env in (
            [],
            "x",
            1,
            {"bytes": {}},
            {"string": []},
            {"string": None},
            {"string": {"k": 1}},
            {"string": {"k": None}},
            {"string": {"k": ["x"]}},
            {"string": {"k": "\u2603"}},
            {"text": {"k": 1}},
            {"pickle": {"k": 1}},
            {"pickle": {"k": ["x"]}},
            {"string": {"k": "x"}, "text": {"k": "x"}},
            {"json": {"k": 1}, "pickle": {"k": "x"}},
        )
    ),
]


@together
@pytest.mark.parametrize(("text", "message"), HOSTILE)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(BadSignature, match=message):
        open_envelope(text)


def test_a_huge_number_is_a_number_or_refused() -> None:
    """Of as many digits as fit, without taking long."""
    text = raw(f'{{{_FIELDS},"env":{{"json":{{"k":{"9" * 4000}}}}}}}')
    assert open_envelope(text).carried == {"json": {"k": 10**4000 - 1}}
    text = raw(f'{{{_FIELDS},"env":{{"json":{{"k":{"9" * 5000}}}}}}}')
    try:
        found = open_envelope(text).carried["json"]["k"]
    except BadSignature:  # newer releases of Python read no more than 4300
        return
    assert found == 10**5000 - 1


def test_null_is_nothing() -> None:
    opened = open_envelope(written(path_info=None, query=None))
    assert (opened.path_info, opened.query) == (None, None)


_any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*PLAIN, "env", "json", "text", "string", "k"]), inner)
    ),
    max_leaves=8,
)


@given(
    st.text(max_size=30)
    | st.binary(max_size=60).map(base64url)
    | _any.map(json.dumps).map(raw)
    | st.dictionaries(st.sampled_from([*PLAIN, "env", "query"]), _any).map(lambda d: written(**d))
)
def test_any_text_is_an_envelope_or_refused(text: str) -> None:
    """Whatever is signed, it is refused, or all of its facts are what they have to be."""
    try:
        opened = open_envelope(text)
    except BadSignature:
        return
    assert opened.scheme in ("http", "https")
    assert re.fullmatch("[0-9]{1,5}", opened.port)
    assert opened.target[:1] == "/"
    assert opened.script_name[:1] in ("", "/")
    assert all(isinstance(value, str) for value in opened[:8])
    assert set(opened.carried) <= {"string", "text", "json", "pickle"}


# What both ends agree upon


RESERVED = """
    REQUEST_METHOD SCRIPT_NAME PATH_INFO QUERY_STRING CONTENT_TYPE CONTENT_LENGTH SERVER_NAME
    SERVER_PORT SERVER_PROTOCOL SERVER_SOFTWARE GATEWAY_INTERFACE REMOTE_ADDR REMOTE_HOST
    REMOTE_PORT REQUEST_URI RAW_URI REQUEST_SCHEME HTTPS PATH_TRANSLATED SCRIPT_FILENAME
    DOCUMENT_ROOT HTTP_HOST HTTP_COOKIE HTTP_ HTTP_X_FORWARDED_FOR wsgi.input wsgi.url_scheme
    wsgi.file_wrapper wsgiproxy.verified wsgiproxy.orig wsgiproxy.peer
"""
FREE = """
    REMOTE_USER AUTH_TYPE REMOTE_IDENT paste.auth repoze.who.identity HTTPS_ http_cookie wsgi
    wsgiorg.routing_args beaker.session x-wsgi.input USER
"""


@together
@pytest.mark.parametrize("key", sorted(words(RESERVED)))
def test_reserved(key: str) -> None:
    """What servers, CGI and we say of a request is not carried, whoever asks for it."""
    assert is_reserved(key)


@pytest.mark.parametrize("key", sorted(words(FREE)))
def test_not_reserved(key: str) -> None:
    assert not is_reserved(key)


@pytest.mark.parametrize(
    ("sent", "traversal", "client"),
    [
        pytest.param("", "", "", id="none"),
        pytest.param("a=b", "", "a=b", id="client-s-alone"),
        pytest.param("key=1", "key=1", "", id="ours-alone"),
        pytest.param("key=1&a=b", "key=1", "a=b", id="ours-first"),
        pytest.param("key=1&key=1", "key=1", "key=1", id="the-same-twice"),
        pytest.param("k&", "k", "", id="nothing-behind-ours"),
    ],
)
def test_client_query(sent: str, traversal: str, client: str) -> None:
    assert client_query(sent, traversal) == client


@pytest.mark.parametrize(
    ("target", "traversal", "client"),
    [
        pytest.param("/a%2Fb", "", "/a%2Fb", id="client-s-alone"),
        pytest.param("/app/a?", "/app", "/a", id="ours-first"),
        pytest.param("/app", "/app", "", id="ours-alone"),
        pytest.param("/app//x?a=/b", "/app", "//x", id="two-slashes"),
    ],
)
def test_client_path(target: str, traversal: str, client: str) -> None:
    assert client_path(target, traversal) == client


@together
@pytest.mark.parametrize(
    ("target", "path", "answer"),
    [
        pytest.param("/a", "/a", True, id="the-same"),
        pytest.param("/a?", "/a", True, id="the-question-mark-does-not-count"),
        pytest.param("/a%2Fb", "/a/b", True, id="decoded"),
        pytest.param("/caf%C3%A9", "/caf\xc3\xa9", True, id="decoded-bytes"),
        pytest.param("/a%2Fb%20c", "/a%2Fb c", True, id="as-cheroot-leaves-slashes"),
        pytest.param("/a%2fb%20c", "/a%2Fb c", True, id="as-cheroot-writes-slashes"),
        pytest.param("/%5C", "/%5C", True, id="as-cheroot-leaves-options"),
        pytest.param("/m/../x", "/m/../x", True, id="unresolved-as-it-was-sent"),
        pytest.param("/m/../x", "/x", True, id="as-paste-resolves-dots"),
        pytest.param("/./a//b/", "/a/b", True, id="as-paste-resolves-slashes"),
        pytest.param("/./a//b/", "/a/b/", True, id="as-paste-keeps-the-last-slash"),
        pytest.param("/../a", "/a", True, id="more-dots-than-path"),
        pytest.param("/caf%C3%A9/./x", "/caf\xe9/x", True, id="as-paste-decodes-utf-8"),
        pytest.param("/%FF", "/\ufffd", True, id="as-paste-decodes-what-is-none"),
        pytest.param("/a/x", "/b/../a/x", False, id="that-nobody-has-resolved"),
        pytest.param("/a/x", "/a/./x", False, id="with-a-dot-that-was-not-sent"),
        pytest.param("/a/x", "/a//x", False, id="with-a-slash-that-was-not-sent"),
        pytest.param("/m/../x", "/n/../x", False, id="other-dots-than-were-sent"),
        pytest.param("/a", "/b", False, id="another-path"),
        pytest.param("/a", "/A", False, id="another-case"),
        pytest.param("/a", "/a/b", False, id="below-it"),
        pytest.param("/a/b", "/a", False, id="above-it"),
        pytest.param("/a", "", False, id="nothing"),
        pytest.param("/%252e%252e/a", "/a", False, id="escaped-twice-is-no-dot"),
    ],
)
def test_belongs(target: str, path: str, answer: bool) -> None:
    """12: a captured envelope is good for the path that it names."""
    assert belongs(target, path) is answer


def test_the_rfc_alphabet() -> None:
    """RFC 4648, 5: so that other languages need no code of ours."""
    assert base64.urlsafe_b64decode(seal(SAID, "/x?") + "==")[:6] == b'{"v":1'
