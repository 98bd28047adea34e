"""The host and the path by which a router chooses."""

from __future__ import annotations

from typing import Any

import pytest

from wsgiproxy.sansio.environ.asked import asked_by_environ, asked_by_scope


@pytest.mark.parametrize(
    ("raw", "host"),
    [
        pytest.param("/x", "h", id="origin-form"),
        pytest.param("", "h", id="not-known"),
        pytest.param("*", "h", id="asterisk"),
        pytest.param("http://A.example:81/x", "A.example:81", id="absolute-form"),
        pytest.param("http://u@a.example/x", "", id="userinfo"),
        pytest.param("http:///x", "", id="without-a-host"),
    ],
)
def test_host_of_the_target_counts_more(raw: str, host: str) -> None:
    base = {"HTTP_HOST": "h", "PATH_INFO": "/x"}
    for key in ("REQUEST_URI", "RAW_URI"):
        assert asked_by_environ({**base, key: raw}) == (host, "/x")
    scope: dict[str, Any] = {"path": "/x", "raw_path": raw.encode(), "headers": [(b"Host", b"h")]}
    assert asked_by_environ({**base, "asgi.scope": scope}) == (host, "/x")
    assert asked_by_scope(scope) == (host, "", "/x")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("http://a.example/x", "/x", id="with-the-authority"),
        pytest.param("HTTP://a.example", "/", id="authority-alone"),
        pytest.param("/x", "/x", id="without"),
    ],
)
def test_authority_is_no_part_of_the_path(path: str, expected: str) -> None:
    scope = {"path": path, "raw_path": b"http://a.example/x", "headers": []}
    assert asked_by_scope(scope) == ("a.example", "", expected)


def test_lines_of_host_are_one_list_which_is_no_host() -> None:
    headers = [(b"host", b"a"), (b"host", b"b")]
    assert asked_by_scope({"path": "/", "headers": headers}) == ("a, b", "", "/")


def test_scope_without_a_raw_path() -> None:
    assert asked_by_environ({"PATH_INFO": "/", "asgi.scope": {"raw_path": None}}) == ("", "/")
