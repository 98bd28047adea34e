"""The page for users of ProxyFix is right: beside the real one, the same and different."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.support.in_process import front_environ, run
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.middleware import WSGIProxyMiddleware

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ALL = {"x_for": 1, "x_proto": 1, "x_host": 1, "x_port": 1, "x_prefix": 1}
# What the page names as set by both.
FACTS = ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME")


def fixed(middleware: Any, counts: dict[str, int], environ: dict[str, Any]) -> dict[str, Any]:
    """The environ that the application gets; empty if it is not called."""
    found: dict[str, Any] = {}

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        found.update(environ)
        start_response("200 OK", [])
        return []

    run(middleware(app, **counts), front_environ(**environ))
    return found


def facts(environ: dict[str, Any]) -> dict[str, Any]:
    return {name: environ.get(name) for name in FACTS}


def said(**fields: str) -> dict[str, str]:
    """Fields by the end of their names."""
    return {f"HTTP_X_FORWARDED_{name.upper()}": value for name, value in fields.items()}


@pytest.mark.parametrize(
    ("counts", "fields"),
    [
        pytest.param(ALL, {}, id="nothing-said"),
        pytest.param(ALL, {"for_": "192.0.2.1"}, id="address"),
        pytest.param(ALL, {"for_": "6.6.6.6, 192.0.2.1"}, id="the-last-of-two"),
        pytest.param({"x_for": 2}, {"for_": "6.6.6.6, 192.0.2.1, 10.0.0.1"}, id="two-proxies"),
        pytest.param({"x_for": 3}, {"for_": "6.6.6.6, 192.0.2.1"}, id="fewer-than-counted"),
        pytest.param({"x_for": 0}, {"for_": "192.0.2.1"}, id="not-counted"),
        pytest.param({"x_host": 1}, {"for_": "192.0.2.1", "proto": "https"}, id="defaults-1"),
        pytest.param({"x_for": 1}, {"host": "a", "port": "1", "prefix": "/a"}, id="defaults-0"),
        pytest.param(ALL, {"proto": "https"}, id="scheme"),
        pytest.param(ALL, {"host": "a.example"}, id="host"),
        pytest.param(ALL, {"host": "a.example:8443"}, id="host-with-port"),
        pytest.param(ALL, {"port": "8443"}, id="port"),
        pytest.param(ALL, {"host": "a.example:1", "port": "8443"}, id="port-over-host"),
        pytest.param(ALL, {"prefix": "/app"}, id="prefix"),
    ],
)
def test_the_same(counts: dict[str, int], fields: dict[str, str]) -> None:
    environ = said(**{name.rstrip("_"): value for name, value in fields.items()})
    theirs, ours = (fixed(kind, counts, environ) for kind in (ProxyFix, WSGIProxyMiddleware))
    assert facts(ours) == facts(theirs)


@pytest.mark.parametrize(
    ("environ", "key", "theirs", "ours"),
    [
        pytest.param(
            {**said(prefix="/app"), "SCRIPT_NAME": "/m"},
            "SCRIPT_NAME",
            "/app",
            "/app/m",
            id="prefix",
        ),
        pytest.param(said(prefix="/a%20b"), "SCRIPT_NAME", "/a%20b", "/a b", id="prefix-decoded"),
        pytest.param(
            said(proto="https", host="a.example", port="443"),
            "HTTP_HOST",
            "a.example:443",
            "a.example",
            id="default-port",
        ),
        pytest.param(
            {"HTTP_X_FORWARDED_FOR": "x"}, "REMOTE_ADDR", "x", "203.0.113.9", id="no-address"
        ),
        pytest.param(said(proto="ftp"), "wsgi.url_scheme", "ftp", "http", id="no-scheme"),
        pytest.param(said(port="x"), "SERVER_PORT", "x", "80", id="no-port"),
        # None: the application is not called.
        pytest.param(said(host="a/b"), "HTTP_HOST", "a/b", None, id="no-host"),
        pytest.param(said(prefix="//evil"), "SCRIPT_NAME", "//evil", None, id="no-prefix"),
        pytest.param(
            {"HTTP_X_FORWARDED_FOR": "192.0.2.1", "REMOTE_PORT": "1"},
            "REMOTE_PORT",
            "1",
            None,
            id="port-of-the-peer",
        ),
        pytest.param(
            {"HTTP_X_FORWARDED_FOR": "192.0.2.1"},
            "HTTP_X_FORWARDED_FOR",
            "192.0.2.1",
            None,
            id="header",
        ),
    ],
)
def test_what_differs(environ: dict[str, str], key: str, theirs: str, ours: str | None) -> None:
    assert fixed(ProxyFix, ALL, environ).get(key) == theirs
    assert fixed(WSGIProxyMiddleware, ALL, environ).get(key) == ours


@pytest.mark.parametrize(
    ("chain", "theirs", "ours"),
    [
        ('"6.6.6.6, 192.0.2.1', "203.0.113.9", "192.0.2.1"),
        ('"6.6.6.6", 192.0.2.1', "192.0.2.1", "192.0.2.1"),
        ('6.6.6.6, "192.0.2.1"', "192.0.2.1", "203.0.113.9"),
        ('192.0.2.1, "192.0.2.7, 6.6.6.6"', "192.0.2.7, 6.6.6.6", "203.0.113.9"),
    ],
    ids=["open", "beside", "around", "a-comma"],
)
def test_quotes(chain: str, theirs: str, ours: str) -> None:
    """An open quote of the client does not hide what the proxy has appended."""
    environ = {"HTTP_X_FORWARDED_FOR": chain}
    assert fixed(ProxyFix, {"x_for": 1}, environ)["REMOTE_ADDR"] == theirs
    assert fixed(WSGIProxyMiddleware, {"x_for": 1}, environ)["REMOTE_ADDR"] == ours


def test_the_originals() -> None:
    environ = {"HTTP_X_FORWARDED_FOR": "192.0.2.1"}
    theirs = fixed(ProxyFix, ALL, environ)["werkzeug.proxy_fix.orig"]
    ours = fixed(WSGIProxyMiddleware, ALL, environ)["wsgiproxy.orig"]
    assert theirs["REMOTE_ADDR"] == ours["REMOTE_ADDR"] == "203.0.113.9"
    assert ours["HTTP_X_FORWARDED_FOR"] == "192.0.2.1"


def test_without_a_count_nobody_is_believed() -> None:
    environ = {"HTTP_X_FORWARDED_FOR": "192.0.2.1"}
    assert fixed(ProxyFix, {}, environ)["REMOTE_ADDR"] == "192.0.2.1"
    assert fixed(WSGIProxyMiddleware, {}, environ)["REMOTE_ADDR"] == "203.0.113.9"


def test_counts_by_position_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="^secret_file=1: expected the path of a file$"):
        WSGIProxyMiddleware(ProxyFix, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("trusted", "address"),
    [
        pytest.param("203.0.113.0/24", "192.0.2.1", id="the-peer"),
        pytest.param("10.0.0.0/8", "203.0.113.9", id="another"),
    ],
)
def test_counts_of_these_peers_only(trusted: str, address: str) -> None:
    options: Any = {"trust_ips": trusted, "x_for": 1}
    environ = {"HTTP_X_FORWARDED_FOR": "192.0.2.1"}
    assert fixed(WSGIProxyMiddleware, options, environ)["REMOTE_ADDR"] == address
