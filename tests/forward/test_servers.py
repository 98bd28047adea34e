"""The browser proxy in each server: what of it works where, as the documentation says."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.forward.proxies import Proxy, started
from tests.forward.site import Site
from tests.support.client import raw_exchange, request_bytes

#: They pass on the absolute-form in some way.
ABSOLUTE = ("waitress", "gunicorn", "werkzeug", "paste", "handler")
#: They pass on CONNECT, and no socket.
NO_SOCKET = ("wsgiref", "waitress", "granian", "paste")


@pytest.fixture(scope="module")
def served(request: pytest.FixtureRequest, sites: tuple[Site, Site]) -> Iterator[Proxy]:
    """The proxy in the server that a test names."""
    with started(request.param, *(each.authority for each in sites)) as proxy:
        yield proxy


def each(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("served", kinds, indirect=True)


@each(*ABSOLUTE)
def test_the_absolute_form_goes_to_the_host_that_it_names(served, plain):
    line = f"GET {plain.url}/headers?a=%20b&&c"
    response = raw_exchange(served.port, request_bytes(line, host="elsewhere.example"))
    assert (response.status, response.complete) == (200, True)
    assert plain.seen[-1].line == "GET /headers?a=%20b&&c HTTP/1.1"
    got = json.loads(response.body)
    assert got["host"] == plain.authority
    assert got["via"].startswith("1.1 wsgiproxy-")
    assert not {"x-forwarded-for", "forwarded", "connection"} & set(got)


@each(*ABSOLUTE)
def test_a_body_arrives_whole(served, plain):
    line = f"POST {plain.url}/upload"
    response = raw_exchange(served.port, request_bytes(line, body=b"x" * 300_000))
    assert json.loads(response.body)["size"] == 300_000


@each(*(kind for kind in ABSOLUTE if kind != "paste"))
def test_a_path_stays_as_it_was_spelled(served, plain):
    raw_exchange(served.port, request_bytes(f"GET {plain.url}/a%2Fb/%c3%A9//c;d?%zz"))
    assert plain.seen[-1].line == "GET /a%2Fb/%c3%A9//c;d?%zz HTTP/1.1"


@each("paste")
@pytest.mark.parametrize(
    ("spelled", "sent"),
    [
        pytest.param("/a%20b;d?%zz", "/a%20b;d?%zz", id="ascii"),
        pytest.param("/%c3%A9/%e2%98%83", "/%C3%A9/%E2%98%83", id="utf-8"),
        pytest.param("/a%2Fb//c/../d", "/a/b/d", id="it-resolves-dots"),
    ],
)
def test_stock_paste_keeps_the_meaning_of_a_path(spelled, sent, served, plain):
    raw_exchange(served.port, request_bytes(f"GET {plain.url}{spelled}"))
    assert [seen.line for seen in plain.seen] == [f"GET {sent} HTTP/1.1"]


@each("paste")
def test_what_stock_paste_has_lost_of_a_path_is_not_made_up(served, plain):
    response = raw_exchange(served.port, request_bytes(f"GET {plain.url}/%E9"))
    assert (response.status, plain.seen) == (400, [])


@each(*ABSOLUTE)
def test_a_request_to_the_proxy_itself_is_refused(served, plain):
    assert raw_exchange(served.port, request_bytes("GET /")).status == 400
    own = request_bytes("GET /", host=f"127.0.0.1:{plain.port}")
    assert raw_exchange(served.port, own).status == 400
    assert plain.seen == []


@each("wsgiref", "cheroot", "granian")
def test_a_target_that_the_server_loses_is_a_400(served, plain):
    response = raw_exchange(served.port, request_bytes(f"GET {plain.url}/headers"))
    assert (response.status, plain.seen) == (400, [])


@each(*NO_SOCKET)
def test_without_a_socket_there_is_no_tunnel(served, plain):
    request = request_bytes(f"CONNECT {plain.authority}", host=plain.authority)
    response = raw_exchange(served.port, request)
    assert response.status == 501
    assert plain.seen == []


@each("cheroot")
def test_cheroot_makes_no_tunnel_by_itself(served, plain):
    request = request_bytes(f"CONNECT {plain.authority}", host=plain.authority)
    assert raw_exchange(served.port, request).status == 405
    assert plain.seen == []
