"""What hooks may never do, from outside: the bytes at a raw upstream, and the answer of an edge."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import pytest

from tests.hooks.black_box import EDGES, EVIL, HELLO, LONG, REMOVED, Asked, passes
from tests.support.in_process import key_file
from tests.support.messages import answer, chunked_answer
from tests.support.upstream import RawUpstream
from wsgiproxy.errors import UpstreamLost
from wsgiproxy.hooks import Request, Response
from wsgiproxy.secretloader import new_key


@pytest.fixture(params=EDGES)
def asked(request: pytest.FixtureRequest, upstream: RawUpstream) -> Asked:
    return Asked(request.param, upstream)


def test_smoke(asked):
    got = asked(passes)
    assert (got.status, got.body, got.error) == (200, b"hello", None)
    got = asked(passes, body=b"abc")
    assert got.status == 200


# -- fields ------------------------------------------------------------------------------------


def sets(headers: Any, name: str) -> None:
    headers[name] = EVIL


def adds(headers: Any, name: str) -> None:
    headers.add(name, EVIL)


def extends(headers: Any, name: str) -> None:
    headers.extend({name.swapcase(): EVIL})


def replaces(headers: Any, name: str) -> None:
    del headers["X-A"]
    headers.setdefault(name, EVIL)


WAYS = [sets, adds, extends, replaces]


@pytest.fixture
def signed(tmp_path: Any) -> dict[str, Any]:
    secret = key_file(tmp_path / "secret", new_key("k1"))
    return {"secret_file": secret, "sign_body": True}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_and_no_spelling_brings_a_removed_field_back(way, asked, signed, upstream):
    def brings(request):
        assert not {name.lower() for name in REMOVED} & {name.lower() for name in request.headers}
        for name in REMOVED:
            way(request.headers, name)
            request.headers["X-A"] = "1"
        yield request

    client = [(name, "client") for name in REMOVED if "-" in name and name.title() == name]
    client = [each for each in client if each[0] not in ("Upgrade", "Host", "Content-Length",
              "Transfer-Encoding", "Expect", "Connection")]  # fmt: skip
    got = asked(brings, headers=(*client, ("X-A", "0")), body=b"abc", **signed)
    assert got.status == 200
    (sent,) = upstream.requests
    assert EVIL not in sent.head.decode() and "client" not in sent.head.decode()
    assert sent.body == b"abc" and sent.values("X-A") == ["1"]
    assert all(sent.values(name) in ([], [upstream.netloc]) for name in ("Host", "HOST"))
    for name in ("Host", "Content-Length", "Signature", "Signature-Input"):
        assert len(sent.values(name)) == 1


@pytest.mark.parametrize("dash", "-_.")
def test_a_hook_cannot_write_a_signature_that_calls_itself_ours(dash, asked, signed, upstream):
    def signs(request):
        request.headers["Signature"] = "wsgiproxy=:ZXZpbA==:, sig1=:YQ==:"
        inputs = '("@method");created=1;keyid="k1";tag="wsgiproxy"'
        request.headers[f"Signature{dash}Input"] = f"wsgiproxy={inputs}, wsgiproxy2={inputs}"
        request.headers["Content-Digest"] = "sha-256=:ZXZpbA==:"
        yield request

    assert asked(signs, body=b"abc", **signed).status == 200
    (sent,) = upstream.requests
    (signature,) = sent.values("Signature")
    (inputs,) = sent.values("Signature-Input")
    assert signature.count("wsgiproxy=") == inputs.count("wsgiproxy=") == 1
    assert "ZXZpbA" not in sent.head.decode() and "created=1;" not in sent.head.decode()
    assert not sent.values("Signature_Input") and not sent.values("Signature.Input")


def test_the_whole_of_headers_that_is_assigned_is_cleaned(asked, upstream):
    def assigns(request):
        request.headers = [*((name, EVIL) for name in REMOVED), ("X-A", "1"), ("x-a", "2")]
        yield request

    assert asked(assigns, headers=(("X-B", "1"),)).status == 200
    (sent,) = upstream.requests
    assert EVIL not in sent.head.decode() and sent.values("X-A") == ["1", "2"]
    assert not sent.values("X-B") and sent.values("Host") == [upstream.netloc]


def test_a_client_cannot_remove_what_a_hook_sets(asked, upstream):
    def logs_in(request):
        assert "X-User" not in request.headers and "X-Hop" not in request.headers
        request.headers["X-User"] = "bob"
        yield request

    hop = (("Connection", "close, X-User, x_user, X-Hop"), ("X-User", "root"), ("X-Hop", "1"))
    assert asked(logs_in, headers=hop).status == 200
    (sent,) = upstream.requests
    assert sent.values("X-User") == ["bob"] and not sent.values("X-Hop")


def test_the_connection_field_of_a_hook_removes_nothing_of_the_proxy(asked, signed, upstream):
    def removes(request):
        names = "Host, Content-Length, X-Forwarded-For, X-Forwarded-Host, Signature"
        request.headers["Connection"] = names + ", Signature-Input, X-WSGIProxy-Version"
        yield request

    assert asked(passes, body=b"abc", **signed).status == 200
    assert asked(removes, body=b"abc", **signed).status == 200
    before, after = ({name for name, _ in each.headers} for each in upstream.requests)
    assert after == before


def test_what_the_server_has_given_is_a_copy_or_is_not_looked_at_again(asked, upstream):
    def spoils(request):
        line = ("X-Forwarded-For", EVIL)
        request.inbound.headers.append(line)
        with pytest.raises(AttributeError):
            request.inbound = request.inbound._replace(peer="127.0.0.1", path=EVIL)
        if request.scope is not None:
            request.scope["headers"].append((b"x-forwarded-for", EVIL.encode()))
            request.scope["headers"].append((b"transfer-encoding", b"chunked"))
        for name in ("scope", "environ"):
            with pytest.raises(AttributeError):
                setattr(request, name, {"HTTP_X_FORWARDED_FOR": EVIL, "REMOTE_ADDR": EVIL})
        yield request

    got = asked(spoils, trusted_proxies=["127.0.0.1"])
    assert got.status == 200 and EVIL not in upstream.requests[0].head.decode()
    assert not upstream.requests[0].values("Transfer-Encoding")


@pytest.mark.parametrize("name", ["Signature", "signature", "SIGNATURE"])
def test_a_hook_cannot_sign_in_our_name(name, asked, upstream):
    def signs(request):
        request.headers[name] = "wsgiproxy=:YQ==:, other=:YQ==:"
        request.headers[name + "-Input"] = 'wsgiproxy=();tag="wsgiproxy", other=()'
        yield request

    asked(signs)
    head = upstream.requests[0].head.decode()
    assert "wsgiproxy=" not in head and "other=" in head


def test_what_is_suppressed_is_not_seen_and_cannot_be_sent(asked, upstream):
    seen: list[str] = []

    def looks(request):
        seen.extend(f"{name}: {value}" for name, value in request.headers.items())
        request.headers["X-Ours"] = "3"
        yield request

    sent = (("X-Ours", "1"), ("Cookie", "session=2; theme=dark"))
    asked(looks, headers=sent, suppress_headers=["X-Ours"], suppress_cookies=["session"])
    assert "Cookie: theme=dark" in seen
    assert not any("X-Ours" in each or "session" in each for each in seen)
    assert upstream.requests[0].values("X-Ours") == []


@pytest.mark.parametrize("attribute", ["environ", "scope", "inbound"])
def test_what_is_for_reading_cannot_be_set(attribute, asked):
    def writes(request):
        found = getattr(request, attribute)
        if found is None:
            with pytest.raises(TypeError):
                request.environ["REMOTE_ADDR"] = "1" if request.environ else None
        elif attribute == "inbound":
            with pytest.raises(AttributeError):
                found.peer = "1"
        else:
            with pytest.raises((TypeError, AttributeError)):
                found["x"] = "1"
            with pytest.raises((TypeError, AttributeError)):
                found.clear()
        yield request

    assert asked(writes).status == 200


@pytest.mark.parametrize("where", ["body", "map"])
def test_what_is_changed_while_the_request_is_sent_changes_nothing(where, asked, upstream):
    def changes(request):
        def late(block: bytes = b"") -> bytes:
            request.method, request.raw_path, request.query = "DELETE", "/" + EVIL, EVIL
            for name in (*REMOVED, "X-A"):
                request.headers[name] = EVIL
            request.body.map(lambda block: EVIL.encode())
            return block

        def blocks() -> Iterator[bytes]:
            yield b"a"
            late()
            yield b"bc"

        if where == "map":
            request.body.map(late)
        else:
            request.body = blocks()
        yield request

    assert asked(changes, body=b"abc").status == 200
    (sent,) = upstream.requests
    assert sent.line == "POST /x HTTP/1.1" and sent.body == b"abc" and sent.complete
    assert EVIL not in sent.head.decode()


def test_another_thread_that_keeps_the_request_changes_nothing_that_was_sent(asked, upstream):
    arrived, changed = threading.Event(), threading.Event()
    kept: list[Any] = []

    def keeps(request):
        kept.append(request)
        response = yield request
        assert "X-Evil" in request.headers
        return response

    def change() -> None:
        assert upstream.wait_until(lambda: bool(upstream.requests))
        for name in (*REMOVED, "X-Evil"):
            kept[0].headers[name] = EVIL
        kept[0].body, kept[0].method = EVIL, "DELETE"
        changed.set()

    thread = threading.Thread(target=change)
    thread.start()
    behaviour = [("read",), ("wait", changed), ("send", HELLO)]
    assert asked(keeps, behaviour=behaviour, body=b"abc").body == b"hello"
    thread.join()
    arrived.set()
    assert EVIL.encode() not in upstream.received and upstream.requests[0].body == b"abc"


class Lies(str):
    """Text that is other than it seems."""

    def __str__(self) -> str:
        return "x\r\nTransfer-Encoding: chunked"

    __repr__ = __format__ = __str__  # type: ignore[assignment]

    def lower(self) -> str:
        return "x-innocent"

    casefold = title = lower


class Same(Lies):
    """The same, which no str() turns into other text."""

    def __str__(self) -> str:
        return self

    __repr__ = __format__ = __str__  # type: ignore[assignment]


BAD_FIELDS = [
    ("X-A", "1\r\nX-B: 2"), ("X-A", "1\n"), ("X-A", "\n1"), ("X-A", "1\r"), ("X-A", "1\r\n 2"),
    ("X-A", "1\x00"), ("X-A", "1\x7f"), ("X-A", "1\x0b2"), ("X-A", "\u0141"), ("X-A", "\ud800"),
    ("X-A", 5), ("X-A", None), ("X-A", b"1"), ("X-A", ["1"]), ("X-A", True),
    ("", "1"), (" ", "1"), ("X A", "1"), ("X-A ", "1"), ("X-A:", "1"), ("X-A\r\nX-B", "1"),
    ("X-\u00c4", "1"), ("X\x00", "1"), (":path", "1"), (b"X-A", "1"), (5, "1"), (None, "1"),
]  # fmt: skip


@pytest.mark.parametrize("of", ["request", "response", "early", "own"])
def test_a_bad_field_is_500_and_names_the_hook(of, asked, upstream, caplog):
    field: Any = None

    def breaks(request):
        if of == "early":
            return Response(200, [field])
        if of == "own":
            yield Request("GET", upstream.url, [field])
        if of == "request":
            request.headers.add(*field)
        response = yield request
        response.headers.add(*field)

    fields = BAD_FIELDS if of in ("request", "response") else BAD_FIELDS[::5]
    for field in fields:
        caplog.clear()
        assert asked(breaks).status == 500, field
        assert "hook test_a_bad_field" in caplog.text, field
    assert len(upstream.requests) == (len(fields) if of == "response" else 0)


class Colour(str, Enum):  # noqa: UP042 (StrEnum is of 3.11)
    RED = "red"


@pytest.mark.parametrize(
    ("part", "kind", "of"),
    [
        *((part, kind, "request") for part in ("name", "value") for kind in (Lies, Same)),
        ("name", Lies, "response"),
        ("name", Same, "response"),
        ("value", Lies, "response"),
    ],
)
def test_text_that_lies_smuggles_nothing(part, kind, of, asked, upstream):
    def lies(request):
        name, value = ("Transfer-Encoding", "chunked") if part == "name" else ("X-A", "1")
        field = (kind(name), value) if part == "name" else (name, kind(value))
        if of == "request":
            request.headers.add(*field)
        response = yield request
        if of == "response":
            response.headers.add(*field)

    got = asked(lies, body=b"abc")
    for sent in upstream.requests:
        assert not sent.values("Transfer-Encoding") and sent.body == b"abc"
    assert not got.values("transfer-encoding")


def test_text_of_an_enumeration_is_sent_as_its_text(asked, upstream):
    def colours(request):
        request.headers["X-Colour"] = Colour.RED
        response = yield request
        response.headers["X-Colour"] = Colour.RED

    assert asked(colours).values("x-colour") == ["red"]
    assert upstream.requests[0].values("X-Colour") == ["red"]


@pytest.mark.parametrize("value", [" 1", "1\t", " ", ""])
def test_blanks_around_a_value_of_a_request(value, asked, upstream):
    def pads(request):
        request.headers["X-A"] = value
        yield request

    assert asked(pads).status == 200
    assert upstream.requests[0].values("X-A") == [value.strip()]


@pytest.mark.parametrize(
    ("edge", "value"),
    [
        ("wsgi", " 1"),
        ("wsgi", ""),
        ("asgi", ""),
        ("asgi", " 1\t"),
    ],
)
def test_blanks_around_a_value_of_a_response(edge, value, upstream):
    def pads(request):
        (yield request).headers["X-A"] = value

    got = Asked(edge, upstream)(pads)
    assert [each.strip() for each in got.values("x-a")] == [value.strip()]


@pytest.mark.parametrize(
    "names",
    ["Content-Length Transfer-Encoding Connection Keep-Alive Upgrade Trailer TE Alt-Svc Status "
     "Proxy-Authenticate Transfer_Encoding X-Accel-Redirect X-Sendfile X_Accel_Redirect"],
)  # fmt: skip
@pytest.mark.parametrize("way", [*WAYS, None])
def test_fields_of_a_response_that_are_not_the_application_s(way, names, asked):
    def frames(request):
        response = yield request
        if way is None:
            response.headers = [(name, EVIL) for name in names.split()]
            return response
        for name in names.split():
            response.headers["X-A"] = "1"
            way(response.headers, name)
        return response

    got = asked(frames)
    assert (got.status, got.body, got.error) == (200, b"hello", None)
    assert EVIL not in [value for _, value in got.fields]
    assert got.values("content-length") == ["5"]


NTLM = {"Authorization": "NTLM TlRMTVNTUAAB"}


@pytest.mark.parametrize("of", ["own", "request"])
def test_a_connection_with_a_login_of_a_hook_serves_nothing_else(of, asked, upstream):
    def logs_in(request):
        if of == "own":
            yield Request("GET", upstream.url, NTLM)
            yield request
        else:
            request.headers.update(NTLM)
            yield request
            del request.headers["Authorization"]
        return (yield Request("GET", upstream.url))

    assert asked(logs_in).status == 200
    used = [each.connection for each in upstream.requests]
    login = ["Authorization" in dict(each.headers) for each in upstream.requests]
    assert used.count(used[login.index(True)]) == 1


# The content of a file often ends with a newline.
def test_a_secret_with_a_newline_is_not_logged(asked, caplog):
    def logs_in(request):
        request.headers["Authorization"] = "Bearer hunter2\n"
        yield request

    assert asked(logs_in).status == 500
    assert "Authorization" in caplog.text and "hunter2" not in caplog.text


# -- bodies ------------------------------------------------------------------------------------


class Short(bytes):
    """Bytes that are more than they seem."""

    def __len__(self) -> int:
        return 1

    def __bool__(self) -> bool:
        return True


HIDDEN = b"x\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"


def put(message: Any, how: str, data: Any) -> None:
    """Give a message such a body."""
    if how == "set":
        message.body = data
    elif how == "block":
        message.body = iter([data])
    elif how == "map":
        message.body.map(lambda block: data)
    else:
        message.body.map(lambda block: block, lambda: data)


@pytest.mark.parametrize("how", ["set", "block", "map", "end"])
def test_bytes_that_lie_smuggle_no_request(how, asked, upstream):
    def lies(request):
        put(request, how, Short(HIDDEN))
        yield request

    asked(lies, body=b"abc")
    assert all(each.target == "/x" for each in upstream.requests)
    assert all(each.body.endswith(HIDDEN) for each in upstream.requests if each.complete)


@pytest.mark.parametrize("how", ["set", "block", "map", "end"])
def test_bytes_that_lie_break_no_response(how, asked):
    def lies(request):
        put((yield request), how, Short(HIDDEN))

    got = asked(lies)  # which compares the length with that of the body
    assert got.error is None and got.body.endswith(HIDDEN)


class Bad:
    """An iterable that fails in one way."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __iter__(self) -> Any:
        if self.how == "iter":
            raise ValueError("here")
        return 5 if self.how == "no iterator" else iter([b"a"])

    def close(self) -> None:
        if self.how == "close":
            raise ValueError("here")


