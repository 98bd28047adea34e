"""What one request does on one connection, without a socket."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.errors import BadRequest, BadResponse, UpstreamLost, UpstreamTimeout
from wsgiproxy.sansio.h1 import BodyWriter, Exchange, Limits, ResponseReader, Stale
from wsgiproxy.sansio.h1.limits import Timeouts
from wsgiproxy.sansio.message import Request

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSING = b"HTTP/1.1 413 X\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"
TIMEOUTS = Timeouts(head=3, idle=2)
RESET = ConnectionResetError("reset")


def begun(*, method: str = "GET", **options: bool) -> Exchange:
    """An exchange of which the whole request is written, at time 0."""
    exchange = Exchange(ResponseReader(method, Limits()), HEAD, None, TIMEOUTS, **options)
    exchange.sent(len(HEAD), 0)
    return exchange


def uploading(length: int = 6, **options: bool) -> Exchange:
    """One whose head is written at time 0, and whose body is still to come."""
    writer = BodyWriter(Request("PUT", "/", [], length))
    exchange = Exchange(ResponseReader("PUT", Limits()), HEAD, writer, TIMEOUTS, **options)
    exchange.sent(len(HEAD), 0)
    return exchange


class TestSending:
    """The request, block by block."""

    def test_what_was_not_written_stays_pending(self) -> None:
        exchange = Exchange(ResponseReader("GET", Limits()), HEAD)
        exchange.sent(5, 0)
        assert bytes(exchange.pending) == HEAD[5:]
        assert exchange.sending
        exchange.sent(len(HEAD) - 5, 0)
        assert not exchange.pending and not exchange.sending

    def test_a_body_is_asked_for_when_the_block_before_is_written(self) -> None:
        exchange = uploading()
        assert exchange.wants_body
        exchange.supply(b"abc", 0)
        assert exchange.pending == b"abc" and not exchange.wants_body
        exchange.sent(3, 0)
        exchange.supply(b"def", 0)
        assert exchange.wants_body, "the last block is held until the body has ended"
        exchange.supply(b"", 0)
        assert exchange.pending == b"def"
        exchange.sent(3, 0)
        assert not exchange.sending

    def test_a_body_of_no_bytes_ends(self) -> None:
        exchange = uploading(0)
        assert exchange.wants_body
        exchange.supply(b"", 0)
        assert not exchange.wants_body and not exchange.sending
        exchange.received(OK)
        assert exchange.keeps_connection()

    @pytest.mark.parametrize("blocks", [[b"abcdefg"], [b"abc", b"defg"], [b"abc", b""]])
    def test_a_body_of_another_length_is_refused(self, blocks: list[bytes]) -> None:
        exchange = uploading()
        with pytest.raises(BadRequest, match="6"):
            for block in blocks:
                exchange.supply(block, 0)

    def test_an_upload_goes_on_while_its_answer_arrives(self) -> None:
        exchange = uploading()
        assert exchange.received(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab") == b"ab"
        assert exchange.sending and exchange.wants_body
        exchange.supply(b"abcdef", 0)
        exchange.supply(b"", 0)
        exchange.sent(6, 0)
        assert exchange.received(b"cd") == b"cd"
        assert exchange.complete and exchange.keeps_connection()

    @pytest.mark.parametrize("response", [OK, CLOSING], ids=["whole", "closing"])
    def test_an_answer_that_needs_no_more_ends_the_upload(self, response: bytes) -> None:
        exchange = uploading()
        exchange.received(response)
        assert not exchange.sending and exchange.complete
        assert not exchange.keeps_connection(), "the upstream still waits for the rest"

    def test_an_answer_that_was_sent_before_the_connection_broke_counts(self) -> None:
        exchange = uploading()
        exchange.send_failed(BrokenPipeError(), 0)
        assert not exchange.sending
        assert exchange.received(CLOSING) == b"no"
        assert exchange.complete and not exchange.keeps_connection()


class TestAnswer:
    """The response, and what becomes of the connection."""

    def test_a_whole_answer_keeps_the_connection(self) -> None:
        exchange = begun()
        assert exchange.received(OK) == b"ok"
        assert exchange.head is not None and exchange.head.status == 200
        assert exchange.complete and exchange.keeps_connection()

    @pytest.mark.parametrize(
        "response",
        [
            pytest.param(CLOSING, id="Connection: close"),
            pytest.param(OK + b"x", id="a byte too many"),
            pytest.param(OK.replace(b"1.1", b"1.0"), id="HTTP/1.0"),
            pytest.param(
                OK.replace(b"Content", b"WWW-Authenticate: NTLM\r\nContent"), id="a login"
            ),
        ],
    )
    def test_what_is_in_doubt_closes_the_connection(self, response: bytes) -> None:
        exchange = begun()
        exchange.received(response)
        assert exchange.complete and not exchange.keeps_connection()

    def test_interim_heads_are_given_once(self) -> None:
        exchange = begun()
        exchange.received(b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n")
        assert [head.status for head in exchange.new_interims()] == [103]
        exchange.received(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
        assert [head.status for head in exchange.new_interims()] == [100]
        assert exchange.new_interims() == []

    @pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200", OK[:-1]])
    def test_an_end_that_is_too_early_is_a_loss(self, before: bytes) -> None:
        exchange = begun()
        if before:
            exchange.received(before)
        with pytest.raises(UpstreamLost):
            exchange.received(b"")

    def test_an_end_is_the_end_of_a_body_without_length(self) -> None:
        exchange = begun()
        assert exchange.received(b"HTTP/1.1 200 OK\r\n\r\nabc") == b"abc"
        assert exchange.received(b"") == b""
        assert exchange.complete and not exchange.keeps_connection()

    def test_after_a_reset_an_end_proves_nothing(self) -> None:
        exchange = uploading()
        exchange.send_failed(RESET, 0)
        exchange.received(b"HTTP/1.1 200 OK\r\n\r\nabc")
        with pytest.raises(UpstreamLost, match="broke"):
            exchange.received(b"")

    @pytest.mark.parametrize(("before", "part"), [(b"", "head"), (OK[:-1], "body")])
    def test_a_failed_read_names_the_part(self, before: bytes, part: str) -> None:
        exchange = begun()
        if before:
            exchange.received(before)
        with pytest.raises(UpstreamLost, match=part):
            exchange.receive_failed(RESET)

    def test_what_is_no_response_is_refused(self) -> None:
        with pytest.raises(BadResponse):
            begun().received(b"SSH-2.0\r\n\r\n")


class TestStale:
    """RFC 9112, 9.3.1: once more on a new connection, if nothing can have happened."""

    @pytest.mark.parametrize(
        "event",
        [
            pytest.param(lambda exchange: exchange.received(b""), id="end"),
            pytest.param(lambda exchange: exchange.receive_failed(RESET), id="reset"),
        ],
    )
    @pytest.mark.parametrize(
        ("options", "stale"),
        [
            ({"reused": True, "replayable": True}, True),
            ({"reused": True}, False),
            ({"replayable": True}, False),
        ],
        ids=["kept-and-idempotent", "not-idempotent", "new-connection"],
    )
    def test_before_the_first_byte(
        self, event: Callable[[Exchange], object], options: dict[str, bool], stale: bool
    ) -> None:
        with pytest.raises(Stale if stale else UpstreamLost):
            event(begun(**options))

    def test_never_after_a_byte_of_the_answer(self) -> None:
        exchange = begun(reused=True, replayable=True)
        exchange.received(b"H")
        with pytest.raises(UpstreamLost):
            exchange.received(b"")

    @pytest.mark.parametrize(
        ("options", "stale"),
        [
            ({"reused": True}, True),
            ({"reused": True, "writes_whole": False}, False),
            ({"reused": True, "writes_whole": False, "replayable": True}, True),
            ({"replayable": True}, False),
        ],
        ids=["nothing-written", "tls", "tls-and-idempotent", "new-connection"],
    )
    def test_when_the_first_write_fails(self, options: dict[str, bool], stale: bool) -> None:
        exchange = Exchange(ResponseReader("POST", Limits()), HEAD, None, TIMEOUTS, **options)
        if stale:
            with pytest.raises(Stale):
                exchange.send_failed(RESET, 0)
        else:
            exchange.send_failed(RESET, 0)
            assert not exchange.sending

    def test_a_first_write_without_room_has_written_nothing(self) -> None:
        exchange = Exchange(ResponseReader("POST", Limits()), HEAD, None, TIMEOUTS, reused=True)
        exchange.sent(0, 0)
        with pytest.raises(Stale):
            exchange.send_failed(RESET, 0)

    def test_a_write_that_fails_after_a_byte_of_the_answer(self) -> None:
        exchange = Exchange(
            ResponseReader("GET", Limits()), HEAD, None, TIMEOUTS, reused=True, replayable=True
        )
        exchange.sent(0, 0)
        exchange.received(b"H")
        exchange.send_failed(RESET, 0)
        assert not exchange.sending

    def test_a_later_write_that_fails_proves_nothing(self) -> None:
        exchange = uploading(reused=True)
        exchange.supply(b"abc", 0)
        exchange.send_failed(RESET, 0)
        with pytest.raises(UpstreamLost):
            exchange.received(b"")


class TestTime:
    """Each wait has a limit, and names the setting that sets it."""

    def test_there_is_none_before_the_first_write(self) -> None:
        assert Exchange(ResponseReader("GET", Limits()), HEAD).tick(1e9) == inf

    @pytest.mark.parametrize("fails", [False, True])
    def test_the_head_limit_is_not_for_a_body_that_has_begun(self, fails: bool) -> None:
        exchange = uploading()
        exchange.received(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        exchange.supply(b"abcdef", 0)
        exchange.supply(b"", 0)
        if fails:
            exchange.send_failed(RESET, 10)
        else:
            exchange.sent(6, 10)
        assert exchange.tick(10) == TIMEOUTS.idle
        with pytest.raises(UpstreamTimeout, match="idle_timeout=2 s"):
            exchange.tick(12)

    def test_the_head_has_one_deadline_from_the_end_of_the_request_on(self) -> None:
        exchange = begun()
        assert exchange.tick(1) == 2
        exchange.received(b"HTTP/1.1 ")
        assert exchange.tick(2.5) == 0.5, "a byte now and then does not move it"
        with pytest.raises(UpstreamTimeout, match="head_timeout=3 s"):
            exchange.tick(3)

    def test_a_write_that_makes_progress_starts_the_idle_limit_anew(self) -> None:
        exchange = Exchange(ResponseReader("GET", Limits()), HEAD, None, TIMEOUTS)
        exchange.sent(0, 0)
        assert exchange.tick(1.5) == 0.5
        exchange.sent(5, 1.5)
        assert exchange.tick(3) == 0.5
        with pytest.raises(UpstreamTimeout, match="idle_timeout=2 s"):
            exchange.tick(3.5)

    def test_the_time_that_a_client_takes_for_a_block_is_not_the_upstreams(self) -> None:
        exchange = uploading()
        exchange.supply(b"abc", 100)
        assert exchange.tick(101) == 1

    def test_each_read_of_the_body_has_the_idle_limit(self) -> None:
        exchange = begun()
        exchange.received(OK[:-1])
        exchange.resume(50)
        assert exchange.tick(51) == 1
        with pytest.raises(UpstreamTimeout, match="idle_timeout=2 s"):
            exchange.tick(52)


@given(st.lists(st.integers(1, 20), max_size=12), st.booleans())
def test_the_pieces_in_which_bytes_arrive_change_nothing(sizes: list[int], chunked: bool) -> None:
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 10"
    body = b"4\r\nabcd\r\n6\r\nefghij\r\n0\r\n\r\n" if chunked else b"abcdefghij"
    data = b"HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + body
    exchange = begun()
    got, interims = b"", 0
    for size in [*sizes, len(data)]:
        piece, data = data[:size], data[size:]
        if piece:
            got += exchange.received(piece)
            interims += len(exchange.new_interims())
    assert (got, interims) == (b"abcdefghij", 1)
    assert exchange.complete and exchange.keeps_connection()
