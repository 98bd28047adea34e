"""The upstream's end of a WebSocket, frame by frame: the list of cases of Autobahn's test suite.

Its sections are rebuilt here for the end that we are, the client: 1 framing, 2 pings and pongs,
3 reserved bits, 4 opcodes, 5 fragments, 6 UTF-8, 7 closing, 9 sizes, 10 pieces, 12 and 13
compression. What a server echoes there is what arrives here.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Callable
from typing import Any, cast

import pytest
from websockets.headers import parse_extension

from tests.asgi.sockets import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_frame, frame
from wsgiproxy.asgi.compression import _DEFLATE, OFFER
from wsgiproxy.asgi.frames import UpstreamEnd
from wsgiproxy.asgi.message_hooks import Message
from wsgiproxy.errors import BadResponse
from wsgiproxy.sansio.message import BLOCK
from wsgiproxy.transport.aio.connection import Connection

pytestmark = pytest.mark.in_turns(2, "tiny")

MEGABYTE = 1 << 20
DEFLATED = [("Sec-WebSocket-Extensions", "permessage-deflate")]


class Wire:
    """The least of a connection: it records what is written."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.is_stalled = self.is_dead = self.is_paused = self.is_closed = False
        self.transport = self
        self.loop: Any = None

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        assert not self.is_closed
        self.is_paused = True

    def resume_reading(self) -> None:
        assert not self.is_closed
        self.is_paused = False

    def left(self) -> bytes | None:
        return None

    def close(self) -> None:
        self.is_closed = self.is_dead = True

    @property
    def frames(self) -> list[tuple[int, bytes]]:
        """What was written: opcodes with the bits before them, and data without masks."""
        found, data = [], bytes(self.written)
        while data:
            length, at = data[1] & 0x7F, 2
            assert data[1] & 0x80, "a client masks its frames"
            if length > 125:
                at += 2 if length == 126 else 8
                length = int.from_bytes(data[2:at], "big")
            mask, shown = data[at : at + 4], data[at + 4 : at + 4 + length]
            repeated = (mask * (length // 4 + 1))[:length]
            plain = int.from_bytes(shown, "big") ^ int.from_bytes(repeated, "big")
            found.append((data[0], plain.to_bytes(length, "big")))
            data = data[at + 4 + length :]
        return found


class Loop:
    """The least of an event loop, one turn at a time."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> object:
        self.callbacks.append(callback)
        return callback

    def create_future(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    def turn(self) -> bool:
        """Whether there was anything to do."""
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback()
        return bool(callbacks)


def opened(
    headers: list[tuple[str, str]] | None = None, *, limit: int = 16 * MEGABYTE
) -> tuple[UpstreamEnd, Wire]:
    wire = Wire()
    end = UpstreamEnd(limit, headers or [], deflate=headers is not None)
    wire.loop = end._loop = cast(Any, Loop())
    end.begin(cast(Connection, wire), b"")
    return end, wire


def messages(end: UpstreamEnd) -> list[Message]:
    found = []
    while True:
        message = end.taken()
        if message is not None:
            found.append(message)
        elif not cast(Any, end)._loop.turn():
            return found


def code_of(data: bytes) -> int | None:
    return struct.unpack("!H", data[:2])[0] if data else None


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def arrives(*parts: bytes, size: int | None = None) -> tuple[UpstreamEnd, Wire, list[Message]]:
    """What an end makes of bytes, in the pieces of one size, or as they are given."""
    end, wire = opened()
    for part in parts:
        for piece in pieces(part, size or max(1, len(part))):
            end.data(piece)
    return end, wire, messages(end)


# 1 framing, 9 sizes, 10 pieces


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65535, 65536, 65537, MEGABYTE])
@pytest.mark.parametrize("piece", [None, 997])
def test_messages_of_all_sizes(size: int, piece: int | None) -> None:
    text, data = "*" * size, b"\xfe" * size
    _, _, found = arrives(frame(TEXT, text.encode()), frame(BINARY, data), size=piece)
    assert found == [text, data]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, MEGABYTE])
def test_what_is_sent_has_the_right_length(size: int) -> None:
    end, wire = opened()
    end.send("*" * size)
    end.send(b"\xfe" * size)
    assert wire.frames == [(0x81, b"*" * size), (0x82, b"\xfe" * size)]


def test_a_frame_that_comes_byte_by_byte() -> None:
    data = "\N{SNOWMAN}" * 100
    assert arrives(frame(TEXT, data.encode()), size=1)[2] == [data]


@pytest.mark.parametrize("each", [64, 4096, 65536])
def test_a_large_message_in_fragments(each: int) -> None:
    data = bytes(range(256)) * 1024
    parts = pieces(data, each)
    first, *rest = [frame(BINARY if at == 0 else CONT, p, fin=False) for at, p in enumerate(parts)]
    assert arrives(first, *rest, frame(CONT))[2] == [data]


# 2 pings and pongs


@pytest.mark.parametrize("data", [b"", b"Hello", b"\0\xff\xfe\xfd", b"\xfe" * 125])
@pytest.mark.parametrize("size", [None, 1])
def test_a_ping_is_answered_with_its_data(data: bytes, size: int | None) -> None:
    end, wire, found = arrives(frame(PING, data), size=size)
    assert (wire.frames, found, end.closed) == ([(0x8A, data)], [], None)


def test_ten_pings_are_answered_in_turn() -> None:
    _, wire, _ = arrives(b"".join(frame(PING, b"%d" % number) for number in range(10)))
    assert wire.frames == [(0x8A, b"%d" % number) for number in range(10)]


@pytest.mark.parametrize("data", [b"", b"unasked"])
def test_an_unsolicited_pong_is_passed_over(data: bytes) -> None:
    end, wire, found = arrives(frame(PONG, data), frame(PING, b"x"), frame(TEXT, b"a"))
    assert (wire.frames, found, end.closed) == ([(0x8A, b"x")], ["a"], None)


def test_pings_to_an_upstream_that_does_not_read_are_answered_once() -> None:
    end, wire = opened()
    wire.is_stalled = True
    for number in range(1000):
        end.data(frame(PING, b"%d" % number))
    assert not wire.written
    wire.is_stalled = False
    end.drained()
    assert wire.frames == [(0x8A, b"999")]


# 3 reserved bits, 4 opcodes, 5 fragments, 2.5 and 7 what breaks the rules

BROKEN: list[Any] = [
    *[pytest.param([frame(TEXT, b"a", reserved=bits)], id=f"bits-{bits}") for bits in range(1, 8)],
    pytest.param([frame(PING, b"a", reserved=1)], id="bits-of-a-ping"),
    *[pytest.param([frame(code, b"a")], id=f"opcode-{code}") for code in (3, 4, 5, 6, 7)],
    *[pytest.param([frame(code, b"a")], id=f"opcode-{code}") for code in (11, 12, 13, 14, 15)],
    pytest.param([frame(PING, b"a" * 126)], id="ping-of-126"),
    pytest.param([frame(PONG, b"a" * 126)], id="pong-of-126"),
    pytest.param([frame(CLOSE, b"\x03\xe8" + b"a" * 124)], id="close-of-126"),
    pytest.param([frame(PING, b"a", fin=False)], id="ping-in-fragments"),
    pytest.param([frame(PONG, b"a", fin=False)], id="pong-in-fragments"),
    pytest.param([frame(CONT, b"a")], id="nothing-to-continue"),
    pytest.param([frame(CONT, b"a", fin=False)], id="nothing-to-continue-unfinished"),
    pytest.param([frame(TEXT, b"a", fin=False), frame(TEXT, b"b")], id="text-in-a-text"),
    pytest.param([frame(TEXT, b"a", fin=False), frame(BINARY, b"b")], id="binary-in-a-text"),
    pytest.param([frame(TEXT, b"a", mask=True)], id="masked"),
    pytest.param([frame(CLOSE, b"\x03")], id="close-of-one-byte"),
    pytest.param([frame(TEXT, b"a", fin=False), close_frame(1000)], id="close-in-a-message"),
    *[
        pytest.param([close_frame(code)], id=f"close-{code}")
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    ],
]


@pytest.mark.parametrize("parts", BROKEN)
@pytest.mark.parametrize("size", [None, 1])
def test_what_breaks_the_rules_is_closed_with_1002(parts: list[bytes], size: int | None) -> None:
    end, wire, _ = arrives(*parts, size=size)
    ((opcode, data),) = wire.frames
    assert (opcode, code_of(data)) == (0x88, 1002)
    assert end.closed == (1011, "")  # the client is not to blame


def test_what_came_before_a_broken_frame_arrives_and_what_follows_does_not() -> None:
    whole = frame(TEXT, b"before") + frame(3) + frame(TEXT, b"after") + frame(PING)
    end, wire, found = arrives(whole)
    assert found == ["before"]
    assert len(wire.frames) == 1
    end.data(frame(TEXT, b"still"))
    assert messages(end) == []


FRAGMENTS: list[Any] = [
    pytest.param([(TEXT, b"a", False), (CONT, b"b", True)], ["ab"], id="two"),
    pytest.param([(TEXT, b"", False), (CONT, b"", False), (CONT, b"", True)], [""], id="empty"),
    pytest.param([(TEXT, b"", False), (CONT, b"a", False), (CONT, b"", True)], ["a"], id="middle"),
    pytest.param(
        [(TEXT, b"a", False), (PING, b"p", True), (CONT, b"b", True)], ["ab"], id="a-ping-between"
    ),
    pytest.param(
        [(BINARY, b"a", False), (PONG, b"", True), (CONT, b"b", True), (TEXT, b"c", True)],
        [b"ab", "c"],
        id="a-pong-between",
    ),
    pytest.param(
        [(TEXT, b"\xe2", False), (CONT, b"\x98", False), (CONT, b"\x83", True)],
        ["\N{SNOWMAN}"],
        id="a-character-in-three",
    ),
]


@pytest.mark.parametrize(("parts", "expected"), FRAGMENTS)
@pytest.mark.parametrize("size", [None, 1])
def test_fragments(parts: list[Any], expected: list[Message], size: int | None) -> None:
    whole = b"".join(frame(opcode, data, fin=fin) for opcode, data, fin in parts)
    end, wire, found = arrives(whole, size=size)
    assert (found, end.closed) == (expected, None)
    assert wire.frames == [(0x8A, data) for opcode, data, _ in parts if opcode == PING]


def test_endless_empty_fragments_take_no_memory() -> None:
    end, _ = opened()
    end.data(frame(TEXT, b"a", fin=False))
    for _ in range(200):
        end.data(frame(CONT, fin=False) * 100)
    assert len(end._fragments) == 1


# 6 UTF-8

VALID = [
    "Hello-\xb5@\xdf\xf6\xe4\xfc\xe0\xe1-UTF-8!!",
    "\u03ba\u1f79\u03c3\u03bc\u03b5",
    "\0",
    "\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff",
    "\ud7ff\ue000\ufffd\ufeff\ufffe",
    "\U0001fffe\U0010fffe",
]
INVALID = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"\xf4\x90\x80\x80",
    b"\x80",
    b"\xbf\x80",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xfe",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xc3",
    b"\xe2\x98",
    b"\xf0\x9f\x98",
    b"a\xc3\x28",
]


@pytest.mark.parametrize("text", VALID)
@pytest.mark.parametrize("each", [1, 1000])
def test_text_of_unicode(text: str, each: int) -> None:
    parts = pieces(text.encode(), each)
    whole = [
        frame(TEXT if at == 0 else CONT, part, fin=at == len(parts) - 1)
        for at, part in enumerate(parts)
    ]
    assert arrives(*whole)[2] == [text]


@pytest.mark.parametrize("data", INVALID)
@pytest.mark.parametrize("cut", [False, True])
def test_text_that_is_not_utf_8_is_closed_with_1007(data: bytes, cut: bool) -> None:
    parts = (
        [frame(TEXT, data[:1], fin=False), frame(CONT, data[1:])] if cut else [frame(TEXT, data)]
    )
    end, wire, found = arrives(*parts, frame(TEXT, b"after") + close_frame(1000))
    assert [(opcode, code_of(data)) for opcode, data in wire.frames] == [(0x88, 1007)]
    assert (found, end.closed) == ([], (1011, ""))


def test_a_message_in_the_same_segment_behind_text_that_is_not_utf_8() -> None:
    end, wire, found = arrives(frame(TEXT, b"\xff") + frame(TEXT, b"after") + close_frame(1000))
    assert (found, end.closed) == ([], (1011, ""))


def test_binary_messages_may_hold_anything() -> None:
    assert arrives(*[frame(BINARY, data) for data in INVALID])[2] == INVALID


def test_a_reason_that_is_not_utf_8() -> None:
    end, wire, _ = arrives(frame(CLOSE, b"\x03\xe8\xff"))
    assert code_of(wire.frames[0][1]) == 1007
    assert end.closed == (1011, "")


# 7 closing


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4999])
@pytest.mark.parametrize("reason", ["", "bye", "\N{SNOWMAN}" * 41])
def test_a_close_is_answered_and_noted(code: int, reason: str) -> None:
    end, wire, found = arrives(frame(TEXT, b"a"), close_frame(code, reason), frame(PING))
    assert (found, end.closed) == (["a"], (code, reason))
    assert wire.frames == [(0x88, struct.pack("!H", code) + reason.encode())]


def test_a_close_without_a_code() -> None:
    end, wire, _ = arrives(frame(CLOSE))
    assert (end.closed, wire.frames) == ((1005, ""), [(0x88, b"")])


def test_nothing_is_sent_behind_a_close() -> None:
    end, wire, _ = arrives(close_frame(1000))
    end.send("late")
    assert end.ping()
    assert len(wire.frames) == 1


@pytest.mark.parametrize("data", [b"", b"\x81", b"\x81\x05ab", frame(TEXT, b"a", fin=False)])
def test_an_end_without_a_close_is_1006(data: bytes) -> None:
    end, wire, found = arrives(*filter(None, [data]))
    end.data(b"")
    assert (end.closed, found, wire.frames) == ((1006, ""), [], [])


# 9 the limit of a message


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([frame(TEXT, b"a" * 101)], id="whole"),
        pytest.param([frame(TEXT, b"a" * 60, fin=False), frame(CONT, b"a" * 41)], id="fragments"),
        pytest.param([b"\x82\x7f" + (1 << 62).to_bytes(8, "big")], id="announced"),
        pytest.param(
            [frame(BINARY, b"", fin=False), *[frame(CONT, b"a", fin=False)] * 101], id="single"
        ),
    ],
)
def test_a_message_over_the_limit_is_closed_with_1009(parts: list[bytes]) -> None:
    end, wire = opened(limit=100)
    for part in [frame(TEXT, b"b" * 100), *parts]:
        end.data(part)
    assert messages(end) == ["b" * 100]
    assert code_of(wire.frames[0][1]) == 1009
    assert end.closed == (1009, "")


# Back-pressure


@pytest.mark.parametrize("size", [0, 1, 1000, BLOCK])
def test_reading_pauses_while_nobody_takes_the_messages(size: int) -> None:
    end, wire = opened()
    data, count = frame(BINARY, b"a" * size), 0
    while not wire.is_paused:
        end.data(data)
        count += 1
        assert count <= BLOCK // 64 + 1
    assert not [end.taken() for _ in range(count - 1) if not wire.is_paused]
    messages(end)
    assert not wire.is_paused


TINY = [
    pytest.param(frame(TEXT), id="messages"),
    pytest.param(frame(PING), id="pings"),
    pytest.param(frame(CONT, fin=False), id="fragments"),
]


@pytest.mark.parametrize("tiny", TINY)
def test_a_flood_of_tiny_frames_leaves_turns_to_others(tiny: bytes) -> None:
    end, wire = opened()
    end.data(frame(BINARY, b"", fin=False) if tiny == frame(CONT, fin=False) else frame(TEXT))
    end.data(tiny * 100_000)
    end.data(frame(PING, b"late"))
    assert wire.is_paused
    turns, count = 0, len(messages(end))
    while wire.loop.turn():
        turns, count = turns + 1, count + len(messages(end))
    assert not wire.is_paused
    assert wire.frames[-1] == (0x8A, b"late")
    assert count == (100_001 if tiny == frame(TEXT) else 1 if tiny == frame(PING) else 0)


@pytest.mark.parametrize("in_order", [True, False])
def test_what_came_before_the_end_is_not_lost_in_a_flood(in_order: bool) -> None:
    end, wire = opened()
    end.data(frame(TEXT) * 100_000 + close_frame(4000, "bye"))
    assert (end.closed, len(end._rest) > 100_000) == (None, True)
    if in_order:
        end.data(b"")
    else:
        end.lost(OSError())
    assert end.closed is None
    assert len(messages(end)) == 100_000
    assert end.closed == (4000, "bye")
    assert not wire.loop.turn()


@pytest.mark.parametrize("is_part", [False, True])
def test_a_large_frame_is_parsed_in_one_step(
    monkeypatch: pytest.MonkeyPatch, is_part: bool
) -> None:
    end, _ = opened()
    steps = []
    receive = end._protocol.receive_data

    def counted(data: bytes) -> None:
        steps.append(len(data))
        receive(data)

    monkeypatch.setattr(end._protocol, "receive_data", counted)
    large = frame(BINARY, b"a" * 65536)
    if is_part:  # what looks like the head of a frame, and is none
        end.data(frame(BINARY, large)[:10])
    end.data(large + frame(TEXT, b"b"))
    assert steps[:2] == ([10, 8192] if is_part else [65546])
    assert messages(end) == ([large, "b"] if is_part else [b"a" * 65536, "b"])


def test_an_end_that_is_over_is_not_read_on() -> None:
    end, wire = opened()
    end.data(frame(BINARY, b"a" * BLOCK))
    assert wire.is_paused
    wire.is_closed = True  # the event loop is past reading, and complains if it is asked to
    assert messages(end) == [b"a" * BLOCK]
    end.data(frame(BINARY, b"a" * BLOCK))


def test_a_ping_is_not_missed_while_reading_is_paused() -> None:
    end, wire = opened()
    assert end.ping()
    end.data(frame(BINARY, b"a" * BLOCK))
    for _ in range(3):
        assert end.ping()
    messages(end)
    assert end.ping()
    assert not end.ping()
    assert end.closed == (1006, "")


def test_whatever_comes_answers_a_ping() -> None:
    end, _ = opened()
    for _ in range(5):
        assert end.ping()
        end.data(b"\x82\x7f" if end.closed else frame(TEXT, b"a"))
    assert end.closed is None


# 12 and 13 compression


def deflated(data: bytes, made: Callable[..., Any] = zlib.compressobj, **how: int) -> bytes:
    packer = made(wbits=-15, **how)
    return packer.compress(data)[:] + packer.flush(zlib.Z_SYNC_FLUSH)[:-4]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 4096, 65536, 131072, MEGABYTE])
def test_compressed_messages(size: int) -> None:
    end, wire = opened(DEFLATED)
    text = ("tea for two " * (size // 12 + 1))[:size]
    end.data(frame(TEXT, deflated(text.encode()), reserved=4))
    assert messages(end) == [text]
    end.send(text)
    ((first, data),) = wire.frames
    assert first == 0xC1
    assert zlib.decompressobj(-15).decompress(data + b"\0\0\xff\xff") == text.encode()


def test_a_compressed_message_in_fragments_with_a_ping_between() -> None:
    end, wire = opened(DEFLATED)
    data = deflated(b"tea for two " * 100)
    end.data(frame(BINARY, data[:5], fin=False, reserved=4))
    end.data(frame(PING, b"p"))
    end.data(frame(CONT, data[5:]))
    end.data(frame(TEXT, b"as it is"))
    assert messages(end) == [b"tea for two " * 100, "as it is"]
    assert wire.frames == [(0x8A, b"p")]


def test_the_window_is_kept_from_message_to_message() -> None:
    end, _ = opened(DEFLATED)
    packer = zlib.compressobj(wbits=-15)
    for number in range(20):
        data = packer.compress(b"tea for %d" % number) + packer.flush(zlib.Z_SYNC_FLUSH)
        end.data(frame(BINARY, data[:-4], reserved=4))
    assert messages(end) == [b"tea for %d" % number for number in range(20)]


@pytest.mark.parametrize(
    "value",
    [
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=9",
    ],
)
def test_parameters_of_compression(value: str) -> None:
    end, wire = opened([("Sec-WebSocket-Extensions", value)])
    bits = 10 if "server_max" in value else 15
    for _ in range(3):
        packer = zlib.compressobj(wbits=-bits)
        data = packer.compress(b"tea " * 500) + packer.flush(zlib.Z_SYNC_FLUSH)
        end.data(frame(BINARY, data[:-4], reserved=4))
        end.send(b"tea " * 500)
    assert messages(end) == [b"tea " * 500] * 3
    assert all(first == 0xC2 and len(data) < 100 for first, data in wire.frames)


def test_no_compression_where_the_upstream_does_not_take_the_offer() -> None:
    end, wire = opened([])
    end.send("a" * 1000)
    assert wire.frames == [(0x81, b"a" * 1000)]
    end.data(frame(TEXT, deflated(b"a"), reserved=4))
    assert end.closed == (1011, "")


@pytest.mark.parametrize(
    ("value", "offered"),
    [
        ("permessage-deflate", False),
        ("x-unknown", True),
        ("permessage-deflate, permessage-deflate", True),
        ("permessage-deflate; server_max_window_bits=99", True),
        ("permessage-deflate; x=1", True),
        (";", True),
    ],
)
def test_extensions_that_were_not_offered(value: str, offered: bool) -> None:
    with pytest.raises(BadResponse, match="Sec-WebSocket-Extensions"):
        UpstreamEnd(100, [("Sec-WebSocket-Extensions", value)], deflate=offered)


def test_what_is_offered_is_what_the_library_would_offer() -> None:
    (name, params), *rest = parse_extension(OFFER)
    assert (name, not rest) == ("permessage-deflate", True)
    assert _DEFLATE.get_request_params() == params


def test_a_bomb_is_closed_with_1009() -> None:
    end, wire = opened(DEFLATED, limit=MEGABYTE)
    bomb = deflated(b"\0" * (50 * MEGABYTE))
    assert len(bomb) < 60_000
    end.data(frame(BINARY, bomb, reserved=4))
    assert (messages(end), end.closed) == ([], (1009, ""))
    assert code_of(wire.frames[0][1]) == 1009


def test_bombs_of_which_each_is_small_enough_wait() -> None:
    end, wire = opened(DEFLATED, limit=MEGABYTE)
    data = zlib.compressobj(wbits=-15)
    bombs = []
    for _ in range(100):
        bomb = data.compress(b"\0" * MEGABYTE) + data.flush(zlib.Z_SYNC_FLUSH)
        bombs.append(frame(BINARY, bomb[:-4], reserved=4))
    end.data(b"".join(bombs))
    assert wire.is_paused
    while wire.loop.turn():
        pass
    assert end._size < 16 * MEGABYTE
    assert len(messages(end)) == 100
    assert not wire.is_paused


def test_a_bomb_in_fragments_is_closed_with_1009() -> None:
    end, _ = opened(DEFLATED, limit=MEGABYTE)
    bomb = deflated(b"\0" * (50 * MEGABYTE))
    for at, part in enumerate(pieces(bomb, 100)):
        end.data(frame(CONT if at else BINARY, part, fin=False, reserved=0 if at else 4))
        if end.closed:
            break
    assert end.closed == (1009, "")


def test_what_is_no_deflate_is_closed() -> None:
    end, _ = opened(DEFLATED)
    end.data(frame(TEXT, b"\xff\xff\xff", reserved=4))
    assert end.closed == (1011, "")


def test_the_end_waits_for_the_upstream_no_longer_than_a_moment() -> None:
    async def main() -> None:
        end, wire = opened()
        await asyncio.wait_for(end.close(1000, "bye"), 1)
        assert wire.frames == [(0x88, b"\x03\xe8bye")]
        assert wire.is_closed

    asyncio.run(main())
