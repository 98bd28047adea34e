"""The time of the backend is added to what it says itself."""

from __future__ import annotations

import re

import pytest

from tests.hooks.both import EDGES, asked
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.hooks.server_timing import server_timing


@pytest.mark.parametrize("edge", EDGES)
def test_the_time_is_added(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = answer(200, [("Server-Timing", "db;dur=1")])
    own, ours = asked(edge, upstream.url, [server_timing()]).values("Server-Timing")
    assert own == "db;dur=1"
    assert re.fullmatch(r"upstream;dur=\d+\.\d", ours)


def test_the_name_is_checked() -> None:
    with pytest.raises(ConfigurationError, match="name='a b'"):
        server_timing("a b")
