"""Rules about addresses in a response: from the upstream's to the public one."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rounds import together
from wsgiproxy.sansio.fields.cookies import map_cookie
from wsgiproxy.sansio.fields.forwarded import Public
from wsgiproxy.sansio.fields.location import AskedPaths, map_address, map_challenges, map_refresh
from wsgiproxy.sansio.fields.mapped import map_headers
from wsgiproxy.sansio.href import parse_href
from wsgiproxy.sansio.message import Headers

BASE = parse_href("http://10.0.0.7:8000/app")
ROOT = parse_href("http://10.0.0.7:8000")
MOUNTED = Public("https", "example.com", "443", "/m", "")
AT_ROOT = MOUNTED._replace(prefix="")


@pytest.mark.parametrize(
    ("address", "mapped"),
    [
        pytest.param("http://10.0.0.7:8000/app/x", "https://example.com/m/x", id="upstream"),
        pytest.param("http://10.0.0.7:8000/app", "https://example.com/m", id="base-itself"),
        pytest.param("http://10.0.0.7:8000/app/", "https://example.com/m/", id="base-and-slash"),
        pytest.param(
            "HTTP://10.0.0.7:8000/app/x?q=%2F#f", "https://example.com/m/x?q=%2F#f", id="rest"
        ),
        pytest.param("http://10.0.0.7:8000/app?q", "https://example.com/m?q", id="query-alone"),
        pytest.param("http://10.0.0.7:8000/app#f", "https://example.com/m#f", id="fragment-alone"),
        pytest.param("//10.0.0.7:8000/app/x", "//example.com/m/x", id="protocol-relative"),
        pytest.param("/app/x", "/m/x", id="absolute-path"),
        pytest.param("/app", "/m", id="absolute-path-of-the-base"),
        pytest.param("/app?q=/m", "/m?q=/m", id="absolute-path-and-query"),
        pytest.param("/app/a%2F..%2f", "/m/a%2F..%2f", id="escapes-stay"),
    ],
)
def test_map_address(address: str, mapped: str) -> None:
    assert map_address(address, BASE, MOUNTED) == mapped


@together
@pytest.mark.parametrize(
    "address",
    [
        pytest.param("http://10.0.0.7:8000.evil.example/app/", id="begins-like-it"),
        pytest.param("http://10.0.0.7:80001/app/", id="port-begins-like-it"),
        pytest.param("http://10.0.0.70:8000/app/", id="host-begins-like-it"),
        pytest.param("http://10.0.0.7:8000@evil.example/app/", id="userinfo"),
        pytest.param("http://u@10.0.0.7:8000/app/", id="userinfo-of-the-upstream"),
        pytest.param("http://10.0.0.7:8000\\@evil.example/app/", id="backslash"),
        pytest.param("https://10.0.0.7:8000/app/", id="other-scheme"),
        pytest.param("http://10.0.0.7/app/", id="other-port"),
        pytest.param("http://evil.example/app/", id="other-host"),
        pytest.param("//evil.example/app/", id="other-host-protocol-relative"),
        pytest.param("//10.0.0.7/app/", id="other-port-protocol-relative"),
        pytest.param("///10.0.0.7:8000/app/", id="three-slashes"),
        pytest.param("\\\\evil.example/app/", id="backslashes"),
        pytest.param("javascript://10.0.0.7:8000/app", id="script"),
        pytest.param("http://10.0.0.7:8000/other", id="outside-of-the-base"),
        pytest.param("http://10.0.0.7:8000/application", id="segment-boundary"),
        pytest.param("/application", id="segment-boundary-of-a-path"),
        pytest.param("/other", id="path-outside-of-the-base"),
        pytest.param("/m/x", id="already-public"),
        pytest.param("/m?/app", id="already-public-itself"),
        pytest.param("x/y", id="relative"),
        pytest.param("?q", id="query"),
        pytest.param("#f", id="fragment"),
        pytest.param("", id="empty"),
        pytest.param("mailto:a@b", id="mailto"),
        pytest.param("http://", id="no-authority"),
        pytest.param("http:///app", id="empty-authority"),
    ],
)
def test_any_other_address_is_left_alone(address: str) -> None:
    assert map_address(address, BASE, MOUNTED) == address


@pytest.mark.parametrize(
    ("base", "prefix", "path", "mapped"),
    [
        pytest.param("", "/m", "/x", "/m/x", id="mount-not-known"),
        pytest.param("", "/m", "/", "/m/", id="root"),
        pytest.param("", "/m", "/m/x", "/m/x", id="mount-known"),
        pytest.param("", "/m", "/m", "/m", id="mount-itself"),
        pytest.param("", "/m", "/mine", "/m/mine", id="segment-boundary"),
        pytest.param("", "", "/x", "/x", id="no-mount"),
        pytest.param("/app", "/m", "/app/x", "/m/x", id="base"),
        pytest.param("/app", "/m", "/m/x", "/m/x", id="base-and-mount-known"),
        pytest.param("/app", "/m", "/app/m/x", "/m/m/x", id="base-and-a-path-like-the-mount"),
        pytest.param("/m", "/m", "/m/x", "/m/x", id="base-is-the-mount"),
        pytest.param("/m", "/m", "/m/m/x", "/m/m/x", id="base-is-the-mount-and-a-folder"),
        pytest.param("/m/app", "/m", "/m/app/x", "/m/x", id="base-below-the-mount"),
        pytest.param("/m/app", "/m", "/m/x", "/m/x", id="base-below-the-mount-that-is-known"),
        pytest.param("/app", "/app/m", "/app/x", "/app/m/x", id="mount-below-the-base"),
        pytest.param("/app", "/app/m", "/app/m/x", "/app/m/x", id="mount-below-the-base-known"),
        pytest.param("/app", "", "/app/x", "/x", id="base-at-the-root"),
        pytest.param("", "/m", "/.well-known/a/m/x", "/.well-known/a/m/x", id="well-known"),
        pytest.param("", "/m", "/.well-known/a", "/m/.well-known/a", id="well-known-at-the-root"),
        pytest.param(
            "/app", "/m", "/.well-known/a/app/x", "/.well-known/a/m/x", id="well-known-of-the-base"
        ),
    ],
)
def test_one_rule_for_all_forms_of_an_address(
    base: str, prefix: str, path: str, mapped: str
) -> None:
    """RFC 9110, 10.2.2: whichever host an upstream writes, its path leads to one place."""
    place = parse_href("http://10.0.0.7:8000" + base)
    known = AT_ROOT._replace(prefix=prefix)
    there = f"https://example.com{mapped}"
    assert map_address(path, place, known) == mapped
    assert map_address(f"http://10.0.0.7:8000{path}", place, known) == there
    assert map_address(f"https://example.com{path}", place, known) == there
    assert map_address(f"https://EXAMPLE.com:443{path}", place, known) in (
        there,
        f"https://EXAMPLE.com:443{mapped}",
    )
    assert map_address(f"//10.0.0.7:8000{path}", place, known) == there[6:]
    assert map_address(f"//example.com{path}", place, known) == there[6:]


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("https://example.com/m/x", id="below-the-mount"),
        pytest.param("HTTPS://Example.com:443/m?q#f", id="in-other-letters"),
        pytest.param("http://example.com/app/x", id="other-scheme"),
        pytest.param("https://example.com:8443/app/x", id="other-port"),
        pytest.param("https://example.com.evil/app/x", id="begins-like-it"),
        pytest.param("https://example.com@evil/app/x", id="userinfo"),
        pytest.param("https://u@example.com/app/x", id="userinfo-of-ours"),
        pytest.param("//example.com:80/app/x", id="protocol-relative-at-another-port"),
        pytest.param("https://example.com/other", id="of-another-application"),
    ],
)
def test_other_addresses_at_the_public_host_are_left_alone(address: str) -> None:
    assert map_address(address, BASE, MOUNTED) == address


def test_no_address_names_a_public_host_that_is_none() -> None:
    known = MOUNTED._replace(host="")
    assert map_address("https:///app/x", BASE, known) == "https:///app/x"


@together
@pytest.mark.parametrize(
    ("href", "path", "reference", "mapped"),
    [
        pytest.param("", "", "docs", "/m/docs", id="mount-without-its-slash"),
        pytest.param("", "", "docs?q=/#f", "/m/docs?q=/#f", id="with-query-and-fragment"),
        pytest.param("", "", ".", "/m/", id="dot"),
        pytest.param("", "", "./", "/m/", id="dot-and-slash"),
        pytest.param("", "", "./docs", "/m/docs", id="dot-and-segment"),
        pytest.param("", "", "../docs", "/m/docs", id="above-the-root-of-the-upstream"),
        pytest.param("", "", "%2E%2e/docs", "/m/docs", id="dots-as-browsers-read-them"),
        pytest.param("", "", ".//evil.example", "/m//evil.example", id="no-other-host"),
        pytest.param("/app/", "", "docs", "/m/docs", id="base-with-its-slash"),
        pytest.param("", "/", "docs", "docs", id="mount-with-its-slash"),
        pytest.param("", "/a/b", "docs", "docs", id="below"),
        pytest.param("", "/a/b", "../docs", "../docs", id="dots-within"),
        pytest.param("", "/a/b", "../../docs", "/m/docs", id="dots-above-the-mount"),
        pytest.param("", "/m/x", "y", "y", id="a-folder-called-like-the-mount"),
        pytest.param("/app", "", "docs", "docs", id="base-without-its-slash"),
        pytest.param("/app", "/x", "../y", "../y", id="outside-of-the-base"),
        pytest.param("", "", "", "", id="empty"),
        pytest.param("", "", "?q", "?q", id="query-alone"),
        pytest.param("", "", "#f", "#f", id="fragment-alone"),
        pytest.param("", "", "mailto:a@b", "mailto:a@b", id="scheme"),
        pytest.param("", "", "http:docs", "http:docs", id="scheme-without-host"),
        pytest.param("", "", "http://u@evil/", "http://u@evil/", id="userinfo"),
        pytest.param("", "", "\\\\evil.example", "\\\\evil.example", id="backslashes"),
        pytest.param("", "", "a\\..\\..\\b", "a\\..\\..\\b", id="backslashes-within"),
        pytest.param("", "", " //evil.example", " //evil.example", id="blank"),
    ],
)
def test_relative_references_are_resolved_where_they_were_written(
    href: str, path: str, reference: str, mapped: str
) -> None:
    """RFC 9110, 10.2.2; changed only where the client would go elsewhere by them."""
    base = parse_href("http://10.0.0.7:8000" + href)
    asked = AskedPaths(base.path + path if path else base.location or "/", "/m" + path)
    assert map_address(reference, base, MOUNTED, asked) == mapped
    assert map_refresh(f"0;url={reference}", base, MOUNTED, asked) == f"0;url={mapped}"


# Without empty segments: urljoin drops them, browsers and we do not.
_SEGMENTS = st.lists(st.sampled_from(["a", "m", "..", ".", "%2e."]), max_size=5)
_REFERENCES = st.tuples(_SEGMENTS, st.sampled_from(["", "/"])).map(
    lambda parts: ("/".join(parts[0]) + parts[1]).lstrip("/")
)
_PATHS = st.lists(st.sampled_from(["a", "m"]), max_size=3).flatmap(
    lambda some: st.sampled_from(["", "/"]).map(lambda end: "".join(f"/{s}" for s in some) + end)
)


@given(_REFERENCES, _PATHS, st.sampled_from(["", "/app/", "/app"]), st.sampled_from(["", "/m"]))
def test_a_relative_reference_leads_where_the_upstream_meant(
    reference: str, path: str, href: str, prefix: str
) -> None:
    """What the client finds by it is what the upstream would have found, put below the mount."""
    base = parse_href("http://10.0.0.7:8000" + href)
    asked = AskedPaths(base.path + path if path else base.location or "/", prefix + path or "/")
    mapped = map_address(reference, base, MOUNTED._replace(prefix=prefix), asked)

    def led(path: str, reference: str) -> str:
        return urlsplit(urljoin(f"http://h{path}", reference.replace("%2e", "."))).path

    meant = led(asked.upstream, reference)
    if not reference:
        assert mapped == ""
    elif (meant + "/").startswith(base.path + "/"):
        assert led(asked.client, mapped) == (prefix + meant[len(base.path) :] or "/")
    else:
        assert mapped == reference


@pytest.mark.parametrize(
    ("value", "mapped"),
    [
        pytest.param(
            'Bearer resource_metadata="http://10.0.0.7:8000/app/.well-known/x"',
            'Bearer resource_metadata="https://example.com/m/.well-known/x"',
            id="RFC-9728-5.1",
        ),
        pytest.param(
            'Basic realm="a, b", DPoP algs="ES256", RESOURCE_METADATA = "/app/x" , error="y"',
            'Basic realm="a, b", DPoP algs="ES256", RESOURCE_METADATA = "/m/x" , error="y"',
            id="several-challenges",
        ),
        pytest.param(
            'Basic realm="resource_metadata=\\"/app/x\\"", Bearer resource_metadata="/app/x"',
            'Basic realm="resource_metadata=\\"/app/x\\"", Bearer resource_metadata="/m/x"',
            id="only-text-of-a-realm",
        ),
        pytest.param(
            'Bearer resource_metadata="/app/\\x"',
            'Bearer resource_metadata="/m/x"',
            id="quoted-pair",
        ),
        pytest.param(
            'Bearer resource_metadata="/app/\\"\\\\"',
            'Bearer resource_metadata="/m/\\"\\\\"',
            id="quoted-again",
        ),
        pytest.param(
            'Bearer my_resource_metadata="/app/x", realm="/app/x"',
            'Bearer my_resource_metadata="/app/x", realm="/app/x"',
            id="other-parameters",
        ),
        pytest.param(
            'Bearer resource_metadata="http://evil/app/\\x"',
            'Bearer resource_metadata="http://evil/app/\\x"',
            id="another-host-byte-for-byte",
        ),
        pytest.param(
            'Bearer resource_metadata="/app/x',
            'Bearer resource_metadata="/app/x',
            id="never-ends",
        ),
        pytest.param("Negotiate abc=", "Negotiate abc=", id="token68"),
        pytest.param("", "", id="empty"),
    ],
)
def test_map_challenges(value: str, mapped: str) -> None:
    assert map_challenges(value, BASE, MOUNTED) == mapped
    assert map_headers(
        [("WWW-Authenticate", value)], BASE, MOUNTED, scope_cookies=False, cookie_domain=None
    ) == [("WWW-Authenticate", mapped)]


@pytest.mark.parametrize("part", ['\\"', 'resource_metadata="', 'resource_metadata="\\'])
def test_map_challenges_is_linear(part: str) -> None:
    value = 'x="' + part * 100_000
    assert map_challenges(value, BASE, MOUNTED).startswith("x=")


@pytest.mark.parametrize(
    ("address", "mapped"),
    [
        pytest.param("/x", "/m/x", id="path"),
        pytest.param("/", "/m/", id="root"),
        pytest.param("http://10.0.0.7:8000", "https://example.com/m/", id="no-path"),
        pytest.param("//10.0.0.7:8000", "//example.com/m/", id="protocol-relative-without-path"),
        pytest.param("//10.0.0.7:8000?q", "//example.com/m/?q", id="protocol-relative-and-query"),
    ],
)
def test_map_address_of_an_upstream_without_a_base(address: str, mapped: str) -> None:
    assert map_address(address, ROOT, MOUNTED) == mapped


@pytest.mark.parametrize(
    ("address", "mapped"),
    [
        pytest.param("http://10.0.0.7:8000/app/x", "https://example.com/x", id="absolute"),
        pytest.param("/app/x", "/x", id="path"),
        pytest.param("/app/", "/", id="base-and-slash"),
        # Without anything in front of it, an empty path would be a relative reference.
        pytest.param("/app", "/", id="base-itself-is-the-root"),
        pytest.param("/app?q", "/?q", id="base-and-query-is-the-root"),
        pytest.param("/app#f", "/#f", id="base-and-fragment-is-the-root"),
    ],
)
def test_map_address_at_the_root(address: str, mapped: str) -> None:
    assert map_address(address, BASE, AT_ROOT) == mapped


@pytest.mark.parametrize(
    "address", ["/app//evil.example/", "/app/\\evil.example/", "/app///evil.example", "/app//"]
)
def test_a_path_does_not_become_another_host(address: str) -> None:
    """Cut off the base, ``//evil.example`` would be somebody else's address."""
    assert leads_to(map_address(address, BASE, AT_ROOT))[0] == "example.com"


