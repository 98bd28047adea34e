"""Paths are replaced at their beginning, where a segment ends, and byte for byte."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.hooks.both import EDGES, asked
from tests.hooks.edges import held
from tests.support.messages import answer
from tests.support.upstream import RawUpstream
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.hooks.replace_path import replace_path

NUMBER = re.compile(r"/u/(\d+)")


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(
    ("old", "new", "target", "sent"),
    [
        pytest.param("/api", "/v2", "/api/x", "/v2/x", id="prefix"),
        pytest.param("/api/", "/v2/", "/api", "/v2", id="whole"),
        pytest.param("/api", "/v2", "/apis/x", "/apis/x", id="boundary"),
        pytest.param("/api", "/v2", "/x/api/y", "/x/api/y", id="anchored"),
        pytest.param("/api", "", "/api", "/", id="removed"),
        pytest.param("/", "/v2", "/x", "/v2/x", id="put-before"),
        pytest.param("/api", "/v2", "/api/a%2Fb?c=%2F", "/v2/a%2Fb?c=%2F", id="encoded"),
        pytest.param(NUMBER, r"/users/\1", "/u/12/x", "/users/12/x", id="pattern"),
        pytest.param(NUMBER, r"/users/\1", "/x/u/12", "/x/u/12", id="pattern-anchored"),
        pytest.param(re.compile("/x"), "", "/xy/z", "/y/z", id="pattern-removed"),
        pytest.param(re.compile("/x/?"), "", "/x/", "/", id="pattern-removed-whole"),
    ],
)
def test_the_path(
    edge: str, old: Any, new: str, target: str, sent: str, upstream: RawUpstream
) -> None:
    asked(edge, upstream.url, [replace_path(old, new)], target)
    assert upstream.requests[0].target == sent


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param("api", "/v2", "old='api'", id="no-slash"),
        pytest.param("/api", "v2", "new='v2'", id="new-without-slash"),
        pytest.param("/api", "/v2?x", "new='/v2?x'", id="query"),
        pytest.param(NUMBER, r"/\2", "new=", id="group"),
        pytest.param(3, "/v2", "old=3", id="number"),
    ],
)
def test_settings_are_checked(old: Any, new: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        replace_path(old, new)


PREFIX = [replace_path("/api", "/v1")]
ROOT = [replace_path("/api", "")]
BELOW = [replace_path("/api", "/api/v1")]
TWO = [replace_path("/api", "/v1/shop"), replace_path("/v1", "/v2")]
DEEPER = [replace_path("/api", ""), replace_path("/x", "/v2")]


def other(request):
    request.raw_path = "/v1/other"
    yield request


def back(request):
    request.raw_path = request.raw_path.replace("/v1", "/v9")
    yield request


def twice(request):
    path = request.raw_path
    yield request
    request.raw_path = path
    yield request


@pytest.mark.parametrize("name", ["Location", "Content-Location"])
@pytest.mark.parametrize("mount", ["", "/m"])
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(
    ("hooks", "target", "says", "gets"),
    [
        pytest.param(PREFIX, "/api/x", "/v1/y?q=/v1#f", "/api/y?q=/v1#f", id="path"),
        pytest.param(PREFIX, "/api/x", "/v1", "/api", id="the-prefix-alone"),
        pytest.param(PREFIX, "/api/x", "{up}/v1/y", "{me}/api/y", id="absolute"),
        pytest.param(PREFIX, "/api/x", "{me}/v1/y", "{me}/api/y", id="upstream-knows-the-mount"),
        pytest.param(PREFIX, "/api/x", "/v12/y", "/v12/y", id="segments"),
        pytest.param(PREFIX, "/api/x", "/login", "/login", id="elsewhere"),
        pytest.param(PREFIX, "/api/x", "y", None, id="relative"),
        pytest.param(PREFIX, "/api", "y", None, id="relative-to-the-prefix"),
        pytest.param(PREFIX, "/api/x", "../login", None, id="relative-and-out"),
        pytest.param(ROOT, "/api/x", "../login", "/api/login", id="removed-and-out"),
        pytest.param(PREFIX, "/api/x", "http://a.example/v1/y", None, id="another-host"),
        pytest.param(PREFIX, "/other", "/v1/y", "/v1/y", id="not-replaced"),
        pytest.param(PREFIX, "/api/x", "/v1//evil.example", "/api//evil.example", id="slashes"),
        pytest.param(ROOT, "/api/x", "/login", "/api/login", id="removed"),
        pytest.param(ROOT, "/api/x", "/api/y", "/api/y", id="removed-but-known"),
        pytest.param(ROOT, "/api", "y", "/api/y", id="removed-and-relative"),
        pytest.param(BELOW, "/api/x", "/api/v1/y", "/api/y", id="below-itself"),
        pytest.param(TWO, "/api/x", "/v2/shop/y", "/api/y", id="two"),
        pytest.param(TWO, "/api/x", "/v2/y", "/v2/y", id="two-above"),
        pytest.param(DEEPER, "/api/x/1", "/v2/2", "/api/x/2", id="two-deeper"),
        pytest.param([twice, *ROOT], "/api/x", "/y", "/api/y", id="sent-again"),
        pytest.param([*PREFIX, back], "/api/x", "/v1/y", "/v1/y", id="changed-again"),
        pytest.param([other, *PREFIX], "/x", "/v1/y", "/v1/y", id="by-another-hook"),
        pytest.param([replace_path(NUMBER, "/v1")], "/u/1", "/v1", "/v1", id="pattern"),
    ],
)
def test_addresses_of_the_answer_are_turned_back(
    edge: str, hooks: Any, target: str, mount: str, says: str, gets: Any, name: str, upstream: Any
) -> None:
    says = says.format(up=upstream.url, me="http://front.example")
    upstream.behaviour = answer(302 if name == "Location" else 200, [(name, says)])
    got = asked(edge, upstream.url, hooks, target, mount=mount).value(name)
    me = "http://front.example"
    expected = says if gets is None else gets.format(me="")
    if gets is not None:
        expected = (me if gets.startswith("{me}") else "") + mount + expected
    assert got == expected


@pytest.mark.parametrize("edge", EDGES)
def test_addresses_stay_where_they_are_not_to_be_mapped(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = answer(302, [("Location", "/v1/y")])
    status, fields, _ = held(edge, upstream.url, PREFIX, target="/api/x", rewrite_location=False)
    assert (status, fields["location"]) == (302, "/v1/y")


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(
    ("mount", "gets"), [("", "/.//evil.example/"), ("/m", "/m//evil.example/")]
)
def test_what_is_turned_back_is_no_other_host(
    edge: str, mount: str, gets: str, upstream: RawUpstream
) -> None:
    upstream.behaviour = answer(302, [("Location", "/v1//evil.example/")])
    got = asked(edge, upstream.url, [replace_path("/", "/v1")], "/x", mount=mount)
    assert got.value("Location") == gets


@pytest.mark.parametrize("edge", EDGES)
def test_refresh_and_what_is_below_href_are_turned_back(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = answer(200, [("Refresh", "5; url=/base/v1/y"), ("Location", "/v1/z")])
    got = asked(edge, upstream.url + "/base", PREFIX, "/api/x", mount="/m")
    assert upstream.requests[0].target == "/base/v1/x"
    assert got.value("Refresh") == "5; url=/m/api/y"
    assert got.value("Location") == "/v1/z", "it is not below href"
