"""The browser proxy: who may use it, where it may go, plain requests and tunnels."""

from __future__ import annotations

import logging
import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import bcrypt
import pytest

from tests.support.upstream import RawUpstream, answer
from tests.test_exactproxy import Called, environ_for
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.exactproxy import filter_paste_httpserver_proxy, proxy_exact_request
from wsgiproxy.forward import ForwardProxy
from wsgiproxy.wsgiapp import make_real_proxy

Make = Callable[..., ForwardProxy]


@pytest.fixture
def made(upstream: RawUpstream) -> Iterator[Make]:
    """Make a proxy that may reach the upstream, besides what is public."""
    with ExitStack() as stack:

        def make(**options: Any) -> ForwardProxy:
            proxy = ForwardProxy(**{"allow": [f"127.0.0.1:{upstream.port}"], **options})
            stack.callback(proxy.close)
            return proxy

        yield make


def asked(upstream: RawUpstream, raw: str = "", **more: Any) -> dict[str, Any]:
    """An environ for what a browser asks of its proxy."""
    raw = raw or f"{upstream.url}/"
    environ = environ_for(upstream, REQUEST_URI=raw, REMOTE_ADDR="127.0.0.1")
    # As it is where nothing is known of the client but the server's own address.
    return {**environ, "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "1", **more}


def status(proxy: ForwardProxy, environ: dict[str, Any]) -> int:
    called = Called(proxy, environ)
    called.read()
    return called.status


# -- plain requests --------------------------------------------------------------------


def test_the_target_decides_and_nothing_is_announced(upstream, made):
    upstream.behaviour = answer(200, [("Set-Cookie", "a=1")], b"hello")
    environ = asked(
        upstream, f"{upstream.url}/a%2Fb//c?x&", HTTP_HOST="elsewhere", HTTP_COOKIE="b=2"
    )
    before = dict(environ)
    called = Called(made(via="us"), environ)
    assert called.read() == b"hello"
    (request,) = upstream.requests
    assert request.line == "GET /a%2Fb//c?x& HTTP/1.1"
    assert sorted(request.headers) == [
        ("Cookie", "b=2"),
        ("Host", upstream.netloc),
        ("Via", "1.0 us"),
    ]
    assert ("Set-Cookie", "a=1") in called.headers
    assert ("Via", "1.1 us") in called.headers
    assert environ == before


def test_a_redirect_is_not_followed(upstream, made):
    upstream.behaviour = answer(302, [("Location", "http://127.0.0.1:1/admin")])
    called = Called(made(), asked(upstream))
    assert called.status == 302
    assert ("Location", "http://127.0.0.1:1/admin") in called.headers
    assert upstream.connections == 1


@pytest.mark.parametrize("raw", ["/", "/x", "*", "ftp://a/", "https://example.com/"])
def test_what_a_server_would_be_asked_is_refused(upstream, made, raw):
    called = Called(made(), asked(upstream, raw))
    page = called.read()
    assert called.status == 400
    assert b"proxy for browsers" in page
    assert upstream.connections == 0


def test_a_server_that_keeps_no_target_gets_the_same_answer(upstream, made):
    environ = asked(upstream)
    del environ["REQUEST_URI"]
    assert status(made(), environ) == 400


def test_userinfo_is_refused(upstream, made):
    assert status(made(), asked(upstream, f"http://u:p@{upstream.netloc}/")) == 400
    assert upstream.connections == 0


def test_our_own_request_is_a_loop(upstream, made):
    assert status(made(via="us"), asked(upstream, HTTP_VIA="1.1 us")) == 508


def test_another_client_may_have_the_port_of_our_connection(upstream, made):
    """The kernel gives a port again for another destination."""
    proxy = made()
    statuses: list[int] = []

    def behave(connection) -> None:
        connection.read()
        if not statuses:
            statuses.append(0)
            address, port = connection._sock.getpeername()
            other = asked(upstream, REMOTE_ADDR=address, REMOTE_PORT=str(port))
            statuses.append(status(proxy, other))
        connection.send(answer())

    upstream.behaviour = behave
    assert status(proxy, asked(upstream)) == 200
    assert statuses == [0, 200]


# -- where it may go -------------------------------------------------------------------


@pytest.mark.parametrize(
    "authority",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "localhost",
        "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
        "169.254.169.254", "10.0.0.1", "192.168.0.1", "[fe80::1]", "224.0.0.1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["plain", "tunnel"])
def test_every_spelling_of_a_near_address_gets_403(made, authority, kind):
    proxy = made(allow=[])
    if kind == "plain":
        environ = {"REQUEST_URI": f"http://{authority}/", "REMOTE_ADDR": "127.0.0.1"}
        assert status(proxy, environ) == 403
    else:
        with Connected(proxy, f"{authority}:443") as client:
            assert client.head().startswith(b"HTTP/1.1 403 ")


def test_other_ports_are_refused(made):
    proxy = made(allow=[])
    environ = {"REQUEST_URI": "http://192.0.2.1:25/", "REMOTE_ADDR": "127.0.0.1"}
    assert status(proxy, environ) == 403


def test_the_reason_of_a_refusal_is_not_in_the_page(made, caplog):
    caplog.set_level(logging.INFO)
    environ = {"REQUEST_URI": "http://169.254.169.254/x", "REMOTE_ADDR": "127.0.0.1"}
    page = Called(made(), environ).read()
    assert b"169.254" not in page
    assert "169.254.169.254" in caplog.text


# -- who may use it --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clients", "peer", "expected"),
    [
        (None, "127.0.0.1", 200),
        (None, "127.8.8.8", 200),
        (None, "::1", 200),
        (None, "::ffff:127.0.0.1", 200),
        (None, "192.0.2.1", 403),
        (None, "", 403),
        ("192.0.2.0/24", "192.0.2.1", 200),
        ("192.0.2.0/24", "127.0.0.1", 403),
        ("unix", "", 200),
        ("*", "192.0.2.1", 200),
    ],
)
def test_clients_are_known_by_their_addresses(upstream, made, clients, peer, expected):
    upstream.behaviour = answer()
    assert status(made(allow_clients=clients), asked(upstream, REMOTE_ADDR=peer)) == expected
    assert upstream.connections == (expected == 200)


@pytest.fixture
def users(tmp_path):
    path = tmp_path / "users"
    path.write_bytes(b"alice:" + bcrypt.hashpw(b"wonder", bcrypt.gensalt(4)))
    return path


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (None, 407),
        ("", 407),
        (basic("alice:wonder"), 200),
        (basic("alice:queen"), 407),
        (basic("bob:wonder"), 407),
        ("Bearer x", 407),
    ],
)
@pytest.mark.parametrize("peer", ["127.0.0.1", "192.0.2.1"])
def test_with_credentials_every_client_needs_a_password(
    upstream, made, users, peer, field, expected
):
    upstream.behaviour = answer()
    environ = asked(upstream, REMOTE_ADDR=peer)
    if field is not None:
        environ["HTTP_PROXY_AUTHORIZATION"] = field
    assert status(made(credentials=users), environ) == expected
    if expected == 200:
        assert "Proxy-Authorization" not in dict(upstream.requests[0].headers)
    else:
        assert upstream.connections == 0


