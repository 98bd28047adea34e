"""Unsafe settings are told of when they are made: each once, and safe ones never."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.in_process import Backend, front_environ, key_file, run, signed_environ
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.errors import BadRequest, BadSignature
from wsgiproxy.middleware import WSGIProxyMiddleware
from wsgiproxy.observe import warn
from wsgiproxy.observe.warn import Refusals, warn_once
from wsgiproxy.secretloader import new_key


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins without a warning."""
    monkeypatch.setattr(warn, "_warned", set())


@pytest.fixture
def secret(tmp_path: Path) -> str:
    return key_file(tmp_path / "secret", new_key("k1"))


def application(environ, start_response):
    start_response("200 OK", [])
    return []


def test_the_same_warning_comes_once(caplog):
    for text in ("a", "b", "a", "a", "b"):
        warn_once(text)
    assert [record.getMessage() for record in caplog.records] == ["a", "b"]
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert {record.name for record in caplog.records} == {"wsgiproxy.error"}


def proxy(**options):
    return WSGIProxyApp("http://b/", transport=Backend(), **options)


def middleware(**options):
    return WSGIProxyMiddleware(application, **options)


UNSAFE = [
    pytest.param(
        middleware, {"trust_ips": "*"}, "trust_ips='*': any peer that reaches this application can",
        id="all-trusted",
    ),
    pytest.param(
        middleware, {"x_for": 1},
        "x_for=1 without trust_ips: any peer that reaches this application can forge",
        id="counts-from-all",
    ),
    pytest.param(
        middleware, {"secret_file": True, "allow_pickle": True},
        "allow_pickle=True: any holder of the secret can run code here", id="pickle-at-the-backend",
    ),
    pytest.param(
        proxy, {"secret_file": True, "pickle_keys": "a", "allow_pickle": True},
        "allow_pickle=True: any holder of the secret can run code at the backend",
        id="pickle-at-the-front",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("make", "options", "message"), UNSAFE)
def test_an_unsafe_setting_is_warned_of_once(secret, caplog, make, options, message):
    options = {**options, **({"secret_file": secret} if "secret_file" in options else {})}
    for _ in range(3):
        make(**options)
    [record] = caplog.records
    assert record.getMessage().startswith(message)


@pytest.mark.parametrize("make", [proxy, middleware])
def test_a_secret_that_all_may_read_is_warned_of_once(secret, caplog, make):
    Path(secret).chmod(0o644)
    for _ in range(3):
        make(secret_file=secret)
    [record] = caplog.records
    assert record.getMessage() == f"secret_file={secret!r}: all users may read it (644)"


def test_both_ends_in_one_process_warn_once(secret, caplog):
    Path(secret).chmod(0o644)
    proxy(secret_file=secret)
    middleware(secret_file=secret)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("make", "options"),
    [
        pytest.param(middleware, {}, id="no-trust"),
        pytest.param(middleware, {"trust_ips": "10.0.0.0/8 unix"}, id="known-peers"),
        pytest.param(middleware, {"trust_ips": "10.0.0.1", "x_for": 1}, id="counts-of-known-peers"),
        pytest.param(middleware, {"trust_ips": "", "x_for": 1}, id="counts-of-no-peer"),
        pytest.param(middleware, {"secret_file": True, "accept_keys": "a"}, id="secret"),
        pytest.param(middleware, {"secret_file": True, "unsigned": "strip"}, id="strip"),
        pytest.param(proxy, {}, id="unsigned"),
        pytest.param(proxy, {"secret_file": True, "json_keys": "a"}, id="signed"),
        pytest.param(proxy, {"secret_file": True, "allow_pickle": True}, id="pickle-of-nothing"),
    ],
)
def test_safe_settings_are_not_warned_of(secret, caplog, make, options):
    options = {**options, **({"secret_file": secret} if "secret_file" in options else {})}
    make(**options)
    assert not caplog.records


def test_no_request_warns(secret, caplog):
    """What is unsafe is known when the application is made."""
    restoring = middleware(secret_file=secret, accept_keys="a")
    for _ in range(3):
        environ = signed_environ(secret, front_environ() | {"a": 1}, json_keys="a")
        assert run(restoring, environ).head.status == 200
    assert not caplog.records


def test_refusals_are_logged_once_a_second_for_each_status(caplog, monkeypatch):
    monkeypatch.setattr(warn, "_INTERVAL", 3600.0)
    refusals = Refusals()
    for error in (BadSignature("one"), BadRequest("two"), BadSignature("three"), BadSignature("4")):
        refusals.log(error)
    assert [record.getMessage() for record in caplog.records] == [
        "refused: 403 BadSignature: one",
        "refused: 400 BadRequest: two",
    ]


def test_refusals_that_are_not_logged_are_counted(caplog, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    refusals = Refusals()
    for now[0] in (10.0, 10.1, 10.9, 11.1, 11.2, 20.0, 30.0):
        refusals.log(BadSignature("no"))
    assert [record.getMessage().partition("no")[2] for record in caplog.records] == [
        "",
        " (and 2 more since the last line)",
        " (and 1 more since the last line)",
        "",
    ]


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
@pytest.mark.parametrize(
    ("make", "setting"), [(middleware, "trust_ips"), (proxy, "trusted_proxies")]
)
def test_a_network_of_all_addresses_is_warned_of(caplog, make, setting, network):
    make(**{setting: ["10.0.0.0/8", network]})
    assert [record.getMessage() for record in caplog.records] == [
        f"{setting}={network!r}: any peer that reaches this application can forge its clients"
    ]
