"""Which Host a listener on a loopback address answers."""

from __future__ import annotations

import pytest

from tests.support.rounds import together
from wsgiproxy.sansio.rebinding import is_answered


@together
@pytest.mark.parametrize(
    ("host", "answered"),
    [
        pytest.param("localhost", True, id="localhost"),
        pytest.param("LocalHost:8080", True, id="case-and-port"),
        pytest.param("localhost.", True, id="a-complete-name"),
        pytest.param("app.localhost:81", True, id="below-localhost"),
        pytest.param("127.0.0.1", True, id="127.0.0.1"),
        pytest.param("127.9.8.7:80", True, id="all-of-127"),
        pytest.param("[::1]:8080", True, id="ipv6"),
        pytest.param("shop.example:8443", True, id="allowed"),
        pytest.param("a.wild.example", True, id="allowed-below"),
        pytest.param("", True, id="no-host-is-no-browser"),
        pytest.param("evil.example", False, id="another-name"),
        pytest.param("127.0.0.1.evil.example", False, id="begins-like-an-address"),
        pytest.param("localhost.evil.example", False, id="begins-like-localhost"),
        pytest.param("evillocalhost", False, id="ends-like-localhost"),
        pytest.param("x.shop.example", False, id="below-a-plain-name"),
        pytest.param("localhost, evil.example", False, id="two-fields"),
        pytest.param("localhost@evil.example", False, id="userinfo"),
        pytest.param("evil.example/localhost", False, id="a-path"),
        pytest.param("0.0.0.0:8080", False, id="unspecified"),
        pytest.param("192.168.1.5", False, id="another-address"),
        pytest.param("[::2]", False, id="another-ipv6-address"),
    ],
)
def test_is_answered(host, answered):
    assert is_answered(host, ["shop.example", ".wild.example"]) is answered