def leads_to(address: str, mount: str = "") -> tuple[str, str]:
    """Host and path to which a browser goes with *address* in an answer of ours."""
    target = urlsplit(urljoin(f"https://example.com{mount}/here/there", address.replace("\\", "/")))
    return target.netloc, target.path


_FRONTS = ["", "", "http://10.0.0.7:8000", "HTTP://10.0.0.7:8000", "//10.0.0.7:8000", "http://evil"]
_FRONTS += ["https://10.0.0.7:8000", "http://10.0.0.7:80", "//10.0.0.7", "http://u@10.0.0.7:8000"]
_BASES = ["", "/app", "/app", "/m", "/application", "//app"]
_PARTS = ["/", "//", "\\", "@", "evil", ":8000", "/app", "/m", "?", "#", "..", "%2F", " ", "x"]
addresses = st.text(max_size=15) | st.tuples(
    st.sampled_from(_FRONTS),
    st.sampled_from(_BASES),
    st.lists(st.sampled_from(_PARTS), max_size=4).map("".join),
).map("".join)
knowns = st.sampled_from([MOUNTED, AT_ROOT])
bases = st.sampled_from([BASE, ROOT])


@given(addresses, bases, knowns)
def test_only_addresses_of_the_upstream_are_changed(address, base, known) -> None:
    """A changed address had exactly the scheme, host and port of the upstream, and now ours."""
    mapped = map_address(address, base, known)
    if mapped != address:
        was = urlsplit(urljoin("http://10.0.0.7:8000/app/here", address))
        assert (was.scheme, was.hostname, was.port) == ("http", "10.0.0.7", 8000)
        assert was.username is None
        assert mapped
        host, path = leads_to(mapped, known.prefix)
        assert host == "example.com"
        # Dots are the client's to resolve, as they would be at the upstream.
        assert ".." in address or path.startswith(f"{known.prefix}/") or path == known.prefix


