"""Exchanges of a file that says what no server would: they are shown, and not sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wsgiproxy.errors import BadRequest
from wsgiproxy.inspector import Inspector
from wsgiproxy.observe.inspector.edited import edited
from wsgiproxy.observe.inspector.shown import detail


def added(url: str, **timings: float) -> Inspector:
    entry: dict[str, Any] = {
        "request": {"method": "GET", "url": url, "headers": []},
        "response": {"status": 200, "statusText": "OK", "headers": [], "content": {}},
        "timings": timings,
    }
    inspector = Inspector(lambda environ, start: [], listen=None)
    assert inspector.add_har(json.dumps({"log": {"entries": [entry]}})) == 1
    return inspector


def test_endless_times_are_numbers() -> None:
    inspector = added("http://a.example/", send=1.7e308, wait=1.7e308, receive=1.7e308)
    (exchange,) = inspector.ring.exchanges()
    json.dumps(detail(exchange, inspector.secrets), allow_nan=False)


@pytest.mark.parametrize("url", ["http://a.example/x y", "http://a.example/\u20ac"])
def test_targets_that_no_server_takes_are_not_sent(url: str) -> None:
    inspector = added(url)
    (exchange,) = inspector.ring.exchanges()
    with pytest.raises(BadRequest):
        inspector.send_again(exchange, edited(exchange, {}, inspector.secrets))
    assert len(inspector.ring) == 1