def broken(*blocks: Any, error: BaseException | None = None) -> Iterator[Any]:
    yield from blocks
    if error is not None:
        raise error


BAD_BODIES: dict[str, Callable[[], Any]] = {
    "int": lambda: 5,
    "None": lambda: None,
    "mapping": lambda: {"a": b"1"},
    "list of str": lambda: ["a"],
    "list of int": lambda: [5],
    "range": lambda: range(3),
    "None behind bytes": lambda: [b"a", None],
    "bytearray behind bytes": lambda: broken(b"a", bytearray(b"b")),
    "raises at once": lambda: broken(error=ValueError("here")),
    "raises behind bytes": lambda: broken(LONG, error=ValueError("here")),
    "raises OSError": lambda: broken(b"a", error=OSError("here")),
    "raises StopIteration": lambda: broken(b"a", error=StopIteration()),
    "raises EOFError": lambda: broken(b"a", error=EOFError()),
}
UNNAMED = {"iter": lambda: Bad("iter"), "no iterator": lambda: Bad("no iterator")}
bodies = pytest.mark.parametrize("kinds", [BAD_BODIES, UNNAMED])


@bodies
def test_a_bad_body_never_makes_a_whole_request(kinds, asked, upstream, caplog):
    def breaks(request):
        request.body = kinds[kind]()
        yield request

    def asks(request):
        yield Request("POST", upstream.url, body=kinds[kind]())

    unnamed = []
    for kind, hook in itertools.product(kinds, (breaks, asks)):
        caplog.clear()
        assert asked(hook, body=b"abc").status == 500, kind
        if f".{hook.__name__}" not in caplog.text:
            unnamed.append((kind, hook))
    assert not any(each.complete for each in upstream.requests)
    assert not unnamed