@given(addresses, bases, knowns)
def test_refresh_changes_what_location_would(address, base, known) -> None:
    """The URL of Refresh is mapped as Location is, and the rest of the field stays."""
    if not set(address) & set("\"' \t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\x85\xa0") and address.isascii():
        mapped = map_address(address, base, known)
        for mark in ("", "'", '"'):
            value = map_refresh(f"5; url={mark}{address}{mark}", base, known)
            assert value == f"5; url={mark}{mapped}{mark}"


@pytest.mark.parametrize(
    ("value", "mapped"),
    [
        pytest.param("0;url=/app/x", "0;url=/m/x", id="path"),
        pytest.param("5 ; URL = '/app/x' ", "5 ; URL = '/m/x' ", id="quoted-with-blanks"),
        pytest.param('0,url="/app/x"', '0,url="/m/x"', id="comma"),
        pytest.param("0; url=http://10.0.0.7:8000/app/", "0; url=https://example.com/m/", id="all"),
        pytest.param("0; url=http://evil/", "0; url=http://evil/", id="another-host"),
        pytest.param("5", "5", id="no-url"),
        pytest.param("0; /app/x", "0; /app/x", id="no-name"),
        pytest.param("/app/x", "/app/x", id="no-time"),
        pytest.param("", "", id="empty"),
    ],
)
def test_map_refresh(value: str, mapped: str) -> None:
    assert map_refresh(value, BASE, MOUNTED) == mapped


