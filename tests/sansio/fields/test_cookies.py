"""Cookies that stay on our side."""

from __future__ import annotations

from http.cookies import SimpleCookie

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.sansio.fields.cookies import not_sent, not_set


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("a=1", "a=1"),
        ("session=x", None),
        ("a=1; session=x", "a=1"),
        ("session=x; a=1", "a=1"),
        ("a=1;session=x;b=2", "a=1;b=2"),
        ("a=1; session=x; session=y; b=2", "a=1; b=2"),
        ("a=1, session=x", "a=1"),
        ("a=1,2; b=3", "a=1,2; b=3"),
        ("session", None),
        (" session =x; a=1", "a=1"),
        ("\tsession=x", None),
        ("Session=x; mysession=y; session2=z", "Session=x; mysession=y; session2=z"),
        ("a=session=x", "a=session=x"),
        ('a="b; session=x"', 'a="b'),
        ("", None),
    ],
)
def test_those_of_the_name_are_gone_and_others_stay(value, left):
    expected = [("Accept", "*/*")] + ([("Cookie", left)] if left is not None else [])
    assert not_sent([("Accept", "*/*"), ("Cookie", value)], ["session"]) == expected


@pytest.mark.parametrize(
    ("value", "stays"),
    [
        ("a=1; Path=/", True),
        ("session=x; Path=/; HttpOnly", False),
        (" session =x", False),
        ("session", False),
        ("=session=x", False),
        ("= session=x", False),
        ("a=session", True),
        ("a=1; session=x", True),
    ],
)
def test_the_upstream_does_not_set_what_is_ours(value, stays):
    headers = [("Set-Cookie", value), ("set-cookie", value), ("X-Session", "session=x")]
    assert not_set(headers, ["session"]) == (headers if stays else headers[2:])


@given(st.dictionaries(st.sampled_from(["a", "b", "session", "c.d"]), st.text("xyz09", max_size=4)))
def test_what_python_reads_of_it_is_all_but_those(cookies):
    value = "; ".join(f"{name}={text}" for name, text in cookies.items())
    found = not_sent([("Cookie", value)], {"session"})
    read = SimpleCookie(found[0][1] if found else "")
    assert {name: each.value for name, each in read.items()} == {
        name: text for name, text in cookies.items() if name != "session"
    }
