"""The pooled transport against a raw upstream: reuse, retry, early answers, limits, time."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.spawn.children import until
from tests.support.connection import Connection
from tests.support.upstream import RawUpstream, answer, chunked_answer, chunks
from wsgiproxy.errors import (
    BadRequest,
    BadResponse,
    ClientGone,
    ConnectFailed,
    HeadTooLarge,
    UpstreamLost,
    UpstreamTimeout,
)
from wsgiproxy.sansio.message import Origin, Request, ResponseHead
from wsgiproxy.sansio.methods import IDEMPOTENT, SAFE
from wsgiproxy.transport import Call, PooledTransport, Timeouts, is_own_request
from wsgiproxy.transport.threads import connection

GET = Request("GET", "/", [("Host", "upstream.example")])
POST = Request("POST", "/", [("Host", "upstream.example")], content_length=4)
QUICK = Timeouts(connect=5, head=0.3, idle=0.3)


@pytest.fixture
def transport() -> Iterator[PooledTransport]:
    transport = PooledTransport(connect_timeout=5, head_timeout=5, idle_timeout=5)
    yield transport
    transport.close()


def origin_of(upstream: RawUpstream) -> Origin:
    return Origin("http", "127.0.0.1", upstream.port)


# -- reuse ------------------------------------------------------------------


def test_a_fully_read_answer_gives_the_connection_back(upstream, transport):
    upstream.behaviour = answer(body=b"hello")
    replies = [transport.send(origin_of(upstream), GET) for _ in range(3)]
    assert [reply.read() for reply in replies] == [b"hello"] * 3
    assert [reply.reused for reply in replies] == [False, True, True]
    assert upstream.connections == 1


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(answer(headers=[("Connection", "close")], body=b"x"), id="connection-close"),
        pytest.param(answer(body=b"x", version="1.0"), id="http-1.0"),
        pytest.param(answer(body=b"x") + b"surplus", id="surplus-bytes"),
        pytest.param(answer(body=b"x") * 2, id="a-second-answer"),
        pytest.param(chunked_answer(b"x") + b"surplus", id="surplus-after-chunks"),
        pytest.param(chunked_answer(b"x") + b"\r\n", id="empty-line-after-chunks"),
        pytest.param(answer(204) + b"surplus", id="body-of-204"),
    ],
)
def test_no_reuse_after_any_doubt(upstream, transport, raw):
    upstream.behaviour = raw
    for _ in range(2):
        assert transport.send(origin_of(upstream), GET).read() in (b"x", b"")
    assert upstream.connections == 2


def test_http_1_0_with_keep_alive_is_reused(upstream, transport):
    upstream.behaviour = answer(headers=[("Connection", "Keep-Alive")], body=b"x", version="1.0")
    for _ in range(2):
        transport.send(origin_of(upstream), GET).read()
    assert upstream.connections == 1


def test_an_unread_rest_closes_the_connection(upstream, transport):
    upstream.behaviour = [("read",), ("send", answer(headers=[("Content-Length", "9")]) + b"abc")]
    reply = transport.send(origin_of(upstream), GET)
    assert next(reply) == b"abc"
    reply.close()
    reply.close()
    assert upstream.wait_closed()


def test_closing_a_reply_that_was_never_iterated_ends_the_upstream(upstream, transport):
    upstream.behaviour = [("read",), ("send", answer(headers=[("Content-Length", "9")]))]
    transport.send(origin_of(upstream), GET).close()
    assert upstream.wait_closed()


def test_a_kept_connection_that_the_upstream_closed_is_not_used(upstream, transport):
    closed = threading.Event()
    upstream.behaviour = [
        [("read",), ("send", answer(body=b"1")), ("close",)],
        answer(body=b"2"),
    ]
    assert transport.send(origin_of(upstream), GET).read() == b"1"
    assert upstream.wait_closed()
    closed.set()
    # POST is never retried, so it passes only if the dead connection was not used.
    assert transport.send(origin_of(upstream), POST, [b"body"]).read() == b"2"


def test_idle_connections_expire(upstream):
    transport = PooledTransport(keep_alive=1e-9)
    upstream.behaviour = answer(body=b"x")
    for _ in range(2):
        transport.send(origin_of(upstream), GET).read()
    transport.close()
    assert upstream.connections == 2


def test_no_more_idle_connections_than_asked_for(upstream):
    transport = PooledTransport(max_idle=1)
    go = threading.Event()
    upstream.behaviour = [("read",), ("wait", go), ("send", answer(body=b"x"))]
    threads = [
        threading.Thread(target=lambda: transport.send(origin_of(upstream), GET).read())
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    upstream.wait_for_requests(3)
    go.set()
    for thread in threads:
        thread.join(5)
    assert upstream.wait_until(lambda: sum(each.ended for each in upstream.accepted) == 2)
    transport.close()
    assert upstream.wait_closed()


def test_a_forked_child_does_not_use_the_connections_of_its_parent(upstream, transport):
    upstream.behaviour = answer(body=b"x")
    transport.send(origin_of(upstream), GET).read()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if not transport.send(origin_of(upstream), GET).reused else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert transport.send(origin_of(upstream), GET).reused


class Child:
    """A forked child, which lives until it is told to end."""

    def __init__(self, does: Callable[[], object] = lambda: None) -> None:
        reads, self._writes = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                does()
                os.close(self._writes)
                os.read(reads, 1)
            finally:
                os._exit(0)
        os.close(reads)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._writes)
        os.waitpid(self._pid, 0)


def function_of(thread: threading.Thread) -> str:
    """The function in which a thread is."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame.f_code.co_name if frame else ""


