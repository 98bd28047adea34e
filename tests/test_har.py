"""Archives as files and as upstreams; the recorder, and what the two make together."""

from __future__ import annotations

import gzip
import io
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from webob import Request, Response

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.har.application import MAX_BODY, HarApplication, read_har, write_har
from wsgiproxy.har.clients import mount
from wsgiproxy.har.recorder import HarRecorder, NotRecordable
from wsgiproxy.sansio.har.entry import Answer, Body, Entry
from wsgiproxy.sansio.message import Headers
from wsgiproxy.sansio.secrets import Secrets


def entry(
    status: int = 200,
    headers: Headers | None = None,
    body: Body | None = None,
    *,
    method: str = "GET",
    reason: str = "OK",
) -> Entry:
    answer = Answer(status, reason, "HTTP/1.1", headers or [], body or Body())
    return Entry(0.0, method, "http://a.example/b", "HTTP/1.1", [], answer=answer)


def asked(one: Entry, path: str = "/b", **options: Any) -> Response:
    settings = options.pop("settings", {})
    return Request.blank(path, **options).get_response(HarApplication([one], **settings))


def upgrade(protocol: str) -> dict[str, str]:
    fields = {"HTTP_CONNECTION": "Upgrade", "HTTP_UPGRADE": protocol}
    return {**fields, "SERVER_PROTOCOL": "HTTP/1.1"}


@pytest.mark.parametrize(
    ("recorded", "headers", "body"),
    [
        pytest.param(
            entry(
                headers=[
                    ("Date", "Fri, 01 May 2026 10:00:00 GMT"),
                    *(("Set-Cookie", "a=b"), ("Transfer-Encoding", "chunked")),
                    *(("Connection", "X-Hop, close"), ("X-Hop", "1"), ("Content-Length", "7")),
                    *(("Set-Cookie", "c=d"), ("Keep-Alive", "5"), ("Alt-Svc", "h3=:443")),
                ],
                body=Body(b"abc"),
            ),
            [
                ("Date", "Fri, 01 May 2026 10:00:00 GMT"),
                *(("Set-Cookie", "a=b"), ("Set-Cookie", "c=d"), ("Content-Length", "3")),
            ],
            b"abc",
            id="framing-is-ours",
        ),
        pytest.param(
            entry(headers=[("Content-Encoding", "gzip")], body=Body(gzip.compress(b"a", mtime=0))),
            [("Content-Encoding", "gzip"), ("Content-Length", "21")],
            gzip.compress(b"a", mtime=0),
            id="coded",
        ),
        pytest.param(entry(204, [("Content-Length", "0")], Body(b"a")), [], b"", id="204"),
        pytest.param(entry(304, [("ETag", '"a"')], Body(None)), [("ETag", '"a"')], b"", id="304"),
        pytest.param(
            entry(302, [("Location", "/c")], Body(None, size=9)),
            [("Location", "/c"), ("Content-Length", "0")],
            b"",
            id="redirect-without-its-body",
        ),
    ],
)
def test_an_answer_is_served_as_it_was_recorded(
    recorded: Entry, headers: Headers, body: bytes
) -> None:
    answer = asked(recorded)
    assert (answer.headerlist, answer.body) == (headers, body)


def test_head_has_the_length_and_no_body() -> None:
    recorded = entry(headers=[("Content-Length", "3")], method="HEAD")
    answer = asked(recorded, method="HEAD")
    assert (answer.headerlist, answer.body) == ([("Content-Length", "3")], b"")
    of_get = entry(body=Body(b"ab"))
    answer = asked(of_get, method="HEAD", settings={"match": "path"})
    assert (answer.headerlist, answer.body) == ([("Content-Length", "2")], b"")


