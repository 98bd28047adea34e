"""Each client has its own limit, and cannot choose whose it is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hooks.both import EDGES, asked
from tests.support.upstream import RawUpstream
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.hooks.limit_rate import Rates, limit_rate


@pytest.mark.parametrize("edge", EDGES)
def test_the_third_request_is_refused_whatever_it_claims(edge: str, upstream: RawUpstream) -> None:
    hook = limit_rate(2, 3600)
    claims = [[("X-Forwarded-For", f"198.51.100.{each}")] for each in range(3)]
    answers = [asked(edge, upstream.url, [hook], headers=claim) for claim in claims]
    assert [each.status for each in answers] == [200, 200, 429]
    assert 0 < int(answers[2].value("Retry-After") or "") <= 1800
    assert len(upstream.requests) == 2
    assert asked(edge, upstream.url, [hook], peer="192.0.2.2").status == 200


def test_a_network_of_ipv6_is_one_client(upstream: RawUpstream) -> None:
    hook = limit_rate(1, 3600)
    peers = ["2001:db8::1", "2001:db8::ffff", "2001:db8:0:1::1", "::ffff:192.0.2.1", "192.0.2.1"]
    found = [asked("asgi", upstream.url, [hook], peer=peer).status for peer in peers]
    assert found == [200, 429, 200, 200, 429]


def test_the_limit_comes_back_with_time() -> None:
    rates = Rates(2, 10)
    assert [rates.wait("a", 0) for _ in range(3)] == [0, 0, 5]
    assert rates.wait("a", 4) == 1
    assert rates.wait("a", 5) == 0
    assert [rates.wait("a", 100) for _ in range(3)] == [0, 0, 5]


def test_clients_are_forgotten_in_the_order_of_their_last_request() -> None:
    rates = Rates(1, 10, clients=2)
    assert [rates.wait(each, 0) for each in "abcb"] == [0, 0, 0, 10]
    assert rates.wait("a", 0) == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((0, 1), "requests"),
        ((True, 1), "requests"),
        ((10**400, 1), "requests"),
        ((1, 0), "seconds"),
        ((1, True), "seconds"),
        ((1, 10**400), "seconds"),
    ],
)
def test_settings_are_checked(arguments: Any, word: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{word}="):
        limit_rate(*arguments)
