"""Which recorded exchange answers a request."""

from __future__ import annotations

from typing import Any

import pytest

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.har.asked import asked_of
from wsgiproxy.sansio.har.entry import Answer, Body, Entry
from wsgiproxy.sansio.har.match import Found, Matcher, Miss, checked_match
from wsgiproxy.sansio.har.read import entries_of
from wsgiproxy.sansio.har.write import har_text
from wsgiproxy.sansio.message import Headers
from wsgiproxy.sansio.secrets import Secrets


def entry(
    url: str,
    method: str = "GET",
    headers: Headers | None = None,
    body: Body | None = None,
    status: int = 200,
) -> Entry:
    answer = Answer(status, "OK", "HTTP/1.1", [])
    return Entry(0.0, method, url, "HTTP/1.1", headers or [], body or Body(), answer)


def found(matcher: Matcher, method: str, url: str, *more: Any) -> int | str:
    """The number of the entry, or the differences."""
    answer = matcher.answer(asked_of(method, url, *more))
    return answer.number if isinstance(answer, Found) else "; ".join(answer.differences)


_FORM = "multipart/form-data; boundary="


@pytest.mark.parametrize(
    ("match", "recorded", "asked", "differs"),
    [
        pytest.param("target", ["http://a/b?c"], ["GET", "http://z:80/b?c"], "", id="other-host"),
        pytest.param("host", ["http://a/"], ["GET", "http://A:80/x"], "", id="same-host"),
        pytest.param("host", ["http://a/"], ["GET", "http://b/"], "host: 'a', not 'b'", id="host"),
        pytest.param("path", ["http://a/%62?c"], ["GET", "http://a/b?d"], "", id="path-alone"),
        pytest.param(
            "method", ["http://a/"], ["PUT", "http://a/"], "method: 'GET', not 'PUT'", id="method"
        ),
        pytest.param(
            "target",
            ["http://a/?b=1&c=2"],
            ["GET", "http://a/?c=2&b=1"],
            "query: 'b=1&c=2', not 'c=2&b=1'",
            id="order",
        ),
        pytest.param("query", ["http://a/?b=1&c"], ["GET", "http://a/?c&b=1"], "", id="any-order"),
        pytest.param(
            "query", ["http://a/?b"], ["GET", "http://a/?b&b"], "query: 'b', not 'b&b'", id="twice"
        ),
        pytest.param("query", ["http://a/?b=%20"], ["GET", "http://a/?b=+"], "", id="decoded"),
        pytest.param("target", ["http://a/?key=***"], ["GET", "http://a/?key=x"], "", id="masked"),
        pytest.param(
            "target",
            ["http://a/?key=1"],
            ["GET", "http://a/?key=2"],
            "query: another value in place of *** than in 'key=***'",
            id="secret-is-not-shown",
        ),
        pytest.param(
            "body",
            ["http://a/", "PUT", [], Body(b"abc")],
            ["PUT", "http://a/", [], Body(b"abd")],
            "body: 3 bytes, not 3 bytes, from byte 2 on",
            id="body",
        ),
        pytest.param(
            "body",
            ["http://a/", "PUT", [], Body(b"ab")],
            ["PUT", "http://a/", [], Body(b"abc")],
            "body: 2 bytes, not 3 bytes, from byte 2 on",
            id="longer-body",
        ),
        pytest.param(
            "body",
            ["http://a/", "PUT", [], Body(None, size=9)],
            ["PUT", "http://a/", [], Body(b"abc")],
            "",
            id="body-unknown",
        ),
        pytest.param(
            "body",
            ["http://a/", "PUT", [], Body(b"ab", True, 3)],
            ["PUT", "http://a/", [], Body(b"abc")],
            "",
            id="body-cut",
        ),
        pytest.param(
            "body",
            ["http://a/", "PUT", [], Body(b"ab", True, 9)],
            ["PUT", "http://a/", [], Body(b"abc")],
            "body: 9 bytes, not 3 bytes, from byte 2 on",
            id="body-cut-and-longer",
        ),
        pytest.param(
            "body",
            ["http://a/", "POST", [("Content-Type", _FORM + "x")], Body(b"--x\r\n\r\na\r\n--x--")],
            [
                "POST",
                "http://a/",
                [("content-type", _FORM + '"yy"')],
                Body(b"--yy\r\n\r\na\r\n--yy--"),
            ],
            "",
            id="other-boundary",
        ),
        pytest.param(
            "header:X-A",
            ["http://a/", "GET", [("x-a", "1"), ("X-A", "2")]],
            ["GET", "http://a/", [("X-a", "1, 2")]],
            "",
            id="joined-lines",
        ),
        pytest.param(
            "header:X-A",
            ["http://a/", "GET", [("x-a", "1")]],
            ["GET", "http://a/", [("X-a", "2")]],
            "header x-a: there, not another value",
            id="header",
        ),
        pytest.param(
            "header:X-A",
            ["http://a/", "GET", [("x-a", "1")]],
            ["GET", "http://a/", []],
            "header x-a: there, not left out",
            id="no-header",
        ),
        pytest.param(
            "header:X-A",
            ["http://a/"],
            ["GET", "http://a/", [("X-a", "2")]],
            "header x-a: left out, not there",
            id="new-header",
        ),
        pytest.param(
            "header:Cookie",
            ["http://a/", "GET", [("Cookie", "a=***")]],
            ["GET", "http://a/", [("Cookie", "a=7")]],
            "",
            id="masked-header",
        ),
        pytest.param(
            "header:Cookie",
            ["http://a/", "GET", [("Cookie", "a=***")]],
            ["GET", "http://a/"],
            "header cookie: there, not left out",
            id="no-masked-header",
        ),
    ],
)
def test_what_is_compared(match: str, recorded: list[Any], asked: list[Any], differs: str) -> None:
    answer = found(Matcher([entry(*recorded)], match=match), *asked)
    assert answer == (differs or 0)