@bodies
def test_a_bad_body_never_makes_a_whole_response(kinds, asked, caplog):
    def breaks(request):
        (yield request).body = kinds[kind]()

    unnamed = []
    for kind in kinds:
        caplog.clear()
        got = asked(breaks)
        assert got.status == 500 or got.error is not None
        assert "here" not in got.body.decode()
        if ".breaks" not in caplog.text:
            unnamed.append(kind)
    assert not unnamed


def test_a_body_that_cannot_be_closed_is_reported(asked, caplog):
    def sets(request):
        (yield request).body = Bad("close")

    assert asked(sets).body == b"a" and ".sets" in caplog.text


@pytest.mark.parametrize(
    "change",
    [pytest.param(lambda block: b"", id="none"), pytest.param(lambda block: block * 3, id="more")],
)
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_mapped_body_grows_or_shrinks(is_chunked, change, asked, upstream):
    end = b""

    def maps(request):
        request.body.map(change, lambda: end)
        response = yield request
        response.body.map(change, lambda: end)

    behaviour = chunked_answer(b"hel", b"lo") if is_chunked else HELLO
    for end, data in itertools.product((b"", b"end"), (b"abc", b"", LONG)):
        got = asked(maps, body=data, behaviour=behaviour)
        assert got.error is None and got.body.endswith(end)
        assert len(got.body) == len(change(b"hello") + end)
        sent = upstream.requests[-1]
        assert sent.complete and sent.body == (change(data) + end if data else b"")


