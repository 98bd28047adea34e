"""The opening handshake of WebSocket, both ways, and the codes of its end."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.utils import accept_key as accept_key_of_websockets
from wsproto.utilities import generate_accept_token

from wsgiproxy.errors import BadRequest, BadResponse, WebSocketNotCarried
from wsgiproxy.sansio import websocket
from wsgiproxy.sansio.message import Inbound, Request, ResponseHead
from wsgiproxy.sansio.websocket import (
    accept_headers,
    accept_key,
    check_switch,
    close_code,
    close_reason,
    handshake_headers,
    offered_protocols,
    protocols_asked,
    selected_protocol,
    switched_head,
    switches_to,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GOOD_KEY = [("Sec-WebSocket-Key", KEY)]
ACCEPT = ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
UPGRADE = ("Upgrade", "websocket")
CONNECTION = ("Connection", "Upgrade")


_HANDSHAKE = Inbound(
    method="GET",
    scheme="http",
    host="a.example",
    server_name="a.example",
    server_port=80,
    script_name="",
    path="/",
    query="",
    headers=GOOD_KEY,
    peer="127.0.0.1",
    peer_port="1",
    protocol="1.1",
    content_length=None,
    chunked=False,
    upgrade=("websocket",),
)


def inbound(**parts: Any) -> Inbound:
    return _HANDSHAKE._replace(**parts)


@pytest.mark.parametrize(
    ("version", "upgrade", "connection", "asked"),
    [
        pytest.param("1.1", ["websocket"], ["Upgrade"], ("websocket",), id="usual"),
        pytest.param("1.1", ["WebSocket"], ["keep-alive, UPGRADE"], ("websocket",), id="case"),
        pytest.param("1.1", ["a", "b, C"], ["x", "upgrade"], ("a", "b", "c"), id="lists"),
        pytest.param("1.1", ["a/1, ,b"], ["upgrade"], ("a/1", "b"), id="version-and-gap"),
        pytest.param("1.1", ["websocket"], ["keep-alive"], (), id="not-in-Connection"),
        pytest.param("1.1", ["websocket"], [], (), id="no-Connection"),
        pytest.param("1.1", ["websocket"], ["not-upgrade"], (), id="part-of-a-word"),
        pytest.param("1.1", [], ["upgrade"], (), id="no-Upgrade"),
        pytest.param("1.0", ["websocket"], ["upgrade"], (), id="HTTP/1.0"),
        pytest.param("2", ["websocket"], ["upgrade"], (), id="HTTP/2"),
    ],
)
def test_protocols_that_a_request_asks_for(version, upgrade, connection, asked):
    assert protocols_asked(version, upgrade, connection) == asked


@pytest.mark.parametrize(
    ("parts", "allowed", "found"),
    [
        pytest.param({}, ("websocket",), "websocket", id="websocket"),
        pytest.param({"upgrade": ()}, ("websocket",), "", id="ordinary"),
        pytest.param({"upgrade": ("h2c",)}, ("websocket",), "", id="not-allowed"),
        pytest.param({"upgrade": ("h2c", "foo")}, ("foo",), "foo", id="first-that-is-allowed"),
        pytest.param({"upgrade": ("foo", "websocket")}, ("websocket",), "websocket", id="second"),
        pytest.param({"upgrade": ("foo",), "method": "POST"}, ("foo",), "foo", id="POST-of-foo"),
        pytest.param({"method": "POST"}, ("websocket",), "", id="POST-of-websocket"),
        pytest.param({"method": "HEAD"}, (), "", id="HEAD-of-websocket"),
    ],
)
def test_protocol_that_a_request_may_go_over_to(parts, allowed, found):
    assert switches_to(inbound(**parts), allowed) == found


@pytest.mark.parametrize(
    ("parts", "allowed", "error"),
    [
        pytest.param({}, (), WebSocketNotCarried, id="not-allowed"),
        pytest.param({}, ("foo",), WebSocketNotCarried, id="another-is-allowed"),
        pytest.param({"headers": []}, ("websocket",), BadRequest, id="no-key"),
        pytest.param({"headers": GOOD_KEY * 2}, ("websocket",), BadRequest, id="two-keys"),
        pytest.param({"content_length": 1}, ("websocket",), BadRequest, id="body"),
        pytest.param({"chunked": True}, ("websocket",), BadRequest, id="chunked"),
        pytest.param(
            {"content_length": 1, "upgrade": ("foo",), "method": "POST"},
            ("foo",),
            BadRequest,
            id="body-of-foo",
        ),
    ],
)
def test_what_is_no_handshake(parts, allowed, error):
    with pytest.raises(error):
        switches_to(inbound(**parts), allowed)


@given(st.binary(max_size=24))
def test_key_is_one_of_16_bytes_and_nothing_else(data):
    headers = [("Sec-WebSocket-Key", base64.b64encode(data).decode())]
    if len(data) == 16:
        assert switches_to(inbound(headers=headers), ("websocket",)) == "websocket"
    else:
        with pytest.raises(BadRequest):
            switches_to(inbound(headers=headers), ("websocket",))


@given(st.binary(min_size=16, max_size=16))
def test_accept_key_is_that_of_other_libraries(data):
    key = base64.b64encode(data).decode()
    assert accept_key(key) == accept_key_of_websockets(key)
    assert accept_key(key) == generate_accept_token(key.encode()).decode()


def request(upgrade: str = "websocket", *more: tuple[str, str]) -> Request:
    return Request("GET", "/", [*GOOD_KEY, *more], upgrade=upgrade)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([UPGRADE, CONNECTION, ACCEPT], id="usual"),
        pytest.param([("upgrade", "WebSocket"), ("connection", "x, UPGRADE"), ACCEPT], id="case"),
        pytest.param(
            [UPGRADE, CONNECTION, ACCEPT, ("Sec-WebSocket-Protocol", "chat")], id="subprotocol"
        ),
    ],
)
def test_answer_101_that_is_right(headers):
    asked = request("websocket", ("Sec-WebSocket-Protocol", "chat, other"))
    check_switch(asked, ResponseHead(101, "", headers))


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([CONNECTION, ACCEPT], id="no-Upgrade"),
        pytest.param([UPGRADE, ACCEPT], id="no-Connection"),
        pytest.param([UPGRADE, ("Connection", "close"), ACCEPT], id="other-Connection"),
        pytest.param([("Upgrade", "h2c"), CONNECTION, ACCEPT], id="other-protocol"),
        pytest.param([UPGRADE, UPGRADE, CONNECTION, ACCEPT], id="two-protocols"),
        pytest.param([UPGRADE, CONNECTION], id="no-key"),
        pytest.param([UPGRADE, CONNECTION, ACCEPT, ACCEPT], id="two-keys"),
        pytest.param([UPGRADE, CONNECTION, ("Sec-WebSocket-Accept", KEY)], id="other-key"),
        pytest.param(
            [UPGRADE, CONNECTION, ("Sec-WebSocket-Accept", ACCEPT[1].lower())], id="case-of-key"
        ),
        pytest.param(
            [UPGRADE, CONNECTION, ACCEPT, ("Sec-WebSocket-Protocol", "chat")], id="not-offered"
        ),
    ],
)
def test_answer_101_that_is_wrong(headers):
    with pytest.raises(BadResponse):
        check_switch(request(), ResponseHead(101, "", headers))


def test_another_protocol_has_no_key():
    check_switch(request("foo"), ResponseHead(101, "", [("Upgrade", "Foo"), CONNECTION]))


@pytest.mark.parametrize("status", [200, 403, 426, 503])
def test_another_answer_is_not_checked(status):
    check_switch(request(), ResponseHead(status, "", []))


@pytest.mark.parametrize(
    ("headers", "offered", "selected"),
    [
        pytest.param([], ["a"], None, id="none"),
        pytest.param([("sec-websocket-protocol", "b")], ["a", "b"], "b", id="one"),
        pytest.param([("sec-websocket-protocol", " ")], ["a"], None, id="empty"),
    ],
)
def test_subprotocol(headers, offered, selected):
    assert selected_protocol(headers, offered) == selected


@pytest.mark.parametrize("value", ["a, b", "c", "A"])
def test_subprotocol_that_was_not_offered(value):
    with pytest.raises(BadResponse):
        selected_protocol([("Sec-WebSocket-Protocol", value)], ["a", "b"])


def test_subprotocols_are_offered_as_they_are_written():
    headers = [("Sec-WebSocket-Protocol", "a,  B\t,"), ("sec-websocket-protocol", "c")]
    assert offered_protocols(headers) == ["a", "B", "c"]


def test_own_handshake_has_a_key_and_extensions_of_its_own():
    headers = [
        ("Cookie", "a=b"),
        *GOOD_KEY,
        ("Sec-WebSocket-Version", "8"),
        ("Sec-WebSocket-Extensions", "x"),
        ("Sec-WebSocket-Protocol", "old"),
    ]
    assert handshake_headers(headers, "KEY", "deflate", ["chat", "no token"]) == [
        ("Cookie", "a=b"),
        ("Sec-WebSocket-Key", "KEY"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "chat"),
        ("Sec-WebSocket-Extensions", "deflate"),
    ]
    assert handshake_headers([], "KEY") == [
        ("Sec-WebSocket-Key", "KEY"),
        ("Sec-WebSocket-Version", "13"),
    ]


def test_fields_of_a_101_for_a_client_whose_server_answers():
    headers = [ACCEPT, ("Set-Cookie", "a=b"), ("Content-Length", "0")]
    assert accept_headers(headers) == [("Set-Cookie", "a=b")]


def test_head_of_a_101_for_the_clients_socket():
    head = ResponseHead(101, "Whatever", [("Upgrade", "WebSocket"), ("Connection", "upgrade, x")])
    assert switched_head(head, [ACCEPT, ("Content-Length", "0")]) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )


@given(st.none() | st.integers(0, 5000))
def test_code_for_a_close_frame_may_be_sent(code):
    from wsproto.frame_protocol import LOCAL_ONLY_CLOSE_REASONS, CloseReason

    found = close_code(code)
    assert found is None or found not in LOCAL_ONLY_CLOSE_REASONS
    assert found is None or found >= 3000 or found in iter(CloseReason) or 1012 <= found <= 1014


@pytest.mark.parametrize(
    ("code", "sent"),
    [
        pytest.param(1000, 1000, id="normal"),
        pytest.param(None, None, id="none"),
        pytest.param(1005, None, id="without-a-code"),
        pytest.param(1006, 1001, id="lost"),
        pytest.param(1004, 1001, id="reserved"),
        pytest.param(1015, 1001, id="tls"),
        pytest.param(4001, 4001, id="of-an-application"),
        pytest.param(5000, 1001, id="too-large"),
        pytest.param(999, 1001, id="too-small"),
    ],
)
def test_code_for_a_close_frame(code, sent):
    assert close_code(code) == sent
    assert close_code(code, lost=1011) == (1011 if sent == 1001 and code != 1001 else sent)


@given(st.none() | st.text(max_size=200))
def test_reason_fits_into_a_close_frame(reason):
    found = close_reason(reason)
    assert len(found.encode()) <= 123
    wanted = (reason or "").encode("utf-8", "replace").decode()
    assert wanted.startswith(found)
    assert found == wanted or len(found.encode()) > 119


def test_names_of_schemes():
    assert websocket.SCHEMES == {"http": "ws", "https": "wss"}
    assert websocket.HTTP_SCHEMES == {"ws": "http", "wss": "https"}