@pytest.mark.parametrize(
    ("recorded", "path", "sentence"),
    [
        pytest.param(entry(body=Body(None)), "/b", "without the body of its answer", id="no-body"),
        pytest.param(entry(body=Body(b"a", True)), "/b", "the beginning of its answer", id="cut"),
        pytest.param(
            entry()._replace(answer=None, error="<b>refused"), "/b", "&lt;b&gt;refused", id="error"
        ),
        pytest.param(entry(), "/<script>", "path: &#x27;/b&#x27;, not &#x27;/&lt;s", id="miss"),
        pytest.param(entry(101), "/b", "has no answer at all", id="no-answer"),
    ],
)
def test_what_cannot_be_served_is_502_in_words(recorded: Entry, path: str, sentence: str) -> None:
    answer = asked(recorded, path, accept="text/html")
    assert answer.status_int == 502
    assert sentence in answer.text.replace("&#39;", "&#x27;")
    assert "<script>" not in answer.text
    assert "<b>" not in answer.text


def test_a_websocket_is_refused() -> None:
    answer = asked(entry(), environ=upgrade("websocket"))
    assert answer.status_int == 501
    assert "cannot carry a WebSocket" in answer.text
    assert asked(entry(), environ=upgrade("h2c")).status_int == 200


def test_a_body_that_is_too_large_to_compare_is_413() -> None:
    assert asked(entry(), method="PUT", body=bytes(MAX_BODY + 1)).status_int == 413
    chunked = Request.blank("/b", method="PUT", body=bytes(MAX_BODY + 1))
    del chunked.environ["CONTENT_LENGTH"]
    chunked.environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    assert chunked.get_response(HarApplication([entry()])).status_int == 413


def test_answers_go_out_once_each_to_many_threads() -> None:
    recorded = [entry(body=Body(b"%d" % number)) for number in range(200)]
    application = HarApplication(recorded, repeat="none")
    got: list[bytes] = []

    def ask() -> None:
        got.extend(Request.blank("/b").get_response(application).body for _ in range(50))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got, key=int) == [b"%d" % number for number in range(200)]
    assert application.unserved() == []
    assert Request.blank("/b").get_response(application).status_int == 502


@pytest.mark.parametrize("coding", ["br", "zstd"])
def test_codings_of_libraries_are_undone_for_readers(coding: str, tmp_path: Path) -> None:
    brotli, zstandard = pytest.importorskip("brotli"), pytest.importorskip("zstandard")
    text = b"a text " * 20
    coded = brotli.compress(text) if coding == "br" else zstandard.compress(text)
    headers = [("Content-Type", "text/plain"), ("Content-Encoding", coding)]
    whole, half = (entry(headers=headers, body=Body(each)) for each in (coded, coded[:-3]))
    write_har(tmp_path / "a.har", [whole, half])
    contents = [
        each["response"]["content"]
        for each in json.loads((tmp_path / "a.har").read_text())["log"]["entries"]
    ]
    assert contents[0]["text"] == text.decode()
    assert contents[1]["encoding"] == "base64"
    read = [each.answer for each in read_har(tmp_path / "a.har")]
    assert read == [whole.answer, half.answer]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.har"
    write_har(path, [entry()])
    before = path.read_bytes()

    def failing() -> Any:
        yield entry()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_har(path, failing())
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["a.har"]
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_bad_file_is_named_with_its_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.har"
    path.write_text('{"log": {"entries": [{}]}}')
    with pytest.raises(ConfigurationError, match=r"a\.har: log\.entries\[0\]\.request\.url is ''"):
        HarApplication(path)
    with pytest.raises(ConfigurationError, match="match='x': expected"):
        HarApplication("nowhere", match="x")
    with pytest.raises(ConfigurationError, match="Is a directory"):
        read_har(tmp_path)


# The recorder