def test_answers_come_in_their_order_and_the_last_one_again() -> None:
    recorded = [entry("http://a/b"), entry("http://a/c"), entry("http://a/b")]
    matcher = Matcher(recorded)
    assert matcher.unserved() == [0, 1, 2]
    assert [found(matcher, "GET", "http://a/b") for _ in range(4)] == [0, 2, 2, 2]
    assert matcher.unserved() == [1]


def test_without_repeating_each_answer_comes_once() -> None:
    matcher = Matcher([entry("http://a/b")], repeat="none")
    assert found(matcher, "GET", "http://a/b") == 0
    assert "as often as it was recorded" in str(found(matcher, "GET", "http://a/b"))


def test_a_miss_names_the_nearest_and_no_credential() -> None:
    recorded = [
        entry("http://a/api/users?page=1&token=s3cret", "POST"),
        entry("http://a/api/orders"),
        entry("http://a/other"),
    ]
    miss = Matcher(recorded).answer(asked_of("GET", "http://a/api/orderz"))
    assert isinstance(miss, Miss)
    assert miss.sentence == (
        "the nearest is entry 1, GET http://a/api/orders, which differs in"
        " path: '/api/orders', not '/api/orderz'"
    )
    miss = Matcher(recorded).answer(asked_of("POST", "http://a/api/users?page=2&token=other"))
    assert isinstance(miss, Miss)
    assert miss.number == 0
    assert "page=1&token=***" in miss.sentence
    assert "s3cret" not in miss.sentence
    assert "other" not in miss.sentence


def test_a_websocket_answers_nothing() -> None:
    miss = Matcher([entry("http://a/", status=101)]).answer(asked_of("GET", "http://a/"))
    assert miss == Miss(-1, "", ())
    assert miss.sentence == "the archive has no answer at all"


def test_a_written_archive_answers_what_it_was_made_of() -> None:
    """Escapes, brackets, and values that are masked in the file."""
    url = "http://a/b%2Fc?x[]=1&key=k&y=%25"
    text = "".join(har_text([entry(url + "|%")], version="1", mask=Secrets()))
    (written,) = entries_of(text)
    assert written.url == "http://a/b%2Fc?x%5B%5D=1&key=***&y=%25%7C%25"
    assert found(Matcher([written]), "GET", "http://a/b%2Fc?x[]=1&key=other&y=%25|%") == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"match": "path way"}, "match='way': expected", id="word"),
        pytest.param({"match": "header:"}, "match='header:': expected", id="no-name"),
        pytest.param({"match": []}, "match is empty", id="empty"),
        pytest.param({"repeat": "first"}, "repeat='first': expected last or none", id="repeat"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Matcher([], **settings)
    assert checked_match(["path", "path"]) == ("path",)


@pytest.mark.parametrize(
    ("name", "value", "masked"),
    [
        ("Authorization", "Basic dTpw", "Basic ***"),
        ("authorization", "opaque", "***"),
        ("Cookie", "a=b;c=d; e", "a=***; c=***; ***"),
        ("Set-Cookie", "a=b; Secure", "a=***; Secure"),
        ("X-API-Key", "k", "***"),
        ("Location", "/a?code=1&b=2", "/a?code=***&b=2"),
        ("Accept", "text/html?key=1", "text/html?key=1"),
    ],
)
def test_fields_are_masked(name: str, value: str, masked: str) -> None:
    assert Secrets().value(name, value) == masked
    assert (
        Secrets.named(shown=[name]).value(name, value).partition("?")[0] == value.partition("?")[0]
    )


def test_parameters_are_masked_unless_they_are_shown() -> None:
    url = "http://a/?key=1;%74oken=2&key&shown%5Fkey=3"
    assert (
        Secrets.named(shown=["shown_key"]).target(url)
        == "http://a/?key=***;%74oken=***&key&shown%5Fkey=3"
    )
