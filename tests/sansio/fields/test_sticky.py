"""The cookie that names the upstream of a client."""

from __future__ import annotations

from http.cookies import SimpleCookie

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.sansio.fields.sticky import sticky_cookie, sticky_key, sticky_mark, sticky_marks

SECRET = b"s" * 32
KEYS = ["10.0.0.1:80", "10.0.0.2:80", "unix:/run/app"]
MARKS = sticky_marks(KEYS, SECRET)
MARK = sticky_mark("10.0.0.2:80", SECRET)


@pytest.mark.parametrize("key", KEYS)
def test_the_cookie_that_is_set_names_its_upstream(key):
    pair, *_ = sticky_cookie("up", key, SECRET, secure=False, path="/").split("; ")
    assert sticky_key([("Cookie", pair)], "up", MARKS) == (key, [])


def test_it_discloses_no_address_and_other_secrets_make_other_ones():
    assert len(MARK) == 22
    assert not {"10", "80"} & set(MARK.split("."))
    assert sticky_mark("10.0.0.2:80", b"t" * 32) != MARK
    assert len(set(MARKS)) == len(KEYS)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("up=10.0.0.2:80", id="an address"),
        pytest.param("up=", id="empty"),
        pytest.param("up", id="without a value"),
        pytest.param(f"up={MARK[:-1]}", id="cut short"),
        pytest.param(f"up={MARK[:-1]}{'A' if MARK[-1] != 'A' else 'B'}", id="changed"),
        pytest.param(f"up={MARK.swapcase()}", id="other case"),
        pytest.param(f"up={sticky_mark('10.0.0.2:80', b't' * 32)}", id="another secret"),
        pytest.param(f"up={sticky_mark('10.9.9.9:80', SECRET)}", id="an upstream that has gone"),
        pytest.param(f"up={MARK}{'x' * 100_000}", id="oversized"),
        pytest.param(f"up={MARK}; up={MARK}", id="twice"),
        pytest.param(f'up="{MARK}"', id="quoted"),
        pytest.param("up=é\udcff", id="not ASCII"),
    ],
)
def test_others_are_ignored_and_go_no_further(value):
    assert sticky_key([("Cookie", f"a=1; {value}")], "up", MARKS) == ("", [("Cookie", "a=1")])


def test_twice_in_two_lines_is_ignored_too():
    headers = [("Cookie", f"up={MARK}"), ("cookie", f"up={MARK}; a=1")]
    assert sticky_key(headers, "up", MARKS) == ("", [("cookie", "a=1")])


def test_the_cookie_of_another_mount_is_none_of_ours():
    other = sticky_mark("10.9.9.9:80", SECRET)
    headers = [("Cookie", f"up={other}; a=1; up={MARK}")]
    assert sticky_key(headers, "up", MARKS) == (MARKS[MARK], [("Cookie", "a=1")])


def test_without_it_the_fields_are_the_same():
    headers = [("Accept", "*/*"), ("Cookie", f"up2={MARK}; Up={MARK}; a=up")]
    key, left = sticky_key(headers, "up", MARKS)
    assert key == ""
    assert left == headers


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/", "/"),
        ("/shop", "/shop"),
        ("/a%20b/", "/a%20b/"),
        ("", "/"),
        ("/a;b", "/"),
        ("/a b", "/"),
        ("/\r\nX: y", "/"),
        ("/é", "/"),
        ("shop", "/"),
    ],
)
@pytest.mark.parametrize("secure", [True, False])
def test_attributes(path, written, secure):
    cookie = SimpleCookie(sticky_cookie("up", KEYS[0], SECRET, secure=secure, path=path))["up"]
    assert (cookie["path"], cookie["samesite"]) == (written, "Lax")
    assert cookie["httponly"] is True
    assert bool(cookie["secure"]) is secure
    assert not cookie["domain"]
    assert not cookie["max-age"]


@given(st.text(max_size=40))
def test_text_that_is_no_mark_names_nothing(text):
    assert sticky_key([("Cookie", f"up={text}")], "up", MARKS)[0] == ""