NINE = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"
UNBOUNDED = b"HTTP/1.1 200 OK\r\n\r\nabc"


@pytest.mark.parametrize("kept", [False, True], ids=["in-use", "kept"])
def test_a_connection_that_is_closed_after_a_fork_ends(upstream, transport, kept):
    """The child has its descriptor, and keeps it open."""
    upstream.behaviour = answer(body=b"x") if kept else [("read",), ("send", UNBOUNDED)]
    reply = transport.send(origin_of(upstream), GET)
    with Child():
        reply.close()
        transport.close()
        assert upstream.wait_closed()


def test_a_forked_child_that_closes_an_answer_leaves_it_to_its_parent(upstream, transport):
    closed, go = os.pipe(), threading.Event()
    upstream.behaviour = [("read",), ("send", NINE), ("wait", go), ("send", b"defghi")]
    reply = transport.send(origin_of(upstream), GET)
    with Child(lambda: (reply.close(), transport.close(), os.write(closed[1], b"x"))):
        assert os.read(closed[0], 1)
        go.set()
        assert reply.read() == b"abcdefghi"
    for descriptor in closed:
        os.close(descriptor)


def test_an_answer_that_another_thread_gives_up_is_not_complete(upstream, transport):
    upstream.behaviour = [("read",), ("send", UNBOUNDED), ("wait_ended",)]
    reply = transport.send(origin_of(upstream), GET)
    assert next(reply) == b"abc"
    errors: list[BaseException] = []

    def read() -> None:
        try:
            next(reply)
        except BaseException as error:
            errors.append(error)

    reader = threading.Thread(target=read)
    with Child():
        reader.start()
        until(lambda: function_of(reader) == "recv", "a read that waits")
        reply.close()
        reader.join(5)
    # The second, where the read had not yet begun in the kernel.
    assert [type(error) for error in errors] in ([ClientGone], [UpstreamLost])


def test_many_threads_share_a_pool(upstream, transport):
    upstream.behaviour = answer(body=b"x" * 5000)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(40):
                assert transport.send(origin_of(upstream), GET).read() == b"x" * 5000
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures
    assert len(upstream.requests) == 320
    assert upstream.connections <= 8


# -- retry -------------------------------------------------------------------

DIES = [("read",), ("send", answer(body=b"1")), ("read",), ("close",)]


def second_of(transport: PooledTransport, upstream: RawUpstream, request: Request, body=None):
    upstream.behaviour = [DIES, answer(body=b"2")]
    transport.send(origin_of(upstream), GET).read()
    return transport.send(origin_of(upstream), request, body)