def echo(environ: Any, start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 Fine", [("Content-Type", "text/plain"), ("Set-Cookie", "id=s3cret")])
    return [environ["PATH_INFO"].encode(), b"|", body]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_what_was_recorded_is_served(is_chunked: bool, tmp_path: Path) -> None:
    recorder = HarRecorder(echo)

    def ask(application: Any, secret: str) -> Response:
        request = Request.blank(
            f"https://a.example:444/b%20c?d=e&key={secret}", method="PUT", body=b"\xff1"
        )
        request.headers["Authorization"] = f"Bearer {secret}"
        if is_chunked:
            del request.environ["CONTENT_LENGTH"]
            request.environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        return request.get_response(application)

    first = ask(recorder, "s3cret")
    assert first.body == b"/b c|\xff1"
    (recorded,) = recorder.entries
    assert recorded.url == "https://a.example:444/b%20c?d=e&key=s3cret"
    assert recorded.body == Body(b"\xff1")
    assert recorded.answer == Answer(
        *(200, "Fine", "HTTP/1.1"), first.headerlist[:2], Body(b"/b c|\xff1")
    )
    assert recorded.timings.wait is not None
    path = tmp_path / "a.har"
    write_har(path, recorder.entries, mask=Secrets())
    assert "s3cret" not in path.read_text()
    application = HarApplication(path, match="method host target body header:Authorization")
    again = ask(application, "another")
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["Set-Cookie"] == "id=***"


def test_written_and_broken_answers_are_recorded() -> None:
    def writing(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])(b"a")
        return iter([b"b"])

    def breaking(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"a"
        raise RuntimeError

    recorder = HarRecorder(writing)
    assert Request.blank("/").get_response(recorder).body == b"ab"
    assert recorder.entries[0].answer is not None
    assert recorder.entries[0].answer.body == Body(b"ab")
    recorder = HarRecorder(breaking)
    with pytest.raises(RuntimeError):
        Request.blank("/").get_response(recorder)
    assert recorder.entries[0].answer is not None
    assert recorder.entries[0].answer.body == Body(b"a", is_cut=True)


def test_what_is_too_large_is_refused_in_words() -> None:
    recorder = HarRecorder(Response(bytes(101)), limit=100)
    with pytest.raises(NotRecordable, match="the answer to GET /a has more than 100 bytes"):
        Request.blank("/a").send(recorder).body  # noqa: B018 (WebOb reads it then)
    with pytest.raises(NotRecordable, match="the request has a body of more than 100 bytes"):
        Request.blank("/a", method="PUT", body=bytes(101)).get_response(recorder)


def test_what_is_no_request_or_a_handshake_passes_unrecorded() -> None:
    recorder = HarRecorder(Response("x"))
    handshake = Request.blank("/", environ=upgrade("websocket"))
    assert handshake.get_response(recorder).text == "x"
    assert Request.blank("/", method="CONNECT").get_response(recorder).text == "x"
    assert recorder.entries == []


# The clients


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        pytest.param(None, b"", id="none"),
        pytest.param("ä", "ä".encode(), id="text"),
        pytest.param(b"\xff", b"\xff", id="bytes"),
        pytest.param(io.BytesIO(b"abc"), b"abc", id="file"),
        pytest.param(io.StringIO("ä"), "ä".encode(), id="file-of-text"),
        pytest.param(iter([b"a", b"b"]), b"ab", id="iterator"),
    ],
)
def test_a_session_asks_an_application(body: Any, sent: bytes) -> None:
    requests = pytest.importorskip("requests")
    seen: dict[str, Any] = {}

    def application(environ: Any, start_response: Any) -> Any:
        seen.update(environ)
        start_response("201 Created", [("Set-Cookie", "a=b"), ("Set-Cookie", "c=d")])(b"x")
        return [environ["wsgi.input"].read()]

    with requests.Session() as session:
        mount(session, application)
        headers = {"X-A": "1", "Content-Type": "text/x"}
        answer = session.put("https://u:p@a.example:444/b%2F%20?c=%26", data=body, headers=headers)
        assert dict(session.cookies) == {"a": "b", "c": "d"}
    assert (answer.status_code, answer.reason, answer.content) == (201, "Created", b"x" + sent)
    told = ("SERVER_NAME", "SERVER_PORT", "HTTP_HOST", "PATH_INFO", "REQUEST_URI", "CONTENT_TYPE")
    assert [seen[name] for name in told] == [
        *("a.example", "444", "a.example:444", "/b/ ", "/b%2F%20?c=%26", "text/x")
    ]
    assert (seen["HTTP_X_A"], seen["wsgi.url_scheme"]) == ("1", "https")
    assert seen.get("CONTENT_LENGTH", "0") == str(len(sent))
    assert "HTTP_TRANSFER_ENCODING" not in seen
