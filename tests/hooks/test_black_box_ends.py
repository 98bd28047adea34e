"""Hooks from outside: paths, requests that are sent again, order, ends, and clients that leave."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import pytest

from tests.hooks.black_box import EDGES, EVIL, HELLO, LONG, Asked
from tests.support.in_process import key_file
from tests.support.messages import answer, chunked_answer
from tests.support.upstream import RawUpstream
from wsgiproxy.errors import ProxyError
from wsgiproxy.hooks import InThread, Request, Response, Wait
from wsgiproxy.secretloader import new_key


@pytest.fixture(params=EDGES)
def asked(request: pytest.FixtureRequest, upstream: RawUpstream) -> Asked:
    return Asked(request.param, upstream)


@pytest.fixture
def signed(tmp_path: Any) -> dict[str, Any]:
    secret = key_file(tmp_path / "secret", new_key("k1"))
    return {"secret_file": secret, "sign_body": True}


# -- paths -------------------------------------------------------------------------------------


PATHS = (
    [
        "/../admin",
        "/a/../../admin",
        "/%2e%2e/admin",
        "/.%2E/admin",
        "..",
        "../admin",
        "/..",
        "/a/..;/../admin",
        "/..%2fadmin",
        "/..\\admin",
        "/..%5cadmin",
        "",
        "//",
        "//evil.example/",
        "http://evil.example/",
        "@evil.example",
        ":80",
        "*",
        "/a\r\nX: 1",
        "/a b",
        "/\u00e4",
        "/a\x00",
    ],
    # fmt: skip
)


def test_no_path_leaves_the_wall_of_href(asked, upstream):
    def leaves(request):
        request.raw_path = path
        yield request

    for path in PATHS:  # noqa: B007 (the hook looks at it)
        upstream.requests.clear()
        got = asked(leaves, base="/base")
        assert got.status in (200, 400, 500)
        assert len(upstream.requests) == (got.status == 200)
        for sent in upstream.requests:
            assert sent.line.startswith("GET /base") and "admin" not in sent.target
            assert sent.target == "/base" or sent.target.startswith("/base/")
            assert sent.values("Host") == [upstream.netloc]


def test_another_inbound_opens_no_way_through_the_wall(asked, upstream):
    path = "@evil.example"

    def leaves(request):
        request.inbound = request.inbound._replace(path=path)
        request.raw_path = path
        yield request

    asked(leaves, base="/base")
    assert all(sent.target.startswith("/base/") for sent in upstream.requests)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "*",
        "a.example:80",
        "/a b",
        "/a?b",
        "/a#b",
        "//b/",
    ],
)
def test_the_target_of_a_request_of_ones_own(path, asked, upstream):
    def asks(request):
        own = Request("GET", upstream.url)
        own.raw_path = path
        yield own
        return Response(200)

    got = asked(asks)
    if got.status == 200:
        assert upstream.requests[0].line in ("GET / HTTP/1.1", f"GET {path} HTTP/1.1")
        assert upstream.requests[0].target[:1] == "/"
    else:
        assert got.status == 500 and not upstream.requests


def test_max_forwards_of_a_hook_is_not_counted_below_zero(asked, upstream):
    def turns(request):
        request.method, request.headers["Max-Forwards"] = "OPTIONS", "0"
        yield request

    asked(turns)
    assert [each.values("Max-Forwards") for each in upstream.requests] in ([], [["0"]])


# -- sending again -----------------------------------------------------------------------------

SENT_AGAIN: dict[str, tuple[bool, bytes]] = {
    "nothing": (False, b"abc"),
    "read": (True, b"abc"),
    "read and mapped": (True, b"ABC"),
    "mapped": (False, b"ABC"),
    "watched": (False, b"abc"),
    "bytes": (True, b"new"),
    "bytes, mapped": (True, b"NEW"),
    "list": (True, b"new"),
    "list, mapped": (True, b"NEW"),
    "iterator": (False, b"new"),
    "iterator, read": (True, b"new"),
}


@pytest.mark.parametrize("kind", SENT_AGAIN)
def test_what_can_be_sent_again(kind, asked, upstream, caplog):
    may, body = SENT_AGAIN[kind]
    fails = False

    def again(request):
        content = {"bytes": b"new", "list": [b"n", b"ew"], "iterator": iter([b"ne", b"w"])}
        if kind.split(",")[0] in content:
            request.body = content[kind.split(",")[0]]
        if "read" in kind:
            yield request.read()
        if "mapped" in kind:
            request.body.map(bytes.upper)
        if kind == "watched":
            request.body.watch(len)
        try:
            yield request
        except ProxyError:
            assert fails
        request.headers["Content-Length"] = "99"
        request.headers["X-Forwarded-For"] = EVIL
        request.path = "/second"
        return (yield request)

    for fails in (False, True):
        upstream.requests.clear()
        before = [HELLO] * len(upstream.accepted)
        behaviour = [*before, [("read",), ("close",)], HELLO] if fails else HELLO
        got = asked(again, behaviour=behaviour, body=b"abc")
        sent = upstream.requests
        assert got.status == (200 if may else 500)
        assert [each.body for each in sent] == [body] * (1 + may)
        assert EVIL not in upstream.received.decode() and all(each.complete for each in sent)
        assert may or "again" in caplog.text
        if may:
            assert sent[1].target == "/second"
            lengths = [each.values("Content-Length") for each in sent]
            assert lengths == ([[], []] if "list" in kind else [[str(len(body))]] * 2)


def test_a_function_of_map_that_remembers_is_not_called_for_two_requests(asked, upstream):
    def again(request):
        seen: list[bytes] = []

        def change(block: bytes) -> bytes:
            seen.append(block)
            return block

        request.body = [b"n", b"ew"]
        request.body.map(change, lambda: b" of %d" % len(seen))
        yield request
        yield request

    assert asked(again, body=b"abc").status in (200, 500)
    assert {each.body for each in upstream.requests} == {b"new of 2"}


def test_a_request_is_sent_often_and_all_is_closed(asked, upstream):
    def often(request):
        for _ in range(5):
            response = yield request
        return response

    assert asked(often, behaviour=answer(body=LONG)).body == LONG
    assert len(upstream.requests) == 5


def test_the_request_of_another_client_is_not_read_or_sent(asked, upstream, caplog):
    kept: list[Any] = []

    def keeps(request):
        kept.append(request)
        yield request

    def sends(request):
        yield kept[0]

    def passes_back(request):
        yield request
        return kept[0]

    assert asked(keeps, body=b"first").status == 200
    for hook in (sends, passes_back):
        assert asked(hook, body=b"second").status == 500
        assert f".{hook.__name__}" in caplog.text
    assert [each.body for each in upstream.requests] == [b"first", b"second"]


def test_the_request_of_another_client_does_not_get_this_client_s_body(asked):
    kept: list[Any] = []

    def keeps(request):
        kept.append(request)
        return Response(200)
        yield

    def reads(request):
        yield kept[0].read()
        return Response(200)

    asked(keeps, body=b"first")
    assert asked(reads, body=b"second").status == 500


@pytest.mark.parametrize("size", [0, 4, 5])
def test_limits_are_exact(size, asked, upstream):
    def reads_request(request):
        yield request.read(limit=size)
        yield request

    def reads_response(request):
        yield (yield request).read(limit=size)

    data = b"hello"
    assert asked(reads_request, body=data).status == (200 if size == 5 else 413)
    assert len(upstream.requests) == (size == 5)
    assert asked(reads_response, behaviour=answer(body=data)).status == (200 if size == 5 else 502)
    assert asked(reads_response, behaviour=chunked_answer(b"he", b"llo")).status == (
        200 if size == 5 else 502
    )
    assert asked(reads_request, body=b"").status == 200


# -- order, ends, clients that leave -------------------------------------------------------------


class Stop(BaseException):
    """No Exception: a thread, a task or the program is to end."""


def _raises(error: type[BaseException]) -> Any:
    def act(message: Any) -> Any:
        raise error
        yield

    return act


def _yields(what: Callable[[Any], Any]) -> Any:
    def act(message: Any) -> Any:
        yield what(message)

    return act


def _bad_field(message: Any) -> Any:
    message.headers["X"] = "\n"
    yield from ()


class Early(Exception):
    """In a test: the hook returns what it is given."""


def _returns(value: Any) -> Any:
    def act(message: Any) -> Any:
        raise Early(value)
        yield

    return act


#: What a hook does before its first yield of the request, or with its response.
BEFORE: dict[str, Any] = {
    "raise before": _raises(ValueError),
    "stop before": _raises(Stop),
    "nonsense": _yields(lambda request: ["nonsense"]),
    "bad field": _bad_field,
    "thread": _yields(lambda request: InThread(int, "x")),
    "bad request": _yields(lambda request: Request("GET", "http://u:p@a.example/")),
    "answer": _returns(Response(299)),
    "never": _returns(None),
}
WAITING: dict[str, Any] = {
    "wait": _yields(lambda request: Wait(5)),
    "read": _yields(lambda request: request.read()),
}
AFTER: dict[str, Any] = {
    "raise after": _raises(ValueError),
    "stop after": _raises(Stop),
    "bad response": _bad_field,
    "nonsense after": _yields(lambda response: 5),
    "return nonsense": _returns(5),
    "too often": None,
    "raise at end": None,
}


def three(log: list[str], *, at: int = -1, act: str = "") -> list[Any]:
    """Three hooks that note how they begin, get their response and end; one of them does more."""

    def hook_of(number: int) -> Any:
        mine = act if number == at else ""
        before = (BEFORE | WAITING).get(mine) or (lambda message: ())
        after = AFTER.get(mine) or (lambda message: ())

        def hook(request):
            log.append(f"begin {number}")
            try:
                yield from before(request)
                response = yield request
                log.append(f"response {number}")
                yield from after(response)
                if mine == "too often":
                    yield request
                return response
            except Early as early:
                return early.args[0]
            finally:
                log.append(f"end {number}")
                if mine == "raise at end":
                    raise ValueError("here")

        hook.__qualname__ = f"hook-{number}"
        return hook

    return [hook_of(number) for number in range(3)]


@pytest.mark.parametrize("act", [*BEFORE, *AFTER])
def test_each_hook_that_was_begun_is_ended_once_the_innermost_first(act, asked, caplog):
    for at in range(3):
        log: list[str] = []
        caplog.clear()
        got = asked(*three(log, at=at, act=act), body=b"abc", behaviour=answer(body=LONG))
        begun = range(3) if act in AFTER else range(at + 1)
        begins = [f"begin {number}" for number in begun]
        assert log[: len(begins)] == begins and log.count("begin 0") == 1
        ends = [each for each in log if each.startswith("end")]
        if act == "too often":  # those behind it run again, and have ended before it does
            again = [f"end {number}" for number in range(2, at, -1)]
            assert ends[: len(again)] == again
            ends = ends[len(again) :]
        assert ends == [f"end {number}" for number in reversed(begun)]
        responses = [each for each in log if each.startswith("response")]
        last = 2 if act in AFTER else at - 1 if act == "answer" else -1
        first = at if act in AFTER else 0
        assert responses == [f"response {number}" for number in range(last, first - 1, -1)]
        if act.startswith("stop"):
            assert isinstance(got.error, Stop)
            continue
        assert got.status == (299 if act == "answer" else 500)
        assert act == "answer" or f"hook-{at}" in caplog.text


def test_the_hook_that_sends_too_often_is_named(asked, caplog):
    asked(*three([], at=0, act="too often"), body=b"abc")
    assert "hook-0" in caplog.text


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("act", ["read", "pass"])
def test_a_client_that_leaves_while_it_sends_ends_all_hooks(act, at, asked):
    log: list[str] = []
    asked(*three(log, at=at, act=act), body=LONG, leaves="sending")
    assert [each for each in log if each.startswith("begin")] == log[: len(log) // 2][:3]
    ends = [each for each in log if each.startswith("end")]
    assert len(ends) == sum(each.startswith("begin") for each in log)
    assert ends == sorted(ends, reverse=True)


@pytest.mark.parametrize(
    ("edge", "how"),
    [
        *((edge, how) for edge in EDGES for how in ("nothing", "own")),
        *(("asgi", how) for how in ("read", "read and map", "map", "watch", "signed")),
        ("wsgi", "watch"),
        ("wsgi", "signed"),
        *(("wsgi", how) for how in ("read", "map")),
    ],
)
def test_a_body_that_breaks_off_is_never_a_whole_request(edge, how, upstream, signed):
    told: list[Any] = []

    def hook(request):
        try:
            if how == "own":
                yield Request("GET", upstream.url)
            if "read" in how:
                yield request.read()
            if "map" in how:
                request.body.map(bytes.upper)
            if how == "watch":
                request.body.watch(len)
            yield request
        except ProxyError as error:
            told.append(error)
            raise

    options = signed if how == "signed" else {}
    got = Asked(edge, upstream)(hook, leaves="sending", body=b"x" * 1000, **options)
    posts = [each for each in upstream.requests if each.method == "POST"]
    assert not any(each.complete for each in posts)
    assert got.status >= 400 and told and told[0].status < 500


def test_a_client_that_leaves_while_a_hook_waits_ends_all_hooks(upstream):
    log: list[str] = []
    Asked("asgi", upstream)(*three(log, at=1, act="wait"), leaves="waiting")
    assert log == ["begin 0", "begin 1", "end 1", "end 0"] and not upstream.accepted


def test_a_client_that_leaves_while_the_upstream_is_silent_ends_all_hooks(asked):
    log: list[str] = []
    behaviour = [("read",), ("wait_ended",)]
    asked(*three(log), leaves="waiting", behaviour=behaviour)
    assert log == [f"begin {n}" for n in range(3)] + [f"end {n}" for n in (2, 1, 0)]


@pytest.mark.parametrize("how", ["nothing", "map", "set", "set and map"])
def test_a_client_that_leaves_in_the_middle_of_a_response_closes_all(how, asked, upstream):
    closed: list[int] = []

    def blocks() -> Iterator[bytes]:
        try:
            for _ in range(100):
                yield LONG
        finally:
            closed.append(1)

    def puts(request):
        response = yield request
        if "set" in how:
            response.body = blocks()
        if "map" in how:
            response.body.map(bytes.upper)
        return response

    log: list[str] = []
    got = asked(puts, *three(log), leaves="reading", behaviour=answer(body=LONG * 4))
    assert got.status == 200 and len(got.body) < 4 * len(LONG)
    assert log[-1] == "end 0" and closed == ([1] if "set" in how else [])


def stubborn(request):
    while True:
        with suppress(BaseException):
            yield 5


def raises_at_its_end(request):
    try:
        yield 5
    except GeneratorExit:
        raise KeyError("here") from None


def returns_at_its_end(request):
    try:
        yield 5
    except GeneratorExit:
        return 7


class Mute:
    """What has no text."""

    def __repr__(self) -> str:
        raise ValueError("no text")


class MuteError(Exception):
    __repr__ = __str__ = Mute.__repr__


def yields_mute(request):
    yield Mute()


def returns_mute(request):
    yield request
    return Mute()


def raises_mute(request):
    yield request
    raise MuteError


STUBBORN = [stubborn, raises_at_its_end, returns_at_its_end]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("hook", STUBBORN)
def test_hooks_that_do_not_end_are_500_and_named(hook, asked, caplog):
    log: list[str] = []
    got = asked(*three(log)[:1], hook, body=b"abc")
    assert got.status == 500 and log == ["begin 0", "end 0"]
    assert f"hook {hook.__name__}" in caplog.text
    caplog.clear()
    gc.collect()  # one that never ends is not to warn within another test


def test_nonsense_without_a_text_names_the_hook(asked, caplog):
    named = []
    for hook in (yields_mute, returns_mute, raises_mute):
        caplog.clear()
        assert asked(hook).status == 500
        named.append(f"hook {hook.__name__}" in caplog.text)
    assert named == [True] * 3


def test_phases_sort_stably(asked, upstream):
    order: list[str] = []

    def hook_of(name: str, phase: int | None) -> Any:
        def hook(request):
            order.append(name)
            yield request

        if phase is not None:
            hook.phase = phase
        return hook

    phases = [("a", 500), ("b", 0), ("c", None), ("d", 1000), ("e", 0), ("f", None), ("g", -5)]
    asked(*(hook_of(*each) for each in phases))
    assert "".join(order) == "gbeacfd"


def test_the_state_is_of_one_request_and_of_all_its_hooks(asked):
    found: list[Any] = []

    def writes(request):
        found.append(dict(request.state))
        request.state["a"] = 1
        response = yield request
        found.append(request.state["b"])
        return response

    def reads(request):
        request.state["b"] = request.state["a"] + 1
        yield request

    asked(writes, reads)
    asked(writes, reads)
    assert found == [{}, 2, {}, 2]


@pytest.mark.parametrize(
    ("edge", "status"),
    [
        *(("wsgi", status) for status in (HTTPStatus.NOT_FOUND, HTTPStatus.NO_CONTENT)),
        ("asgi", HTTPStatus.NOT_FOUND),
    ],
)
def test_a_status_by_its_name(edge, status, upstream):
    asked = Asked(edge, upstream)

    def answers(request):
        return Response(status)
        yield

    def sets_it(request):
        (yield request).status = status

    assert asked(answers).status == asked(sets_it).status == int(status)