@pytest.mark.parametrize(
    ("cookie", "mapped"),
    [
        pytest.param("a=b; Path=/; Secure", "a=b; Path=/m; Secure", id="root-is-the-mount"),
        pytest.param("a=b; path=/app/x", "a=b; path=/m/x", id="below-the-base"),
        pytest.param("a=b; Path=/app", "a=b; Path=/m", id="base"),
        pytest.param("a=b; Path=/app/", "a=b; Path=/m", id="base-and-slash"),
        pytest.param("a=b; Path=/other", "a=b; Path=/m", id="outside-of-the-base"),
        pytest.param("a=b; Path=/m/x", "a=b; Path=/m/x", id="already-public"),
        pytest.param("a=b; Path=/mine", "a=b; Path=/m", id="segment-boundary"),
        pytest.param("a=b; Path=", "a=b; Path=/m", id="empty-path"),
        pytest.param("a=b; Path", "a=b; Path=/m", id="path-without-value"),
        pytest.param("a=b; Path=x", "a=b; Path=/m", id="relative-path"),
        pytest.param("a=b", "a=b", id="no-path"),
        pytest.param("a=/;Secure", "a=/;Secure", id="value-is-not-touched"),
        pytest.param("__Host-a=b; Path=/", "__Host-a=b; Path=/", id="__Host-"),
        pytest.param(" __hoSt-a=b; Path=/", " __hoSt-a=b; Path=/", id="__Host-in-any-case"),
        pytest.param("__Secure-a=b; Path=/", "__Secure-a=b; Path=/m", id="__Secure-"),
        pytest.param("a=b; Domain=x.example", "a=b; Domain=x.example", id="domain-stays"),
        pytest.param("", "", id="empty"),
    ],
)
def test_map_cookie_scopes_to_the_mount(cookie: str, mapped: str) -> None:
    assert map_cookie(cookie, BASE, MOUNTED, True, None) == mapped


