"""``doctor`` against whole stacks: what it finds, how it says so, and how it ends."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from tests.support.daemon import nginx
from tests.support.documented import literal_block
from tests.support.fronts import front as running_front
from wsgiproxy import __version__
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.cli import doctor_output, main
from wsgiproxy.cli.demo import in_background
from wsgiproxy.cli.doctor import Doctor, own_address
from wsgiproxy.cli.listen import Listen, open_listener
from wsgiproxy.cli.mount import Mount
from wsgiproxy.middleware import WSGIProxyMiddleware
from wsgiproxy.sansio.diagnosis import ODD_PATHS, Asking, Finding, Installation, diagnose
from wsgiproxy.sansio.href import parse_href
from wsgiproxy.sansio.message import Origin
from wsgiproxy.secretloader import KeyFile
from wsgiproxy.transport import PooledTransport

QUESTIONS = ["plain", "forged", "names", *ODD_PATHS]
#: What else the doctor asks of a trust_ips.
STRICT: dict[str, Any] = {"require_forwarded": True}
ALL_QUESTIONS = [*QUESTIONS, "application"]


@pytest.fixture
def secret(tmp_path, capsys) -> str:
    path = str(tmp_path / "secret.txt")
    assert main(["keygen", path, "--keyid", "k1"]) == 0
    capsys.readouterr()
    return path


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


def answering(status: str, **headers: str):
    def app(environ, start_response):
        start_response(status, [("Content-Length", "0"), *headers.items()])
        return []

    return app


@contextlib.contextmanager
def served(app) -> Iterator[str]:
    with open_listener(Listen("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with in_background(app, listener):
            yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def stack(backend, **options: Any) -> Iterator[str]:
    """A proxy before *backend*; ``wrap`` is put before that."""
    wrap: Callable[[Any], Any] = options.pop("wrap", lambda app: app)
    with (
        served(backend) as href,
        contextlib.closing(WSGIProxyApp(href, **options)) as proxy,
        served(wrap(proxy)) as url,
    ):
        yield url


def doctor(capsys, *argv: str) -> tuple[int, dict[str, Any]]:
    """The exit status and the JSON report of a doctor."""
    status = main(["doctor", *argv, "--json"])
    out, err = capsys.readouterr()
    assert err == ""
    return status, json.loads(out)


def levels(report: dict[str, Any]) -> dict[str, str]:
    """Topic -> the worst level of it."""
    order = ["ok", "warn", "bad"]
    found: dict[str, str] = {}
    for finding in report["findings"]:
        worst = max(found.get(finding["topic"], "ok"), finding["level"], key=order.index)
        found[finding["topic"]] = worst
    return found


def not_well(report: dict[str, Any]) -> dict[str, str]:
    """The levels that are not ``ok``; that of the client never is, from the same machine."""
    return {topic: level for topic, level in levels(report).items() if level != "ok"}


def cure(report: dict[str, Any], topic: str) -> str:
    return " ".join(each["cure"] for each in report["findings"] if each["topic"] == topic)


def sentence(report: dict[str, Any], topic: str) -> str:
    return " ".join(each["sentence"] for each in report["findings"] if each["topic"] == topic)


# -- healthy ---------------------------------------------------------------------------


def test_a_signed_stack_is_healthy(secret, capsys):
    with stack(WSGIProxyMiddleware(hello, secret), secret_file=secret) as url:
        status, report = doctor(capsys, url + "/", "--secret-file", secret)
    assert (status, report["healthy"]) == (0, True)
    assert not_well(report) == {"client": "warn"}
    assert "made with key 'k1'" in sentence(report, "signature")
    assert "byte for byte" in sentence(report, "path")


def test_a_signed_stack_below_a_mount_and_a_path_is_healthy(secret, capsys):
    with (
        served(WSGIProxyMiddleware(hello, secret)) as href,
        contextlib.closing(WSGIProxyApp(f"{href}/deep/down?a=b", secret)) as proxy,
        served(Mount(proxy, "/app")) as url,
    ):
        status, report = doctor(capsys, f"{url}/app/x/?q=1", "--secret-file", secret)
    assert (status, not_well(report)) == (0, {"client": "warn"})
    assert "below '/app' (signed)" in sentence(report, "prefix")
    seen = report["questions"]["plain"]["answer"]["seen"]
    assert seen["wsgiproxy.traversal_path"] == "/deep/down"
    assert seen["QUERY_STRING"] == "q=1"


def test_a_trusted_proxy_is_healthy(secret, capsys):
    backend = WSGIProxyMiddleware(hello, trust_ips="127.0.0.1", doctor_file=secret, **STRICT)
    with stack(backend) as url:
        status, report = doctor(capsys, url, "--secret-file", secret)
    assert (status, not_well(report)) == (0, {"client": "warn"})
    assert "by X-Forwarded-Host" in sentence(report, "host")


def test_an_ed25519_stack_is_healthy(tmp_path, capsys):
    path = str(tmp_path / "secret.txt")
    assert main(["keygen", path, "--algorithm", "ed25519"]) == 0
    capsys.readouterr()

    def backend(environ, start_response):
        # The port is not known before the server runs.
        host = environ["HTTP_HOST"]
        app = WSGIProxyMiddleware(hello, f"{path}.pub", authorities=host, doctor_file=f"{path}.pub")
        return app(environ, start_response)

    with stack(backend, secret_file=path) as url:
        assert doctor(capsys, url, "--secret-file", path)[0] == 0
    assert main(["doctor", url, "--secret-file", f"{path}.pub"]) == 2
    assert "expected a key that can sign" in capsys.readouterr().err


def test_all_questions_are_answered_with_replay_memory(secret, capsys):
    with stack(WSGIProxyMiddleware(hello, secret, replay="memory"), secret_file=secret) as url:
        status, report = doctor(capsys, url, "--secret-file", secret)
    assert status == 0
    assert all(report["questions"][name]["answer"] for name in QUESTIONS)


def test_a_backend_on_a_unix_socket_is_healthy(secret, tmp_path, capsys):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with in_background(WSGIProxyMiddleware(hello, doctor_file=secret), listener):
            status, report = doctor(capsys, f"unix:{path}:/x", "--secret-file", secret)
    assert status == 0
    assert report["questions"]["plain"]["answer"]["seen"]["PATH_INFO"] == "/x"


# -- not healthy -----------------------------------------------------------------------


def test_an_unsigned_request_is_bad(secret, capsys):
    with stack(WSGIProxyMiddleware(hello, secret)) as url:
        status, report = doctor(capsys, url, "--secret-file", secret)
    assert (status, levels(report)["signature"]) == (1, "bad")
    assert "refuses it with 403: not signed" in sentence(report, "signature")


def test_cure_when_the_backend_is_asked_directly(secret, capsys):
    with served(WSGIProxyMiddleware(hello, secret)) as url:
        status, report = doctor(capsys, url, "--secret-file", secret)
    assert status == 1
    (finding,) = [each for each in report["findings"] if each["topic"] == "signature"]
    assert "you may have asked the backend itself" in finding["cure"]


def test_a_key_that_the_backend_lacks_is_named(secret, tmp_path, capsys):
    other = str(tmp_path / "other.txt")
    assert main(["keygen", other, "--keyid", "k2"]) == 0
    capsys.readouterr()
    with stack(WSGIProxyMiddleware(hello, secret), secret_file=other) as url:
        status, report = doctor(capsys, url, "--secret-file", secret)
    assert status == 1
    assert "no such key: 'k2'" in sentence(report, "signature")


def test_a_changed_host_breaks_the_signature(secret, capsys):
    def change_host(environ, start_response):
        return middleware({**environ, "HTTP_HOST": "evil.example"}, start_response)

    middleware = WSGIProxyMiddleware(hello, secret)
    with stack(change_host, secret_file=secret) as url:
        status, report = doctor(capsys, url, "--secret-file", secret)
    assert status == 1
    assert "here the method is 'GET', Host 'evil.example'" in sentence(report, "signature")


def cut(app):
    def shorter(environ, start_response):
        rest = environ["PATH_INFO"].removeprefix("/app")
        raw = environ["REQUEST_URI"].removeprefix("/app")
        return app({**environ, "PATH_INFO": rest, "REQUEST_URI": raw}, start_response)

    return shorter


def test_a_lost_prefix_is_bad(secret, capsys):
    with stack(WSGIProxyMiddleware(hello, secret), secret_file=secret, wrap=cut) as url:
        status, report = doctor(capsys, f"{url}/app/x", "--secret-file", secret)
    assert (status, levels(report)["prefix"]) == (1, "bad")
    assert "its links lack '/app'" in sentence(report, "prefix")


@pytest.mark.parametrize(
    "trusting",
    [{"trust_ips": "*"}, {"x_for": 1, "x_host": 1, "x_proto": 1, "x_prefix": 1}],
    ids=["every-peer", "counts"],
)
def test_believed_forged_fields_are_bad(trusting, secret, capsys):
    with served(WSGIProxyMiddleware(hello, doctor_file=secret, **trusting)) as url:
        status, report = doctor(capsys, url, "--secret-file", secret)
    assert (status, levels(report)["forgery"]) == (1, "bad")
    assert "forge its client address, host, scheme and prefix" in sentence(report, "forgery")
    assert report["questions"]["forged"]["answer"]["seen"]["HTTP_HOST"] == "doctor.invalid"


def test_a_backend_without_trust_is_bad_behind_a_proxy(secret, capsys):
    with stack(WSGIProxyMiddleware(hello, doctor_file=secret)) as url:
        status, report = doctor(capsys, url, "--secret-file", secret)
    found = levels(report)
    assert (status, found["trust"], found["host"], found["forgery"]) == (1, "bad", "bad", "ok")


def closure(app):
    def wrapped(environ, start_response):
        return app(environ, start_response)

    return wrapped


@pytest.mark.parametrize("wrap", [lambda app: app, closure], ids=["direct", "wrapped"])
def test_middleware_around_middleware_is_bad(wrap, secret, capsys):
    inner = wrap(WSGIProxyMiddleware(hello, secret))
    with stack(WSGIProxyMiddleware(inner, secret), secret_file=secret) as url:
        status, report = doctor(capsys, url, "--secret-file", secret)
    assert (status, levels(report)["application"]) == (1, "bad")
    found = sentence(report, "application")
    assert "applied twice" in found and "verified already" in found
    assert set(not_well(report)) == {"client", "application"}


def test_middleware_with_the_key_inside_one_without(secret, capsys):
    inner = WSGIProxyMiddleware(hello, secret)
    with stack(WSGIProxyMiddleware(inner, trust_ips="127.0.0.1"), secret_file=secret) as url:
        status, report = doctor(capsys, url, "--secret-file", secret)
    assert (status, levels(report)["signature"]) == (1, "bad")
    assert "applied twice" in cure(report, "signature")


def test_middleware_inside_a_mount_is_bad(secret, capsys):
    def page(environ, start_response):
        status = "200 OK" if environ["PATH_INFO"] == "/x" else "404 Not Found"
        return answering(status)(environ, start_response)

    mounted = DispatcherMiddleware(page, {"/app": WSGIProxyMiddleware(page, secret)})
    with stack(mounted, secret_file=secret) as url:
        status, report = doctor(capsys, f"{url}/app/x", "--secret-file", secret)
    assert (status, levels(report)["mount"], levels(report)["application"]) == (1, "bad", "warn")
    assert "asked for '/app/x' instead of '/x'" in sentence(report, "mount")
    outermost = WSGIProxyMiddleware(DispatcherMiddleware(page, {"/app": page}), secret)
    with stack(outermost, secret_file=secret) as url:
        status, report = doctor(capsys, f"{url}/app/x", "--secret-file", secret)
    assert (status, set(not_well(report))) == (0, {"client"})


def test_wsgiref_passes_names_with_underscores(secret, capsys):
    options = json.dumps({"trust_ips": "127.0.0.1", "doctor_file": secret})
    with running_front("wsgiref", "tests.support.backend:restored", {"OPTIONS": options}) as server:
        status, report = doctor(capsys, f":{server.port}", "--secret-file", secret)
    # No proxy is in front of it that names the client.
    assert (status, levels(report)["trust"]) == (1, "bad")
    assert "Names with underscores get through" in sentence(report, "underscores")
    assert levels(report)["path"] == "warn" and "cannot tell %2F" in sentence(report, "path")


def test_the_clock_of_a_front_an_hour_behind(secret, capsys):
    with served(WSGIProxyMiddleware(hello, secret)) as href:
        env = {"UPSTREAM": href, "SECRET": secret}
        with running_front("waitress", "tests.cli.slow_clock:front", env) as server:
            status, report = doctor(capsys, f":{server.port}", "--secret-file", secret)
    assert (status, levels(report)["signature"], levels(report)["clock"]) == (1, "bad", "warn")
    assert re.search("created 360[0-9] seconds ago", sentence(report, "signature"))
    assert "60 minutes ahead of the signing front's" in sentence(report, "clock")


@pytest.mark.parametrize("wrong", [-3600, 3600], ids=["behind", "ahead"])
def test_a_stale_question_is_repeated_with_the_backends_clock(wrong, secret):
    key = KeyFile(secret).keyring().signer()
    with (
        stack(WSGIProxyMiddleware(hello, secret), secret_file=secret) as url,
        contextlib.closing(PooledTransport()) as transport,
    ):
        base = parse_href(url)
        examiner = Doctor(transport, base, key, clock=lambda: time.time() + wrong)
        observed = examiner.examine()
    target = Asking("http", base.origin.authority, "/", "127.0.0.1", "k1")
    findings = diagnose(Installation(__version__), target, observed)
    assert [finding.topic for finding in findings if finding.level != "ok"] == ["clock", "client"]
    (clock,) = [finding.sentence for finding in findings if finding.topic == "clock"]
    how = "ahead of" if wrong < 0 else "behind"
    assert clock == f"The backend's clock is 60 minutes {how} the doctor's."


def test_a_question_that_stays_stale_is_a_fault(secret):
    """With the least max_age, every question is stale."""
    key = KeyFile(secret).keyring().signer()
    middleware = WSGIProxyMiddleware(hello, secret, max_age=1e-6, clock_skew=1e-6)
    with served(middleware) as url, contextlib.closing(PooledTransport()) as transport:
        observed = Doctor(transport, parse_href(url), key).examine()
    assert observed["plain"].examination is None
    assert observed["plain"].fault == "its clock is not to be followed"


# -- behind nginx ----------------------------------------------------------------------

ALL_SET = """
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header X-Forwarded-Port "";
    proxy_set_header X-Forwarded-Prefix "";
