"""Exchanges of a file that says what no server would: they are shown, and not sent."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import Request, urlopen

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


def test_the_archive_is_made_while_it_is_sent() -> None:
    inspector = Inspector(lambda environ, start: [], listen="127.0.0.1:0")
    try:
        address = inspector.url + "api/har"
        with urlopen(address) as response:
            assert json.load(response)["log"]["entries"] == []
            assert response.headers["Content-Length"] is None
            assert response.headers["Content-Disposition"].startswith("attachment")
        with urlopen(Request(address, method="HEAD")) as response:
            assert response.read() == b""
    finally:
        inspector.close()
