"""The table of settings: what is taken, what is refused, and in which words."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.settings import APP, TRANSPORT, Setting, settle

ROWS = {row.name: row for row in (*APP, *TRANSPORT)}

SECONDS = ["connect_timeout", "head_timeout", "idle_timeout", "keep_alive"]
COUNTS = ["max_idle", "max_fields"]
SIZES = ["max_head", "max_line", "max_body"]
BOOLEANS = ["verify", "preserve_host", "forwarded", "rewrite_location", "scope_cookies"]
TEXTS = ["ca_file", "client_cert", "client_key", "parent_proxy"]
OPTIONAL = [*TEXTS, "via", "cookie_domain", "max_body"]


def for_each(names: list[str], *values: tuple[Any, ...]) -> list[Any]:
    """The rows called *names*, each with every one of *values*."""
    return [
        pytest.param(name, *value, id=f"{name}={value[0]!r}") for name in names for value in values
    ]


@pytest.mark.parametrize(
    ("name", "given_", "settled"),
    [
        *for_each(SECONDS, (5, 5.0), ("0.5", 0.5), (0.001, 0.001), (" 7 ", 7.0)),
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
            ["suppress_headers"],
            ("", ()),
            ("Cookie,X-A", ("Cookie", "X-A")),
            ("A\n  B", ("A", "B")),  # lines of Paste Deploy
            (["A"], ("A",)),
        ),
    ],
)
def test_what_is_taken(name: str, given_: object, settled: object) -> None:
    found = ROWS[name].settle(given_)
    assert found == settled
    assert type(found) is type(settled)


@pytest.mark.parametrize(
    ("name", "given_"),
    [
        *for_each(SECONDS, (0,), (-1,), ("",), ("soon",), (None,), ([],), (True,), ("1s",)),
        *for_each(SECONDS, (math.inf,), (math.nan,), ("nan",), ("inf",), (1e9,)),
        *for_each(
            COUNTS, (-1,), ("-1",), ("",), (1.5,), ("1.5",), (None,), (True,), ("1k",), ("x",)
        ),
        *for_each(SIZES, (-1,), ("",), ("k",), ("-1k",), ("1kb",), ("1.5k",), ("1t",), (True,)),
        *for_each(["max_head", "max_line"], (None,)),
        *for_each(BOOLEANS, ("",), ("maybe",), (None,), (2,), ("tru",), ([],), (1.0,)),
        *for_each(TEXTS, ("",), (5,), (b"x",), ([],)),
        *for_each(["via"], ("",), ("a b",), ("a,b",), ("a\r\nX: y",), ("caf\xe9",), (5,), ("(a)",)),
        *for_each(["cookie_domain"], ("a b",), ("a; Secure",), (".",), ("a\r\nX: y",), ("a,b",)),
        *for_each(
            ["trusted_proxies", "allowed_hosts", "suppress_headers"], (None,), (5,), ([5],), (b"a",)
        ),
        *for_each(["allowed_hosts"], ("a/b",), ("http://a",), ("*",), (".",), ("a@b",), (["a b"],)),
        *for_each(
            ["suppress_headers"], ("X:Y",), (["X A"],), (["caf\xe9"],), ([""],), (["A\r\nB"],)
        ),
    ],
)
def test_what_is_refused(name: str, given_: object) -> None:
    """The message names the setting, the value and what was expected."""
    row = ROWS[name]
    with pytest.raises(ConfigurationError) as caught:
        row.settle(given_)
    assert str(caught.value) == f"{name}={given_!r}: expected {row.expected}"
    assert row.expected


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
    ],
)
def test_the_words(name: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{name}='\?\?': expected {expected}$"):
        settle([ROWS[name]], {name: "??"})


DEFAULTS = {
    "connect_timeout": 10.0,
    "head_timeout": 60.0,
    "idle_timeout": 60.0,
    "keep_alive": 50.0,
    "max_idle": 64,
    "max_head": 65536,
    "max_fields": 200,
    "max_line": 8192,
    "verify": True,
    "ca_file": None,
    "client_cert": None,
    "client_key": None,
    "parent_proxy": None,
    "preserve_host": False,
    "trusted_proxies": (),
    "allowed_hosts": (),
    "suppress_headers": (),
    "forwarded": False,
    "via": None,
    "rewrite_location": True,
    "scope_cookies": False,
    "cookie_domain": None,
    "max_body": None,
}


def test_defaults() -> None:
    """Safe ones: certificates are verified (E20), nobody is trusted (P2), limits hold (E18)."""
    settled = settle((*APP, *TRANSPORT), {})
    assert {name: settled[name] for name in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS.values()])
def test_each_row(row: Setting) -> None:
    """A row takes its own default, and says what it is for in a few words."""
    assert row.name.isidentifier()
    assert row.settle(row.default) == row.default
    assert row.help
    assert row.help[-1] != "."


def test_names_are_unique() -> None:
    assert len(ROWS) == len(APP) + len(TRANSPORT)


def test_settle_takes_what_was_given_and_the_defaults() -> None:
    rows = [Setting("a", int, 1, "a number", "help"), Setting("b", int, 2, "a number", "help")]
    assert settle(rows, {}) == {"a": 1, "b": 2}
    assert settle(rows, {"b": "3"}) == {"a": 1, "b": 3}


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
            "zzz", "zzz=1: no such setting; expected one of ['head_timeout', 'max_head']", id="far"
        ),
    ],
)
def test_an_unknown_name(name: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settle([ROWS["max_head"], ROWS["head_timeout"]], {name: 1})
    assert str(caught.value) == message


def test_the_cause_is_kept() -> None:
    with pytest.raises(ConfigurationError) as caught:
        ROWS["max_idle"].settle("x")
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("error", [ValueError, TypeError])
def test_a_converter_may_raise_either(error: type[Exception]) -> None:
    def refuse(value: object) -> None:
        raise error(value)

    with pytest.raises(ConfigurationError, match="^x=1: expected y$"):
        Setting("x", refuse, None, "y", "help").settle(1)


def test_another_error_of_a_converter_is_our_own_mistake() -> None:
    broken: Callable[[object], None] = {}.__getitem__
    with pytest.raises(KeyError):
        Setting("x", broken, None, "y", "help").settle(1)


anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
anything |= st.lists(st.text() | st.integers(), max_size=3) | st.text(
    "0123456789kmg._-+ ", max_size=6
)


@given(st.sampled_from(sorted(ROWS)), anything)
def test_any_value_is_converted_or_refused(name: str, value: object) -> None:
    """A setting takes any value, or refuses it in its own words; settled again it is the same."""
    row = ROWS[name]
    try:
        settled = row.settle(value)
    except ConfigurationError as error:
        assert str(error).startswith(f"{name}=")
    else:
        assert row.settle(settled) == settled
