"""What is typed, and what is meant by it."""

from __future__ import annotations

import pytest

from wsgiproxy.cli.options import read_listen, read_prefix, read_target, read_threads
from wsgiproxy.errors import ConfigurationError


@pytest.mark.parametrize(
    ("typed", "href"),
    [
        pytest.param("http://example.com/a?b", "http://example.com/a?b", id="url"),
        pytest.param("https://example.com", "https://example.com", id="https"),
        pytest.param("unix:/run/x.sock:/base", "unix:/run/x.sock:/base", id="unix"),
        pytest.param("example.com:81", "http://example.com:81", id="host-port"),
        pytest.param("[::1]:81/x/", "http://[::1]:81/x/", id="ipv6"),
        pytest.param(":3000", "http://127.0.0.1:3000", id="colon-port"),
        pytest.param("3000", "http://127.0.0.1:3000", id="port"),
        pytest.param(":3000/app/", "http://127.0.0.1:3000/app/", id="port-path"),
    ],
)
def test_targets(typed, href):
    assert read_target(typed) == href


@pytest.mark.parametrize(
    "typed",
    ["", "localhost", "http://", "ftp://h", ":0", ":70000", "h:x", "unix:x", "http://u@h", "h:1#f"],
)
def test_no_targets(typed):
    with pytest.raises(ConfigurationError, match="^TARGET "):
        read_target(typed)


@pytest.mark.parametrize(
    ("typed", "listen"),
    [
        pytest.param("0.0.0.0:80", ("0.0.0.0", 80), id="all"),
        pytest.param("localhost:0", ("localhost", 0), id="any-port"),
        pytest.param("[::1]:8000", ("::1", 8000), id="ipv6"),
        pytest.param("8000", ("127.0.0.1", 8000), id="port-is-not-offered-to-others"),
        pytest.param(":8000", ("127.0.0.1", 8000), id="colon-port-neither"),
    ],
)
def test_listen(typed, listen):
    assert read_listen(typed) == listen


@pytest.mark.parametrize("typed", ["", ":", "host", "host:", "h:65536", "::1:80", "h:1/x", "²"])
def test_no_listen(typed):
    with pytest.raises(ConfigurationError, match="^--listen "):
        read_listen(typed)


@pytest.mark.parametrize(
    ("typed", "prefix"),
    [("", ""), ("/", ""), ("/a", "/a"), ("/a/", "/a"), ("/a/b.c~1", "/a/b.c~1")],
)
def test_prefix(typed, prefix):
    assert read_prefix(typed) == prefix


@pytest.mark.parametrize("typed", ["a", "//", "/a//b", "/a%20b", "/a b", "/a?b", "/é", "/a/../b"])
def test_no_prefix(typed):
    with pytest.raises(ConfigurationError, match="^--prefix "):
        read_prefix(typed)


def test_threads():
    assert read_threads("32") == 32
    for typed in ("", "0", "-1", "x", "1001", "²"):
        with pytest.raises(ConfigurationError, match="^--threads "):
            read_threads(typed)