@pytest.mark.parametrize(
    ("raw", "method"),
    [
        (b"HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\n", "HEAD"),
        (b"HTTP/1.1 204 X\r\n\r\n", "GET"),
        (b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", "GET"),
        (b"HTTP/1.1 205 X\r\nContent-Length: 0\r\n\r\n", "GET"),
        (b"HTTP/1.1 206 X\r\nContent-Range: bytes 0-4/9\r\nContent-Length: 5\r\n\r\nhello", "GET"),
    ],
)
def test_framing_where_no_body_may_be(raw, method, asked):
    def puts(request):
        response = yield request
        put(response, how, b"new")
        response.status = status or response.status

    cases = [*itertools.product(("set", "map"), (0, 200, 204, 205, 304)), ("block", 0), ("end", 0)]
    for how, status in cases:  # noqa: B007 (the hook looks at it)
        got = asked(puts, behaviour=raw, method=method)
        assert got.error is None
        if got.status in (204, 205, 304) or method == "HEAD":
            assert not got.body
            assert got.status != 204 or not got.values("content-length")
        elif how in ("set", "block"):
            assert got.body == b"new"


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
NOT_MODIFIED = b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "behaviour", "status"), [("HEAD", HEAD, None), ("GET", NOT_MODIFIED, 200)]
)
def test_an_answer_of_ones_own_without_body_has_no_length(
    method, behaviour, status, asked, upstream
):
    def asks(request):
        response = yield Request(method, upstream.url)
        if status:
            response.status = status
        return response

    got = asked(asks, behaviour=behaviour)
    assert got.status == 200 and got.error is None and got.body == b""


