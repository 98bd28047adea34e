"""The frames of a client, read by the library's server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("websockets")

from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from wsgiproxy.asgi.masking import data_frame


def received(data: bytes) -> list[Frame]:
    server = ServerProtocol(state=OPEN, max_size=None)
    server.receive_data(data)
    assert server.parser_exc is None
    return [frame for frame in server.events_received() if isinstance(frame, Frame)]


def text_of(frame: Frame) -> str:
    return bytes(frame.data).decode()


@given(st.lists(st.one_of(st.text(max_size=300), st.binary(max_size=300)), max_size=5))
def test_messages_arrive_as_they_are(messages: list[str | bytes]) -> None:
    frames = received(b"".join(map(data_frame, messages)))
    kinds = [Opcode.TEXT if isinstance(each, str) else Opcode.BINARY for each in messages]
    assert [frame.opcode for frame in frames] == kinds
    assert all(frame.fin for frame in frames)
    assert [
        text_of(frame) if frame.opcode is Opcode.TEXT else bytes(frame.data) for frame in frames
    ] == messages


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_each_length_is_written_in_the_shortest_form(length: int) -> None:
    data = data_frame(b"x" * length)
    head = 2 if length < 126 else 4 if length < 65_536 else 10
    assert len(data) == head + 4 + length  # RFC 6455, 5.2
    (frame,) = received(data)
    assert frame.data == b"x" * length


def test_masks_differ() -> None:
    assert len({data_frame(b"")[2:] for _ in range(100)}) > 90