def test_addresses_count_beside_credentials(upstream, made, users):
    proxy = made(credentials=users, allow_clients="10.0.0.0/8")
    environ = asked(upstream, HTTP_PROXY_AUTHORIZATION=basic("alice:wonder"))
    assert status(proxy, environ) == 403


def test_credentials_may_be_a_function(upstream, made):
    upstream.behaviour = answer()
    seen = []
    proxy = made(credentials=lambda *found: seen.append(found) or found == ("a", "b:c"))
    assert status(proxy, asked(upstream, HTTP_PROXY_AUTHORIZATION=basic("a:b:c"))) == 200
    assert status(proxy, asked(upstream, HTTP_PROXY_AUTHORIZATION=basic("a:x"))) == 407
    assert seen == [("a", "b:c"), ("a", "x")]


def test_a_credentials_function_that_fails_is_a_503(upstream, made, caplog):
    def broken(user: str, password: str) -> bool:
        raise OSError("the directory is down")

    proxy = made(credentials=broken)
    assert status(proxy, asked(upstream, HTTP_PROXY_AUTHORIZATION=basic("a:b"))) == 503
    assert "the directory is down" in caplog.text
    assert upstream.connections == 0


def test_the_log_names_the_target_and_no_secret(upstream, made, caplog):
    caplog.set_level(logging.INFO)
    for raw, peer in [
        ("http://alice:SECRET@h.example/", "127.0.0.1"),
        ("/login?token=SECRET", "127.0.0.1"),
        ("https://shop.example/?token=SECRET", "127.0.0.1"),
        ("http://intranet.example/x", "192.0.2.1"),
    ]:
        status(made(), asked(upstream, raw, REMOTE_ADDR=peer))
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "SECRET" not in said
    assert "h.example" in said
    assert "'https://shop.example/?token=***' 400" in said
    assert "192.0.2.1 GET 'http://intranet.example/x' 403" in said


