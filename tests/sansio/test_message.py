"""The values that pass between the rules."""

from __future__ import annotations

import pytest

from wsgiproxy.sansio.message import DEFAULT_PORTS, Inbound, Origin, Request, ResponseHead


@pytest.mark.parametrize(
    ("origin", "authority"),
    [
        pytest.param(Origin("http", "a.example", 80), "a.example", id="default-port-dropped"),
        pytest.param(Origin("https", "a.example", 443), "a.example", id="default-port-of-tls"),
        pytest.param(Origin("http", "a.example", 443), "a.example:443", id="port-of-the-other"),
        pytest.param(Origin("https", "a.example", 80), "a.example:80", id="other-port-of-tls"),
        pytest.param(Origin("http", "::1", 80), "[::1]", id="brackets-for-ipv6"),
        pytest.param(Origin("http", "::1", 8080), "[::1]:8080", id="brackets-and-port"),
        pytest.param(Origin("http", "localhost", 80, "/s"), "localhost", id="unix-socket"),
    ],
)
def test_authority(origin: Origin, authority: str) -> None:
    assert origin.authority == authority


def test_default_ports() -> None:
    assert DEFAULT_PORTS == {"http": 80, "https": 443}


def test_request_has_no_framing_unless_told() -> None:
    request = Request("GET", "/", [])
    assert (request.content_length, request.chunked) == (None, False)


@pytest.mark.parametrize(
    ("value", "attribute"),
    [
        pytest.param(Origin("http", "a", 80), "host", id="Origin"),
        pytest.param(Request("GET", "/", []), "target", id="Request"),
        pytest.param(ResponseHead(200, "OK", []), "status", id="ResponseHead"),
        pytest.param(
            Inbound("GET", "http", "a", "a", 80, "", "/", "", [], "", "", "1.1", None, False),
            "path",
            id="Inbound",
        ),
    ],
)
def test_values_are_frozen(value: object, attribute: str) -> None:
    with pytest.raises(AttributeError):
        setattr(value, attribute, "other")
