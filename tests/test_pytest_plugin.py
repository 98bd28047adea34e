"""The fixture ``wsgiproxy_har``: recorded from a real upstream, replayed when that is gone."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support.upstream import RawUpstream, answer

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]

#: One test for each client; ``URL`` is the upstream's.
CLIENTS = """
import gzip, pytest

def test_webtest(wsgiproxy_har):
    from webtest import TestApp
    app = TestApp(wsgiproxy_har.app)
    assert app.get("{url}/a?token=s3cret", {{"b": "c"}}).body == b"hello"
    here = TestApp(wsgiproxy_har.app, extra_environ={{"HTTP_HOST": "{netloc}"}})
    assert here.post("/form", {{"x": "y"}}).status_int == 200
    assert here.cookies == {{"id": "{cookie}"}}

def test_requests(wsgiproxy_har):
    import requests
    with requests.Session() as session:
        wsgiproxy_har.mount(session)
        answer = session.get("{url}/a", headers={{"Authorization": "Bearer s3cret"}})
        assert (answer.text, answer.status_code, answer.reason) == ("hello", 200, "OK")
        assert answer.headers["Content-Encoding"] == "gzip"
        assert dict(session.cookies) == {{"id": "{cookie}"}}
        session.post("{url}/b", files={{"f": ("a.txt", b"text")}})  # its boundary is random
        session.put("{url}/c", data=iter([b"x", b"y"]))

def test_httpx(wsgiproxy_har):
    import httpx
    har = wsgiproxy_har("shared/api.har", match="method path")
    with httpx.Client(transport=har.transport()) as client:
        assert client.get("{url}/a?now={now}").text == "hello"

@pytest.mark.wsgiproxy_har("marked.har")
def test_marked(wsgiproxy_har):
    from webtest import TestApp
    assert TestApp(wsgiproxy_har.app).get("{url}/").status_int == 200
    assert wsgiproxy_har.is_recording is {recording}
"""


@pytest.fixture
def run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pytest.RunResult]:
    """Run pytest in a process of its own, with the plugin."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return lambda *arguments: pytester.runpytest_subprocess(
        "-p", "wsgiproxy.pytest_plugin", "-q", "--strict-markers", *arguments
    )


def coded(upstream: RawUpstream) -> None:
    headers = [("Content-Type", "text/plain"), ("Content-Encoding", "gzip")]
    headers.append(("Set-Cookie", "id=s3cret; Path=/"))
    upstream.behaviour = answer(headers=headers, body=gzip.compress(b"hello"))


def test_what_was_recorded_is_replayed_without_the_upstream(
    pytester: pytest.Pytester, run: Callable[..., pytest.RunResult]
) -> None:
    with RawUpstream() as upstream:
        coded(upstream)
        values = {"url": upstream.url.rstrip("/"), "netloc": upstream.netloc}
        tests = CLIENTS.format(**values, cookie="s3cret", now=1, recording=True)
        pytester.makepyfile(test_shop=tests)
        run("-p", "xdist.plugin", "-n", "2").assert_outcomes(passed=4)
    folder = pytester.path / "cassettes"
    written = sorted(str(each.relative_to(folder)) for each in folder.rglob("*.*"))
    assert written == [
        "marked.har", "shared/api.har", "test_shop/test_requests.har", "test_shop/test_webtest.har",
    ]  # fmt: skip
    texts = [(folder / name).read_text() for name in written]
    assert not [text for text in texts if "s3cret" in text]
    urls = [each["request"]["url"] for each in json.loads(texts[3])["log"]["entries"]]
    assert urls == [f"{values['url']}/a?token=***&b=c", f"{values['url']}/form"]
    # Nothing listens any more, and what is hidden in the file is equal to what is asked.
    tests = CLIENTS.format(**values, cookie="***", now=2, recording=False)
    pytester.makepyfile(test_shop=tests.replace("Bearer s3cret", "Bearer other"))
    run("--wsgiproxy-har=none").assert_outcomes(passed=4)
    assert [(folder / name).read_text() for name in written] == texts