@pytest.mark.parametrize("attributes", ["Path =/;Domain =x", "path = / ; domain = x", "\tPath\t=/"])
def test_blanks_do_not_hide_an_attribute_of_a_cookie(attributes: str) -> None:
    """P10; RFC 6265, 5.2: browsers take blanks off both names and values."""
    found = map_cookie(f"a=b;{attributes}", BASE, MOUNTED, True, "")
    left = [tuple(map(str.strip, part.split("="))) for part in found.split(";")[1:]]
    assert [(name.lower(), value) for name, value in left] == [("path", "/m")]


@pytest.mark.parametrize(
    ("cookie", "mapped"),
    [
        pytest.param("a=b; Path=/", "a=b; Path=/", id="root"),
        pytest.param("a=b; Path=/app", "a=b; Path=/", id="base"),
        pytest.param("a=b; Path=/app/x/", "a=b; Path=/x", id="below-the-base"),
    ],
)
def test_map_cookie_at_the_root(cookie: str, mapped: str) -> None:
    assert map_cookie(cookie, BASE, AT_ROOT, True, None) == mapped


@pytest.mark.parametrize(
    ("domain", "cookie", "mapped"),
    [
        pytest.param(None, "a; Domain=x; Path=/", "a; Domain=x; Path=/", id="left"),
        pytest.param("y", "a; Domain=x; Path=/", "a; Domain=y; Path=/", id="replaced"),
        pytest.param("y", "a; domain=x", "a; domain=y", id="replaced-in-any-case"),
        pytest.param("", "a; Domain=x; Path=/", "a; Path=/", id="removed"),
        pytest.param("y", "a; Path=/", "a; Path=/", id="none-is-invented"),
        pytest.param("y", "__Host-a=b; Domain=x", "__Host-a=b; Domain=x", id="__Host-"),
    ],
)
def test_map_cookie_domain(domain: str | None, cookie: str, mapped: str) -> None:
    assert map_cookie(cookie, BASE, MOUNTED, False, domain) == mapped