"""
APPENDED = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"


@contextlib.contextmanager
def behind_nginx(backend, lines: str, folder: Path, location: str = "/") -> Iterator[str]:
    with served(backend) as href:
        upstream = href if location == "/" else f"{href}/"
        server = f"location {location} {{ proxy_pass {upstream}; {lines} }}"
        with nginx(folder, server) as port:
            yield f"http://127.0.0.1:{port}"


@pytest.mark.system("nginx")
def test_nginx_that_sets_all_fields_is_healthy(secret, tmp_path, capsys):
    backend = WSGIProxyMiddleware(hello, trust_ips="127.0.0.1", doctor_file=secret, **STRICT)
    with behind_nginx(backend, ALL_SET, tmp_path) as url:
        status, report = doctor(capsys, url, "--secret-file", secret)
    assert status == 0
    # Of the addresses, our own is behind the forged one, and it is trusted, as nginx is.
    assert set(not_well(report)) == {"client", "forgery"}
    assert "an address that is trusted as a proxy" in sentence(report, "forgery")
    assert "dropped on the way" in sentence(report, "underscores")


@pytest.mark.system("nginx")
def test_nginx_that_passes_fields_of_clients_is_bad(secret, tmp_path, capsys):
    """The fields of clients pass, and fields that they do not send are missing."""
    backend = WSGIProxyMiddleware(hello, trust_ips="127.0.0.1", doctor_file=secret)
    with behind_nginx(backend, APPENDED, tmp_path, "/app/") as url:
        status, report = doctor(capsys, f"{url}/app/", "--secret-file", secret)
    found = levels(report)
    assert (status, found["forgery"], found["host"], found["prefix"]) == (1, "bad", "bad", "bad")
    assert "forge its client address, host, scheme and prefix" in sentence(report, "forgery")
    cures = " ".join(finding["cure"] for finding in report["findings"])
    assert "proxy_set_header X-Forwarded-Host $http_host;" in cures
    assert "proxy_set_header X-Forwarded-Prefix /app;" in cures


@pytest.mark.system("nginx")
def test_waitress_that_removes_forwarding_fields_is_named(secret, tmp_path, capsys):
    """nginx as in docs/trust.rst, and waitress as it comes."""
    options = json.dumps({"trust_ips": "127.0.0.1", "doctor_file": secret})
    server = literal_block("docs/trust.rst", "proxy_set_header")
    with running_front("waitress", "tests.support.backend:restored", {"OPTIONS": options}) as back:
        shown = server.replace("127.0.0.1:8001;", f"127.0.0.1:{back.port};")
        with nginx(tmp_path, shown) as port:
            status, report = doctor(capsys, f":{port}", "--secret-file", secret)
    assert (status, levels(report)["trust"]) == (1, "bad")
    assert "clear_untrusted_proxy_headers=False" in cure(report, "trust")
    assert levels(report)["unannounced"] == "warn"
    assert "trusted_proxy" in cure(report, "trust")


@pytest.mark.system("nginx")
@pytest.mark.parametrize("header", ["Signature", "Signature-Input", "WSGIProxy"])
def test_nginx_that_drops_a_signature_header_is_bad(header, secret, tmp_path, capsys):
    backend = WSGIProxyMiddleware(hello, secret)
    with (
        behind_nginx(backend, f'proxy_set_header {header} "";', tmp_path) as between,
        contextlib.closing(WSGIProxyApp(between, secret)) as proxy,
        served(proxy) as url,
    ):
        status, report = doctor(capsys, url, "--secret-file", secret)
    assert (status, levels(report)["signature"]) == (1, "bad")
    assert "no member" not in sentence(report, "signature")
    assert f"its header {header} did not arrive" in cure(report, "signature")
    assert "nginx" in cure(report, "signature")


@pytest.mark.system("nginx")
def test_nginx_with_a_wrong_prefix_is_bad(secret, tmp_path, capsys):
    backend = WSGIProxyMiddleware(hello, trust_ips="127.0.0.1", doctor_file=secret)
    lines = ALL_SET.replace('Prefix "";', "Prefix /shop;")
    with behind_nginx(backend, lines, tmp_path, "/app/") as url:
        status, report = doctor(capsys, f"{url}/app/caf%C3%A9/", "--secret-file", secret)
    assert (status, levels(report)["path"]) == (1, "bad")
    assert "sees '/shop/café/': X-Forwarded-Prefix says '/shop'" in sentence(report, "path")


# -- no middleware answers --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("app", "text"),
    [
        pytest.param(hello, "It answers with 200, but not the middleware", id="no-middleware"),
        pytest.param(answering("404 Not Found"), "with 404, but not", id="404"),
        pytest.param(answering("401 Unauthorized"), "a login is in front of it", id="login"),
        pytest.param(
            answering("302 Found", Location="https://a.example/"), "'https://a.exam", id="redirect"
        ),
        pytest.param(answering("502 Bad Gateway"), "not the backend", id="502"),
    ],
)
def test_an_answer_of_another_application_ends_with_2(app, text, secret, capsys):
    with served(app) as url:
        status, report = doctor(capsys, url, "--secret-file", secret)
    assert (status, report["healthy"]) == (2, None)
    assert text in sentence(report, "answer")
    assert list(report["questions"]) == ["plain"]


def test_a_question_with_another_key_ends_with_2(secret, tmp_path, capsys):
    other = str(tmp_path / "other.txt")
    assert main(["keygen", other, "--keyid", "k1"]) == 0
    capsys.readouterr()
    with stack(WSGIProxyMiddleware(hello, secret), secret_file=secret) as url:
        status, report = doctor(capsys, url, "--secret-file", other)
    assert (status, report["questions"]["plain"]["status"]) == (2, 200)
    with served(WSGIProxyMiddleware(hello, secret)) as url:
        status, report = doctor(capsys, url, "--secret-file", other)
    assert (status, report["questions"]["plain"]["status"]) == (2, 403)
    assert "its key file is not ours" in sentence(report, "answer")


def test_a_question_without_a_key_ends_with_2(secret, capsys):
    with stack(WSGIProxyMiddleware(hello, secret), secret_file=secret) as url:
        status, report = doctor(capsys, url)
    assert status == 2
    assert "--secret-file FILE" in report["findings"][-1]["cure"]


def test_a_closed_port_ends_with_2(secret, capsys):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        where = f":{bound.getsockname()[1]}"
        status, report = doctor(capsys, where, "--secret-file", secret)
    assert (status, sentence(report, "answer")) == (2, "Nothing answers: connection refused.")


def test_a_timeout_ends_with_2(secret, upstream, capsys):
    upstream.behaviour = [("read",)]
    argv = [upstream.url, "--secret-file", secret, "--timeout", "0.2"]
    status, report = doctor(capsys, *argv)
    assert status == 2
    assert sentence(report, "answer").startswith("Nothing answers: ")


def test_a_long_answer_is_not_read_to_its_end(secret, upstream, capsys):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
    upstream.behaviour = [("read",), ("send", head + b"x" * 600_000)]
    status, report = doctor(capsys, upstream.url, "--secret-file", secret)
    assert (status, report["questions"]["plain"]["status"]) == (2, 200)


def test_tls_certificate_options(secret, tls_files, tls_upstream, capsys):
    status, report = doctor(capsys, tls_upstream.url, "--secret-file", secret)
    assert status == 2 and "certificate" in sentence(report, "answer")
    for trust in (["--ca-file", str(tls_files[1])], ["--no-verify"]):
        status, report = doctor(capsys, tls_upstream.url, "--secret-file", secret, *trust)
        assert report["questions"]["plain"]["status"] == 200


# -- the questions -----------------------------------------------------------------------


def test_fields_of_a_question(secret, upstream, capsys):
    argv = [upstream.url + "/a%2Fb?x=1", "--secret-file", secret, "--header", "Cookie: id=1"]
    doctor(capsys, *argv)
    (request,) = upstream.wait_for_requests(1)
    fields = dict(request.headers)
    assert request.target == "/a%2Fb?x=1"
    assert fields["Host"] == upstream.netloc and fields["Cookie"] == "id=1"
    assert fields["X-Doctor"].startswith("k1.")
    assert not any(name.lower().startswith("x-forwarded") for name in fields)


def test_header_option_passes_a_login(secret, capsys):
    def guarded(environ, start_response):
        inside = environ.get("HTTP_AUTHORIZATION") == "Bearer 1"
        app = middleware if inside else answering("401 Unauthorized")
        return app(environ, start_response)

    middleware = WSGIProxyMiddleware(hello, doctor_file=secret)
    with served(guarded) as url:
        assert doctor(capsys, url, "--secret-file", secret)[0] == 2
        argv = [url, "--secret-file", secret, "--header", "Authorization: Bearer 1"]
        status, report = doctor(capsys, *argv)
    assert status == 0
    assert "Bearer" not in json.dumps(report)


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        pytest.param(["nothing"], "URL 'nothing': expected", id="url"),
        pytest.param(["--secret-file", "x"], "--secret-file: expected a URL", id="without-url"),
        pytest.param(["--header", "a: b"], "--header: expected a URL", id="header-without-url"),
        pytest.param(["--no-verify"], "--no-verify: expected a URL", id="tls-without-url"),
        pytest.param([":1", "--secret-file", "/no"], "--secret-file '/no': cannot be", id="file"),
        pytest.param([":1", "--timeout", "0"], "--timeout '0': expected", id="timeout"),
        pytest.param([":1", "--header", "x"], "--header 'x': expected 'Name: value'", id="header"),
        pytest.param([":1", "--header", "a: b\nc"], "--header 'a: b\\nc': expected", id="lines"),
        pytest.param([":1", "--ca-file", "/no"], "--ca-file '/no': expected", id="ca-file"),
    ],
)
def test_invalid_command_lines_end_with_2(argv, line, capsys):
    assert main(["doctor", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"wsgiproxy: {line}") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("origin", "own"),
    [
        (Origin("http", "127.0.0.1", 80), "127.0.0.1"),
        (Origin("http", "localhost", 80, "/run/x.sock"), ""),
        (Origin("http", "256.0.0.1", 80), ""),
    ],
    ids=["tcp", "unix", "no-address"],
)
def test_own_address(origin, own):
    assert own_address(origin) == own


# -- the report --------------------------------------------------------------------


def test_json_report(secret, capsys):
    with stack(WSGIProxyMiddleware(hello, secret), secret_file=secret) as url:
        _, report = doctor(capsys, url, "--secret-file", secret)
    assert set(report) == {"url", "version", "healthy", "findings", "questions"}
    assert (report["url"], report["version"]) == (url, __version__)
    for finding in report["findings"]:
        assert set(finding) == {"level", "topic", "sentence", "cure"}
        assert finding["level"] in ("ok", "warn", "bad")
        assert all(isinstance(value, str) for value in finding.values())
    assert list(report["questions"]) == ALL_QUESTIONS
    for question in report["questions"].values():
        assert set(question) == {"status", "fault", "answer"}
        assert (question["status"], question["fault"]) == (200, None)


def test_text_report(secret, capsys):
    with stack(WSGIProxyMiddleware(hello, secret)) as url:
        assert main(["doctor", url, "--secret-file", secret]) == 1
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0] == f"wsgiproxy doctor {url}"
    assert lines[2].startswith("ok    answer       WSGIProxyMiddleware ")
    assert "WRONG signature    The backend refuses it with 403: not signed;" in out
    assert lines[-1] == "Not healthy: one thing is wrong, one thing is worth a look."
    assert "\x1b" not in out and max(map(len, lines)) <= 100


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


FINDINGS = [
    Finding("ok", "host", "Fine."),
    Finding("warn", "path", "So so."),
    Finding("bad", "forgery", "Wrong.", "Mend it."),
]


def text(out: io.StringIO, findings: list[Finding], status: int) -> list[str]:
    return doctor_output.as_text("http://a", findings, status, out).splitlines()


@pytest.fixture
def colourful(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_colours_and_ticks_on_a_terminal(colourful):
    lines = text(Terminal(), FINDINGS, 1)
    assert lines[2:6] == [
        "\x1b[32m✔    \x1b[0m host         Fine.",
        "\x1b[33m!    \x1b[0m path         So so.",
        "\x1b[1;31m✘    \x1b[0m forgery      Wrong.",
        " " * 19 + "-> Mend it.",
    ]


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("NO_COLOR", ""), ("TERM", "dumb")])
def test_no_colours_with_no_color_or_dumb(name, value, colourful, monkeypatch):
    monkeypatch.setenv(name, value)
    assert text(Terminal(), FINDINGS, 1)[2] == "ok    host         Fine."


def test_no_ticks_in_latin_1(colourful):
    class Old(Terminal):
        encoding = "latin-1"

    assert text(Old(), FINDINGS, 1)[4] == "\x1b[1;31mWRONG\x1b[0m forgery      Wrong."


@pytest.mark.parametrize(
    ("count", "status", "summary"),
    [
        ((1, 0, 0), 0, "Healthy."),
        ((1, 1, 0), 0, "Healthy; one thing is worth a look."),
        ((0, 2, 1), 1, "Not healthy: one thing is wrong, 2 things are worth a look."),
        ((0, 0, 2), 1, "Not healthy: 2 things are wrong."),
        ((0, 0, 1), 2, "The backend could not be asked."),
    ],
)
def test_the_summary(count, status, summary):
    findings = [one for number, one in zip(count, FINDINGS, strict=True) for _ in range(number)]
    assert text(io.StringIO(), findings, status)[-1] == summary


def test_names_of_fields_are_not_wrapped(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    finding = Finding("ok", "fields", "Arrived as well: X-Forwarded-Script-Name, X-Forwarded-For.")
    lines = text(io.StringIO(), [finding], 0)[2:-2]
    assert [line[19:] for line in lines] == [
        "Arrived as well:",
        "X-Forwarded-Script-Name,",
        "X-Forwarded-For.",
    ]
    assert os.environ["COLUMNS"] == "50"


def test_letters_that_the_terminal_lacks_are_escaped(secret, monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    backend = WSGIProxyMiddleware(hello, secret)
    with (
        stack(backend, secret_file=secret, wrap=cut) as url,
        monkeypatch.context() as patch,
    ):
        patch.setattr("sys.stdout", out)
        assert main(["doctor", f"{url}/app/caf%C3%A9", "--secret-file", secret]) == 1
    out.seek(0)
    assert "You asked for '/app/caf\\xe9'" in " ".join(out.read().split())


def test_control_characters_of_a_page_are_escaped(secret, capsys):
    nasty = answering("302 Found", Location="https://a/\x9b31m")
    with served(nasty) as url:
        assert main(["doctor", url, "--secret-file", secret]) == 2
    out = capsys.readouterr().out
    assert "\x9b" not in out and "\\x9b31m" in out
