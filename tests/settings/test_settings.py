"""The table of settings: what is taken, what is refused, and in which words."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rounds import together
from wsgiproxy import PooledTransport, WSGIProxyApp, WSGIProxyMiddleware
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.guard import Guard
from wsgiproxy.secretloader import new_key
from wsgiproxy.settings import (
    APP,
    FORWARD,
    MIDDLEWARE,
    SIGNING,
    SPAWN,
    SPAWNED_SIGNING,
    SPAWNED_TRANSPORT,
    TRANSPORT,
    Setting,
    resolve,
)
from wsgiproxy.settings import convert as converters
from wsgiproxy.settings.parts import PARTS
from wsgiproxy.wsgiapp import make_app

#: By name; what `WSGIProxyMiddleware` has of the same names is below ``backend.``.
ROWS = {row.name: row for row in (*APP, *SIGNING, *TRANSPORT, *SPAWN)}
ROWS |= {f"backend.{row.name}": row for row in MIDDLEWARE}

SECONDS = ["connect_timeout", "head_timeout", "idle_timeout", "keep_alive"]
SECONDS += ["backend.max_age", "idle_shutdown", "start_timeout", "max_wait"]
LEEWAYS = ["backend.clock_skew", "stop_timeout", "waiting_page"]
NUMBERS = [f"backend.x_{name}" for name in ("for", "proto", "host", "port", "prefix")]
COUNTS = ["max_idle", "max_waiting", *NUMBERS]
SIZES = ["max_head", "max_body"]
BOOLEANS = [
    "verify",
    "preserve_host",
    "pass_accel",
    "forwarded",
    "rewrite_location",
    "scope_cookies",
]
BOOLEANS += ["debug", "sign", "strip_script_name"]
BOTH = ["allow_pickle", "sign_body"]
BOOLEANS += [*BOTH, *(f"backend.{name}" for name in BOTH)]
TEXTS = ["ca_file", "client_cert", "client_key", "parent_proxy", "secret_file"]
TEXTS += ["backend.secret_file"]
KEYS = ["string_keys", "unicode_keys", "json_keys", "pickle_keys", "backend.accept_keys"]
FACTS = ["backend.prefix", "backend.pop_prefix", "backend.scheme", "backend.host"]
FACTS += ["backend.domain", "backend.port"]
OPTIONAL = [*TEXTS, *FACTS, *NUMBERS, "backend.replay", "via", "cookie_domain", "max_body"]
OPTIONAL += ["cwd", "spawned_port", "idle_shutdown", "max_wait", "socket", "ready", "share"]


def for_each(names: list[str], *values: tuple[Any, ...]) -> list[Any]:
    """The rows called *names*, each with every one of *values*."""
    return [
        pytest.param(name, *value, id=f"{name}={value[0]!r}") for name in names for value in values
    ]


@together
@pytest.mark.parametrize(
    ("name", "given_", "settled"),
    [
        *for_each([*SECONDS, *LEEWAYS], (5, 5.0), ("0.5", 0.5), (0.001, 0.001), (" 7 ", 7.0)),
        *for_each(LEEWAYS, (0, 0.0), ("0", 0.0)),
        *for_each(COUNTS, (0, 0), ("12", 12), (1, 1)),
        *for_each(
            SIZES, (0, 0), ("65536", 65536), ("16k", 16384), ("2M", 2 * 1024**2), ("1g", 1024**3)
        ),
        *for_each(SIZES, (" 1 k ", 1024), (10, 10)),
        *for_each(BOOLEANS, (True, True), (False, False), ("true", True), ("Yes", True)),
        *for_each(
            BOOLEANS, ("on", True), ("1", True), (1, True), (" false ", False), ("no", False)
        ),
        *for_each(BOOLEANS, ("OFF", False), ("0", False), (0, False)),
        *for_each(TEXTS, ("/some/where", "/some/where")),
        *for_each(OPTIONAL, (None, None)),
        *for_each(["via"], ("proxy-1", "proxy-1"), ("a.example:80", "a.example:80")),
        *for_each(["cookie_domain"], ("", ""), (".a.example", ".a.example"), ("a", "a")),
        *for_each(
            ["trusted_proxies"],
            ("", ()),
            ("unix", ("unix",)),
            ("10.0.0.0/8, ::1\tunix", ("10.0.0.0/8", "::1", "unix")),
            (["10.0.0.1"], ("10.0.0.1",)),
            (("a", "b"), ("a", "b")),
        ),
        *for_each(
            ["allowed_hosts"],
            ("", ()),
            ("A.example .B.example", ("a.example", ".b.example")),
            (["a.example"], ("a.example",)),
        ),
        *for_each(
            KEYS,
            ("", ()),
            ("REMOTE_USER, a.key\tAUTH_TYPE", ("REMOTE_USER", "a.key", "AUTH_TYPE")),
            (["REMOTE_USER"], ("REMOTE_USER",)),
            (("with blank",), ("with blank",)),
            ("SSL_CLIENT_S_DN wsgi_x", ("SSL_CLIENT_S_DN", "wsgi_x")),
        ),
        *for_each(["backend.trust_ips"], ("", ()), ("*", ("*",)), ("10.0.0.1", ("10.0.0.1",))),
        *for_each(
            ["backend.prefix", "backend.pop_prefix"],
            ("", ""),
            ("/", ""),
            ("/a", "/a"),
            ("/a/b/", "/a/b"),
            ("/a%20b;c=d", "/a%20b;c=d"),
        ),
        *for_each(["backend.scheme"], ("http", "http"), ("https", "https")),
        *for_each(["backend.host"], ("a:1", "a:1"), ("[::1]:65535", "[::1]:65535")),
        *for_each(["backend.domain"], ("a.example", "a.example"), ("[::1]", "[::1]")),
        *for_each(["backend.port"], (80, "80"), ("8443", "8443"), ("0080", "80"), (65535, "65535")),
        *for_each(["backend.replay"], ("memory", "memory")),
        *for_each(["backend.unsigned"], ("reject", "reject"), ("strip", "strip")),
        *for_each(
            ["backend.family"],
            ("x-forwarded", "x-forwarded"),
            ("historical", "historical"),
            ("forwarded", "forwarded"),
        ),
        *for_each(
            ["suppress_headers", "suppress_cookies"],
            ("", ()),
            ("Cookie,X-A", ("Cookie", "X-A")),
            ("A\n  B", ("A", "B")),  # lines of Paste Deploy
            (["A"], ("A",)),
        ),
        *for_each(
            ["start_script"],
            ("python app.py {port}", ("python", "app.py", "{port}")),
            ("a 'b c' \"d\" e\\ f ''", ("a", "b c", "d", "e f", "")),
            ("a $HOME `id`; b|c > d # e", ("a", "$HOME", "`id`;", "b|c", ">", "d", "#", "e")),
            ("\n  a\n  b\n", ("a", "b")),
            (["a", "b c", ""], ("a", "b c", "")),
            (("a",), ("a",)),
        ),
        *for_each(["cwd"], ("/", "/"), (".", os.getcwd()), (PurePosixPath("/"), "/")),
        *for_each(
            ["script_env"],
            ({}, {}),
            ("", {}),
            ({"A": "1", "b c": ""}, {"A": "1", "b c": ""}),
            ("A=1 B='2 3'\n  C= D=e=f", {"A": "1", "B": "2 3", "C": "", "D": "e=f"}),
            ("A=1 A=2", {"A": "2"}),
        ),
        *for_each(["spawned_port"], (8080, 8080), ("80", 80), ("0080", 80), (1, 1), (65535, 65535)),
        *for_each(["socket"], ("inherit", "inherit"), ("unix", "unix"), ("port", "port")),
        *for_each(["ready"], ("/", "/"), ("/health?a=b", "/health?a=b"), (len, len)),
        *for_each(
            ["inherit_env"],
            (True, ("*",)),
            ("true", ("*",)),
            ("1", ("*",)),
            (False, ()),
            ("no", ()),
            ("", ()),
            ("DB_*, A\tB", ("DB_*", "A", "B")),
            (["A", "true"], ("A", "true")),
            (("*",), ("*",)),
        ),
        *for_each(
            ["guard"],
            (None, None),
            (False, None),
            ("off", None),
            (True, Guard()),
            ("true", Guard()),
            ("on", Guard()),
            (Guard(ports="*"), Guard(ports="*")),
        ),
        *for_each(
            ["share"],
            (True, ""),
            ("yes", ""),
            (False, None),
            (" off ", None),
            ("/some/where", "/some/where"),
            (PurePosixPath("/some/where"), "/some/where"),
        ),
        *for_each(
            ["idle_ignore"],
            ("", ()),
            ("/health, /api/*", ("/health", "/api/*")),
            (["/with blank"], ("/with blank",)),
        ),
    ],
)
def test_what_is_taken(name: str, given_: object, settled: object) -> None:
    found = ROWS[name].convert_value(given_)
    assert found == settled
    assert type(found) is type(settled)


@together
@pytest.mark.parametrize(
    ("name", "given_"),
    [
        *for_each(SECONDS, (0,), ("0",)),
        *for_each([*SECONDS, *LEEWAYS], (-1,), (-0.1,), ("",), ("soon",), ([],), (True,), ("1s",)),
        *for_each([*SECONDS, *LEEWAYS], (math.inf,), (math.nan,), ("nan",), ("inf",), (1e9,)),
        *for_each([name for name in (*SECONDS, *LEEWAYS) if name not in OPTIONAL], (None,)),
        *for_each(COUNTS, (-1,), ("-1",), ("",), (1.5,), ("1.5",), (True,), ("1k",), ("x",)),
        *for_each(["max_idle", "max_waiting"], (None,)),
        *for_each(SIZES, (-1,), ("",), ("k",), ("-1k",), ("1kb",), ("1.5k",), ("1t",), (True,)),
        *for_each(["max_head"], (None,)),
        *for_each(BOOLEANS, ("",), ("maybe",), (None,), (2,), ("tru",), ([],), (1.0,)),
        *for_each(TEXTS, ("",), (5,), (b"x",), ([],)),
        *for_each(["via"], ("",), ("a b",), ("a,b",), ("a\r\nX: y",), ("caf\xe9",), (5,), ("(a)",)),
        *for_each(["cookie_domain"], ("a b",), ("a; Secure",), (".",), ("a\r\nX: y",), ("a,b",)),
        *for_each(
            ["trusted_proxies", "allowed_hosts", "suppress_headers", "suppress_cookies"],
            (None,),
            (5,),
            ([5],),
            (b"a",),
        ),
        *for_each(
            [*KEYS, "backend.trust_ips", "backend.allowed_hosts"], (None,), (5,), ([5],), (b"a",)
        ),
        *for_each(KEYS, ("HTTP_HOST",), (["a", "wsgi.input"],), ("PATH_INFO",), ("wsgiproxy.x",)),
        *for_each(KEYS, ("HTTP_",), ("CONTENT_LENGTH a",), ("REMOTE_ADDR",), ("SERVER_NAME",)),
        *for_each(
            ["backend.prefix", "backend.pop_prefix"],
            ("a",),
            ("//a",),
            ("/a//b",),
            ("/..",),
            ("/a/../b",),
            ("/%2e%2e",),
            ("/a b",),
            (5,),
            ("/caf\xe9",),
            ("/a\r\n",),
            ("/a?b",),
            (b"/a",),
        ),
        *for_each(["backend.scheme"], ("",), ("HTTP",), ("ftp",), ("http ",), (5,)),
        *for_each(["backend.host"], ("",), ("a",), ("a:",), ("a:0",), ("a:b",), ("a:99999",)),
        *for_each(["backend.host"], ("::1",), ("u@a:1",), ("a b:1",), ("a:1\r\n",), (5,)),
        *for_each(["backend.domain"], ("",), ("a:1",), ("a:",), ("::1",), ("a b",), ("a/",), (5,)),
        *for_each(["backend.port"], (0,), ("",), (65536,), ("-1",), ("http",), (80.0,), (True,)),
        *for_each(["backend.replay"], ("",), ("redis",), ({},), (5,), (True,)),
        *for_each(["backend.unsigned"], ("",), ("Reject",), (None,), (True,)),
        *for_each(["backend.family"], ("",), ("Forwarded",), (None,), ("x_forwarded",)),
        *for_each(["allowed_hosts"], ("a/b",), ("http://a",), ("*",), (".",), ("a@b",), (["a b"],)),
        *for_each(
            ["suppress_headers"], ("X:Y",), (["X A"],), (["caf\xe9"],), ([""],), (["A\r\nB"],)
        ),
        *for_each(["start_script"], ("",), ("  ",), ([],), ([""],), (["", "a"],), ("'' a",)),
        *for_each(["start_script"], ("a 'b",), ("a \\",), (["a\0"],), ("a b\0c",), (None,), (5,)),
        *for_each(["start_script"], (["a", 5],), (b"a",), ([b"a"],), (True,)),
        *for_each(["cwd"], ("",), ("/not/here",), (__file__,), (5,), (b"/",), ("/\0",), (["/"],)),
        *for_each(["script_env"], (None,), (5,), ("A",), ("A=1 B",), ("=1",), ("A='1",), (b"A=1",)),
        *for_each(["script_env"], ({"": "1"},), ({"A=B": "1"},), ({"A": 1},), ({1: "a"},), ([],)),
        *for_each(["script_env"], ({"A": None},), ({"A": "\0"},), ({"A\0": ""},), ("A=\0",)),
        *for_each(["script_env"], ([("A", "1")],), ({"A": b"1"},)),
        *for_each(["spawned_port"], (0,), ("",), (65536,), ("-1",), ("http",), (80.0,), (True,)),
        *for_each(["socket"], ("",), ("tcp",), ("Unix",), (True,), (5,), (["unix"],)),
        *for_each(["ready"], ("",), ("health",), ("http://a/",), ("/a b",), ("/a#b",), (b"/",)),
        *for_each(["ready"], ("/caf\xe9",), ("/a\r\nX: y",), (5,), (True,), (["/"],), ("?a",)),
        *for_each(["inherit_env", "idle_ignore"], (None,), (5,), (1,), ([5],), (b"a",), ({1: 2},)),
        *for_each(["idle_ignore"], (True,)),
        *for_each(["guard"], ("",), (5,), ("maybe",), ("127.0.0.1",), ([],), (Guard,), (b"on",)),
        *for_each(["share"], ("",), (5,), (b"x",), ([],), (2,), (1.0,)),
    ],
)
def test_what_is_refused(name: str, given_: object) -> None:
    """The message names the setting, the value but of variables, and what was expected."""
    row = ROWS[name]
    seen = repr(given_)
    if name == "script_env" and isinstance(given_, dict):
        seen = repr({key: "***" if isinstance(each, str) else each for key, each in given_.items()})
    elif name == "script_env" and isinstance(given_, str):
        seen = repr(re.sub("=.*", "=***", given_))
    with pytest.raises(ConfigurationError) as caught:
        row.convert_value(given_)
    assert str(caught.value) == f"{row.name}={seen}: expected {row.expected}"
    assert row.expected


@together
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("head_timeout", "a number of seconds above 0", id="seconds"),
        pytest.param("max_idle", "a whole number from 0 on", id="count"),
        pytest.param("max_head", "a number of bytes, such as 65536 or 64k", id="size"),
        pytest.param("verify", "true or false", id="boolean"),
        pytest.param("allowed_hosts", "host names", id="hosts"),
        pytest.param("suppress_headers", "header names", id="field-names"),
        pytest.param("via", "a token", id="token"),
        pytest.param("backend.scheme", "http or https", id="scheme"),
        pytest.param("backend.host", "host:port", id="host"),
        pytest.param("backend.domain", "a host without port", id="domain"),
        pytest.param("backend.port", "a port number", id="port"),
        pytest.param("backend.prefix", "a path such as /app", id="path"),
        pytest.param("backend.unsigned", "reject or strip", id="unsigned"),
        pytest.param("backend.replay", r"'memory', or an object with add\(key, ttl\)", id="replay"),
        pytest.param("stop_timeout", "a number of seconds from 0 on", id="leeway"),
        pytest.param("cwd", "a directory", id="directory"),
        pytest.param("script_env", "variables such as NAME=value", id="variables"),
        pytest.param("spawned_port", "a port number", id="port-to-take"),
        pytest.param("socket", "inherit, unix or port", id="socket"),
        pytest.param("ready", "a path such as /health, or a function", id="probe"),
    ],
)
def test_the_expected_words(name: str, expected: str) -> None:
    row = ROWS[name]
    with pytest.raises(ConfigurationError, match=rf"^{row.name}='\?\?': expected {expected}$"):
        resolve([row], {row.name: "??"})


DEFAULTS = {
    "connect_timeout": 10.0,
    "head_timeout": 60.0,
    "idle_timeout": 60.0,
    "keep_alive": 50.0,
    "max_idle": 64,
    "max_head": 65536,
    "verify": True,
    "ca_file": None,
    "client_cert": None,
    "client_key": None,
    "parent_proxy": None,
    "guard": None,
    "preserve_host": False,
    "trusted_proxies": (),
    "allowed_hosts": (),
    "suppress_headers": (),
    "pass_accel": False,
    "forwarded": False,
    "via": None,
    "rewrite_location": True,
    "scope_cookies": False,
    "cookie_domain": None,
    "max_body": None,
}


def test_defaults() -> None:
    """Safe ones: certificates are verified, no peer is trusted, limits hold."""
    settled = resolve((*APP, *TRANSPORT), {})
    assert {name: settled[name] for name in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize("rows", [SIGNING, MIDDLEWARE], ids=["signing", "middleware"])
def test_defaults_of_trust(rows: tuple[Setting, ...]) -> None:
    """Nobody is believed, nothing is unpickled, and what is not signed is refused."""
    expected = {
        "secret_file": None,
        "trust_ips": (),
        "family": "x-forwarded",
        "require_forwarded": False,
        "authorities": (),
        "accept_keys": (),
        "unsigned": "reject",
        "max_age": 60.0,
        "clock_skew": 5.0,
        "replay": None,
        "allowed_hosts": (),
        "allow_pickle": False,
        "sign_body": False,
        **dict.fromkeys(("string_keys", "unicode_keys", "json_keys", "pickle_keys"), ()),
    }
    settled = resolve(rows, {})
    assert {name: expected.get(name) for name in settled} == settled


def test_defaults_of_the_spawner() -> None:
    """Nothing that it was not told goes to the process, and it is signed for."""
    (required, *rows) = SPAWN
    assert required.name == "start_script"
    assert resolve(rows, {}) == {
        "cwd": None,
        "script_env": {},
        "spawned_port": None,
        "idle_shutdown": None,
        "idle_ignore": (),
        "socket": None,
        "ready": None,
        "start_timeout": 30.0,
        "stop_timeout": 10.0,
        "inherit_env": (),
        "max_waiting": 500,
        "max_wait": None,
        "waiting_page": 2.0,
        "share": None,
        "debug": False,
        "sign": True,
        "strip_script_name": False,
    }


def test_spawned_transport_has_no_tls_settings() -> None:
    """Those that it has are those of every transport."""
    left_out = {"verify", "ca_file", "client_cert", "client_key", "parent_proxy", "guard"}
    assert [row for row in TRANSPORT if row.name not in left_out] == list(SPAWNED_TRANSPORT)


#: Without a default.
REQUIRED = ["start_script"]


@together
@pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in ROWS.items()])
def test_each_row(row: Setting) -> None:
    """A row takes its own default, and says what it is for in a few words."""
    assert row.name.isidentifier()
    assert row.name in REQUIRED or row.convert_value(row.default) == row.default
    assert row.help
    assert row.help[-1] != "."


def test_names_are_unique() -> None:
    assert len(ROWS) == sum(map(len, (APP, SIGNING, TRANSPORT, MIDDLEWARE, SPAWN)))


def test_an_own_store_of_nonces_is_taken_as_it_is() -> None:
    class Store:
        def add(self, key: str, ttl: float) -> bool:
            return True

    store = Store()
    assert ROWS["backend.replay"].convert_value(store) is store


@pytest.mark.parametrize("name", ["secret_file", "backend.secret_file", "ca_file"])
def test_a_path_may_be_one_of_pathlib(name: str) -> None:
    assert ROWS[name].convert_value(PurePosixPath("/some/where")) == "/some/where"


def test_resolve_takes_options_and_defaults() -> None:
    rows = [Setting("a", int, 1, "a number", "help"), Setting("b", int, 2, "a number", "help")]
    assert resolve(rows, {}) == {"a": 1, "b": 2}
    assert resolve(rows, {"b": "3"}) == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param(
            "head_timout", "head_timout=1: no such setting; did you mean head_timeout?", id="near"
        ),
        pytest.param(
            "max-head", "max-head=1: no such setting; did you mean max_head?", id="with-a-dash"
        ),
        pytest.param(
            "zzz", "zzz=1: no such setting; expected one of head_timeout, max_head", id="far"
        ),
    ],
)
def test_an_unknown_name(name: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve([ROWS["max_head"], ROWS["head_timeout"]], {name: 1})
    assert str(caught.value) == message


def test_the_cause_is_kept() -> None:
    with pytest.raises(ConfigurationError) as caught:
        ROWS["max_idle"].convert_value("x")
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("error", [ValueError, TypeError])
def test_a_converter_may_raise_either(error: type[Exception]) -> None:
    def refuse(value: object) -> None:
        raise error(value)

    with pytest.raises(ConfigurationError, match="^x=1: expected y$"):
        Setting("x", refuse, None, "y", "help").convert_value(1)


def test_another_error_of_a_converter_is_our_own_mistake() -> None:
    broken: Callable[[object], None] = {}.__getitem__
    with pytest.raises(KeyError):
        Setting("x", broken, None, "y", "help").convert_value(1)


anything: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
)
anything |= st.lists(st.text() | st.integers(), max_size=3) | st.text(
    "0123456789kmg._-+ ", max_size=6
)
anything |= st.dictionaries(st.text() | st.integers(), st.text() | st.integers(), max_size=2)


# `share` returns a path that may be empty, which is no value for it.
@given(st.sampled_from(sorted(ROWS.keys() - {"share"})), anything)
def test_any_value_is_converted_or_refused(name: str, value: object) -> None:
    """A setting takes any value, or refuses it in its own words; converted again it is the same."""
    row = ROWS[name]
    try:
        settled = row.convert_value(value)
    except ConfigurationError as error:
        assert str(error).startswith(f"{row.name}=")
    else:
        assert row.convert_value(settled) == settled


def test_hosts_that_are_converted_may_be_converted_again() -> None:
    """As the command does, which checks what is typed before it makes an application of it."""
    once = converters.hosts("[::1], .Shop.Example")
    assert once == ("::1", ".shop.example")
    assert converters.hosts(once) == once


SWITCHED_OFF = [
    pytest.param(TRANSPORT, {"ca_file": "a.pem", "verify": False}, "no verify=False", id="ca_file"),
    pytest.param(TRANSPORT, {"client_key": "a.pem"}, "client_cert", id="client_key"),
    pytest.param(TRANSPORT, {"keep_alive": 5, "max_idle": 0}, "no max_idle=0", id="keep_alive"),
    pytest.param(SIGNING, {"sign_body": "on"}, "secret_file", id="sign_body"),
    pytest.param(
        FORWARD, {"tunnel_idle": 5, "connect": "off"}, "no connect='off'", id="tunnel_idle"
    ),
    pytest.param(
        (*SPAWN, *SPAWNED_SIGNING), {"sign_body": 1, "sign": False}, "no sign=False", id="sign"
    ),
    pytest.param(MIDDLEWARE, {"max_age": 5}, "secret_file or doctor_file", id="two_places"),
]


@pytest.mark.parametrize(("rows", "given", "expected"), SWITCHED_OFF)
def test_a_setting_that_another_one_switches_off_is_refused(rows, given, expected):
    name, value = next(iter(given.items()))
    with pytest.raises(ConfigurationError) as caught:
        resolve(rows, given)
    assert str(caught.value) == f"{name}={value!r}: expected {expected} beside it"


@pytest.mark.parametrize(("rows", "given", "expected"), SWITCHED_OFF)
def test_the_default_of_a_switched_off_setting_is_accepted(rows, given, expected):
    name = next(iter(given))
    default = next(row.default for row in rows if row.name == name)
    assert resolve(rows, {**given, name: default})[name] == default


def test_what_a_setting_needs_is_a_setting_of_the_same_part():
    for rows in PARTS.values():
        names = {row.name for row in rows}
        assert all(names.issuperset(row.needs) for row in rows)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WSGIProxyApp(3000), "href=3000: expected text, such as 'http://127.0.0.1:3000'"),
        (lambda: WSGIProxyApp(None), "href=None: expected text; expected http://host"),
        (
            lambda: WSGIProxyApp("localhost:3000/x"),
            "href='localhost:3000/x': .*; did you mean 'http://localhost:3000/x'\\?",
        ),
        (lambda: WSGIProxyApp(":3000"), "did you mean 'http://127.0.0.1:3000'\\?"),
        (
            lambda: WSGIProxyApp(lambda environ, start_response: []),
            "an application is for the middleware of a backend",
        ),
        (
            lambda: WSGIProxyApp("http://u:canary@host"),
            "href='http://\\*\\*\\*@host': expected no user and password",
        ),
        (
            lambda: WSGIProxyMiddleware("http://x"),
            "application='http://x': expected a WSGI application; .* is for WSGIProxyApp",
        ),
        (lambda: WSGIProxyMiddleware(None), "application=None: expected a WSGI application$"),
        (
            lambda: WSGIProxyApp("http://x", client_key="k.pem"),
            "client_key='k.pem': expected client_cert beside it",
        ),
        (
            lambda: WSGIProxyApp("http://x", idle_shutdown=3),
            "idle_shutdown=3: no such setting here, but one of SpawningApplication",
        ),
        (
            lambda: WSGIProxyApp("http://x", trust_ips="*"),
            "one of WSGIProxyMiddleware and ASGIProxyMiddleware; did you mean trusted_proxies\\?",
        ),
        (lambda: WSGIProxyApp("http://x", xyz=1), "no such setting; expected one of allow_pi"),
    ],
    ids=[
        "port", "none", "no-scheme", "port-alone", "application", "userinfo", "address",
        "no-application", "lone-key", "of-the-spawner", "of-the-middleware", "of-nothing",
    ],
)  # fmt: skip
def test_an_error_names_the_class_that_has_the_setting(make, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        make()
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"secret_file": True, "require_forwarded": False},
        {"secret_file": True, "trust_ips": ""},
        {"secret_file": True, "trust_ips": ()},
        {"secret_file": True, "family": "x-forwarded"},
        {"trust_ips": "", "family": "forwarded"},
        {"trust_ips": (), "require_forwarded": True},
        {"trust_ips": "10.0.0.1", "x_proto": 1, "require_forwarded": True},
    ],
    ids=str,
)
def test_an_explicit_default_contradicts_nothing(options, tmp_path):
    """Programs pass on what their own settings say, which may be nothing."""
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text(new_key("k1") + "\n")
    given = {**options, **({"secret_file": secret} if "secret_file" in options else {})}
    assert WSGIProxyMiddleware(print, **given)
    if "trust_ips" in options and "secret_file" not in options and "family" not in options:
        assert WSGIProxyApp("http://a", trusted_proxies=(), require_forwarded=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PooledTransport(parent_proxy="http://u:canary@p:8x"),
        lambda: PooledTransport(parent_proxy="https://u:canary@p:1"),
        lambda: PooledTransport(parent_proxi="http://u:canary@p:1"),
        lambda: WSGIProxyApp("u:canary@h:80"),
        lambda: WSGIProxyApp("http://u:canary@h/#"),
        lambda: WSGIProxyMiddleware("http://u:canary@h"),
        lambda: make_app({}, href="http://u:canary@h"),
    ],
    ids=["port", "scheme", "name", "no-scheme", "fragment", "application", "ini"],
)
def test_no_message_repeats_a_password(make):
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["https", "ftp", "htp"])
def test_a_parent_is_reached_by_a_scheme_that_is_known(scheme):
    with pytest.raises(ConfigurationError, match="parent_proxy=.*: expected http://"):
        PooledTransport(parent_proxy=f"{scheme}://127.0.0.1:1")


def test_an_ini_file_gets_the_hint_too():
    with pytest.raises(ConfigurationError, match="did you mean 'http://localhost:3000'"):
        make_app({}, href="localhost:3000")
