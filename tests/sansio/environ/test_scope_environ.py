"""Scopes as servers make them, read as an environ, and what rules have changed written back."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.environ.scope_environ import environ_of, scope_of

Fields = list[tuple[bytes, bytes]]


def http(**members: Any) -> dict[str, Any]:
    """A scope as uvicorn makes it; None removes a member."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"backend.example")],
        "client": ("10.0.0.2", 4711),
        "server": ("10.0.0.1", 8000),
    }
    return {name: value for name, value in {**scope, **members}.items() if value is not None}


def websocket(**members: Any) -> dict[str, Any]:
    return http(**{"type": "websocket", "method": None, "scheme": "ws", **members})


def changed(scope: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The new scope after changes of its environ; None removes a key."""
    before = environ_of(scope)
    after = {key: value for key, value in {**before, **changes}.items() if value is not None}
    after.setdefault("wsgiproxy.orig", {})
    return scope_of(scope, before, after)


# -- reading ---------------------------------------------------------------------------


def test_a_whole_scope() -> None:
    scope = http(
        path="/m/a b",
        raw_path=b"/m/a%20b",
        root_path="/m",
        query_string=b"x=1",
        headers=[(b"host", b"a.example"), (b"content-type", b"text/plain"), (b"accept", b"*/*")],
    )
    assert environ_of(scope) == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "/m",
        "PATH_INFO": "/a b",
        "QUERY_STRING": "x=1",
        "REQUEST_URI": "/m/a%20b?x=1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "10.0.0.1",
        "SERVER_PORT": "8000",
        "REMOTE_ADDR": "10.0.0.2",
        "REMOTE_PORT": "4711",
        "CONTENT_TYPE": "text/plain",
        "HTTP_HOST": "a.example",
        "HTTP_ACCEPT": "*/*",
        "wsgi.url_scheme": "http",
        "wsgi.input_terminated": True,
    }


def test_the_least_scope() -> None:
    """All other members are optional."""
    assert environ_of({"type": "websocket", "path": "/", "headers": []}) == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input_terminated": True,
    }


@pytest.mark.parametrize(
    ("members", "script_name", "path_info"),
    [
        pytest.param({"path": "/a"}, "", "/a", id="no-mount"),
        pytest.param({"path": "/m/a", "root_path": "/m"}, "/m", "/a", id="included"),
        pytest.param({"path": "/a", "root_path": "/m"}, "/m", "/a", id="left-out"),
        pytest.param({"path": "/m", "root_path": "/m"}, "/m", "", id="the-mount-itself"),
        pytest.param({"path": "/mm/a", "root_path": "/m"}, "/m", "/mm/a", id="no-boundary"),
        pytest.param({"path": "/m/a", "root_path": "/m/"}, "/m", "/a", id="slash-at-the-end"),
        pytest.param({"path": "/a", "root_path": "/"}, "", "/a", id="slash-alone"),
        pytest.param(
            {"path": "/caf\u00e9", "raw_path": b"/caf%C3%A9"}, "", "/caf\xc3\xa9", id="utf-8"
        ),
        pytest.param({"path": "/caf\u00e9"}, "", "/caf\xc3\xa9", id="utf-8-no-raw-path"),
        pytest.param(
            {"path": "/\u00e9/x", "root_path": "/\u00e9"}, "/\xc3\xa9", "/x", id="utf-8-mount"
        ),
        pytest.param({"path": "/\ufffd", "raw_path": b"/%FF"}, "", "/\xff", id="no-utf-8"),
        pytest.param(
            {"path": "/\ufffd", "raw_path": b"/%FF?x"}, "", "/\xff", id="raw-path-with-a-query"
        ),
        pytest.param(
            {"path": "/\ufffd", "raw_path": b"/other"}, "", "/\xef\xbf\xbd", id="another-raw-path"
        ),
        pytest.param({"path": "/\udcff"}, "", "/\xff", id="surrogate"),
        pytest.param({"path": "/a/b", "raw_path": b"/a%2Fb"}, "", "/a/b", id="encoded-slash"),
        pytest.param({"path": "*", "raw_path": b"*"}, "", "*", id="asterisk"),
        pytest.param({"path": ""}, "", "", id="empty"),
    ],
)
def test_paths(members: dict[str, Any], script_name: str, path_info: str) -> None:
    environ = environ_of(http(**{"raw_path": None, **members}))
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (script_name, path_info)


def test_a_path_of_characters_that_are_no_bytes() -> None:
    with pytest.raises(BadRequest):
        environ_of(http(path="/\ud800"))


@pytest.mark.parametrize(
    ("headers", "key", "value"),
    [
        pytest.param([(b"a-b", b"1"), (b"a-b", b"2")], "HTTP_A_B", "1, 2", id="list"),
        pytest.param([(b"cookie", b"a"), (b"cookie", b"b")], "HTTP_COOKIE", "a; b", id="cookies"),
        pytest.param([(b"content-length", b"5")], "CONTENT_LENGTH", "5", id="length"),
        pytest.param([(b"content_length", b"5")], "HTTP_content_length", "5", id="other-length"),
        pytest.param([(b"a", b"\xe9")], "HTTP_A", "\xe9", id="latin-1"),
        pytest.param([(b"X_Real_IP", b"1")], "HTTP_x_real_ip", "1", id="underscore"),
        pytest.param([(b"x-\xe9", b"1")], "HTTP_X_\xe9", "1", id="no-token"),
    ],
)
def test_fields(headers: Fields, key: str, value: str) -> None:
    assert environ_of(http(headers=headers))[key] == value


@pytest.mark.parametrize(
    ("kind", "scheme", "read"),
    [
        ("http", "http", "http"),
        ("http", "https", "https"),
        ("websocket", "ws", "http"),
        ("websocket", "wss", "https"),
        ("websocket", "https", "https"),
        ("http", None, "http"),
        ("http", "ftp", "ftp"),
    ],
)
def test_schemes(kind: str, scheme: str, read: str) -> None:
    assert environ_of(http(type=kind, scheme=scheme))["wsgi.url_scheme"] == read


@pytest.mark.parametrize(
    ("server", "keys"),
    [
        (("/run/socket", None), {"SERVER_NAME": "/run/socket"}),
        (["a.example", 80], {"SERVER_NAME": "a.example", "SERVER_PORT": "80"}),
        (None, {}),
    ],
)
def test_servers(server: Any, keys: dict[str, str]) -> None:
    environ = environ_of(http(server=server))
    assert {key: environ[key] for key in environ if key.startswith("SERVER_N")} == {
        key: value for key, value in keys.items() if key == "SERVER_NAME"
    }
    assert environ.get("SERVER_PORT") == keys.get("SERVER_PORT")


def test_what_another_middleware_has_left() -> None:
    own = {
        "verified": "k1",
        "orig": {},
        "REMOTE_USER": "ada",
        "HTTP_HOST": "evil",
        "PATH_INFO": "/e",
    }
    environ = environ_of(http(wsgiproxy=own))
    assert environ["wsgiproxy.verified"] == "k1"
    assert environ["REMOTE_USER"] == "ada"
    assert (environ["HTTP_HOST"], environ["PATH_INFO"]) == ("backend.example", "/")


# -- writing ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "changes", "expected"),
    [
        pytest.param(
            {},
            {"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": None},
            {"client": ("192.0.2.1", 0)},
            id="client",
        ),
        pytest.param(
            {}, {"REMOTE_ADDR": "", "REMOTE_PORT": None}, {"client": None}, id="unknown-client"
        ),
        pytest.param(
            {},
            {"SERVER_NAME": "a.example", "SERVER_PORT": "443"},
            {"server": ("a.example", 443)},
            id="server",
        ),
        pytest.param(
            {"server": None},
            {"SERVER_NAME": "a.example", "wsgi.url_scheme": "https"},
            {"server": ("a.example", 443), "scheme": "https"},
            id="server-without-a-port",
        ),
        pytest.param({"server": None}, {"SERVER_PORT": "81"}, {}, id="port-without-a-server"),
        pytest.param({}, {"QUERY_STRING": "a b"}, {"query_string": b"a b"}, id="query"),
        pytest.param(
            {},
            {"HTTP_HOST": "a.example"},
            {"headers": [(b"host", b"a.example")]},
            id="host",
        ),
        pytest.param(
            {"headers": [(b"accept", b"*/*")]},
            {"HTTP_HOST": "a.example"},
            {"headers": [(b"host", b"a.example"), (b"accept", b"*/*")]},
            id="host-where-there-was-none",
        ),
        pytest.param(
            {"headers": [(b"a", b"1"), (b"x", b"1"), (b"a", b"2"), (b"x", b"2")]},
            {"HTTP_X": None},
            {"headers": [(b"a", b"1"), (b"a", b"2")]},
            id="field-removed",
        ),
        pytest.param(
            {"headers": [(b"x", b"1"), (b"a", b"1"), (b"x", b"2")]},
            {"HTTP_X": "3"},
            {"headers": [(b"x", b"3"), (b"a", b"1")]},
            id="field-replaced",
        ),
        pytest.param(
            {"headers": [(b"transfer-encoding", b"chunked"), (b"a", b"1")]},
            {"HTTP_TRANSFER_ENCODING": None, "CONTENT_LENGTH": "5"},
            {"headers": [(b"a", b"1"), (b"content-length", b"5")]},
            id="body-read",
        ),
    ],
)
def test_changes(members: dict[str, Any], changes: dict[str, Any], expected: Any) -> None:
    scope = http(**members)
    found = changed(scope, **changes)
    replaced = [name for name in expected if name in scope and scope[name] != expected[name]]
    orig = {name: scope[name] for name in replaced if name != "headers"}
    assert found.pop("wsgiproxy") == {"orig": orig}
    assert found == {**scope, **expected}


@pytest.mark.parametrize(
    ("kind", "scheme", "written"),
    [
        ("http", "https", "https"),
        ("websocket", "https", "wss"),
    ],
)
def test_a_new_scheme(kind: str, scheme: str, written: str) -> None:
    assert changed(http(type=kind), **{"wsgi.url_scheme": scheme})["scheme"] == written
    back = changed(http(type=kind, scheme=written), **{"wsgi.url_scheme": "http"})["scheme"]
    assert back == {"http": "http", "websocket": "ws"}[kind]


@pytest.mark.parametrize(
    ("members", "changes", "root_path", "path", "raw_path"),
    [
        pytest.param(
            {"path": "/a", "raw_path": b"/a"},
            {"SCRIPT_NAME": "/m"},
            *("/m", "/m/a", b"/m/a"),
            id="prefix",
        ),
        pytest.param(
            {"path": "/a/b", "raw_path": b"/a%2Fb"},
            {"SCRIPT_NAME": "/m n"},
            *("/m n", "/m n/a/b", b"/m%20n/a%2Fb"),
            id="prefix-before-a-raw-path",
        ),
        pytest.param(
            {"path": "/m/a/b", "raw_path": b"/m/a%2Fb"},
            {"SCRIPT_NAME": "/m", "PATH_INFO": "/a/b"},
            *("/m", "/m/a/b", b"/m/a%2Fb"),
            id="popped",
        ),
        pytest.param(
            {"path": "/a", "raw_path": b"/a", "root_path": "/old"},
            {"PATH_INFO": "/b"},
            *("/old", "/old/b", b"/old/b"),
            id="mount-that-was-left-out",
        ),
        pytest.param(
            {"path": "/base/x", "raw_path": b"/base/x"},
            {
                "SCRIPT_NAME": "/\xc3\xa9",
                "PATH_INFO": "/a/\xff",
                "REQUEST_URI": "/%c3%A9/a%2F%FF?q",
            },
            *("/\u00e9", "/\u00e9/a/\ufffd", b"/%c3%A9/a%2F%FF"),
            id="all-of-it",
        ),
        pytest.param(
            {"path": "/a", "raw_path": None},
            {"PATH_INFO": "/\xc3\xa9"},
            *("", "/\u00e9", b"/%C3%A9"),
            id="no-raw-path",
        ),
        pytest.param(
            {"path": "/a", "raw_path": b"/a#b"},
            {"SCRIPT_NAME": "/m"},
            *("/m", "/m/a", b"/m/a"),
            id="raw-path-that-is-none",
        ),
        pytest.param(
            {"path": "/a", "raw_path": b"/a"},
            {"PATH_INFO": "", "REQUEST_URI": "/"},
            *("", "/", b"/"),
            id="empty",
        ),
        pytest.param(
            {"path": "/a", "raw_path": b"/a"},
            {"SCRIPT_NAME": "/m", "PATH_INFO": ""},
            *("/m", "/m", b"/m"),
            id="the-mount-itself",
        ),
        pytest.param(
            {"path": "/~a", "raw_path": b"/~a"},
            {"REQUEST_URI": "/%7Ea"},
            *("", "/~a", b"/%7Ea"),
            id="raw-path-alone",
        ),
        pytest.param(
            {"path": "*", "raw_path": b"*", "method": "OPTIONS"},
            {"SCRIPT_NAME": "/m"},
            *("/m", "*", b"*"),
            id="asterisk",
        ),
    ],
)
def test_a_new_path(
    members: dict[str, Any], changes: dict[str, str], root_path: str, path: str, raw_path: bytes
) -> None:
    found = changed(http(**members), **changes)
    assert (found["root_path"], found["path"], found["raw_path"]) == (root_path, path, raw_path)


def test_a_path_without_a_slash_cannot_be_changed() -> None:
    with pytest.raises(BadRequest):
        changed(http(path="a", raw_path=None), SCRIPT_NAME="/m")


def test_what_was_replaced_has_the_names_of_the_scope() -> None:
    scope = http(headers=[(b"x_forwarded_for", b"1"), (b"x-real-ip", b"2")], server=None)
    environ = environ_of(scope) | {"wsgiproxy.traversal_path": "/old"}
    after = {**environ, "wsgiproxy.orig": environ}
    orig = scope_of(scope, environ, after)["wsgiproxy"]["orig"]
    assert orig == {
        "client": ("10.0.0.2", 4711),
        "http_version": "1.1",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "raw_path": b"/",
        "root_path": "",
        "scheme": "http",
        "traversal_path": "/old",
        "x-real-ip": "2",
        "x_forwarded_for": "1",
    }


def test_carried_keys_have_their_own_names() -> None:
    found = changed(
        http(), **{"REMOTE_USER": "ada", "shop.basket": [1], "wsgiproxy.verified": "k1"}
    )
    assert found["wsgiproxy"] == {
        "REMOTE_USER": "ada",
        "shop.basket": [1],
        "verified": "k1",
        "orig": {},
    }


# -- any scope -------------------------------------------------------------------------

names = st.sampled_from([b"host", b"cookie", b"a-b", b"a_b", b"A-B", b"content-length", b"x-\xff"])
raw_paths = st.none() | st.binary(max_size=12).map(lambda data: b"/" + data)
addresses = st.none() | st.tuples(st.text(max_size=5), st.none() | st.integers(0, 65535))
scopes = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["http", "websocket"]),
        "path": st.text(max_size=8).map(lambda text: "/" + text),
        "headers": st.lists(st.tuples(names, st.binary(max_size=6)), max_size=6),
    },
    optional={
        "raw_path": raw_paths,
        "root_path": st.sampled_from(["", "/", "/m", "/m/", "/\u00e9"]),
        "query_string": st.binary(max_size=6),
        "scheme": st.sampled_from(["http", "https", "ws", "wss", "ftp"]),
        "method": st.text(max_size=4),
        "http_version": st.sampled_from(["1.0", "1.1", "2", "3"]),
        "client": addresses,
        "server": addresses,
        "extensions": st.just({"tls": {}}),
    },
)


@given(scopes)
def test_a_scope_without_changes_is_the_same(scope: dict[str, Any]) -> None:
    """What no rule has changed comes out byte for byte, and the scope itself is left alone."""
    kept = copy.deepcopy(scope)
    new = changed(scope)
    assert scope == kept
    assert new.pop("wsgiproxy") == {"orig": {}}
    assert new == scope
    assert new["headers"] is not scope["headers"]


@given(scopes, st.sampled_from(["HTTP_HOST", "HTTP_A_B", "HTTP_COOKIE"]), st.text(max_size=3))
def test_a_changed_field_leaves_all_others_in_order(scope: Any, key: str, value: str) -> None:
    value = value.encode("utf-8", "replace").decode("latin-1")
    new = changed(scope, **{key: value})
    name = key[5:].lower().replace("_", "-").encode()
    both = [[line for line in each["headers"] if line[0].lower() != name] for each in (new, scope)]
    assert both[0] == both[1]
    if environ_of(scope).get(key) != value:
        assert environ_of(new)[key] == value
        assert len(new["headers"]) == len(both[0]) + 1


def test_all_members_that_changed_are_kept_under_orig() -> None:
    """Path and raw path begin with the root path: whatever changes the one changes them."""
    scope = http(path="/a b", raw_path=b"/a%20b")
    new = changed(scope, SCRIPT_NAME="/pre")
    assert (new["path"], new["raw_path"]) == ("/pre/a b", b"/pre/a%20b")
    orig = new["wsgiproxy"]["orig"]
    assert (orig["path"], orig["raw_path"], orig["root_path"]) == ("/a b", b"/a%20b", "")