@pytest.mark.parametrize("method", sorted(IDEMPOTENT))
def test_an_idempotent_request_without_body_is_tried_once_more(upstream, transport, method):
    reply = second_of(transport, upstream, GET._replace(method=method))
    assert reply.head.status == 200
    assert [request.method for request in upstream.requests] == ["GET", method, method]


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        pytest.param(GET._replace(method="POST"), None, id="post"),
        pytest.param(GET._replace(method="PATCH"), None, id="patch"),
        pytest.param(GET._replace(method="LOCK"), None, id="lock"),
        pytest.param(GET._replace(method="propfind"), None, id="in-lower-case"),
        pytest.param(GET._replace(method="X-READ"), None, id="not-in-the-registry"),
        pytest.param(POST._replace(method="PUT"), [b"body"], id="put-with-body"),
        pytest.param(POST._replace(method="PROPPATCH"), [b"body"], id="proppatch-with-body"),
        pytest.param(POST, [b"body"], id="post-with-body"),
        pytest.param(POST._replace(method="REPORT"), [b"bo", b"dy"], id="body-in-two-blocks"),
        pytest.param(
            GET._replace(method="QUERY", chunked=True), [b"body"], id="body-without-length"
        ),
    ],
)
def test_nothing_else_is_tried_again(upstream, transport, request_, body):
    with pytest.raises(UpstreamLost):
        second_of(transport, upstream, request_, body)
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("method", sorted(SAFE))
def test_a_safe_request_with_its_body_in_hand_is_tried_once_more(upstream, transport, method):
    body = [b"<propfind xmlns='DAV:'/>"]
    request = GET._replace(method=method, content_length=len(body[0]))
    reply = second_of(transport, upstream, request, body)
    assert reply.head.status == 200
    assert [request.method for request in upstream.requests] == ["GET", method, method]
    assert [request.body for request in upstream.requests] == [b"", *body, *body]


def test_a_body_that_is_too_long_is_not_sent_at_all(upstream, transport):
    request = POST._replace(method="QUERY")
    with pytest.raises(BadRequest):
        second_of(transport, upstream, request, [b"body", b"and more"])
    assert len(upstream.requests) == 1


def test_no_retry_on_a_new_connection(upstream, transport):
    upstream.behaviour = [("read",), ("close",)]
    with pytest.raises(UpstreamLost):
        transport.send(origin_of(upstream), GET)
    assert upstream.connections == 1


def test_no_retry_once_a_byte_has_come(upstream, transport):
    first = [("read",), ("send", answer(body=b"1")), ("read",), ("send", b"HTTP/1.1"), ("close",)]
    upstream.behaviour = [first, answer(body=b"2")]
    transport.send(origin_of(upstream), GET).read()
    with pytest.raises(UpstreamLost):
        transport.send(origin_of(upstream), GET)
    assert upstream.connections == 1


def test_at_most_one_retry(upstream, transport):
    upstream.behaviour = [DIES, [("read",), ("close",)]]
    transport.send(origin_of(upstream), GET).read()
    with pytest.raises(UpstreamLost):
        transport.send(origin_of(upstream), GET)
    assert upstream.connections == 2


# -- bodies up ------------------------------------------------------------


def test_a_body_streams_in_chunks(upstream, transport):
    upstream.behaviour = answer()
    request = Request("POST", "/", [("Host", "a")], chunked=True)
    transport.send(origin_of(upstream), request, [b"one", b"", b"two"]).read()
    received = upstream.requests[0]
    assert received.raw_body == chunks(b"one", b"two")
    assert received.values("Transfer-Encoding") == ["chunked"]
    assert received.values("Content-Length") == []


def test_an_early_final_answer_stops_the_upload(upstream, transport):
    upstream.behaviour = [("read_head",), ("send", answer(413, body=b"too much"))]
    taken = 0

    def blocks() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(10_000):
            taken += 1
            yield b"x" * 65536

    request = POST._replace(content_length=65536 * 10_000)
    reply = transport.send(origin_of(upstream), request, blocks())
    assert (reply.head.status, reply.read()) == (413, b"too much")
    assert taken < 1000
    assert upstream.wait_closed()


