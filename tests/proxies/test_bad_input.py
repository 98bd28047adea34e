"""Clients, addresses and answers that cannot be meant: a clear error that names them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.proxies.asking import CLIENTS, asked, call
from tests.test_exactproxy import Called
from wsgiproxy import HostProxy, Proxy
from wsgiproxy.errors import BadResponse, ConfigurationError
from wsgiproxy.proxies import UnknownClient


@pytest.mark.parametrize(
    "client", ["nonesuch", "", "os.path", "../evil", "urllib3 ", 5, object(), ["requests"]]
)
def test_an_unknown_client_is_named_at_once(client: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        HostProxy("http://example.com", client=client)
    assert f"client={client!r}" in str(caught.value)
    assert isinstance(caught.value, (ImportError, ValueError))
    assert isinstance(caught.value, UnknownClient)


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wsgiproxy.requests_client", raising=False)
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(ImportError, match=r"client='requests'.*import of requests"):
        Proxy("requests")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "example.com",
        "example.com:80",
        "//example.com",
        "/path",
        "http://",
        "http:///path",
        "http://:80",
        "ftp://example.com",
        "http://user:password@example.com",
        "http://example.com:port",
        "http://example.com:99999",
        "http://example.com/?query",
        "http://example.com/#fragment",
        "http://exa mple.com",
        "http://example.com/../x",
        "http://caf\xe9.example",
        "unix:/run/app.sock",
        None,
        b"http://example.com",
    ],
)
def test_an_address_without_scheme_or_host_is_named_at_once(uri: Any) -> None:
    with pytest.raises(ConfigurationError, match="expected http://host") as caught:
        HostProxy(uri)
    assert f"uri={uri!r}" in str(caught.value)


def test_another_address_is_checked_as_well() -> None:
    proxy = HostProxy("http://example.com")
    with pytest.raises(ValueError, match="uri='nowhere'"):
        proxy.uri = "nowhere"
    assert proxy.uri == "http://example.com"


@pytest.mark.parametrize("client", ["httplib", "requests"])
def test_an_unknown_option_is_named_at_once(client: str) -> None:
    with pytest.raises(ConfigurationError, match="chunk_sise=1"):
        HostProxy("http://example.com", client=client, chunk_sise=1)


def test_options_beside_a_client_object_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    HostProxy("http://example.com", client=lambda *_: None, wait_forever=1)
    assert "wait_forever" in caplog.text


class Nonsense:
    """A client that returns what it was told to."""

    def __init__(self, result: Any) -> None:
        self.result = result

    def __call__(self, *_: Any) -> Any:
        return self.result

    def __repr__(self) -> str:
        return "<the client of this test>"


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        pytest.param(None, "returned None", id="nothing"),
        pytest.param("200 OK", "returned '200 OK'", id="text"),
        pytest.param(("200 OK", [], [b""]), "returned", id="three things"),
        pytest.param((200, None, [], [b""]), "status is 200", id="a number"),
        pytest.param(("OK", None, [], [b""]), "status is 'OK'", id="no number"),
        pytest.param(("103 Early", None, [], [b""]), "status is '103", id="not final"),
        pytest.param(("1000 No", None, [], [b""]), "status is '1000", id="out of range"),
        pytest.param(("200 a\r\nX: y", None, [], [b""]), "status is", id="a line end in it"),
        pytest.param(("200 OK", 5, [], [b""]), "location is 5", id="location"),
        pytest.param(("200 OK", None, None, [b""]), "headers are None", id="no headers"),
        pytest.param(("200 OK", None, ["abc"], [b""]), "expected pairs", id="no pairs"),
        pytest.param(("200 OK", None, [("a", 1)], [b""]), "expected a field", id="no text"),
        pytest.param(("200 OK", None, [("a b", "1")], [b""]), "expected a field", id="name"),
        pytest.param(("200 OK", None, [("a", "1\nb: 2")], [b""]), "expected a field", id="value"),
        pytest.param(
            ("200 OK", None, [("Content-Length", "x")], [b""]), "Content-Length", id="length"
        ),
        pytest.param(
            ("200 OK", None, [("Content-Length", "1")] * 2, [b""]), "one number", id="two lengths"
        ),
        pytest.param(
            ("200 OK", None, [("Content-Length", "9")], [b"x"]), "short", id="a shorter body"
        ),
        pytest.param(
            ("200 OK", None, [("Content-Length", "0")], [b"x"]), "longer", id="a longer body"
        ),
        pytest.param(("200 OK", None, [], None), "body is None", id="no body"),
        pytest.param(("200 OK", None, [], b"hello"), "body is b'hello'", id="bytes"),
        pytest.param(("200 OK", None, [], ["hello"]), "expected bytes", id="blocks of text"),
        pytest.param(("200 OK", None, [], 5), "body is 5", id="a number for a body"),
    ],
)
def test_nonsense_of_a_client_is_a_502_and_named_in_the_log(
    result: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    status, _, page = call(HostProxy("http://example.com", client=Nonsense(result)))
    assert status == 502
    assert "<the client of this test>" in caplog.text
    assert reason in caplog.text
    assert b"client of this test" not in page


@pytest.mark.parametrize(
    ("blocks", "error"),
    [
        pytest.param([b"a", "text"], "expected bytes", id="text later on"),
        pytest.param([b"a", ValueError("no")], "ValueError", id="an error later on"),
        pytest.param([b"a", TimeoutError("no")], "TimeoutError", id="a timeout later on"),
        pytest.param([b"ab", b"c"], "longer", id="too much"),
        pytest.param([b"a"], "short", id="too little"),
    ],
)
def test_a_body_that_goes_wrong_later_breaks_off(blocks: list[Any], error: str) -> None:
    closed: list[bool] = []

    class Blocks:
        def __init__(self) -> None:
            self.left = iter(blocks)

        def __iter__(self) -> Iterator[Any]:
            return self

        def __next__(self) -> Any:
            block = next(self.left)
            if isinstance(block, Exception):
                raise block
            return block

        def close(self) -> None:
            closed.append(True)

    result = ("200 OK", None, [("Content-Length", "2")], Blocks())
    called = Called(HostProxy("http://example.com", client=Nonsense(result)), asked())
    assert called.status == 200
    with pytest.raises(Exception, match=error):
        called.read()
    assert closed == [True]


def test_a_body_is_closed_when_its_head_is_nonsense() -> None:
    closed: list[bool] = []

    class Blocks(list[bytes]):
        def close(self) -> None:
            closed.append(True)

    result: Any = ("nonsense", None, [], Blocks())
    assert call(HostProxy("http://example.com", client=Nonsense(result)))[0] == 502
    assert closed == [True]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TimeoutError("secret"), 504),
        (ConnectionRefusedError("secret"), 502),
        (OSError("secret"), 502),
        (ValueError("secret"), 500),
        (ImportError("secret"), 500),
        (BadResponse("secret"), 502),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_failures_of_a_client_have_their_status_and_no_details(
    error: Exception, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    def client(*_: Any) -> Any:
        raise error

    found, _, page = call(HostProxy("http://example.com", client=client))
    assert found == status
    assert b"secret" not in page
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    "uri", [None, 5, "", "nowhere", "http://a b/"], ids=["None", "5", "empty", "no scheme", "blank"]
)
def test_a_subclass_that_gives_no_address_is_a_500(
    uri: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Lost(Proxy):
        def extract_uri(self, environ: dict[str, Any]) -> Any:
            return uri

    assert call(Lost())[0] == 500
    assert "extract_uri has failed" in caplog.text


@pytest.mark.parametrize("client", CLIENTS)
def test_a_subclass_that_makes_no_address_of_it_is_an_error(
    client: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Lost(HostProxy):
        def process_request(self, uri: str, *more: Any) -> Any:
            return super().process_request("nowhere", *more)

    caplog.set_level(logging.ERROR, "urllib3")
    assert call(Lost("http://127.0.0.1:1", client=client))[0] in (500, 502)


def test_an_error_of_our_own_page_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Proxy):
        def extract_uri(self, environ: dict[str, Any]) -> str:
            raise KeyError("secret")

    status, _, page = call(Broken())
    assert (status, b"secret" in page) == (500, False)
    assert "secret" in caplog.text
