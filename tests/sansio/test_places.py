"""Places of a router: how they are written, and which of them gets a request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.places import Place, Places, read_place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("/", ("", ""), id="the-rest"),
        pytest.param("", ("", ""), id="empty-is-the-rest"),
        pytest.param("/app/", ("", "/app"), id="prefix"),
        pytest.param("/caf%C3%A9", ("", "/caf\xc3\xa9"), id="escapes"),
        pytest.param("App.localhost", ("app.localhost", ""), id="host"),
        pytest.param("app.example./x", ("app.example", "/x"), id="dot-at-the-end"),
        pytest.param(".example", (".example", ""), id="names-below"),
        pytest.param("*.example/x", (".example", "/x"), id="star"),
        pytest.param("[::1]/x", ("::1", "/x"), id="IPv6"),
        pytest.param("localhost", ("localhost", ""), id="one-word"),
    ],
)
def test_place_is_read(text: str, place: tuple[str, str]) -> None:
    assert read_place(text) == place


@pytest.mark.parametrize(
    "text",
    ["/a b", "/a%zz", "/a%", "/%2e%2e", "/a%2f..", "/a/../b", "/a//b"]
    + ["*", "*app.example", "a b.example", "/a?b", ".", 5, None],
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a place: /path, host or host/path"):
        read_place(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("A.localhost", "a.localhost", id="case-of-the-host"),
        pytest.param("a.localhost.", "a.localhost", id="dot-at-the-end"),
        pytest.param("*.example", ".EXAMPLE", id="star"),
        pytest.param("/a%20b", "/%61%20b/", id="percent-encoding"),
        pytest.param("[::1]", "[::1]/", id="slash"),
    ],
)
def test_two_spellings_of_one_place_are_refused(one: str, other: str) -> None:
    with pytest.raises(ConfigurationError, match="a second route for the place of"):
        Places([(one, 1), (other, 2)])


def test_port_of_a_place_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'a.example:80/x': expected no port"):
        read_place("a.example:80/x")


ALL = Places((text, text) for text in ("/", "/a", "/a/b", "x.example", "x.example/a", ".example"))


@pytest.mark.parametrize(
    ("host", "path", "found"),
    [
        pytest.param("h", "/", "/", id="the-rest"),
        pytest.param("h", "/a/b/c", "/a/b", id="longest-prefix"),
        pytest.param("h", "/a/bc", "/a", id="segment-boundary"),
        pytest.param("X.example.:8080", "/b", "x.example", id="case-dot-and-port-do-not-count"),
        pytest.param("x.example", "/a/b", "x.example/a", id="the-host-decides-first"),
        pytest.param("y.x.example", "/a", ".example", id="below"),
        pytest.param("example", "/a", "/a", id="not-below-itself"),
        pytest.param("x.example@evil", "/a", "/a", id="no-host"),
        pytest.param("", "/a", "/a", id="without-a-host"),
    ],
)
def test_which_place_gets_a_request(host: str, path: str, found: str) -> None:
    at = ALL.at(host, path)
    assert at is not None and at[1] == found


def test_next_wider_host_is_asked_where_the_host_has_no_such_path() -> None:
    places = Places([("a.example/x", "a"), (".example/y", "all"), ("/z", "every")])
    assert [
        (places.at("a.example", path) or ("", None))[1] for path in ("/x", "/y", "/z", "/")
    ] == [
        "a",
        "all",
        "every",
        None,
    ]


def test_address_of_ipv6() -> None:
    places = Places([("[::1]", "six")])
    assert places.at("[::1]:80", "/") == (Place("::1", ""), "six")
    assert places.at("127.0.0.1", "/") is None


def test_path_of_asgi_is_text() -> None:
    places = Places([("/caf%C3%A9", 1)])
    assert places.at("", "/café/x", is_text=True) and places.at("", "/caf\xc3\xa9/x")


@pytest.mark.parametrize(
    "twice", [("/a", "/a/"), ("/%61", "/a"), ("X.example", "x.example/"), ("*.e", ".e")]
)
def test_two_routes_of_one_place_are_named(twice: tuple[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Places((each, 1) for each in twice)
    assert str(caught.value) == (
        f"{twice[1]!r}: a second route for the place of {twice[0]!r}: expected one"
    )


def test_no_place_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no route: expected a place"):
        Places([])


TEXT = st.text(max_size=20) | st.text("/.*ab%2Ff:[]1é", max_size=12)


@given(TEXT, TEXT, TEXT)
def test_any_text_is_a_place_or_refused(text: str, host: str, path: str) -> None:
    """What is read stands at its own host and prefix, and any request can be asked about."""
    try:
        place = read_place(text)
    except ConfigurationError:
        return
    places = Places([(text, text)])
    places.at(host, path)
    places.at(host, path, is_text=True)
    own = f"x{place.host}" if place.host[:1] == "." else place.host
    own = f"[{own}]" if ":" in own else own
    assert places.at(own, f"{place.prefix}/x") == (place, text)
    assert places.at(own, f"{place.path}/x", is_text=True) == (place, text)