def test_an_answer_before_a_reset_is_still_relayed(upstream, transport):
    upstream.behaviour = [("read_head",), ("send", answer(401, body=b"no")), ("shutdown_write",)]
    request = POST._replace(content_length=1 << 20)
    reply = transport.send(origin_of(upstream), request, iter([b"x" * 65536] * 16))
    assert (reply.head.status, reply.read()) == (401, b"no")


def test_an_interim_answer_does_not_stop_the_upload(upstream, transport):
    upstream.behaviour = [
        ("read_head",),
        ("send", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("read_body", 1 << 20),
        ("send", answer(body=b"done")),
    ]
    request = POST._replace(content_length=1 << 20)
    reply = transport.send(origin_of(upstream), request, iter([b"x" * 65536] * 16))
    assert reply.read() == b"done"


def test_a_body_that_fails_ends_the_connection(upstream, transport):
    def blocks() -> Iterator[bytes]:
        yield b"x"
        raise BadRequest("the client left")

    with pytest.raises(BadRequest):
        transport.send(origin_of(upstream), POST, blocks())
    assert upstream.wait_closed()
    assert not any(request.complete for request in upstream.requests)


def test_a_body_that_fails_at_once_costs_the_upstream_nothing(upstream, transport):
    def blocks() -> Iterator[bytes]:
        raise BadRequest("nothing came")
        yield b""

    with pytest.raises(BadRequest):
        transport.send(origin_of(upstream), POST, blocks())
    assert upstream.connections == 0


def test_an_upstream_that_takes_nothing_meets_the_idle_limit(upstream, transport):
    upstream.behaviour = [("wait", threading.Event())]
    request = POST._replace(content_length=1 << 30)
    with pytest.raises(UpstreamTimeout):
        transport.send(origin_of(upstream), request, iter([b"x" * 65536] * 16384), Call(QUICK))


# -- answers (D1, D9, D11, H) ----------------------------------------------------------


def test_interim_answers_are_told_and_passed_over(upstream, transport):
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    upstream.behaviour = b"HTTP/1.1 100 Continue\r\n\r\n" + hint + answer(body=b"x")
    told: list[ResponseHead] = []
    reply = transport.send(origin_of(upstream), GET, None, Call(on_interim=told.append))
    assert (reply.head.status, reply.read()) == (200, b"x")
    assert [head.status for head in told] == [100, 103]
    assert transport.send(origin_of(upstream), GET).reused


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", id="short-of-its-length"),
        pytest.param(chunked_answer(b"abc", last=False), id="no-last-chunk"),
        pytest.param(answer(headers=[("Transfer-Encoding", "chunked")])[:-2], id="cut-head"),
        pytest.param(b"", id="nothing-at-all"),
    ],
)
def test_a_cut_answer_never_looks_complete(upstream, transport, raw):
    upstream.behaviour = [("read",), ("send", raw), ("close",)]
    with pytest.raises(UpstreamLost):
        transport.send(origin_of(upstream), GET).read()


def test_bad_chunks_before_the_first_block_are_a_bad_response(upstream, transport):
    upstream.behaviour = answer(headers=[("Transfer-Encoding", "chunked")]) + b"3\r\nabc\r\nzz\r\n"
    with pytest.raises(BadResponse):
        transport.send(origin_of(upstream), GET)
    assert upstream.wait_closed()


def test_bad_chunks_break_the_body(upstream, transport):
    go = threading.Event()
    upstream.behaviour = [
        ("read",),
        ("send", answer(headers=[("Transfer-Encoding", "chunked")]) + chunks(b"one", last=False)),
        ("wait", go),
        ("send", b"zz\r\n"),
    ]
    reply = transport.send(origin_of(upstream), GET)
    assert next(reply) == b"one"
    go.set()
    with pytest.raises(BadResponse):
        next(reply)
    assert upstream.wait_closed()