def mapped_headers(headers: Headers, scope: bool = False, domain: str | None = None) -> Headers:
    return map_headers(headers, BASE, MOUNTED, scope_cookies=scope, cookie_domain=domain)


def test_map_headers() -> None:
    headers = [
        ("Location", "/app/a"),
        ("X-Location", "/app/a"),
        ("content-location", "/app/b"),
        ("REFRESH", "0; url=/app/c"),
        ("Set-Cookie", "a=1; Path=/app"),
        ("Set-Cookie", "b=2; Path=/app"),
    ]
    assert mapped_headers(headers) == [
        ("Location", "/m/a"),
        ("X-Location", "/app/a"),
        ("content-location", "/m/b"),
        ("REFRESH", "0; url=/m/c"),
        ("Set-Cookie", "a=1; Path=/app"),
        ("Set-Cookie", "b=2; Path=/app"),
    ]
    assert mapped_headers(headers, scope=True)[4:] == [
        ("Set-Cookie", "a=1; Path=/m"),
        ("Set-Cookie", "b=2; Path=/m"),
    ]


@pytest.mark.parametrize(("scope", "domain"), [(False, None), (True, None), (False, "")])
def test_map_headers_leaves_the_rest(scope: bool, domain: str | None) -> None:
    headers = [("Content-Type", "text/plain"), ("X", "/app/")]
    assert mapped_headers(headers, scope, domain) == headers


def test_map_headers_removes_a_domain() -> None:
    assert mapped_headers([("Set-Cookie", "a; Domain=x")], domain="") == [("Set-Cookie", "a")]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('0;url="http://b/x" ', '0;url="http://p/m/x" '),
        ("0;url='http://b/x'", "0;url='http://p/m/x'"),
        ('0;url="http://b/x', '0;url="http://b/x'),
        ("0;url=", "0;url="),
        ("0;url='", "0;url='"),
    ],
)
def test_map_refresh_and_its_quotes(value: str, expected: str) -> None:
    known = Public("http", "p", "80", "/m", "")
    assert map_refresh(value, parse_href("http://b"), known) == expected


def test_map_refresh_is_linear() -> None:
    known = Public("http", "p", "80", "/m", "")
    value = '0;url="' + " " * 200_000 + "x"
    assert map_refresh(value, parse_href("http://b"), known) == value