def test_the_challenge_is_left_out_where_it_would_break_the_server(upstream, made, users):
    proxy = made(credentials=users)
    assert "Proxy-Authenticate" not in dict(Called(proxy, asked(upstream)).headers)
    with socket.socket() as sock:
        environ = asked(upstream, **{"werkzeug.socket": sock})
        headers = dict(Called(proxy, environ).headers)
    assert headers["Proxy-Authenticate"] == 'Basic realm="wsgiproxy", charset="UTF-8"'


def test_no_more_than_so_many_at_the_same_time(upstream, made):
    upstream.behaviour = [("read",), ("send", b"HTTP/1.1 200 OK\r\n\r\nx"), ("wait_ended",)]
    proxy = made(max_connections=2)
    open_ones = [Called(proxy, asked(upstream)) for _ in range(2)]
    assert [called.status for called in open_ones] == [200, 200]
    assert status(proxy, asked(upstream)) == 503
    open_ones[0].result.close()
    again = Called(proxy, asked(upstream))
    assert again.status == 200
    for called in (again, open_ones[1]):
        called.result.close()


# -- tunnels ---------------------------------------------------------------------------


class Connected:
    """A client that has asked for a tunnel, of a server that gives its socket."""

    def __init__(
        self, proxy: ForwardProxy, authority: str, name: str = "wsgiproxy.socket", **more: Any
    ) -> None:
        self.sock, self._near = socket.socketpair()
        self.sock.settimeout(10)
        environ = {
            "REQUEST_METHOD": "CONNECT",
            "REQUEST_URI": authority,
            "REMOTE_ADDR": "127.0.0.1",
            name: self._near,
            **more,
        }
        self.statuses: list[str] = []
        self._thread = threading.Thread(target=self._run, args=[proxy, environ])
        self._thread.start()

    def _run(self, proxy: ForwardProxy, environ: dict[str, Any]) -> None:
        """What a server does."""
        heads: list[bytes] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> Any:
            self.statuses.append(status)
            heads.append(f"HTTP/1.1 {status}\r\n\r\n".encode())

        body = b"".join(proxy(environ, start_response))
        try:
            self._near.sendall(heads[0] + body)
        except OSError:
            self.statuses.append("shut down")
        self._near.close()

    def head(self) -> bytes:
        found = b""
        while not found.endswith(b"\r\n\r\n"):
            block = self.sock.recv(1)
            assert block, found
            found += block
        return found

    def end(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()

    def __enter__(self) -> Connected:
        return self

    def __exit__(self, *exception: object) -> None:
        self.sock.close()
        self.end()


ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@pytest.mark.parametrize("name", ["wsgiproxy.socket", "gunicorn.socket", "werkzeug.socket"])
def test_a_tunnel_passes_bytes(upstream, made, name):
    upstream.behaviour = answer(200, body=b"hello")
    with Connected(made(), upstream.netloc, name) as client:
        assert client.head() == ESTABLISHED
        client.sock.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.head().startswith(b"HTTP/1.1 200 ")
        assert client.sock.recv(100) == b"hello"
    assert upstream.requests[0].line == "GET /x HTTP/1.1"
    assert client.statuses == ["200 Connection established", "shut down"]


def test_what_came_with_the_head_goes_first(upstream, made):
    upstream.behaviour = answer()
    early = b"GET /early HTTP/1.1\r\n"
    with Connected(made(), upstream.netloc, **{"wsgiproxy.unread": early}) as client:
        assert client.head() == ESTABLISHED
        client.sock.sendall(b"Host: a\r\n\r\n")
        assert client.head().startswith(b"HTTP/1.1 200 ")
    assert upstream.requests[0].line == "GET /early HTTP/1.1"


def test_the_log_has_the_tunnel_at_both_ends(upstream, made, caplog):
    caplog.set_level(logging.INFO)
    upstream.behaviour = answer(200, body=b"hello")
    with Connected(made(), upstream.netloc) as client:
        client.head()
        assert f"tunnel to {upstream.netloc}" in caplog.text
        client.sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.head()
        assert client.sock.recv(100) == b"hello"
    (exchange,) = [each.exchange for each in caplog.records if hasattr(each, "exchange")]
    assert exchange["method"] == "CONNECT"
    assert exchange["path"] == upstream.netloc
    assert exchange["status"] == 200
    assert exchange["received"] > 40
    assert exchange["error"] is None


@pytest.mark.parametrize(
    ("options", "raw", "expected"),
    [
        ({"connect": False}, None, "405"),
        ({}, "example.com", "400"),
        ({}, "http://example.com/", "400"),
        ({}, "192.0.2.1:25", "403"),
        ({"max_connections": 0}, None, "503"),
        ({"deny": "127.0.0.0/8"}, None, "403"),
        ({"allow_clients": "10.0.0.0/8"}, None, "403"),
        ({"credentials": lambda user, password: False}, None, "407"),
        ({}, "127.0.0.1:1", "502"),
    ],
)
def test_a_tunnel_that_is_not_opened(upstream, made, options, raw, expected):
    options = {"allow": [f"127.0.0.1:{upstream.port}", "127.0.0.1:1"], **options}
    with Connected(made(**options), raw or upstream.netloc) as client:
        assert client.head().startswith(b"HTTP/1.1 " + expected.encode())
        client.end()
    assert upstream.connections == 0


def test_without_a_socket_there_is_no_tunnel(upstream, made):
    environ = asked(upstream, upstream.netloc, REQUEST_METHOD="CONNECT")
    assert status(made(), environ) == 501
    assert upstream.connections == 0


def test_a_tunnel_to_what_stock_paste_has_lost_is_a_bad_request(upstream, made):
    environ = of_paste(upstream, "dummyhttp:", "//a/\ufffd")
    assert status(made(), {**environ, "REQUEST_METHOD": "CONNECT"}) == 400


def test_a_silent_tunnel_is_closed_and_makes_room(upstream, made, caplog):
    caplog.set_level(logging.INFO)
    upstream.behaviour = [("wait_ended",)]
    proxy = made(tunnel_idle=0.1, max_connections=1)
    for _ in range(2):
        with Connected(proxy, upstream.netloc) as client:
            assert client.head() == ESTABLISHED
            assert client.sock.recv(1) == b""
    assert "UpstreamTimeout" in caplog.text


class Connecting:
    """A guard that does what it is told before it connects."""

    def __init__(self, upstream: RawUpstream, first: Callable[[], object]) -> None:
        self._port = upstream.port
        self._first = first

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        self._first()
        return socket.create_connection(("127.0.0.1", self._port), timeout)


def test_a_tunnel_that_is_dialled_while_the_proxy_is_closed_is_none(upstream, made):
    upstream.behaviour = [("wait_ended",)]
    proxy = made()
    proxy.guard = Connecting(upstream, proxy.close)
    with Connected(proxy, upstream.netloc) as client:
        assert client.sock.recv(1) == b""
        client.end()
    assert upstream.wait_closed()


def test_an_unexpected_failure_leaves_no_place_taken(upstream, made):
    def fail() -> None:
        raise RuntimeError("a resolver that a program has replaced")

    upstream.behaviour = answer()
    proxy = made(max_connections=1)
    proxy.guard = Connecting(upstream, fail)
    near, far = socket.socketpair()
    with near, far:
        environ = asked(upstream, upstream.netloc, REQUEST_METHOD="CONNECT")
        for _ in range(2):
            with pytest.raises(RuntimeError):
                proxy({**environ, "wsgiproxy.socket": near}, lambda *_: None)
    assert status(proxy, asked(upstream)) == 200


def test_closing_the_proxy_ends_its_tunnels(upstream, made):
    upstream.behaviour = [("wait_ended",)]
    proxy = made()
    with Connected(proxy, upstream.netloc) as client:
        assert client.head() == ESTABLISHED
        proxy.close()
        assert client.sock.recv(1) == b""
        client.end()
    assert upstream.wait_closed()


# -- settings --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"allow_clients": "nobody"}, "allow_clients='nobody': expected an address"),
        ({"allow": "http://a/"}, "allow='http://a/': expected"),
        ({"deny": "a:b:c:d"}, "deny='a:b:c:d': expected"),
        ({"ports": "http"}, "ports='http': expected port numbers, or"),
        ({"ports": ()}, r"ports=\(\): expected"),
        ({"ports": 70000}, "ports=70000: expected"),
        ({"credentials": "/nowhere"}, "credentials='/nowhere': cannot be read"),
        ({"credentials": 5}, "credentials=5: expected the path"),
        ({"connect": "perhaps"}, "connect='perhaps': expected true or false"),
        ({"max_connections": -1}, "max_connections=-1: expected a whole number"),
        ({"tunnel_idle": 0}, "tunnel_idle=0: expected a number of seconds"),
        ({"alow": "x"}, "alow='x': no such setting; did you mean allow"),
        ({"parent_proxy": "http://a:1"}, "parent_proxy='http://a:1': no such setting"),
    ],
)
def test_a_bad_setting_is_named(options, message):
    with pytest.raises(ConfigurationError, match=message):
        ForwardProxy(**options)


