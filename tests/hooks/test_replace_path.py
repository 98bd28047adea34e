"""Paths are replaced at their beginning, where a segment ends, and byte for byte."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.hooks.both import EDGES, asked
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
