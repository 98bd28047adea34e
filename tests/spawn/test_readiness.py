"""What has to answer before the first request is sent."""

from __future__ import annotations

import json
import threading

import pytest

from tests.spawn.children import LIMIT, ROOT, alive, ask, lines_of, until
from tests.spawn.programs import module, server, told
from wsgiproxy.errors import ConfigurationError, ProxyError
from wsgiproxy.spawn import SpawningApplication

pytestmark = pytest.mark.in_turns(2)

KINDS = {
    "inherit": server(),
    "unix": server(socket="{socket}"),
    "port": server(port="{port}"),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


# A path


@each_kind
def test_requests_wait_until_the_path_answers_2xx(spawn, tmp_path, kind):
    requests = tmp_path / "requests"
    app = spawn([*KINDS[kind], f"requests={requests}", "busy=3"], ready="/health?deep=1")
    assert ask(app, "/first").status == 200
    assert lines_of(requests) == ["/health?deep=1"] * 4 + ["/first"]
    assert ask(app, "/second").status == 200
    assert lines_of(requests)[5:] == ["/second"]  # it is asked at the start alone


def test_without_a_path_there_is_no_readiness_request(spawn, tmp_path):
    requests = tmp_path / "requests"
    app = spawn(server(requests=requests, busy=1))
    assert ask(app, "/first").status == 503  # its own
    assert lines_of(requests) == ["/first"]


@pytest.mark.parametrize(
    "answer", ["200 OK", "204 No Content", "302 Found", "399 Odd"], ids=lambda answer: answer[:3]
)
def test_it_is_ready_by_2xx_and_3xx(spawn, answer):
    app = spawn(server(answer=answer), ready="/", start_timeout=5)
    assert ask(app).status == int(answer[:3])
    assert app.state == "ready"


@pytest.mark.parametrize("answer", ["400 Bad Request", "500 Broken"], ids=["400", "500"])
def test_it_is_not_ready_by_4xx_and_5xx_which_are_logged(spawn, caplog, answer):
    app = spawn(server(answer=answer), ready="/health", start_timeout=2)
    failed = ask(app)
    assert failed.status == 502
    assert "/health" not in failed.text
    (said,) = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert "not ready after" in said
    assert f"/health answers {answer[:3]}" in said


def test_a_path_without_an_answer_is_logged(spawn, caplog):
    """Each attempt has a limit of its own, so that the start has one."""
    app = spawn(server(), ready="/never", start_timeout=1)
    assert ask(app).status == 502
    assert "not ready after" in caplog.text
    assert "/never gives no answer" in caplog.text


def test_a_process_that_never_listens_is_logged(spawn, caplog, tmp_path):
    app = spawn(server(port="{port}", wait=tmp_path / "never"), ready="/", start_timeout=0.5)
    assert ask(app).status == 502
    assert "nothing listens on port" in caplog.text


@each_kind
def test_readiness_requests_are_signed(spawn, kind):
    """A process that believes its parent alone has to answer, too."""
    where = {"inherit": None, "unix": "--unix-socket={socket}", "port": "--listen=127.0.0.1:{port}"}
    site = "tests.spawn.programs.site:restored"
    words = ["waitress", where[kind], site] if where[kind] else ["gunicorn", site]
    app = spawn(module(*words), cwd=ROOT, ready="/health")
    assert ask(app, "/x").status == 200


def test_readiness_requests_have_headers_of_their_own(spawn, tmp_path):
    heads = tmp_path / "heads"
    spawn(server(heads=heads), ready="/health").start()
    (head,) = map(json.loads, lines_of(heads))
    found = dict(line.lower().split(": ", 1) for line in head[1:])
    assert head[0] == "GET /health HTTP/1.1"
    assert (found["host"], found["user-agent"]) == ("localhost", "wsgiproxy")
    assert (found["x-forwarded-for"], found["x-forwarded-scheme"]) == ("127.0.0.1", "http")
    assert {"signature", "signature-input", "wsgiproxy"} <= set(found)


def test_allowed_hosts_are_for_clients(spawn):
    app = spawn(server(), ready="/health", allowed_hosts="front.example", start_timeout=5)
    assert ask(app).status == 200
    assert ask(app, HTTP_HOST="other.example").status == 400


def test_readiness_requests_are_not_in_the_access_log(spawn, caplog, tmp_path):
    caplog.set_level("INFO")
    requests = tmp_path / "requests"
    app = spawn(server(busy=2, requests=requests), ready="/health")
    assert ask(app, "/x").status == 200
    assert lines_of(requests).count("/health") == 3
    accessed = [each.getMessage() for each in caplog.records if each.name == "wsgiproxy.access"]
    assert len(accessed) == 1 and "'/x' 200" in accessed[0]
    assert [each for each in caplog.records if each.name == "wsgiproxy.error"] == []


def test_an_endless_stream_is_an_answer(spawn):
    """The head is enough."""
    site = "tests.spawn.programs.site:site"
    app = spawn(module("waitress", "--listen=127.0.0.1:{port}", site), cwd=ROOT, ready="/stream")
    assert ask(app, "/go").status == 200


# A function


@each_kind
def test_a_function_is_asked_with_the_address(spawn, kind):
    asked: list[str] = []
    app = spawn(KINDS[kind], ready=lambda address: asked.append(address) or len(asked) == 3)
    words = told(ask(app))["words"]
    assert len(asked) == 3 and len(set(asked)) == 1
    if kind == "unix":
        assert asked[0] == f"unix:{words[0].partition('=')[2]}"
    else:
        assert asked[0].startswith("http://127.0.0.1:")
    if kind == "port":
        assert asked[0] == f"http://127.0.0.1:{words[0].partition('=')[2]}"


def test_a_function_of_an_ipv6_address_gets_brackets(spawn):
    asked: list[str] = []
    app = spawn(server(port="{port}", host="::1"), ready=lambda at: asked.append(at) or True)
    assert ask(app).status == 200
    assert asked[0].startswith("http://[::1]:")


def test_a_function_may_fail_until_it_is_ready(spawn):
    calls: list[str] = []

    def ready(address: str) -> bool:
        calls.append(address)
        if len(calls) < 3:
            raise ConnectionRefusedError(f"{address} is not there")
        return True

    assert ask(spawn(server(), ready=ready)).status == 200
    assert len(calls) == 3


def _raises(address: str) -> bool:
    raise LookupError("no such table")


@pytest.mark.parametrize(
    ("ready", "said"),
    [
        pytest.param(lambda address: False, "ready() says no", id="False"),
        pytest.param(lambda address: None, "ready() says no", id="None"),
        pytest.param(_raises, "ready() raised LookupError: no such table", id="an exception"),
    ],
)
def test_a_function_that_never_agrees_is_named(spawn, caplog, ready, said):
    app = spawn(server(), ready=ready, start_timeout=2)
    failed = ask(app)
    assert failed.status == 502
    assert "table" not in failed.text
    assert said in caplog.text
    assert app.pid is None


def test_a_function_that_hangs_does_not_keep_the_application(spawn):
    """The function is the program's; waiting requests get an answer in time, and close() works."""
    hangs, goes_on = threading.Event(), threading.Event()

    def ready(address: str) -> bool:
        hangs.set()
        return goes_on.wait(LIMIT)

    app = spawn(server(), ready=ready, max_wait=0.5)
    assert ask(app).status == 503
    assert hangs.is_set()
    goes_on.set()
    app.close()
    assert app.state == "stopped"


# The start


def test_a_start_that_fails_ends_the_process(spawn, tmp_path):
    began = tmp_path / "began"
    app = spawn(server(began=began, answer="500 Broken"), ready="/", start_timeout=2)
    with pytest.raises(ProxyError):
        app.start()
    (pid,) = lines_of(began)
    until(lambda: not alive(int(pid)), "the end of the process")


def test_progress_is_in_the_log(spawn, caplog):
    caplog.set_level("INFO", "wsgiproxy.spawn")
    app = spawn(server(busy=1), ready="/health")
    app.start()
    until(lambda: len(caplog.messages) == 2, "both lines")
    assert caplog.messages[0].startswith("starting: ") and "server.py" in caplog.messages[0]
    assert f"process {app.pid} at http://127.0.0.1:" in caplog.messages[1]
    app.stop()
    assert caplog.messages[2:] == ["stopped"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({"ready": "health"}, "ready", id="no path"),
        pytest.param({"ready": "http://127.0.0.1/health"}, "ready", id="an address"),
        pytest.param({"ready": "/a b"}, "ready", id="a blank"),
        pytest.param({"ready": "/a#b"}, "ready", id="a fragment"),
        pytest.param({"ready": "/\xe9"}, "ready", id="not ASCII"),
        pytest.param({"ready": 1}, "ready", id="a number"),
        pytest.param({"start_timeout": 0}, "start_timeout", id="no time"),
    ],
)
def test_a_bad_setting_is_named(options, named):
    with pytest.raises(ConfigurationError, match=named):
        SpawningApplication(["true"], **options)


def test_the_access_log_counts_the_wait_and_the_page_of_a_start_that_fails(spawn, caplog, tmp_path):
    caplog.set_level("INFO", "wsgiproxy.access")
    app = spawn(server(port="{port}", wait=tmp_path / "never"), ready="/", start_timeout=0.5)
    failed = ask(app)
    (record,) = (each for each in caplog.records if each.name == "wsgiproxy.access")
    assert record.exchange["seconds"] >= 0.5
    assert record.exchange["sent"] == len(failed.body)
