"""Requests that are edited: what is still masked means what was there."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.observe.inspector.filled import add
from wsgiproxy.observe.inspector.edited import Replayed, editable, edited
from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.kept import Limits
from wsgiproxy.observe.inspector.ring import Ring
from wsgiproxy.sansio.secrets import Secrets

FORM = ("Content-Type", "application/x-www-form-urlencoded")
SECRETS = Secrets()


def form_exchange() -> Exchange:
    headers = [
        FORM,
        ("Authorization", "Bearer t"),
        ("Cookie", "a=1; b=2"),
        ("Content-Length", "33"),
    ]
    headers += [("X-Token", "one"), ("X-Token", "two")]
    body = b"user=me&password=p%20w&password=2"
    return add(Ring(), "/a?token=s&page=1", headers, body, method="POST")


def test_unchanged_form_is_what_was_sent():
    exchange = form_exchange()
    form = editable(exchange, SECRETS)
    assert form["target"] == "/a?token=***&page=1"
    assert form["body"] == "user=me&password=***&password=***"
    assert ["Authorization", "Bearer ***"] in form["headers"]
    headers = [field for field in exchange.request.headers if field[0] != "Content-Length"]
    body = b"user=me&password=p%20w&password=2"
    same = Replayed("POST", "/a?token=s&page=1", headers, body)
    assert edited(exchange, form, SECRETS) == same
    assert edited(exchange, {}, SECRETS) == same


def test_edited_form_keeps_what_is_masked():
    exchange = form_exchange()
    form = editable(exchange, SECRETS)
    form["method"] = "PUT"
    form["target"] = "/b?page=2&token=***&secret=***"
    form["body"] = "user=you&password=***&password=new"
    form["headers"] = [
        ["Cookie", "a=***; b=3; c=***"],
        ["X-Token", "***"],
        ["X-Other", "***"],
        ["authorization", "Bearer ***"],
        ["Transfer-Encoding", "chunked"],
    ]
    assert edited(exchange, form, SECRETS) == Replayed(
        "PUT",
        "/b?page=2&token=s&secret=***",
        [("Cookie", "a=1; b=3; c=***"), ("X-Token", "one"), ("X-Other", "***")]
        + [("authorization", "Bearer t")],
        b"user=you&password=p%20w&password=new",
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param([], "no JSON object", id="no-object"),
        pytest.param({"method": "GET /"}, "no token", id="method"),
        pytest.param({"method": 1}, "no token", id="method-number"),
        pytest.param({"target": "http://other/"}, "begin with '/'", id="target-elsewhere"),
        pytest.param({"target": "/a b"}, "begin with '/'", id="target-blank"),
        pytest.param({"target": "/\r\nA: b"}, "begin with '/'", id="target-lines"),
        pytest.param({"headers": {"A": "b"}}, "list of lists", id="headers-object"),
        pytest.param({"headers": [["A", 1]]}, "list of lists", id="value-number"),
        pytest.param({"headers": [["A b", "1"]]}, "no token", id="name"),
        pytest.param({"headers": [["A", "1\r\nB: 2"]]}, "character", id="value-lines"),
        pytest.param({"headers": [["A", "\u20ac"]]}, "character", id="value-no-latin"),
        pytest.param({"body": 1}, "no text", id="body-number"),
        pytest.param({"body": "\ud800"}, "half a character", id="body-surrogate"),
        pytest.param({"body": "%", "body_encoding": "base64"}, "not base64", id="base64"),
        pytest.param({"body": "", "body_encoding": "rot13"}, "none of", id="encoding"),
    ],
)
def test_what_is_no_request_is_refused(changes: Any, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        edited(form_exchange(), changes, SECRETS)


@pytest.mark.parametrize("body", [b"\xff", b"a\rb", b"\0", b"a\r\nb\n", b""], ids=repr)
def test_bytes_stay_as_they_are(body):
    exchange = add(Ring(), "/", [], body)
    form = editable(exchange, SECRETS)
    assert form["body_encoding"] == ("same" if body else "text")
    assert edited(exchange, form, SECRETS).body == body
    data = {"body": base64.b64encode(b"\xfe").decode(), "body_encoding": "base64"}
    assert edited(exchange, data, SECRETS).body == b"\xfe"


def test_cut_body_can_be_replaced_but_not_sent_again():
    exchange = add(Ring(Limits(body=3)), "/", [], b"abcdef")
    assert editable(exchange, SECRETS)["body_encoding"] == "same"
    with pytest.raises(ValueError, match="only in part"):
        edited(exchange, {"body_encoding": "same"}, SECRETS)
    assert edited(exchange, {"body": "new"}, SECRETS).body == b"new"


@pytest.mark.parametrize("body", [b"", b"ab"], ids=["unread", "half-read"])
def test_body_that_was_not_read_is_not_sent_again_as_another_one(body):
    exchange = add(Ring(), "/", [("Content-Length", "3")], body)
    form = editable(exchange, SECRETS)
    assert (form["body"], form["body_encoding"]) == (None, "same")
    with pytest.raises(ValueError, match="not read the whole body"):
        edited(exchange, form, SECRETS)
    assert edited(exchange, {"body": ""}, SECRETS).body == b""


def test_ends_of_lines_stay_behind_a_form_of_a_browser():
    exchange = add(Ring(), "/", [], b"a\r\nb")
    assert editable(exchange, SECRETS)["body"] == "a\r\nb"
    assert edited(exchange, {"body": "a\nb"}, SECRETS).body == b"a\r\nb"
    assert edited(exchange, {"body": "a\nc"}, SECRETS).body == b"a\r\nc"


def test_form_in_parts_is_sent_again_as_it_was():
    part = b'--x\r\nContent-Disposition: form-data; name="password"\r\n\r\n1\r\n--x--'
    exchange = add(Ring(), "/", [("Content-Type", "multipart/form-data; boundary=x")], part)
    form = editable(exchange, SECRETS)
    assert (form["body"], form["body_encoding"]) == (None, "same")
    assert edited(exchange, form, SECRETS).body == part