def test_a_method_that_a_hook_changes_does_not_change_the_answer_s_framing(asked):
    def gets(request):
        request.method = "GET"
        yield request

    def heads(request):
        request.method = "HEAD"
        yield request

    got = asked(gets, method="HEAD")
    assert got.values("content-length") == ["5"] and got.error is None
    got = asked(heads, method="GET", behaviour=HEAD)
    assert (got.status, got.body, got.error) == (200, b"", None)


def test_a_function_of_map_cannot_change_the_head_without_a_check(asked):
    def maps(request):
        response = yield request

        def change(block: bytes) -> bytes:
            response.headers["X-A"] = "1\r\nX-B: 2"
            return block

        response.body.map(change)

    assert asked(maps).status in (200, 500)  # the harness looks at the fields


def test_a_function_of_map_cannot_change_the_status_without_a_check(asked):
    def maps(request):
        response = yield request

        def change(block: bytes) -> bytes:
            response.status, response.reason = 999, "a\r\nX-B: 2"
            return block

        response.body.map(change)

    assert asked(maps).status in (200, 500)


def test_a_function_of_map_cannot_change_the_request_line_without_a_check(asked, upstream):
    def maps(request):
        def change(block: bytes) -> bytes:
            request.method, request.raw_path = "CONNECT", "a.example:80"
            request.query = "a b"
            return block

        request.body = b"abc"
        request.body.map(change)
        yield request

    asked(maps, body=b"abc")
    assert [each.line for each in upstream.requests] in ([], ["POST /x HTTP/1.1"])