def test_an_answer_without_length_ends_with_the_connection(upstream, transport):
    upstream.behaviour = [("read",), ("send", b"HTTP/1.1 200 OK\r\n\r\nabc"), ("close",)]
    assert transport.send(origin_of(upstream), GET).read() == b"abc"


def test_blocks_pass_as_they_arrive(upstream, transport):
    go = threading.Event()
    upstream.behaviour = [
        ("read",),
        ("send", answer(headers=[("Transfer-Encoding", "chunked")]) + chunks(b"one", last=False)),
        ("wait", go),
        ("send", chunks(b"two")),
    ]
    reply = transport.send(origin_of(upstream), GET)
    assert next(reply) == b"one"
    go.set()
    assert list(reply) == [b"two"]


def test_an_answer_before_the_question_is_refused(upstream, transport):
    spoken = threading.Event()
    upstream.behaviour = [("send", answer(body=b"x")), ("signal", spoken)]
    connect = transport._dialler.dial

    def dial_and_hear(origin: Origin, timeout: float):
        sock = connect(origin, timeout)
        assert spoken.wait(5)
        return sock

    transport._dialler.dial = dial_and_hear  # type: ignore[method-assign]
    with pytest.raises(BadResponse):
        transport.send(origin_of(upstream), GET)
    assert upstream.requests == []


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([("read",)], id="silence"),
        pytest.param(
            [("read",), ("send_slowly", answer(body=b"x"), 0.05)], id="a-byte-now-and-then"
        ),
        pytest.param([("read",), ("send", b"HTTP/1.1 100 Continue\r\n\r\n")], id="only-interim"),
    ],
)
def test_the_head_has_one_deadline(upstream, transport, script):
    upstream.behaviour = script
    with pytest.raises(UpstreamTimeout):
        transport.send(origin_of(upstream), GET, None, Call(QUICK))
    assert upstream.wait_closed()


@pytest.mark.parametrize("pulses", [False, True])
def test_bytes_between_two_blocks_do_not_renew_the_idle_limit(upstream, transport, pulses):
    """The upstream writes a chunk extension, byte by byte, and nothing of the body."""
    head = answer(headers=[("Transfer-Encoding", "chunked")])
    slowly = ("send_slowly", b"1;" + b"x" * 100, 0.05)
    upstream.behaviour = [("read",), ("send", head + chunks(b"abc", last=False)), slowly]
    reply = transport.send(origin_of(upstream), GET, None, Call(QUICK))
    if pulses:
        reply.pulse()
    assert next(reply) == b"abc"
    began = time.monotonic()
    with pytest.raises(UpstreamTimeout, match="idle_timeout"):
        while True:
            next(reply)
    assert time.monotonic() - began < QUICK.idle + 1