MISSES = """
import pytest
from webtest import TestApp

@pytest.mark.parametrize("more", {more})
def test_it(wsgiproxy_har, more):
    app = TestApp(wsgiproxy_har("it.har").app)
    app.get("{url}/a?key=s3cret")
    exec(more)
"""


def test_misses_fail_and_failed_tests_write_nothing(
    pytester: pytest.Pytester, run: Callable[..., pytest.RunResult], upstream: RawUpstream
) -> None:
    upstream.behaviour = answer(headers=[("Content-Type", "text/plain")], body=b"hello")
    url = upstream.url.rstrip("/")
    path = pytester.path / "cassettes" / "it.har"

    def tried(*arguments: str, more: Sequence[str] = ("",)) -> pytest.RunResult:
        pytester.makepyfile(test_it=MISSES.format(url=url, more=list(more)))
        return run(*arguments)

    missing = tried("--wsgiproxy-har=none")
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["*it.har: no such file; --wsgiproxy-har=once records it"])
    unfinished = tried(more=["assert 0", "pytest.skip()", "pytest.xfail()"])
    unfinished.assert_outcomes(failed=1, skipped=1, xfailed=1)
    assert not path.exists()
    tried("--wsgiproxy-har-keep", "key").assert_outcomes(passed=1)
    assert "/a?key=s3cret" in path.read_text()
    # A program that swallows the miss does not hide it.
    another = f"app.get('{url}/b')"
    missed = tried(more=[another, f"pytest.raises(Exception, app.get, '{url}/c')"])
    missed.assert_outcomes(failed=1, passed=1, errors=1)
    for name in "bc":
        line = f"*GET /{name} is not in *it.har: the nearest is entry 0, GET {url}/a[?]key=[*]*"
        missed.stdout.fnmatch_lines([line])
    tried("--wsgiproxy-har=all", more=[another]).assert_outcomes(passed=1)
    assert f"{url}/b" in path.read_text()


HALF = """
def test_it(wsgiproxy_har):
    answer = wsgiproxy_har.app({environ}, lambda status, headers, exc_info=None: None)
    next(iter(answer))
"""


def test_an_answer_that_was_not_read_is_no_recording(
    pytester: pytest.Pytester, run: Callable[..., pytest.RunResult], upstream: RawUpstream
) -> None:
    upstream.behaviour = answer(body=bytes(300_000))
    pytester.makepyfile(test_it=HALF.format(environ={"HTTP_HOST": upstream.netloc}))
    done = run()
    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["*test_it.har is not written: the answer to GET *"])
    assert not list(pytester.path.rglob("*.har"))


def test_https_is_recorded(
    pytester: pytest.Pytester,
    run: Callable[..., pytest.RunResult],
    tls_upstream: RawUpstream,
    tls_files: tuple[object, Path],
) -> None:
    tls_upstream.behaviour = answer(body=b"hello")
    url = f"https://localhost:{tls_upstream.netloc.rpartition(':')[2]}/"
    pytester.makepyfile(
        f"""
        import requests

        def test_it(wsgiproxy_har):
            har = wsgiproxy_har("it.har", ca_file={str(tls_files[1])!r})
            with requests.Session() as session:
                assert har.mount(session).get({url!r}).text == "hello"
        """
    )
    run().assert_outcomes(passed=1)
    assert url in (pytester.path / "cassettes" / "it.har").read_text()


def test_the_plugin_loads_next_to_nothing() -> None:
    """Each run of pytest loads it, also those that have no use for it."""
    code = "import pytest, sys; before = set(sys.modules); import wsgiproxy.pytest_plugin"
    code += "; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["wsgiproxy", "wsgiproxy.pytest_plugin", "wsgiproxy.version"]
