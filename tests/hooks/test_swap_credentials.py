"""The key goes to the backend, and does not come back."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from html import escape
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from tests.hooks.both import EDGES, asked
from tests.support.upstream import RawUpstream, answer, chunked_answer
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.hooks.swap_credentials import Scrubber, swap_credentials

KEY = "sk-the/real+key"
HOLDER = "placeholder-1"
SENT = [("Authorization", f"Bearer {HOLDER}")]


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(
    ("name", "scheme"), [("Authorization", "Bearer "), ("X-Api-Key", "")], ids=["bearer", "alone"]
)
def test_the_backend_gets_the_key(edge: str, name: str, scheme: str, upstream: RawUpstream) -> None:
    hook = swap_credentials(HOLDER, KEY, name)
    sent = [(name, scheme + HOLDER), ("Range", "bytes=1-2"), ("Accept-Encoding", "gzip")]
    assert asked(edge, upstream.url, [hook], headers=sent).status == 200
    (request,) = upstream.requests
    assert request.values(name) == [scheme + KEY]
    assert request.values("Range") == [] and request.values("Accept-Encoding") == ["identity"]


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="none"),
        pytest.param([("Authorization", f"Bearer {KEY}")], id="the-key"),
        pytest.param([("Authorization", f"Bearer x {HOLDER}")], id="more"),
        pytest.param([("X-Other", HOLDER)], id="elsewhere"),
    ],
)
def test_nothing_is_sent_without_the_placeholder(
    edge: str, headers: Any, upstream: RawUpstream
) -> None:
    got = asked(edge, upstream.url, [swap_credentials(HOLDER, KEY)], headers=headers)
    assert got.status == 401 and upstream.requests == []


@pytest.mark.parametrize("edge", EDGES)
def test_the_key_does_not_come_back(edge: str, upstream: RawUpstream) -> None:
    coded = b64encode(KEY.encode())
    body = [b"a " + KEY.encode()[:5], KEY.encode()[5:] + b" b ", coded, b" sk-the%2Freal%2Bkey"]
    upstream.behaviour = chunked_answer(*body, headers=[("X-Echo", f"Bearer {KEY}")])
    got = asked(edge, upstream.url, [swap_credentials(HOLDER, KEY)], headers=SENT)
    assert got.value("X-Echo") == f"Bearer {HOLDER}"
    assert got.body.count(HOLDER.encode()) == 3 and b"sk-" not in got.body


FORMS = [
    pytest.param(b"sk-the%2freal%2bkey", id="percent"),
    pytest.param(b"sk%2Dthe%2Freal+key", id="percent-in-part"),
    pytest.param(rb"sk-the\/real+key", id="json-slash"),
    pytest.param(rb"sk-the\u002freal\u002Bkey", id="json-number"),
    pytest.param(b"sk-the&#x2F;real&#43;key", id="html"),
    *(
        pytest.param(
            b64encode(b"u" * before + KEY.encode() + b"v" * behind), id=f"{before}-{behind}"
        )
        for before in range(4)
        for behind in range(3)
    ),
    pytest.param(urlsafe_b64encode(b"u:?>" + KEY.encode() + b"??"), id="base64url"),
]


@pytest.mark.parametrize("form", FORMS)
def test_the_key_does_not_come_back_in_another_form(form: bytes) -> None:
    for size in (1, 3, 100):
        scrubber = Scrubber(KEY, "(X)")
        blocks = [scrubber.block(form[at : at + size]) for at in range(0, len(form), size)]
        found = b"".join(blocks) + scrubber.end()
        assert b"(X)" in found and len(found) <= 12


def test_special_characters_of_a_key() -> None:
    key = "a&\"b\\<c'd e%f$"
    for form in (key, json.dumps(key)[1:-1], quote(key), quote_plus(key), escape(key)):
        for size in (1, 5, 100):
            scrubber = Scrubber(key, "X")
            data = f"<{form}>".encode()
            blocks = [scrubber.block(data[at : at + size]) for at in range(0, len(data), size)]
            assert b"".join(blocks) + scrubber.end() == b"<X>"


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("codings", [["gzip"], ["identity", "gzip"], ["identity, br"]])
def test_a_coded_body_does_not_pass(edge: str, codings: list[str], upstream: RawUpstream) -> None:
    upstream.behaviour = answer(200, [("Content-Encoding", each) for each in codings], b"abc")
    got = asked(edge, upstream.url, [swap_credentials(HOLDER, KEY)], headers=SENT)
    assert got.status == 502


def test_the_key_is_not_in_the_log(upstream: RawUpstream, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    upstream.behaviour = f"HTTP/1.1 200 OK\r\n{KEY} {KEY}\r\n\r\n".encode()
    hook = swap_credentials(HOLDER, KEY)
    assert asked("wsgi", upstream.url, [hook], headers=SENT).status == 502
    assert caplog.text and KEY not in caplog.text


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_the_size_of_blocks_does_not_matter(size: int) -> None:
    data = f"sk-sk-the {KEY}{KEY} sk-the/real".encode()
    scrubber = Scrubber(KEY, "X")
    blocks = [scrubber.block(data[at : at + size]) for at in range(0, len(data), size)]
    assert b"".join(blocks) + scrubber.end() == data.replace(KEY.encode(), b"X")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        pytest.param((HOLDER, "s3cr3t"), "key=", id="short"),
        pytest.param((HOLDER, "a\r\nb: cdefgh"), "key:", id="line-feed"),
        pytest.param(("", KEY), "placeholder:", id="empty"),
        pytest.param((KEY[:4], KEY), "placeholder=", id="part"),
        pytest.param((HOLDER, KEY, "Host"), "name='Host'", id="host"),
    ],
)
def test_settings_are_checked_and_the_key_is_not_shown(arguments: Any, word: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        swap_credentials(*arguments)
    assert word in str(caught.value) and KEY not in str(caught.value)