def test_a_part_that_is_mapped_does_not_say_which_part_it_is(asked, caplog):
    def maps(request):
        (yield request).body.map(lambda block: block * 2)

    lines = [("Content-Range", "bytes 0-4/9")]
    got = asked(maps, behaviour=answer(206, lines, b"hello"))
    assert got.status == 500 and not got.values("content-range")
    assert "remove Range" in caplog.text


class Closing:
    """Blocks with a close(), such as a file has."""

    def __init__(self) -> None:
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"a"])

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("behaviour", [HELLO, answer(body=LONG), [("read",), ("close",)]])
@pytest.mark.parametrize(
    "place", ["answer", "request", "unsent", "own", "replaced", "dropped", "read", "head"]
)
def test_a_body_that_was_set_is_closed_once_in_the_end(place, behaviour, asked, upstream):
    blocks = Closing()

    def puts(request):
        if place in ("request", "unsent"):
            request.body = blocks
        if place == "unsent":
            return Response(200)
        if place == "own":
            yield Request("POST", upstream.url, body=blocks)
        try:
            response = yield request
        except UpstreamLost:
            response = Response(200)
        if place in ("answer", "replaced", "dropped", "read", "head"):
            response.body = blocks
        if place == "read":
            yield response.read()
        if place == "replaced":
            response.body = iter([b"other"])
        return Response(200) if place == "dropped" else response

    is_lost = isinstance(behaviour, list)
    if place == "head":
        got = asked(puts, method="HEAD", behaviour=behaviour if is_lost else HELLO[:-5])
    else:
        got = asked(puts, body=b"abc", behaviour=behaviour)
    assert got.status == (502 if is_lost and place == "own" else 200)
    # A response of a hook's own that it does not return is not known to us.
    assert blocks.closed == (0 if is_lost and place == "dropped" else 1)


def test_what_is_still_sent_beside_the_answer_is_not_closed(asked, upstream):
    ends = []

    def blocks():
        try:
            for _ in range(40):
                yield b"x" * 100_000
        finally:
            ends.append("closed")

    def puts(request):
        request.body = blocks()
        yield request

    early = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"
    script = [("read_head",), ("send", early), ("read_body", 4_000_000), ("send", b"llo")]
    assert asked(puts, behaviour=script, body=b"abc").body == b"hello"
    assert ends[-1] == "closed"


@pytest.mark.parametrize("place", ["request", "answer"])
def test_a_close_that_fails_is_reported(place, asked, caplog):
    class Failing(Closing):
        def close(self):
            raise OSError("on the disk")

    def puts(request):
        if place == "request":
            request.body = Failing()
        response = yield request
        if place == "answer":
            response.body = Failing()

    assert asked(puts, body=b"abc").status == 200
    assert "puts" in caplog.text and "on the disk" in caplog.text
