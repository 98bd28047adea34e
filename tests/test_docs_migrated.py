"""What the pages for those who come from another package say of behaviour is so."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from webob import Request

import wsgiproxy
from tests.support.in_process import Backend, front_environ, key_file, run
from tests.support.tables import rows
from tests.support.upstream import RawUpstream, answer
from wsgiproxy import (
    ConfigurationError,
    HostProxy,
    WSGIProxyApp,
    WSGIProxyMiddleware,
    proxy_exact_request,
)
from wsgiproxy.proxies import UnknownClient
from wsgiproxy.secretloader import new_key
from wsgiproxy.signature import sign_request

DOCS = Path(__file__).parents[1] / "docs"

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def says(page: str, left: str, right: str) -> None:
    """The page has a row that begins so; a test is about something that it says."""
    found = [row for row in rows(page) if row[0].startswith(left) and right in " ".join(row[1:])]
    assert len(found) == 1, (left, right)


def sent(href: str = "http://10.0.0.1", options: Any = None, **environ: Any) -> Any:
    """The request that `WSGIProxyApp` makes of one."""
    backend = Backend()
    run(WSGIProxyApp(href, transport=backend, **(options or {})), front_environ(**environ))
    return backend.sent[0][0]


def seen(options: Any = None, **environ: Any) -> dict[str, Any]:
    """The environ that an application behind `WSGIProxyMiddleware` gets."""
    found: dict[str, Any] = {}

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        found.update(environ)
        start_response("200 OK", [])
        return []

    run(WSGIProxyMiddleware(app, **(options or {})), front_environ(**environ))
    return found


# From WSGIProxy 0.2.2

OLD = "migrate_wsgiproxy"


def test_carried_keys_need_a_key_file(tmp_path: Path) -> None:
    says(OLD, "``WSGIProxyApp(href", "``pickle_keys`` needs ``allow_pickle=True``")
    with pytest.raises(ConfigurationError, match="secret_file"):
        WSGIProxyApp("http://10.0.0.1", string_keys=["a"])
    secret = key_file(tmp_path / "secret", new_key("k1"))
    with pytest.raises(ConfigurationError, match="allow_pickle"):
        WSGIProxyApp("http://10.0.0.1", secret, pickle_keys=["a"])


def test_the_target_is_made_as_the_page_says() -> None:
    says(OLD, "``http://host/?key=value`` as", "before the client's")
    says(OLD, "``Host: host:80``", "the default port is left out")
    says(OLD, "``app.href``", "its slash at the beginning")
    request = sent("http://10.0.0.1/base?key=value", QUERY_STRING="a=b")
    assert request.target == "/base/?key=value&a=b"
    assert dict(request.headers)["Host"] == "10.0.0.1"
    assert WSGIProxyApp("http://10.0.0.1/base").href_path == "/base"


def test_the_peer_is_announced_and_nobody_else() -> None:
    says(OLD, "``X-Forwarded-For`` is appended to", "it is set from the peer")
    forged = {"HTTP_X_FORWARDED_FOR": "6.6.6.6", "REMOTE_ADDR": "192.0.2.1"}
    assert dict(sent(**forged).headers)["X-Forwarded-For"] == "192.0.2.1"
    trusting = {"trusted_proxies": "192.0.2.1"}
    assert dict(sent("http://a", trusting, **forged).headers)["X-Forwarded-For"] == (
        "6.6.6.6, 192.0.2.1"
    )


def test_the_middleware_believes_nobody() -> None:
    says(OLD, "``WSGIProxyMiddleware(application)``", "it believes nobody")
    says(OLD, "``WSGIProxyMiddleware(application, trust_ips", '``family="historical"``')
    environ = {"HTTP_HOST": "inside", "HTTP_X_FORWARDED_SERVER": "shop.example"}
    environ["REMOTE_ADDR"] = "10.0.0.1"
    old = {"trust_ips": "10.0.0.1", "family": "historical"}
    assert seen(**environ)["HTTP_HOST"] == "inside"
    assert "HTTP_X_FORWARDED_SERVER" not in seen(**environ)
    assert seen({"trust_ips": "10.0.0.1"}, **environ)["HTTP_HOST"] == "inside"
    assert seen(old, **environ)["HTTP_HOST"] == "shop.example"


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"prefix": "/a", "pop_prefix": "/b"}, id="prefix-and-pop-prefix"),
        pytest.param({"host": "a"}, id="host-without-port"),
        pytest.param({"host": "a:80", "port": 80}, id="host-and-port"),
        pytest.param({"host": "a:80", "domain": "a"}, id="host-and-domain"),
    ],
)
def test_what_was_asserted_is_a_configuration_error(options: Any) -> None:
    says(OLD, "``AssertionError``", "which is a ``ValueError``")
    with pytest.raises(ValueError, match="expected"):
        WSGIProxyMiddleware(lambda environ, start: [], **options)


def test_a_path_outside_is_not_found() -> None:
    says(OLD, "``prefix``, ``pop_prefix``", "gets 404")
    app = WSGIProxyMiddleware(lambda environ, start: [], pop_prefix="/app")
    assert Request.blank("/other").get_response(app).status_int == 404


def test_who_is_away_is_a_response() -> None:
    says(OLD, "``socket.error``", "502")
    says("migrate_django_revproxy", "an exception when the upstream", "502")
    assert Request.blank("http://127.0.0.1:1/").get_response(proxy_exact_request).status_int == 502


def test_a_secret_has_32_bytes() -> None:
    says(OLD, "``sign_request(environ, secret)``", "at least 32 bytes")
    with pytest.raises(ConfigurationError, match="32"):
        sign_request(front_environ(), "x" * 31)


def test_the_version_of_the_protocol_is_the_old_one() -> None:
    says(OLD, "``wsgiproxy.protocol_version``", '``"0.1"``')
    assert wsgiproxy.protocol_version == "0.1"


# From WSGIProxy2

NEW = "migrate_wsgiproxy2"


def test_the_environ_stays_as_it_was(upstream: RawUpstream) -> None:
    says(NEW, "the caller's environ is changed", "it is copied")
    upstream.behaviour = answer()
    environ = front_environ()
    before = dict(environ)
    assert run(HostProxy(upstream.url), environ).head.status == 200
    assert environ == before


def test_what_concerns_the_connection_stays_there(upstream: RawUpstream) -> None:
    says(NEW, "``Connection``, ``Keep-Alive``", "they are removed")
    says(NEW, "names of fields are written", "as the upstream wrote them")
    upstream.behaviour = answer(headers=[("Keep-Alive", "timeout=5"), ("x-oDD", "1")])
    found = dict(run(HostProxy(upstream.url), front_environ()).head.headers)
    assert "Keep-Alive" not in found
    assert found["x-oDD"] == "1"


def test_a_body_is_not_asked_for_where_there_is_none(upstream: RawUpstream) -> None:
    says(NEW, "a request without a body is read for one", "not touched without a length")

    class Untouchable(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise AssertionError("it was read")

    upstream.behaviour = answer()
    environ = {**front_environ(), "wsgi.input": Untouchable()}
    assert run(HostProxy(upstream.url), environ).head.status == 200


def test_mistakes_are_found_when_the_proxy_is_made() -> None:
    says(NEW, "a ``uri`` without a scheme", "when the proxy is made")
    says(NEW, "an unknown ``client``", "which is an ``ImportError``, too")
    with pytest.raises(ConfigurationError, match="localhost"):
        HostProxy("localhost:3000")
    with pytest.raises(ImportError, match="restkit"):
        HostProxy("http://localhost:3000", client="restkit")
    assert issubclass(UnknownClient, ConfigurationError)


def test_host_proxy_is_for_programs_that_ask(upstream: RawUpstream) -> None:
    """Why the page sends new programs elsewhere."""
    words = " ".join((DOCS / "migrate_wsgiproxy2.rst").read_text().split())
    assert "It announces by four historical names alone" in words
    assert "it maps ``Location`` and nothing else" in words
    link = ("Content-Location", f"{upstream.url}/x")
    upstream.behaviour = answer(headers=[link, ("Location", f"{upstream.url}/x")])
    environ = front_environ(SCRIPT_NAME="/m", HTTP_X_FORWARDED_PREFIX="/forged")
    found = run(HostProxy(upstream.url), environ).head.headers
    assert link in found
    assert ("Location", f"{upstream.url}/m/x") in found
    announced = {name for name, _ in upstream.requests[0].headers if name.startswith("X-")}
    assert announced == {
        f"X-Forwarded-{name}" for name in ("Server", "Script-Name", "Scheme", "For")
    }


# From django-revproxy

DJANGO = "migrate_django_revproxy"


def test_nothing_is_added_to_an_answer(upstream: RawUpstream) -> None:
    says(DJANGO, "``default_content_type``", "stays without")
    upstream.behaviour = answer(headers=[], body=b"?")
    found = run(WSGIProxyApp(upstream.url), front_environ()).head.headers
    assert "content-type" not in {name.lower() for name, _ in found}


def test_accept_encoding_passes_unless_it_is_suppressed() -> None:
    says(DJANGO, "``Accept-Encoding`` is removed", "``suppress_headers`` can remove it")
    asked = {"HTTP_ACCEPT_ENCODING": "gzip"}
    assert dict(sent(**asked).headers)["Accept-Encoding"] == "gzip"
    options = {"suppress_headers": ["Accept-Encoding"]}
    assert "Accept-Encoding" not in dict(sent("http://a", options, **asked).headers)


def test_an_empty_body_is_none() -> None:
    says(DJANGO, "``suppress_empty_body``", "is sent without one")
    request = sent()
    assert request.content_length is None
    assert not request.chunked