def test_an_open_proxy_is_a_warning(caplog):
    ForwardProxy(allow_clients="0.0.0.0/0").close()
    assert "any client may use this proxy" in caplog.text


def test_paste_deploys_strings_are_settings():
    with pytest.raises(ConfigurationError, match="ports='80, x': expected port numbers"):
        make_real_proxy({}, ports="80, x")
    proxy = make_real_proxy({"debug": "true"}, ports="80, 8080", connect="off", deny="a b:80")
    assert repr(proxy.guard) == "Guard(allow=[], deny=['a', 'b:80'], ports='80 8080')"


# -- the filter of old -----------------------------------------------------------------


def of_paste(upstream: RawUpstream, host: str, path: str) -> dict[str, object]:
    environ = environ_for(upstream, path, SERVER_NAME="0.0.0.0", SERVER_PORT="1")
    environ["paste.httpserver.proxy.scheme"] = "http"
    environ["paste.httpserver.proxy.host"] = host
    return environ


def test_the_filter_undoes_what_paste_makes_of_a_proxy_request(upstream):
    upstream.behaviour = answer(200, body=b"hello")
    environ = of_paste(upstream, "dummyhttp:", f"//{upstream.netloc}/foo bar")
    before = dict(environ)
    called = Called(filter_paste_httpserver_proxy(proxy_exact_request), environ)
    assert called.read() == b"hello"
    assert upstream.requests[0].line == "GET /foo%20bar HTTP/1.1"
    assert dict(upstream.requests[0].headers)["Host"] == upstream.netloc
    assert environ == before


def test_an_ordinary_request_stays_what_it_is(upstream):
    seen: list[dict[str, object]] = []

    def app(environ: dict[str, object], start_response: Any) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [])
        return []

    environ = of_paste(upstream, "dummy", "/b")
    Called(filter_paste_httpserver_proxy(app), environ)
    assert seen == [environ]


def test_a_target_with_userinfo_does_not_reach_the_application(upstream):
    environ = of_paste(upstream, "dummyhttp:", "//u:p@127.0.0.1/")
    called = Called(filter_paste_httpserver_proxy(proxy_exact_request), environ)
    called.read()
    assert called.status == 400