def test_silence_in_the_body_meets_the_idle_limit(upstream, transport):
    upstream.behaviour = [("read",), ("send", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")]
    reply = transport.send(origin_of(upstream), GET, None, Call(QUICK))
    assert next(reply) == b"abc"
    with pytest.raises(UpstreamTimeout):
        next(reply)
    assert upstream.wait_closed()


def test_a_client_that_has_left_ends_the_wait(upstream, transport):
    upstream.behaviour = [("read",)]
    gone = threading.Event()
    timer = threading.Thread(target=lambda: upstream.wait_for_requests(1) and gone.set())
    timer.start()
    with pytest.raises(ClientGone):
        transport.send(origin_of(upstream), GET, None, Call(abandoned=gone.is_set))
    timer.join(5)
    assert upstream.wait_closed(1)


def test_a_client_that_has_left_ends_a_silent_body(upstream, transport):
    upstream.behaviour = [("read",), ("send", b"HTTP/1.1 200 OK\r\n\r\nabc")]
    gone = threading.Event()
    reply = transport.send(origin_of(upstream), GET, None, Call(abandoned=gone.is_set))
    assert next(reply) == b"abc"
    gone.set()
    with pytest.raises(ClientGone):
        next(reply)
    assert upstream.wait_closed(1)


def test_a_client_that_has_left_is_noticed_while_the_head_dribbles(upstream, transport):
    """Bytes that come again and again are no answer yet."""
    ended = threading.Event()

    def dribble(connection: Connection) -> None:
        connection.read_head()
        try:
            connection.send_slowly(b"HTTP/1.1 102 Processing\r\n\r\n" * 100, 0.02)
        finally:
            ended.set()

    upstream.behaviour = dribble
    with pytest.raises(ClientGone):
        transport.send(origin_of(upstream), GET, None, Call(abandoned=lambda: True))
    assert ended.wait(5)


def test_a_client_that_has_left_ends_an_upload_that_is_not_taken(upstream, transport):
    upstream.behaviour = [("read_head",), ("wait_ended",)]
    request = Request("POST", "/", [("Host", "a")], chunked=True)
    blocks = iter([b"x" * 65536] * 16384)
    with pytest.raises(ClientGone):
        transport.send(origin_of(upstream), request, blocks, Call(abandoned=lambda: True))
    assert upstream.wait_closed(1)


def test_what_has_ended_is_no_request_in_flight(upstream, transport):
    upstream.behaviour = [("read",), ("send", b"HTTP/1.1 200 OK\r\n\r\nabc")]
    reply = transport.send(origin_of(upstream), GET)
    assert list(connection._in_flight.values()) == [GET]
    reply.close()
    assert not connection._in_flight
    assert list(reply) == [], "nothing is given after close()"


# -- limits -----------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 17 + answer(), id="17-interim"),
        pytest.param(answer(headers=[("A", "x")] * 201), id="201-fields"),
        pytest.param(answer(headers=[("A", "x" * 8200)]), id="a-line-over-8-KiB"),
        pytest.param(answer(headers=[("A", "x" * 8000)] * 9), id="a-head-over-64-KiB"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", id="101-unasked"),
    ],
)
def test_too_much_is_a_bad_response(upstream, transport, raw):
    upstream.behaviour = raw
    with pytest.raises(BadResponse):
        transport.send(origin_of(upstream), GET)
    assert upstream.wait_closed()


def test_an_endless_head_is_cut_off(upstream, transport):
    upstream.behaviour = [
        ("read",),
        ("send", b"HTTP/1.1 200 OK\r\n"),
        ("send_until_ended", b"X-A: " + b"x" * 1000 + b"\r\n"),
    ]
    with pytest.raises(BadResponse):
        transport.send(origin_of(upstream), GET)
    assert upstream.wait_closed()


def test_a_request_that_is_too_large_is_not_sent(upstream, transport):
    huge = GET._replace(headers=[("Host", "a"), ("Cookie", "x" * 9000)])
    with pytest.raises(HeadTooLarge):
        transport.send(origin_of(upstream), huge)
    assert upstream.connections == 0


# -- connecting -----------------------------------------------------------


def test_a_port_without_a_listener(transport):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(ConnectFailed) as caught:
            transport.send(Origin("http", "127.0.0.1", port), GET)
    assert str(port) in str(caught.value)
    assert str(port) not in caught.value.public


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("no-such-host.invalid", id="dns-error"),
        pytest.param("a" * 64 + ".invalid", id="label-too-long"),
        pytest.param("..", id="empty-labels"),
        pytest.param("\xff\udc80", id="not-a-name"),
    ],
)
def test_a_name_that_leads_nowhere(transport, host):
    with pytest.raises(ConnectFailed):
        transport.send(Origin("http", host, 80), GET)


def test_a_unix_socket(unix_upstream, transport):
    unix_upstream.behaviour = answer(body=b"x")
    origin = Origin("http", "localhost", 80, unix_upstream.path)
    assert transport.send(origin, GET).read() == b"x"
    assert transport.send(origin, GET).reused


def test_a_unix_socket_that_is_not_there(transport, tmp_path):
    with pytest.raises(ConnectFailed):
        transport.send(Origin("http", "localhost", 80, str(tmp_path / "none")), GET)


