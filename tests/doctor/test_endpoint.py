"""The doctor's endpoint in the middleware: valid questions, and the content of the answer."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.in_process import front_environ, key_file, run, signed_environ
from wsgiproxy.doctor.endpoint import examiner
from wsgiproxy.middleware import WSGIProxyMiddleware
from wsgiproxy.sansio.diagnosis import Examination, Question, read_examination, write_question
from wsgiproxy.sansio.keys import base64url, parse_keys
from wsgiproxy.settings import MIDDLEWARE, resolve

SECRET = "k1:" + base64url(b"1" * 32)
OTHER = "k2:" + base64url(b"2" * 32)
NONCE = "n" * 16


@pytest.fixture
def secret(tmp_path) -> str:
    return key_file(tmp_path / "secret.txt", SECRET)


@pytest.fixture
def other(tmp_path) -> str:
    return key_file(tmp_path / "other.txt", OTHER)


def token(line: str = SECRET, *, age: float = 0, nonce: str = NONCE, keyid: str = "") -> str:
    key = parse_keys(line.encode()).first
    return write_question(Question(keyid or key.keyid, int(time.time() - age), nonce), key)


def application(environ, start_response):
    start_response("299 Application", [("Content-Type", "text/plain")])
    return [repr(environ.get("HTTP_X_DOCTOR")).encode()]


def examined(middleware, environ) -> Examination:
    """The answer to a question; AssertionError if the application was called."""
    reply = run(middleware, environ)
    assert reply.head.status == 200
    assert dict(reply.head.headers)["Cache-Control"] == "no-store"
    found = read_examination(json.loads(reply.whole), NONCE)
    assert found is not None
    return found


def asked(environ: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {**(environ or front_environ()), "HTTP_X_DOCTOR": token(), **more}


# -- valid questions ----------------------------------------------------------------


def _spoiled(position: int) -> str:
    text = token()
    return text[:position] + ("A" if text[position] != "A" else "B") + text[position + 1 :]


NOT_ASKED = [
    pytest.param(lambda: "", id="empty"),
    pytest.param(lambda: "1", id="junk"),
    pytest.param(lambda: "x" * 8000, id="long"),
    pytest.param(lambda: token(OTHER), id="another-key"),
    pytest.param(lambda: token(OTHER, keyid="k1"), id="another-key-of-that-name"),
    pytest.param(lambda: token() + "," + token(), id="two"),
    pytest.param(lambda: token().rpartition(".")[0], id="no-signature"),
    pytest.param(lambda: token().rpartition(".")[0] + ".", id="empty-signature"),
    pytest.param(lambda: token().rpartition(".")[0] + ".A", id="no-base64"),
    pytest.param(lambda: _spoiled(0), id="other-keyid"),
    pytest.param(lambda: _spoiled(5), id="other-created"),
    pytest.param(lambda: _spoiled(16), id="other-nonce"),
    pytest.param(lambda: _spoiled(40), id="other-signature"),
    pytest.param(lambda: token(nonce="n" * 15), id="short-nonce"),
    pytest.param(lambda: " " + token(), id="space"),
    pytest.param(lambda: token() + "\n", id="line-end"),
]


@pytest.mark.parametrize("make", NOT_ASKED)
def test_a_request_without_a_valid_question_reaches_the_application(make, secret):
    """The same status and body as without the header, but for what the application sees."""
    text = make()
    middleware = WSGIProxyMiddleware(application, trust_ips="10.0.0.0/8", doctor_file=secret)
    reply = run(middleware, {**front_environ(), "HTTP_X_DOCTOR": text})
    assert (reply.head.status, reply.whole) == (299, repr(text).encode())


@pytest.mark.parametrize("make", NOT_ASKED)
def test_a_refusal_is_the_same_with_an_invalid_question(make, secret):
    middleware = WSGIProxyMiddleware(application, secret)
    replies = [
        run(middleware, {**front_environ(), **more}) for more in ({}, {"HTTP_X_DOCTOR": make()})
    ]
    first, second = ((reply.head, reply.whole) for reply in replies)
    assert first == second and first[0].status == 403


def test_only_get_is_answered(secret):
    middleware = WSGIProxyMiddleware(application, doctor_file=secret)
    for method in ("POST", "HEAD"):
        assert run(middleware, asked(REQUEST_METHOD=method)).head.status == 299


def test_no_answer_without_a_key_file():
    assert run(WSGIProxyMiddleware(application), asked()).head.status == 299


def test_keys_of_doctor_file_replace_those_of_secret_file(secret, other):
    middleware = WSGIProxyMiddleware(application, secret, doctor_file=other)
    environ = signed_environ(secret)
    assert run(middleware, asked(environ)).head.status == 299
    by_other = {**signed_environ(secret), "HTTP_X_DOCTOR": token(OTHER)}
    assert examined(middleware, by_other).verified == "k1"


def test_a_public_half_verifies_questions(tmp_path):
    from wsgiproxy.sansio.keys import ed25519_halves

    private, public = (f"e:ed25519:{base64url(half)}" for half in ed25519_halves(b"s" * 32))
    middleware = WSGIProxyMiddleware(
        application, doctor_file=key_file(tmp_path / "public.txt", public)
    )
    question = {**front_environ(), "HTTP_X_DOCTOR": token(private)}
    assert examined(middleware, question).mode == "nothing"


@pytest.mark.parametrize("age", [-3600, -7, 62, 3600, 86400 * 400], ids="{}s".format)
def test_a_stale_question_gets_the_clock_alone(age, secret):
    middleware = WSGIProxyMiddleware(application, secret)
    before = time.time()
    found = examined(middleware, {**signed_environ(secret), "HTTP_X_DOCTOR": token(age=age)})
    assert before <= found.clock <= time.time()
    assert found == Examination(doctor=NONCE, clock=found.clock, stale=True)


def test_max_age_of_questions(secret):
    middleware = WSGIProxyMiddleware(application, secret, max_age=4000)
    environ = {**signed_environ(secret), "HTTP_X_DOCTOR": token(age=3600)}
    assert not examined(middleware, environ).stale


def test_replay_memory_answers_a_question_once(secret):
    middleware = WSGIProxyMiddleware(application, secret, replay="memory")
    question = token()
    first = {**signed_environ(secret), "HTTP_X_DOCTOR": question}
    assert examined(middleware, first).verified == "k1"
    again = {**signed_environ(secret), "HTTP_X_DOCTOR": question}
    assert run(middleware, again).head.status == 299


def test_without_replay_memory_a_question_is_answered_again(secret):
    middleware = WSGIProxyMiddleware(application, secret)
    environ = asked(signed_environ(secret))
    assert [examined(middleware, environ).verified for _ in range(2)] == ["k1", "k1"]


def test_nonces_of_questions_have_a_prefix_in_the_store(secret):
    class Store:
        def __init__(self) -> None:
            self.keys: list[str] = []

        def add(self, key: str, ttl: float) -> bool:
            self.keys.append(key)
            return True

    store = Store()
    examined(WSGIProxyMiddleware(application, secret, replay=store), asked(signed_environ(secret)))
    doctor, request = store.keys
    assert doctor == f"doctor:k1:{NONCE}"
    assert request.startswith("k1:")


def test_a_failing_store_is_reported(secret):
    class Store:
        def add(self, key: str, ttl: float) -> bool:
            raise OSError("no route to the store")

    middleware = WSGIProxyMiddleware(application, secret, replay=Store())
    found = examined(middleware, asked(signed_environ(secret)))
    assert (found.status, found.verified, found.seen) == (503, "", {})
    assert "the store of nonces failed" in found.reason and "no route" in found.reason


# -- what is answered ------------------------------------------------------------------


def test_arrived_and_seen(secret):
    middleware = WSGIProxyMiddleware(application, secret)
    environ = signed_environ(secret, front_environ(SCRIPT_NAME="/app", PATH_INFO="/x"))
    found = examined(middleware, asked(environ))
    assert (found.mode, found.verified, found.status) == ("secret_file", "k1", 0)
    assert found.arrived["REMOTE_ADDR"] == "10.9.8.7"
    assert found.arrived["PATH_INFO"] == "/base/x"
    assert found.arrived["HTTP_X_FORWARDED_FOR"] == "203.0.113.9"
    assert found.seen["REMOTE_ADDR"] == "203.0.113.9"
    assert (found.seen["SCRIPT_NAME"], found.seen["PATH_INFO"]) == ("/app", "/x")
    assert found.seen["HTTP_HOST"] == "shop.example"
    assert found.seen["wsgiproxy.traversal_path"] == "/base"
    assert "HTTP_X_FORWARDED_FOR" not in found.seen
    assert abs(found.created - found.clock) < 10


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param({"HTTP_SIGNATURE": "wsgiproxy=:AAAA:"}, "wrong signature", id="signature"),
        pytest.param({"HTTP_HOST": "evil.example"}, "wrong signature", id="host"),
        pytest.param({"PATH_INFO": "/other"}, "signed for '/base/?', but", id="path"),
        pytest.param({"HTTP_SIGNATURE_INPUT": "wsgiproxy=1"}, "tag is not", id="input"),
        pytest.param({"HTTP_SIGNATURE_INPUT": ",;"}, "no member", id="grammar"),
        pytest.param({"HTTP_SIGNATURE_INPUT": "x" * 5000}, "more than 2048", id="long"),
    ],
)
def test_reason_of_a_bad_signature(spoil, reason, secret):
    middleware = WSGIProxyMiddleware(application, secret)
    environ = {**signed_environ(secret), **spoil}
    assert run(middleware, environ).head.status == 403
    found = examined(middleware, asked(environ))
    assert found.status == 403 and reason in found.reason
    assert (found.verified, found.seen) == ("", {})
    assert found.created == 0 or "HTTP_SIGNATURE_INPUT" not in spoil


def test_carried_keys_are_named_without_values(secret):
    front = front_environ(REMOTE_USER="bob-the-secret", **{"app.plan": {"deep": "hidden-value"}})
    environ = signed_environ(secret, front, string_keys=["REMOTE_USER"], json_keys=["app.plan"])
    middleware = WSGIProxyMiddleware(application, secret, accept_keys=["REMOTE_USER"])
    found = examined(middleware, asked(environ))
    assert set(found.carried) == {"REMOTE_USER", "app.plan"}
    assert found.accepted == ("REMOTE_USER",)
    text = json.dumps(found._asdict())
    assert "bob-the-secret" not in text and "hidden-value" not in text


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, {"mode": "nothing", "peer_trusted": False}, id="nothing"),
        pytest.param(
            {"trust_ips": "203.0.113.0/24"},
            {"mode": "trust_ips", "reads": "x-forwarded", "peer_trusted": True},
            id="trusted",
        ),
        pytest.param(
            {"trust_ips": "10.0.0.1", "family": "forwarded"},
            {"mode": "trust_ips", "reads": "forwarded", "peer_trusted": False},
            id="not-trusted",
        ),
        pytest.param(
            {"trust_ips": "*"},
            {"mode": "trust_ips", "everybody": True, "peer_trusted": True},
            id="every-peer",
        ),
        pytest.param(
            {"x_for": 2, "x_host": 1},
            {"mode": "counts", "reads": "x_for=2, x_host=1", "everybody": True},
            id="counts",
        ),
        pytest.param(
            {"x_for": 1, "trust_ips": "10.0.0.1"},
            {"mode": "counts", "everybody": False},
            id="counts-of-some",
        ),
        pytest.param(
            {"prefix": "/a", "scheme": "https"}, {"fixed": ("prefix", "scheme")}, id="fixed"
        ),
    ],
)
def test_settings_of_the_middleware(options, expected, secret):
    middleware = WSGIProxyMiddleware(application, doctor_file=secret, **options)
    found = examined(middleware, asked())
    assert {name: getattr(found, name) for name in expected} == expected
    assert found.version and found.python


def test_peer_trusted_is_about_the_peer_of_the_socket(secret):
    middleware = WSGIProxyMiddleware(application, trust_ips="10.0.0.1", doctor_file=secret)
    assert examined(middleware, asked(**{"wsgiproxy.peer": "10.0.0.1"})).peer_trusted


def test_reason_of_a_refused_host(secret):
    middleware = WSGIProxyMiddleware(application, doctor_file=secret, allowed_hosts="a.example")
    found = examined(middleware, asked())
    assert (found.status, found.reason) == (400, "Host 'shop.example' is not in allowed_hosts")


# -- a question that is passed on --------------------------------------------------------


def test_an_inner_question_reaches_the_application(secret):
    middleware = WSGIProxyMiddleware(application, secret)
    reply = run(middleware, asked(signed_environ(secret), HTTP_X_DOCTOR_INNER="1"))
    assert reply.head.status == 299


def test_an_inner_question_without_signature_gets_403(secret):
    reply = run(WSGIProxyMiddleware(application, secret), asked(HTTP_X_DOCTOR_INNER="1"))
    assert reply.head.status == 403


def test_an_inner_middleware_answers_an_inner_question(secret):
    middleware = WSGIProxyMiddleware(WSGIProxyMiddleware(application, secret), secret)
    environ = signed_environ(secret)
    assert not examined(middleware, asked(environ)).inner
    found = examined(middleware, asked(signed_environ(secret), HTTP_X_DOCTOR_INNER="1"))
    assert (found.inner, found.status) == (True, 403)
    assert "verified already" in found.reason


def test_no_header_makes_a_middleware_the_inner_one(secret):
    middleware = WSGIProxyMiddleware(application, doctor_file=secret)
    sent = asked(HTTP_X_DOCTOR_INNER="1", HTTP_WSGIPROXY_ORIG="1")
    assert run(middleware, sent).head.status == 299


def test_public_is_about_secret_file(tmp_path, secret):
    from wsgiproxy.sansio.keys import ed25519_halves

    _, public = (f"e:ed25519:{base64url(half)}" for half in ed25519_halves(b"s" * 32))
    path = key_file(tmp_path / "public.txt", public)
    for options, expected in (
        ({"secret_file": path, "doctor_file": secret, "authorities": "a.example"}, True),
        ({"secret_file": secret, "doctor_file": secret}, False),
        ({"doctor_file": secret}, False),
    ):
        found = examined(WSGIProxyMiddleware(application, **options), asked())
        assert found.public is expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({"require_forwarded": False, "authorities": ()}, (False, False), id="off"),
        pytest.param(
            {"require_forwarded": True, "authorities": ("a.example",)}, (True, True), id="on"
        ),
    ],
)
def test_require_forwarded_and_authorities(settings, expected, secret):
    resolved = {**resolve(MIDDLEWARE, {"doctor_file": secret}), **settings}
    answers = examiner(resolved, lambda peer: False, "WSGIProxyMiddleware")
    assert answers is not None
    answer = answers.answer(asked(), lambda restored: restored)
    assert answer is not None
    found = read_examination(json.loads(answer.body), NONCE)
    assert found is not None
    assert (found.require_forwarded, found.authorities) == expected


# -- what is not in the answer ---------------------------------------------------------------


def test_secrets_of_a_request_are_not_shown(secret):
    hidden = {
        "HTTP_COOKIE": "id=5ecret",
        "HTTP_AUTHORIZATION": "Basic 5ecret",
        "HTTP_PROXY_AUTHORIZATION": "Basic 5ecret",
        "HTTP_X_API_KEY": "5ecret",
        "HTTP_X_FORWARDED_ACCESS_TOKEN": "5ecret",
        "HTTP_X_FORWARDED_USER": "5ecret",
        "HTTP_REMOTE_USER": "5ecret",
        "HTTP_USER_AGENT": "5ecret",
        "HTTP_X_WSGIPROXY_STR_0": "5ecret",
        "REMOTE_USER": "5ecret",
        "DATABASE_URL": "5ecret",
        "CONTENT_TYPE": "5ecret",
    }
    for options in ({"secret_file": secret}, {"doctor_file": secret, "trust_ips": "*"}):
        environ = signed_environ(secret) | hidden
        reply = run(WSGIProxyMiddleware(application, **options), asked(environ))
        assert reply.head.status == 200
        text = reply.whole.decode()
        assert "5ecret" not in text
        assert Path(secret).read_text().partition(":")[2] not in text
        assert environ["HTTP_WSGIPROXY"] not in text and environ["HTTP_SIGNATURE"] not in text
        assert "HTTP_COOKIE" not in text
        arrived = json.loads(text)["arrived"]
        assert arrived["HTTP_X_FORWARDED_ACCESS_TOKEN"] == "(6 characters)"
        assert arrived["HTTP_REMOTE_USER"] == "(6 characters)"


def test_long_fields_are_cut(secret):
    middleware = WSGIProxyMiddleware(application, doctor_file=secret)
    found = examined(middleware, asked(HTTP_X_FORWARDED_FOR="1, " * 2000))
    assert len(found.arrived["HTTP_X_FORWARDED_FOR"]) == 1024
