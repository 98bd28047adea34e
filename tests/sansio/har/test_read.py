"""Archives of other programs, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.har.entry import Body, Entry, Message, Timings
from wsgiproxy.sansio.har.read import entries_of

FILES = Path(__file__).parent / "files"

#: By program: method, end of the URL, body of the request, and of the answer status, names of
#: fields and body, or the error.
SEEN: dict[str, list[tuple[Any, ...]]] = {
    "chromium": [
        (
            *("GET", "/?q=a%20b", Body(), 200),
            ["content-type", "date", "link", "link", "vary"],  # it has decoded the text
            Body("<h1>Grüße</h1>\n".encode()),
        ),
        ("POST", "/cart", Body(b"id=5&n=%20"), 302, ["location"], Body()),
        ("GET", "/a.png", Body(), 200, ["content-type"], Body(b"\x89PNG")),
        ("GET", "/t.js", Body(), "net::ERR_BLOCKED_BY_CLIENT"),
        ("GET", "/live", Body(), 101, ["Upgrade"], Body()),
        ("GET", "/evicted", Body(), 200, [], Body(None, size=91)),
    ],
    "firefox": [
        (
            *("GET", "/latin", Body(), 200),
            ["Content-Type", "Content-Length", "Set-Cookie", "Set-Cookie"],
            Body("Grüße\n".encode("latin-1")),
        ),
        ("POST", "/api", Body('{"a": "€"}'.encode()), 204, ["X-Firefox-Spdy"], Body()),
        ("GET", "/large.bin", Body(), 200, ["Content-Type"], Body(None, size=99999999)),
        ("GET", "/", Body(), "there was no answer"),
    ],
    "mitmproxy": [
        ("POST", "/login", Body(b"u=a%20b"), 200, ["Content-Type"], Body(b'{"b": "\xff"}')),
        ("GET", "/raw", Body(), 200, ["content-type", "content-encoding"], None),
        ("GET", "/", Body(), "Connection killed"),
    ],
    "charles": [
        ("CONNECT", ":443", Body(), 200, [], Body()),
        (
            *("POST", "/form", Body(b"a=b+c&%C3%BC="), 200),
            ["Content-Type", "Transfer-Encoding"],
            Body(b"<a/>"),
        ),
        ("POST", "/upload", Body(None, size=150), "there was no answer"),
    ],
    "safari": [
        ("GET", "/", Body(), 200, ["Content-Type", "Set-Cookie", "Set-Cookie"], Body(b"a\r\n")),
        ("PUT", "/file", Body(None, size=70), 201, [], Body()),
    ],
}


def read(program: str) -> list[Entry]:
    return entries_of((FILES / f"{program}.har").read_bytes())


@pytest.mark.parametrize("program", SEEN)
def test_archives_of_other_programs(program: str) -> None:
    for entry, seen in zip(read(program), SEEN[program], strict=True):
        method, url, body, status, *answer = seen
        assert (entry.method, entry.body) == (method, body)
        assert entry.url.endswith(url)
        if entry.answer is None:
            assert entry.error == status
            continue
        assert [entry.answer.status, [name for name, _ in entry.answer.headers]] == [
            status,
            answer[0],
        ]
        assert answer[1] is None or entry.answer.body == answer[1]


def test_what_stands_beside_the_messages() -> None:
    page, *_, socket, _ = read("chromium")
    assert page.started == 1777629600.123
    assert page.server == "2001:db8::1"
    assert page.connection == "443"
    assert page.timings == Timings(2.5, None, None, None, 0.4, 37.1, 1.2)
    assert page.headers == [("accept", "text/html"), ("accept-encoding", "gzip, deflate, br, zstd")]
    assert socket.messages == (
        Message(1777629602.25, "send", 1, "hällo".encode()),
        Message(1777629602.5, "receive", 2, b"\0\1"),
    )
    assert read("firefox")[0].started == page.started


def one(**changes: Any) -> dict[str, Any]:
    """An archive of one entry; a change of ``request__url`` is one of that member."""
    entry: dict[str, Any] = {
        "request": {"method": "GET", "url": "http://a.example/", "headers": []},
        "response": {"status": 200, "headers": [], "content": {"text": "a"}},
    }
    for path, value in changes.items():
        *parents, name = path.split("__")
        place = entry
        for each in parents:
            place = place.setdefault(each, {})
        place[name] = value
    return {"log": {"entries": [entry]}}


_FIELD = [{"name": "A", "value": "b"}]


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        pytest.param({"request": None}, ".request.url is ''", id="no-request"),
        pytest.param({"request": []}, ".request is list", id="request-is-a-list"),
        pytest.param({"request__method": "GET /"}, ".request.method is 'GET /'", id="method"),
        pytest.param({"request__url": "/a"}, ".request.url is '/a'", id="relative"),
        pytest.param({"request__url": "http://[a/"}, ".request.url", id="bad-address"),
        pytest.param({"request__url": "http:///a"}, ".request.url", id="no-host"),
        pytest.param({"request__headers": {}}, ".request.headers is dict", id="fields"),
        pytest.param({"request__headers": [5]}, ".request.headers[0] is 5", id="field"),
        pytest.param(
            {"response__headers": [*_FIELD, {"name": "A b"}]},
            ".headers[1].name is 'A b'",
            id="name",
        ),
        pytest.param(
            {"response__headers": [{"name": "A", "value": "b\0"}]},
            ".response.headers[0].value is 'b\\x00'",
            id="value",
        ),
        pytest.param({"response__status": 99}, ".response.status is 99", id="status"),
        pytest.param({"response__status": 200.5}, ".response.status is 200.5", id="fraction"),
        pytest.param({"response__status": "OK"}, ".response.status is 'OK'", id="status-text"),
        pytest.param({"response__status": True}, ".response.status is True", id="status-bool"),
        pytest.param({"response__statusText": "a\nb"}, ".response.statusText", id="reason"),
        pytest.param({"response__content": 5}, ".response.content is 5", id="content"),
        pytest.param({"response__content__text": 5}, ".content.text is 5", id="text"),
        pytest.param(
            {"response__content__encoding": "base64", "response__content__text": "§" * 99},
            ".content.text is '§§",
            id="base64",
        ),
        pytest.param({"request__postData": "a"}, ".request.postData is 'a'", id="post"),
        pytest.param({"timings": []}, ".timings is list", id="timings"),
    ],
)
def test_a_fault_is_named_with_its_place(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        entries_of(json.dumps(one(**changes)))
    assert str(raised.value).startswith("log.entries[0].")
    assert place in str(raised.value)
    assert "; expected " in str(raised.value)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("changes", "status", "data"),
    [
        pytest.param({"response__status": "200"}, 200, b"a", id="status-as-text"),
        pytest.param({"response__status": 200.0}, 200, b"a", id="status-as-float"),
        pytest.param({"response__headers": None}, 200, b"a", id="null"),
        pytest.param({"response__statusText": "Größe €"}, 200, b"a", id="reason-in-utf-8"),
        pytest.param({"timings": {"wait": 10**400, "send": -1}}, 200, b"a", id="huge-number"),
        pytest.param(
            {"response__headers": [{"name": "A", "value": "€"}]}, 200, b"a", id="value-in-utf-8"
        ),
        pytest.param({"startedDateTime": 5}, 200, b"a", id="no-moment"),
        pytest.param(
            {"response__content": {"size": 6, "text": ""}}, 200, None, id="text-was-dropped"
        ),
        pytest.param({"response__content": {"size": -1}}, 200, None, id="size-unknown"),
        pytest.param({"response__content": {}, "response__bodySize": 0}, 200, b"", id="nothing"),
        pytest.param({"response__content": {}, "response__status": 304}, 304, b"", id="no-content"),
        pytest.param({"response__content__text": "\ud800"}, 200, b"?", id="half-a-character"),
        pytest.param({"_webSocketMessages": 5}, 200, b"a", id="messages-are-none"),
        pytest.param(
            {"_webSocketMessages": [{"type": "send", "opcode": 2, "data": "§"}]},
            200,
            b"a",
            id="message-is-none",
        ),
    ],
)
def test_what_is_missing_or_odd_is_taken(
    changes: dict[str, Any], status: int, data: bytes | None
) -> None:
    (entry,) = entries_of(json.dumps(one(**changes)))
    assert entry.answer is not None
    assert (entry.answer.status, entry.answer.body.data) == (status, data)
    assert entry.messages == ()


def test_bytes_beside_a_text_count_only_if_they_are_its_own() -> None:
    kept = {"data": "H4s=", "sha256": "0" * 64}
    (entry,) = entries_of(
        json.dumps(one(response__content__text="a", response__content___coded=kept))
    )
    assert entry.answer is not None
    assert entry.answer.body == Body(b"a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "the file is no JSON: ", id="empty"),
        pytest.param(b"\x00\xff\xfe", "the file is no JSON: ", id="bytes"),
        pytest.param(b"\xff\xfe", "the file is no JSON: ", id="byte-order-mark-alone"),
        pytest.param("[" * 200_000, "the file is nested too deeply", id="deep"),
        pytest.param('{"log":' * 100_000, "the file is nested too deeply", id="deep-objects"),
        pytest.param("1" * 5000, "the file is ", id="long-number"),
        pytest.param("[]", "the file is list; expected an object", id="list"),
        pytest.param("{}", "the file has no member log", id="no-log"),
        pytest.param('{"log": []}', "log is list; expected an object", id="log-is-a-list"),
        pytest.param('{"log": {"entries": 1}}', "log.entries is 1; expected a list", id="entries"),
        pytest.param('{"log": {"entries": [null]}}', "log.entries[0] is None", id="entry"),
    ],
)
def test_a_file_that_is_no_archive(text: str | bytes, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        entries_of(text)
    assert str(raised.value).startswith(message)
    assert len(str(raised.value)) < 300


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["text", "encoding", "name", "value", "size", "_coded", "params", "status"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
places = st.sampled_from(
    ["request", "response", "timings", "request__headers", "response__headers", "request__url"]
    + ["response__content", "request__postData", "response__content__text", "_webSocketMessages"]
    + ["serverIPAddress", "response__status", "response__content__encoding", "comment"]
)


@given(st.dictionaries(places, json_values, max_size=3))
def test_any_json_is_read_or_refused_in_words(changes: dict[str, Any]) -> None:
    try:
        archive = one(**changes)
    except (TypeError, AttributeError):
        return  # one change in another
    try:
        entries_of(json.dumps(archive))
    except ConfigurationError as error:
        assert str(error).startswith("log.entries[0]")
