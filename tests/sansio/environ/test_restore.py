"""Rules about what is put back into the environ: by an envelope, a family, or the configuration."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rounds import together
from wsgiproxy.errors import BadRequest, NotFound
from wsgiproxy.sansio.environ.restore import (
    Changes,
    Fixed,
    by_configuration,
    by_envelope,
    by_family,
    namespace,
)
from wsgiproxy.sansio.fields.envelope import Envelope
from wsgiproxy.sansio.fields.forwarded import Stated
from wsgiproxy.sansio.fields.host import is_host, split_host

ENVELOPE = Envelope(
    target="/x",
    client="192.0.2.1",
    host="shop.example",
    scheme="https",
    port="443",
    script_name="",
    traversal_path="",
    traversal_query="",
    path_info=None,
    query=None,
    carried={},
)
BACKEND: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "REMOTE_ADDR": "10.0.0.1",
    "wsgi.url_scheme": "http",
    "HTTP_HOST": "backend:8000",
    "SERVER_NAME": "backend",
    "SERVER_PORT": "8000",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/x",
    "QUERY_STRING": "",
}


# The namespace


@together
@pytest.mark.parametrize(
    ("environ", "changes"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"HTTP_ACCEPT": "*/*", "PATH_INFO": "/"}, {}, id="nothing-of-it"),
        *(
            pytest.param({key: "6.6.6.6"}, {key: None}, id=f"{key}")
            for key in (
                *("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_MADE_UP", "HTTP_X.FORWARDED.FOR"),
                *("HTTP_X-FORWARDED-FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_PROXY"),
                *("HTTP_X_TRAVERSAL_PATH", "HTTP_X_TRAVERSAL_QUERY_STRING", "HTTP_WSGIPROXY"),
                *("HTTP_X_WSGIPROXY_STR_0", "HTTP_X_SCRIPT_NAME", "HTTP_SCRIPT_NAME"),
                *("HTTP_PATH_INFO", "HTTP_REMOTE_USER", "HTTP_X_ORIGINAL_URL"),
                *("HTTP_X_REWRITE_URL", "HTTP_WSGIPROXY_VERIFIED"),
            )
        ),
        pytest.param(
            {"REMOTE_USER": "u", "SCRIPT_NAME": "/m", "wsgiproxy.peer": "p"}, {}, id="no-field"
        ),
        pytest.param({"HTTP_X_FORWARDEDFOR": "x", "HTTP_FORWARDEDX": "x"}, {}, id="other-names"),
        pytest.param(
            {
                "HTTP_SIGNATURE_INPUT": 'wsgiproxy=();tag="wsgiproxy"',
                "HTTP_SIGNATURE": "wsgiproxy=:AA==:",
            },
            {"HTTP_SIGNATURE_INPUT": None, "HTTP_SIGNATURE": None},
            id="our-signature",
        ),
        pytest.param(
            {
                "HTTP_SIGNATURE_INPUT": 'sig1=();tag="bot", wsgiproxy=()',
                "HTTP_SIGNATURE": "wsgiproxy=:AA==:, sig1=:BBBB:",
            },
            {"HTTP_SIGNATURE_INPUT": 'sig1=();tag="bot"', "HTTP_SIGNATURE": "sig1=:BBBB:"},
            id="another-signature-beside-ours",
        ),
        pytest.param(
            {"HTTP_SIGNATURE": "wsgiproxy=:AA==:"},
            {"HTTP_SIGNATURE_INPUT": None, "HTTP_SIGNATURE": None},
            id="half-of-our-signature",
        ),
        pytest.param(
            {"HTTP_SIGNATURE": 'keyId="a",signature="B="'},
            {"HTTP_SIGNATURE_INPUT": None, "HTTP_SIGNATURE": 'keyId="a",signature="B="'},
            id="a-signature-of-the-draft",
        ),
    ],
)
def test_namespace(environ: dict[str, str], changes: Changes) -> None:
    """Whatever else is done, it goes: the framework behind us would read it."""
    before = dict(environ)
    assert namespace(environ) == changes
    assert environ == before


# By an envelope


def after(changes: Changes, environ: dict[str, Any]) -> dict[str, Any]:
    restored = {**environ, **changes}
    return {key: value for key, value in restored.items() if value is not None}


def test_all_that_an_envelope_changes() -> None:
    assert by_envelope(ENVELOPE, BACKEND) == {
        "REMOTE_ADDR": "192.0.2.1",
        "wsgi.url_scheme": "https",
        "REQUEST_URI": "/x",
        "HTTP_HOST": "shop.example",
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "443",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/x",
        "QUERY_STRING": "",
        "wsgiproxy.traversal_path": "",
        "wsgiproxy.traversal_query_string": "",
    }


@pytest.mark.parametrize(
    ("facts", "sent", "script_name", "path_info", "query", "uri"),
    [
        pytest.param({}, "", "", "/x", "", "/x", id="plain"),
        pytest.param({"target": "/"}, "", "", "/", "", "/", id="root"),
        pytest.param({"target": "/x?"}, "a=b", "", "/x", "a=b", "/x?a=b", id="query"),
        pytest.param({"target": "/x?"}, "", "", "/x", "", "/x?", id="question-mark-alone"),
        pytest.param({"target": "/a%2Fb"}, "", "", "/a/b", "", "/a%2Fb", id="escaped-slash"),
        pytest.param({"target": "/caf%C3%A9"}, "", "", "/caf\xc3\xa9", "", "/caf%C3%A9", id="utf8"),
        pytest.param({"target": "//x/../."}, "", "", "//x/../.", "", "//x/../.", id="as-it-is"),
        pytest.param({"script_name": "/m"}, "", "/m", "/x", "", "/m/x", id="mount"),
        pytest.param({"script_name": "/%6D"}, "", "/m", "/x", "", "/%6D/x", id="mount-escaped"),
        pytest.param(
            {"target": "/app/x", "traversal_path": "/app"}, "", "", "/x", "", "/x", id="traversal"
        ),
        pytest.param(
            {"target": "/app/x", "traversal_path": "/app", "script_name": "/m"},
            *("", "/m", "/x", "", "/m/x"),
            id="mount-and-traversal",
        ),
        pytest.param(
            {"target": "/app", "traversal_path": "/app", "script_name": "/m"},
            *("", "/m", "", "", "/m"),
            id="mount-itself",
        ),
        pytest.param(
            {"target": "/app/", "path_info": "", "traversal_path": "/app", "script_name": "/m"},
            *("", "/m", "", "", "/m"),
            id="mount-itself-where-href-has-a-slash",
        ),
        pytest.param(
            {"target": "/app", "traversal_path": "/app"}, "", "", "", "", "/", id="nothing-at-all"
        ),
        pytest.param(
            {"target": "/x?", "traversal_query": "k=1"},
            *("k=1&a=b", "", "/x", "a=b", "/x?a=b"),
            id="traversal-query",
        ),
        pytest.param(
            {"target": "/x?", "traversal_query": "k=1"},
            *("k=1", "", "/x", "", "/x"),
            id="traversal-query-alone",
        ),
        pytest.param(
            {"path_info": "/caf\xe9"},
            "",
            "",
            "/caf\xe9",
            "",
            "/x",
            id="path_info-that-does-not-follow",
        ),
        pytest.param(
            {"target": "/x?", "query": "a b"},
            *("a%20b", "", "/x", "a b", "/x?a%20b"),
            id="query-that-does-not-follow",
        ),
    ],
)
def test_path_and_query_by_envelope(facts, sent, script_name, path_info, query, uri) -> None:
    changes = by_envelope(ENVELOPE._replace(**facts), {**BACKEND, "QUERY_STRING": sent})
    assert changes["SCRIPT_NAME"] == script_name
    assert changes["PATH_INFO"] == path_info
    assert changes["QUERY_STRING"] == query
    assert changes["REQUEST_URI"] == uri


@pytest.mark.parametrize(
    ("facts", "name", "port"),
    [
        pytest.param({"host": "a"}, "a", "443", id="name"),
        pytest.param({"host": "a:8443", "port": "8443"}, "a", "8443", id="port"),
        pytest.param({"host": "a", "port": "8080"}, "a", "8080", id="another-port-of-the-server"),
        pytest.param({"host": "[::1]:81", "port": "81"}, "::1", "81", id="ipv6"),
    ],
)
def test_host_by_envelope(facts: dict[str, str], name: str, port: str) -> None:
    """Host as the client wrote it; SERVER_PORT as the front server said it."""
    changes = by_envelope(ENVELOPE._replace(**facts), BACKEND)
    assert changes["HTTP_HOST"] == facts["host"]
    assert (changes["SERVER_NAME"], changes["SERVER_PORT"]) == (name, port)


KEPT = {"REMOTE_ADDR": "10.0.0.1", "REMOTE_HOST": "front", "REMOTE_PORT": "4711"}


@pytest.mark.parametrize(
    ("environ", "client", "changes"),
    [
        pytest.param(
            KEPT,
            "192.0.2.1",
            {"REMOTE_ADDR": "192.0.2.1", "REMOTE_HOST": None, "REMOTE_PORT": None},
            id="name-and-port-are-those-of-the-peer",
        ),
        pytest.param(KEPT, "10.0.0.1", {"REMOTE_ADDR": "10.0.0.1"}, id="it-was-the-peer"),
        pytest.param({}, "192.0.2.1", {"REMOTE_ADDR": "192.0.2.1"}, id="nothing-was-known"),
        pytest.param(
            KEPT | {},
            "",
            {"REMOTE_ADDR": "", "REMOTE_HOST": None, "REMOTE_PORT": None},
            id="a-socket-without-address",
        ),
    ],
)
def test_client_by_envelope(environ: dict[str, str], client: str, changes: Changes) -> None:
    found = by_envelope(ENVELOPE._replace(client=client), environ)
    assert {key: value for key, value in found.items() if key.startswith("REMOTE")} == changes


@pytest.mark.parametrize(
    ("environ", "scheme", "changes"),
    [
        pytest.param({}, "https", {}, id="absent-stays-absent"),
        pytest.param({"HTTPS": "off"}, "https", {"HTTPS": "on"}, id="https-on"),
        pytest.param({"HTTPS": "on"}, "http", {"HTTPS": None}, id="https-gone"),
        pytest.param(
            {"REQUEST_SCHEME": "http"}, "https", {"REQUEST_SCHEME": "https"}, id="request-scheme"
        ),
    ],
)
def test_scheme_by_envelope(environ: dict[str, str], scheme: str, changes: Changes) -> None:
    """The other places where servers say it must not contradict it."""
    found = by_envelope(ENVELOPE._replace(scheme=scheme), environ)
    assert found["wsgi.url_scheme"] == scheme
    others = {"HTTPS", "REQUEST_SCHEME"}
    assert {key: value for key, value in found.items() if key in others} == changes


def test_raw_uri_by_envelope() -> None:
    """Where the server has both names, both say the same."""
    found = by_envelope(ENVELOPE, {"RAW_URI": "/other", "REQUEST_URI": "/other"})
    assert (found["RAW_URI"], found["REQUEST_URI"]) == ("/x", "/x")
    assert "RAW_URI" not in by_envelope(ENVELOPE, {"REQUEST_URI": "/other"})


# By a family


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        pytest.param(Stated(), {}, id="nothing-said"),
        pytest.param(Stated(client="192.0.2.1"), {"REMOTE_ADDR": "192.0.2.1"}, id="client"),
        pytest.param(Stated(scheme="https"), {"wsgi.url_scheme": "https"}, id="scheme"),
        pytest.param(
            Stated(host="a.example"),
            {"HTTP_HOST": "a.example", "SERVER_NAME": "a.example"},
            id="host-without-port-leaves-the-port",
        ),
        pytest.param(
            Stated(host="a:81"),
            {"HTTP_HOST": "a:81", "SERVER_NAME": "a", "SERVER_PORT": "81"},
            id="host-with-port",
        ),
        pytest.param(
            Stated(host="[::1]:81"),
            {"HTTP_HOST": "[::1]:81", "SERVER_NAME": "::1", "SERVER_PORT": "81"},
            id="ipv6",
        ),
        pytest.param(
            Stated(port="81"),
            {"SERVER_PORT": "81", "HTTP_HOST": "backend:81"},
            id="port-of-host",
        ),
        pytest.param(
            Stated(port="80"),
            {"SERVER_PORT": "80", "HTTP_HOST": "backend"},
            id="default-port-is-left-out",
        ),
        pytest.param(
            Stated(port="8000"),
            {"SERVER_PORT": "8000", "HTTP_HOST": "backend:8000"},
            id="the-port-that-is-there",
        ),
        pytest.param(
            Stated(scheme="https", port="443"),
            {"wsgi.url_scheme": "https", "SERVER_PORT": "443", "HTTP_HOST": "backend"},
            id="default-port-of-the-scheme-that-is-said",
        ),
        pytest.param(
            Stated(host="a:81", port="82"),
            {"HTTP_HOST": "a:82", "SERVER_NAME": "a", "SERVER_PORT": "82"},
            id="the-port-field-wins",
        ),
        pytest.param(
            Stated(host="[::1]", port="82"),
            {"HTTP_HOST": "[::1]:82", "SERVER_NAME": "::1", "SERVER_PORT": "82"},
            id="port-of-ipv6",
        ),
        pytest.param(Stated(prefix="/m"), {"SCRIPT_NAME": "/m", "PATH_INFO": "/x"}, id="prefix"),
        pytest.param(
            Stated(prefix="/caf%C3%A9"),
            {"SCRIPT_NAME": "/caf\xc3\xa9", "PATH_INFO": "/x"},
            id="prefix-decoded",
        ),
    ],
)
def test_by_family(said: Stated, changes: Changes) -> None:
    """Where the peer is silent, the environ stays as it is."""
    before = dict(BACKEND)
    assert by_family(said, BACKEND) == changes
    assert before == BACKEND


def test_a_port_without_any_host() -> None:
    """HTTP/1.0: a Host is not made up."""
    assert by_family(Stated(port="81"), {"SERVER_PORT": "80"}) == {"SERVER_PORT": "81"}


BAD_HOSTS = ["a:x", "a:99999", "a:1:2", "a b", "a,b", "[::1", "u@a", "a:80\n", "a:\u0661"]


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_a_port_beside_a_host_that_is_none(host: str) -> None:
    """It is the client's own Host, and whatever it writes is no error of the application's."""
    environ = {**BACKEND, "HTTP_HOST": host}
    with pytest.raises(BadRequest, match="Host"):
        by_family(Stated(port="81"), environ)
    with pytest.raises(BadRequest, match="Host"):
        by_configuration(Fixed(port="81"), environ)


@pytest.mark.parametrize(
    ("said", "environ", "changes"),
    [
        pytest.param(
            Stated(prefix="/m"),
            {"SCRIPT_NAME": "/app", "PATH_INFO": "/x", "REQUEST_URI": "/app/x?q"},
            {"SCRIPT_NAME": "/m/app", "PATH_INFO": "/x"},
            id="a-mount-of-our-own-stays-and-so-does-a-target-that-is-not-its-own",
        ),
        pytest.param(
            Stated(prefix="/m"),
            {"SCRIPT_NAME": "/app", "PATH_INFO": "/a/b", "REQUEST_URI": "/app/a%2Fb"},
            {"SCRIPT_NAME": "/m/app", "PATH_INFO": "/a/b", "REQUEST_URI": "/m/app/a%2Fb"},
            id="the-raw-target-follows",
        ),
        pytest.param(
            Stated(prefix="/m"),
            {"PATH_INFO": "/x", "QUERY_STRING": "q", "RAW_URI": "/x?q"},
            {"SCRIPT_NAME": "/m", "PATH_INFO": "/x", "REQUEST_URI": "/m/x?q", "RAW_URI": "/m/x?q"},
            id="the-raw-target-by-its-other-name",
        ),
        pytest.param(
            Stated(traversal_path="/app"),
            {"PATH_INFO": "/app/x", "REQUEST_URI": "/app/x"},
            {"SCRIPT_NAME": "", "PATH_INFO": "/x", "REQUEST_URI": "/x"},
            id="traversal-is-taken-away",
        ),
        pytest.param(
            Stated(traversal_path="/app", prefix="/m"),
            {"PATH_INFO": "/app", "REQUEST_URI": "/app?"},
            {"SCRIPT_NAME": "/m", "PATH_INFO": "", "REQUEST_URI": "/m?"},
            id="traversal-itself",
        ),
        pytest.param(
            Stated(traversal_path="/app"),
            {"PATH_INFO": "/app", "REQUEST_URI": "/app"},
            {"SCRIPT_NAME": "", "PATH_INFO": "", "REQUEST_URI": "/"},
            id="nothing-is-left",
        ),
        pytest.param(
            Stated(traversal_path="/a%70p"),
            {"PATH_INFO": "/app/x", "REQUEST_URI": "/app/x"},
            {"SCRIPT_NAME": "", "PATH_INFO": "/x"},
            id="traversal-that-is-written-in-another-way",
        ),
    ],
)
def test_path_by_family(said: Stated, environ: dict[str, str], changes: Changes) -> None:
    assert by_family(said, environ) == changes


@pytest.mark.parametrize("path", ["/x", "/application", "", "/ap", "//app/x", "/APP"])
def test_the_traversal_path_has_to_be_there(path: str) -> None:
    with pytest.raises(BadRequest, match="X-Traversal-Path is '/app'"):
        by_family(Stated(traversal_path="/app"), {**BACKEND, "PATH_INFO": path})


# By the configuration, as documented for 0.2.2


@together
@pytest.mark.parametrize(
    ("fixed", "environ", "changes"),
    [
        pytest.param(Fixed(), {}, {}, id="nothing"),
        pytest.param(
            Fixed(prefix="/bar"), {"PATH_INFO": "/foo"}, {"SCRIPT_NAME": "/bar"}, id="prefix"
        ),
        pytest.param(
            Fixed(prefix=""), {"SCRIPT_NAME": "/x"}, {"SCRIPT_NAME": ""}, id="prefix-of-the-root"
        ),
        pytest.param(
            Fixed(prefix="/bar"),
            {"SCRIPT_NAME": "/x"},
            {"SCRIPT_NAME": "/bar"},
            id="prefix-replaces",
        ),
        pytest.param(
            Fixed(prefix="/caf%C3%A9"), {}, {"SCRIPT_NAME": "/caf\xc3\xa9"}, id="prefix-is-raw"
        ),
        pytest.param(
            Fixed(pop_prefix="/caf%C3%A9"),
            {"PATH_INFO": "/caf\xc3\xa9/foo"},
            {"SCRIPT_NAME": "/caf\xc3\xa9", "PATH_INFO": "/foo"},
            id="pop_prefix-is-raw",
        ),
        pytest.param(
            Fixed(pop_prefix="/bar"),
            {"PATH_INFO": "/bar/foo"},
            {"SCRIPT_NAME": "/bar", "PATH_INFO": "/foo"},
            id="pop_prefix",
        ),
        pytest.param(
            Fixed(pop_prefix="/bar"),
            {"SCRIPT_NAME": "/x", "PATH_INFO": "/bar"},
            {"SCRIPT_NAME": "/x/bar", "PATH_INFO": ""},
            id="pop_prefix-itself-under-a-mount",
        ),
        pytest.param(
            Fixed(pop_prefix="/bar"),
            {"PATH_INFO": "/bar//x/a..b"},
            {"SCRIPT_NAME": "/bar", "PATH_INFO": "//x/a..b"},
            id="pop_prefix-leaves-the-rest-as-it-is",
        ),
        pytest.param(
            Fixed(scheme="https"), {"HTTP_HOST": "a"}, {"wsgi.url_scheme": "https"}, id="scheme"
        ),
        pytest.param(
            Fixed(scheme="http"),
            {"HTTPS": "on", "REQUEST_SCHEME": "https"},
            {"wsgi.url_scheme": "http", "HTTPS": None, "REQUEST_SCHEME": "http"},
            id="scheme-in-all-its-places",
        ),
        pytest.param(
            Fixed(host="foo.com:81"),
            {},
            {"HTTP_HOST": "foo.com:81", "SERVER_NAME": "foo.com", "SERVER_PORT": "81"},
            id="host",
        ),
        pytest.param(
            Fixed(host="foo.com:80"),
            {},
            {"HTTP_HOST": "foo.com", "SERVER_NAME": "foo.com", "SERVER_PORT": "80"},
            id="host-with-the-default-port",
        ),
        pytest.param(
            Fixed(host="foo.com:443", scheme="https"),
            {},
            {
                "wsgi.url_scheme": "https",
                "HTTP_HOST": "foo.com",
                "SERVER_NAME": "foo.com",
                "SERVER_PORT": "443",
            },
            id="host-with-the-default-port-of-https",
        ),
        pytest.param(
            Fixed(host="foo.com:443"),
            {"wsgi.url_scheme": "https"},
            {"HTTP_HOST": "foo.com", "SERVER_NAME": "foo.com", "SERVER_PORT": "443"},
            id="the-scheme-of-the-request",
        ),
        pytest.param(
            Fixed(host="foo.com:443"),
            {"wsgi.url_scheme": "http"},
            {"HTTP_HOST": "foo.com:443", "SERVER_NAME": "foo.com", "SERVER_PORT": "443"},
            id="default-of-the-other-scheme",
        ),
        pytest.param(
            Fixed(host="[::1]:81"),
            {},
            {"HTTP_HOST": "[::1]:81", "SERVER_NAME": "::1", "SERVER_PORT": "81"},
            id="ipv6",
        ),
        pytest.param(
            Fixed(domain="foo.com"),
            {"SERVER_PORT": "8000"},
            {"HTTP_HOST": "foo.com:8000", "SERVER_NAME": "foo.com"},
            id="domain-with-the-port-of-the-request",
        ),
        pytest.param(
            Fixed(domain="foo.com"),
            {"SERVER_PORT": "80"},
            {"HTTP_HOST": "foo.com", "SERVER_NAME": "foo.com"},
            id="domain-with-the-default-port",
        ),
        pytest.param(
            Fixed(domain="foo.com"),
            {},
            {"HTTP_HOST": "foo.com", "SERVER_NAME": "foo.com"},
            id="domain-without-any-port",
        ),
        *(
            pytest.param(
                Fixed(domain="foo.com"),
                {"SERVER_PORT": port},
                {"HTTP_HOST": "foo.com", "SERVER_NAME": "foo.com"},
                id=name,
            )
            for name, port in [
                ("domain-on-a-unix-socket-of-gunicorn", ""),
                ("domain-on-a-unix-socket-of-waitress", "/run/app.sock"),
                ("domain-on-a-unix-socket-of-others", "None"),
            ]
        ),
        pytest.param(
            Fixed(domain="::1"),
            {"SERVER_PORT": "81"},
            {"HTTP_HOST": "[::1]:81", "SERVER_NAME": "::1"},
            id="domain-of-ipv6",
        ),
        pytest.param(
            Fixed(domain="[::1]"),
            {"SERVER_PORT": "80"},
            {"HTTP_HOST": "[::1]", "SERVER_NAME": "::1"},
            id="domain-of-ipv6-in-brackets",
        ),
        pytest.param(
            Fixed(domain="foo.com", port="81"),
            {"SERVER_PORT": "8000"},
            {"HTTP_HOST": "foo.com:81", "SERVER_NAME": "foo.com", "SERVER_PORT": "81"},
            id="domain-and-port",
        ),
        pytest.param(
            Fixed(port="81"),
            {"HTTP_HOST": "a:8000"},
            {"HTTP_HOST": "a:81", "SERVER_PORT": "81"},
            id="port",
        ),
        pytest.param(
            Fixed(port="80"),
            {"HTTP_HOST": "a:8000"},
            {"HTTP_HOST": "a", "SERVER_PORT": "80"},
            id="port-that-is-the-default",
        ),
        pytest.param(
            Fixed(port="81"),
            {"HTTP_HOST": "[::1]"},
            {"HTTP_HOST": "[::1]:81", "SERVER_PORT": "81"},
            id="port-of-ipv6",
        ),
        pytest.param(Fixed(port="81"), {}, {"SERVER_PORT": "81"}, id="port-without-any-host"),
        pytest.param(
            Fixed(port="81"), {"HTTP_HOST": ""}, {"SERVER_PORT": "81"}, id="port-and-an-empty-host"
        ),
    ],
)
def test_by_configuration(fixed: Fixed, environ: dict[str, str], changes: Changes) -> None:
    before = dict(environ)
    assert by_configuration(fixed, environ) == changes
    assert environ == before


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/barbaz", id="inside-a-segment"),
        pytest.param("/bar/../x", id="dots"),
        pytest.param("/bar/a/../../x", id="dots-further-on"),
        pytest.param("/bar/%2e%2e/x", id="dots-that-were-escaped-twice"),
        pytest.param("/bar/..\\x", id="backslash"),
        pytest.param("//bar", id="two-slashes"),
        pytest.param("/BAR/x", id="another-case"),
        pytest.param("/x/bar", id="further-on"),
        pytest.param("/", id="root"),
        pytest.param("", id="nothing"),
    ],
)
def test_M14_what_is_not_under_pop_prefix_is_a_404(path: str) -> None:
    """It is routing: another application may be there."""
    with pytest.raises(NotFound, match="pop_prefix='/bar'") as caught:
        by_configuration(Fixed(pop_prefix="/bar"), {"PATH_INFO": path})
    assert caught.value.status == 404
    assert "bar" not in caught.value.public


# Whatever the request was


_hosts = st.from_regex(r"([a-z][a-z0-9.-]{0,5}|\[[0-9a-f:]{2,6}\])(:[0-9]{0,4})?", fullmatch=True)
_ports = st.integers(1, 65535).map(str)


@given(
    st.builds(
        Stated,
        scheme=st.sampled_from(["", "http", "https"]),
        host=st.just("") | _hosts,
        port=st.just("") | _ports,
        client=st.just(""),
        prefix=st.just(""),
        traversal_path=st.just(""),
    ),
    st.fixed_dictionaries(
        {"wsgi.url_scheme": st.sampled_from(["http", "https"]), "SERVER_PORT": _ports},
        optional={"HTTP_HOST": _hosts | st.text(max_size=8)},
    ),
)
def test_host_and_port_never_contradict(said: Stated, environ: dict[str, str]) -> None:
    """After a peer has said its port, Host is a host, and names exactly that port."""
    try:
        restored = after(by_family(said, environ), environ)
    except BadRequest:
        assert not is_host(environ["HTTP_HOST"])
        return
    if said.port and restored.get("HTTP_HOST"):
        assert is_host(restored["HTTP_HOST"])
        default = {"http": 80, "https": 443}[restored["wsgi.url_scheme"]]
        port = split_host(restored["HTTP_HOST"], default)[1]
        assert str(port) == restored["SERVER_PORT"] == said.port
    if said.host:
        assert restored["SERVER_NAME"] == split_host(said.host)[0]


@given(
    st.builds(
        Fixed,
        prefix=st.none(),
        pop_prefix=st.just(""),
        scheme=st.sampled_from(["", "http", "https"]),
        host=st.just(""),
        domain=st.sampled_from(["", "foo.com", "::1", "[::1]"]),
        port=st.just("") | _ports,
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "HTTP_HOST": _hosts | st.text(max_size=8),
            "SERVER_PORT": _ports | st.text("/:a \u00e9", max_size=5),
            "wsgi.url_scheme": st.sampled_from(["http", "https"]),
        },
    ),
)
def test_the_configuration_makes_no_error_of_a_request(fixed: Fixed, environ: dict) -> None:
    """Whatever client and server write, Host is what was configured, or it is a 400."""
    try:
        changes = by_configuration(fixed, environ)
    except BadRequest:
        assert not fixed.domain
        assert not is_host(environ["HTTP_HOST"])
        return
    assert is_host(changes.get("HTTP_HOST", "a"))
    if fixed.domain:
        assert split_host(changes["HTTP_HOST"])[0] == fixed.domain.strip("[]")
