"""A page that has pointed its own name at this machine (DNS rebinding) gets no answer of ours."""

from __future__ import annotations

import contextlib

import pytest

from tests.cli.command import request_bytes, running
from tests.cli.serving import SERVERS, served
from tests.cli.test_serve import port_of
from tests.spawn.programs import server
from tests.support.client import raw_exchange

pytestmark = pytest.mark.in_turns(2)

LISTEN = ("--listen", "127.0.0.1:0")


def asked(port: int, host: str, path: str = "/"):
    return raw_exchange(port, request_bytes(f"GET {path}", host=host))


@contextlib.contextmanager
def of_a_target(echo, *options):
    with running("serve", echo.url, *LISTEN, *options) as command:
        yield port_of(command.url())


@contextlib.contextmanager
def below_a_prefix(echo, *options):
    with running("serve", echo.url, *LISTEN, "--prefix", "/app", *options) as command:
        yield port_of(command.url())


@contextlib.contextmanager
def of_a_command(echo, *options):
    with served(server(), *options) as site:
        yield site.port


@contextlib.contextmanager
def of_the_demo(echo, *options):
    with running("demo", *LISTEN, "--inspect-at", "127.0.0.1:0", *options) as command:
        command.line()  # the address of the inspector
        yield port_of(command.url())
        assert command.end() == 0  # or it would leave its key file behind


@pytest.fixture(params=[of_a_target, below_a_prefix, of_a_command, of_the_demo])
def started(request, echo):
    return lambda *options: request.param(echo, *options)


def test_other_names_get_421(started):
    with started() as port:
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example"):
            answer = asked(port, host)
            assert answer.status == 421
            assert b"--allowed-hosts" in answer.body
            assert b"evil" not in answer.body
            assert asked(port, host, "/app/x").status == 421
        for host in (f"127.0.0.1:{port}", "localhost", "app.localhost", f"[::1]:{port}"):
            assert asked(port, host).status in (200, 302)


def test_allowed_hosts_and_own_names_are_answered(started):
    with started("--allowed-hosts", "shop.example,[2001:db8::7]") as port:
        for host in ("shop.example:8443", "[2001:db8::7]", "localhost", f"127.0.0.1:{port}"):
            assert asked(port, host).status in (200, 302)
            # The proxy itself has to know them, too, and not only what lies before it.
            assert (
                asked(port, host, "/app/x").status < 400 or asked(port, host, "/demo/").status < 400
            )
        assert asked(port, "evil.example").status == 421


@pytest.mark.parametrize("name", SERVERS)
def test_other_names_get_421_under_every_server(name, echo):
    pytest.importorskip(name)
    with of_a_target(echo, "--server", name) as port:
        assert asked(port, "evil.example").status == 421
        assert asked(port, "localhost").status == 200


@pytest.mark.parametrize("name", ["uvicorn", "waitress"])
def test_the_host_of_an_absolute_target_counts(name, echo):
    """RFC 9112, 3.2.2: a server that gets one ignores Host."""
    pytest.importorskip(name)
    with of_a_target(echo, "--server", name) as port:
        for target, status in (("http://evil.example/x", 421), (f"http://localhost:{port}/x", 200)):
            request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            assert raw_exchange(port, request.encode()).status == status


def test_every_name_is_answered_at_0_0_0_0(echo):
    with running("serve", echo.url, "--listen", "0.0.0.0:0") as command:
        url = command.url()
        assert url.startswith("http://127.0.0.1:"), "0.0.0.0 cannot be opened on every system"
        assert asked(port_of(url), "any.example").status == 200


@pytest.mark.parametrize(
    ("allowed", "said"),
    [
        (["--allowed-hosts", "shop.example .example"], "Serving http://shop.example:{}/app/ -> "),
        (["--allowed-hosts", ".example"], "Serving /app/ at port {} for names below .example -> "),
    ],
    ids=["name", "pattern"],
)
def test_the_printed_address_is_answered(echo, allowed, said):
    options = ["--listen", "0.0.0.0:0", "--prefix", "/app", *allowed]
    with running("serve", echo.url, *options) as command:
        line = command.line()
        port = next(
            word for word in line.replace("/", " ").replace(":", " ").split() if word.isdigit()
        )
        assert line.startswith(said.format(port))
        found = asked(int(port), "shop.example", "/app/")
        assert (found.status, asked(int(port), "127.0.0.1", "/app/").status) == (200, 400)


def test_the_log_names_the_host_and_the_option(echo):
    with running("serve", echo.url, *LISTEN, "--access-log") as command:
        assert asked(port_of(command.url()), "evil.example").status == 421
        assert command.end() == 0
        assert "evil.example" in command.stderr
        assert "--allowed-hosts" in command.stderr


def test_trusted_proxies_without_allowed_hosts_gets_a_hint(echo):
    with running("serve", echo.url, *LISTEN, "--trusted-proxies", "127.0.0.1") as command:
        assert "passes the client's Host on needs --allowed-hosts" in command.line()
    options = ["--trusted-proxies", "127.0.0.1", "--allowed-hosts", "shop.example"]
    with running("serve", echo.url, *LISTEN, *options) as command:
        line = command.line()
        assert "needs" not in line
        fields = [("X-Forwarded-Host", "shop.example"), ("X-Forwarded-For", "192.0.2.7")]
        request = request_bytes("GET /", fields, host="shop.example")
        assert raw_exchange(port_of(line.split()[1]), request).status == 200


def test_a_forward_proxy_answers_no_name():
    """Only the absolute-form and CONNECT do anything, and no page can send those to it."""
    pytest.importorskip("paste.httpserver")
    with running("forward", *LISTEN) as command:
        port = int(command.line().split()[3].removesuffix(".").rpartition(":")[2])
        answer = asked(port, f"evil.example:{port}")
    assert answer.status == 400
    assert b"proxy for browsers" in answer.body