def test_own_requests_are_known_while_they_are_in_flight(upstream, transport):
    seen: list[bool] = []
    peers: list[tuple[str, int]] = []

    def behave(connection) -> None:
        connection.read()
        peers.append(connection._sock.getpeername())
        seen.append(is_own_request(*peers[0], "GET", "/"))
        seen.append(is_own_request(*peers[0], "GET", "/other"))
        connection.send(answer())
        connection.wait_ended()

    upstream.behaviour = behave
    transport.send(origin_of(upstream), GET).read()
    # The connection is kept, and the kernel may give its port to somebody else.
    assert seen == [True, False]
    assert not is_own_request(*peers[0], "GET", "/")


def test_a_forked_child_has_nothing_in_flight(upstream, transport):
    go = threading.Event()
    peers: list[tuple[str, int]] = []
    upstream.behaviour = [("read",), ("wait", go), ("send", answer())]
    asking = threading.Thread(target=lambda: transport.send(origin_of(upstream), GET).read())
    asking.start()
    upstream.wait_for_requests(1)
    peers.append(upstream.accepted[0]._sock.getpeername())
    assert is_own_request(*peers[0], "GET", "/")
    child = os.fork()
    if child == 0:
        os._exit(1 if is_own_request(*peers[0], "GET", "/") else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    go.set()
    asking.join(5)


# -- what a review has found -----------------------------------------------------------


def test_closing_the_pool_leaves_connections_in_use_alone(upstream, transport):
    upstream.behaviour = answer(body=b"x")
    transport.send(origin_of(upstream), GET).read()
    wire = transport._pool.take(origin_of(upstream))
    transport.close()
    assert wire is not None and wire.is_quiet()
    wire.close()


def test_unused_connections_to_other_upstreams_expire_too(upstream):
    with RawUpstream(answer(body=b"x")) as other:
        transport = PooledTransport(keep_alive=0.05)
        transport.send(origin_of(other), GET).read()
        upstream.behaviour = answer(body=b"y")
        assert other.wait_until(
            lambda: bool(transport.send(origin_of(upstream), GET).read()) and other.wait_closed(0.1)
        )
        transport.close()


@pytest.mark.parametrize("request_", [GET, POST._replace(content_length=None)])
def test_a_reset_before_the_first_byte_counts_as_a_dead_connection(upstream, transport, request_):
    first = [("read",), ("send", answer(body=b"1")), ("read",), ("reset",)]
    upstream.behaviour = [first, answer(body=b"2")]
    transport.send(origin_of(upstream), GET).read()
    if request_.method == "GET":
        assert transport.send(origin_of(upstream), request_).read() == b"2"
    else:
        with pytest.raises(UpstreamLost):
            transport.send(origin_of(upstream), request_)


@pytest.mark.parametrize(
    ("blocks", "complaint"),
    [([b"bodybody"], "longer"), ([b"bo"], "short"), ([], "short"), ([b"body", b"x"], "longer")],
)
def test_a_body_is_as_long_as_its_head_says(upstream, transport, blocks, complaint):
    upstream.behaviour = answer()
    with pytest.raises(BadRequest, match=complaint):
        transport.send(origin_of(upstream), POST, blocks)
    assert not any(request.complete for request in upstream.requests)


def test_an_early_answer_is_heard_while_the_head_does_not_fit(upstream, transport):
    upstream.behaviour = [("read_head",), ("send", answer(413, body=b"no"))]
    connect = transport._dialler.dial

    def narrow(origin: Origin, timeout: float) -> socket.socket:
        sock = connect(origin, timeout)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return sock

    transport._dialler.dial = narrow  # type: ignore[method-assign]
    request = POST._replace(content_length=1 << 20)
    blocks = iter([b"x" * 65536] * 16)
    assert transport.send(origin_of(upstream), request, blocks).head.status == 413


@pytest.mark.parametrize("limit", [0.05, 0.3, 0.7])
def test_limits_are_kept_to_the_tenth(upstream, transport, limit):
    upstream.behaviour = [("read",)]
    start = time.monotonic()
    with pytest.raises(UpstreamTimeout):
        transport.send(origin_of(upstream), GET, None, Call(Timeouts(5, limit, limit)))
    assert limit <= time.monotonic() - start < limit + 0.4


def test_signals_do_not_stretch_a_limit(upstream, transport):
    upstream.behaviour = [("read",)]
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        with pytest.raises(UpstreamTimeout):
            transport.send(origin_of(upstream), GET, None, Call(QUICK))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_many_upstreams_do_not_pile_up(transport, monkeypatch):
    monkeypatch.setattr("wsgiproxy.transport.pool._ORIGINS", 2)
    servers = [RawUpstream(answer(body=b"x")) for _ in range(3)]
    with servers[0], servers[1], servers[2]:
        for server in servers:
            transport.send(origin_of(server), GET).read()
        assert servers[0].wait_closed() and servers[1].wait_closed()
        assert transport.send(origin_of(servers[2]), GET).reused


def test_normal_exchanges_leave_nothing_to_the_garbage_collector(upstream, transport):
    upstream.behaviour = chunked_answer(b"one", b"two")
    transport.send(origin_of(upstream), GET).read()
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            transport.send(origin_of(upstream), GET).read()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_silence_is_offered_in_slices_and_still_has_its_limit(upstream):
    """A server that looks at its client at each block can be given one while nothing comes."""
    upstream.behaviour = [
        ("read",),
        ("send", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
        ("wait_ended",),
    ]
    transport = PooledTransport(idle_timeout=1.2)
    reply = transport.send(origin_of(upstream), GET)
    reply.pulse()
    began = time.monotonic()
    blocks = []
    with pytest.raises(UpstreamTimeout, match="silent for idle_timeout=1.2 s"):
        while True:
            blocks.append(next(reply))
    assert blocks[0] == b"hello" and set(blocks[1:]) == {b""}
    assert 2 <= len(blocks[1:]) <= 3
    assert 1.2 <= time.monotonic() - began < 3


def test_without_it_a_silence_is_waited_for_as_a_whole(upstream):
    go = threading.Event()
    upstream.behaviour = [
        ("read",),
        ("send", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
        ("wait", go),
        ("send", b"world"),
    ]
    reply = PooledTransport().send(origin_of(upstream), GET)
    assert next(reply) == b"hello"
    threading.Timer(0.8, go.set).start()
    assert next(reply) == b"world"


# -- what once went unnoticed ------------------------------------------------------------


def test_a_connection_that_broke_while_it_was_written_to_is_not_kept(upstream, transport):
    """The first write fails; an answer that had been sent before counts all the same."""
    upstream.behaviour = answer(body=b"hello")
    assert transport.send(origin_of(upstream), GET).read() == b"hello"
    ((wire,),) = transport._pool._idle.values()

    class Broken:
        """A socket that takes nothing any more, and has an answer."""

        def __init__(self, sock: socket.socket) -> None:
            self._sock = sock

        def send(self, data: bytes, flags: int = 0) -> int:
            self._sock.sendall(data)  # so that there is an answer to read
            raise BrokenPipeError

        def __getattr__(self, name: str):
            return getattr(self._sock, name)

    wire.sock = Broken(wire.sock)
    wire.is_tls = True  # whose writes may have sent some records
    request = Request("POST", "/", [("Host", "a")], content_length=4)
    reply = transport.send(origin_of(upstream), request, [b"body"])
    assert reply.read() == b"hello"
    assert not any(transport._pool._idle.values())
    assert wire.sock.fileno() == -1


def test_a_connection_that_comes_back_while_the_pool_is_emptied_is_closed(upstream, transport):
    """Another thread empties it just then; nobody would find the connection any more."""
    upstream.behaviour = answer(body=b"hello")
    assert transport.send(origin_of(upstream), GET).read() == b"hello"

    class Emptied(list):
        def append(self, wire) -> None:
            transport.close()
            super().append(wire)

    (origin,) = transport._pool._idle
    transport._pool._idle[origin] = kept = Emptied(transport._pool._idle[origin])
    (wire,) = kept
    reply = transport.send(origin_of(upstream), GET)
    assert (reply.read(), reply.reused) == (b"hello", True)
    assert wire.sock.fileno() == -1
    assert not kept and not transport._pool._idle
