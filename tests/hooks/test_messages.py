"""What hooks see, without any server."""

from __future__ import annotations

import pytest

from wsgiproxy.errors import BadResponse, ContentTooLarge
from wsgiproxy.hooks import Body, Headers, HookFailed, Request, Response
from wsgiproxy.hooks.body import Changes
from wsgiproxy.hooks.exchange import Reading
from wsgiproxy.hooks.steps import fetched, still_true
from wsgiproxy.sansio.message import ResponseHead


def hook(request):
    """A portable hook, as the examples have it."""
    if "X-Key" not in request.headers:
        return Response(401)
    response = yield request
    response.status = 202
    return response


def test_a_hook_is_tested_by_hand():
    request, response = Request("GET", "http://a.example/x", {"x-key": "1"}), Response(200)
    steps = hook(request)
    assert next(steps) is request
    with pytest.raises(StopIteration) as end:
        steps.send(response)
    assert end.value.value is response and response.reason == "Accepted"


def test_headers_are_a_multi_mapping():
    headers = Headers([("A", "1"), ("a", "2"), ("B", "3")])
    headers["b"] = "4"
    assert headers.getlist("A") == ["1", "2"] and headers.getlist("c") == []
    assert list(headers.items()) == [("A", "1"), ("a", "2"), ("b", "4")]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("GET", "/x"), "url="),
        (("GET", "unix:/x"), "url="),
        (("G T", "http://a/"), "method="),
    ],
)
def test_a_request_of_ones_own_needs_an_address(arguments, says):
    with pytest.raises(ValueError, match=says):
        Request(*arguments)


@pytest.mark.parametrize("limit", [-1, True, "5", None, 1.5])
def test_a_limit_is_a_number_of_bytes(limit):
    with pytest.raises(ValueError, match="limit="):
        Response(200).read(limit)


@pytest.mark.parametrize("body", [5, None, {"a": 1}, Body()])
def test_what_is_no_body(body):
    with pytest.raises(TypeError, match="a body of type"):
        Response(200).body = body


@pytest.mark.parametrize(
    ("body", "content"), [("ä", b"\xc3\xa4"), (bytearray(b"a"), b"a"), (memoryview(b"a"), b"a")]
)
def test_what_is_a_body(body, content):
    assert Response(200, body=body).body.content == content


def test_text_says_what_it_is_unless_a_hook_does():
    assert Response(200, body="a").headers["Content-Type"] == "text/plain; charset=utf-8"
    assert Response(200, {"content-type": "text/html"}, "a").headers.getlist("Content-Type") == [
        "text/html"
    ]
    assert "Content-Type" not in Response(200, body=b"a").headers


def test_field_lines_are_of_str_itself():
    """wsgiref refuses subclasses (PEP 3333, "a str instance")."""
    response = Response(200, {"Content-Type": "text/plain"})
    assert {type(part) for line in response.lines for part in line} == {str}


def test_map_takes_functions():
    for arguments in [(5,), (bytes.upper, 5)]:
        with pytest.raises(TypeError):
            Body().map(*arguments)


def test_an_end_goes_through_the_functions_behind_it():
    changes = Changes([(bytes.upper, lambda: b"x"), (lambda block: block + b".", lambda: b"!")])
    assert list(changes.through([b"a", b""])) == [b"A.", b"x.!"]


@pytest.mark.parametrize(
    ("kind", "error"), [("response", BadResponse), ("request", ContentTooLarge)]
)
def test_what_was_read_in_part_is_spent(kind, error):
    message = Response.received(ResponseHead(200, "OK", []), object())
    if kind == "request":
        message = Request("GET", "http://a/")
        message.seen_body = Body()
    reading = Reading(message, 3)
    with pytest.raises(error):
        reading.add(b"long")
    with pytest.raises(HookFailed):
        Reading(message, 3)


def test_the_owners_of_a_body():
    body = Body()
    body.claim("looks")
    body.map(bytes.upper)
    body.claim("first")
    body.claim("passes")
    body.map(bytes.upper)
    body.claim("second")
    assert body.owner == "first, second" and body.holder == "second"


@pytest.mark.parametrize("is_request", [False, True])
def test_fields_that_no_longer_hold(is_request):
    received = [("ETag", '"a"'), ("Repr-Digest", "x"), ("Accept-Ranges", "bytes"), ("X", "1")]
    kept = still_true([*received, ("Digest", "new")], received, is_request=is_request)
    assert ("Digest", "new") in kept and ("X", "1") in kept and ("Repr-Digest", "x") not in kept
    assert (("ETag", 'W/"a"') in kept) is not is_request
    assert (("Accept-Ranges", "bytes") in kept) is is_request
    assert still_true([("ETag", 'W/"a"')], [("ETag", 'W/"a"')]) == [("ETag", 'W/"a"')]


@pytest.mark.parametrize(
    ("method", "body", "length", "chunked"),
    [
        ("GET", b"", None, False),
        ("POST", b"", 0, False),
        ("POST", b"ab", 2, False),
        ("POST", [b"ab"], None, True),
    ],
)
def test_the_framing_of_a_request_of_ones_own(method, body, length, chunked):
    request = Request(method, "https://a.example:8443?x", {"Content-Length": "9", "TE": "x"}, body)
    origin, sent, blocks = fetched(request)
    assert (origin.host, origin.port, origin.scheme) == ("a.example", 8443, "https")
    assert (sent.target, sent.headers) == ("/?x", [("Host", "a.example:8443")])
    assert (sent.content_length, sent.chunked) == (length, chunked)
    assert b"".join(blocks or ()) == b"".join([body] if isinstance(body, bytes) else body)
