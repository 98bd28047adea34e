"""from_env: a process sees the original request of its parent's client, and refuses others."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.spawn.children import ROOT, Pieces, ask, until
from tests.spawn.programs import module
from tests.support.backend import FACTS, REPORT, reported
from tests.support.client import raw_exchange, request_bytes
from tests.support.ports import free_port
from tests.trusted.test_matrix import CASES, DECLARED, KEYS, environ
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.middleware import WSGIProxyMiddleware
from wsgiproxy.secretloader import SECRET_FILE, new_key
from wsgiproxy.spawn import SpawningApplication

pytestmark = pytest.mark.in_turns(4, "strips")

RESTORED = "tests.spawn.programs.site:restored"
GUNICORN = ("--no-control-socket", "--worker-class", "gthread", "--threads", "8")
#: Processes that believe their parent, as people would start them.
PROCESSES: dict[str, list[str]] = {
    "waitress at a port": module("waitress", "--listen=127.0.0.1:{port}", RESTORED),
    "waitress at a Unix socket": module("waitress", "--unix-socket={socket}", RESTORED),
    "gunicorn": module("gunicorn", *GUNICORN, RESTORED),
    "wsgiproxy run": module(
        "wsgiproxy", "run", "tests.support.backend:echo", "--accept-keys", ",".join(DECLARED)
    ),
}
OPTIONS = {"accept_keys": DECLARED}


def mounted(case: dict[str, Any]) -> dict[str, Any]:
    """The same below a mount."""
    changed = {**case, "SCRIPT_NAME": "/mnt"}
    if "REQUEST_URI" in case:
        changed["REQUEST_URI"] = "/mnt" + case["REQUEST_URI"]
    return changed


ALL = {
    **CASES,
    **{
        f"mounted, {name}": mounted(case)
        for name, case in CASES.items()
        if not case.get("SCRIPT_NAME")
    },
}
#: Refused with 400: the mount is a wall.
REFUSED = {"mounted, path: two dots"}
#: The raw target is no longer that of the client.
OTHER_TARGET = {"path: changed by a middleware", "mounted, path: changed by a middleware"}

Make = Callable[[str, bool], SpawningApplication]


@pytest.fixture(scope="module")
def make() -> Iterator[Make]:
    """Each process in each mode, started once."""
    made: dict[tuple[str, bool], SpawningApplication] = {}

    def get(name: str, strips: bool) -> SpawningApplication:
        if (name, strips) not in made:
            made[name, strips] = SpawningApplication(
                PROCESSES[name],
                cwd=ROOT,
                script_env={"OPTIONS": json.dumps(OPTIONS)},
                strip_script_name=strips,
                **KEYS,
            )
        return made[name, strips]

    yield get
    for app in made.values():
        app.close()


def seen(app: SpawningApplication, before: dict[str, Any]) -> dict[str, Any]:
    """The environ of the application in the process."""
    with Pieces(app, before) as pieces:
        body = pieces.rest()
        assert pieces.status == 200, (pieces.status, body)
        return reported(body, *filter(None, [pieces.headers.get(REPORT)]))


@pytest.mark.parametrize("strips", [False, True], ids=["whole path", "stripped"])
@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("case", ALL)
def test_the_original_request_is_restored(make: Make, name: str, strips: bool, case: str):
    app, before = make(name, strips), environ(**ALL[case])
    body = before["wsgi.input"].getvalue()
    if case in REFUSED:
        with Pieces(app, before) as pieces:
            assert pieces.status == 400
        return
    after = seen(app, before)
    if before["REQUEST_METHOD"] == "HEAD":
        assert after == {key: before[key] for key in FACTS}
        return
    wanted = (*FACTS, "SERVER_NAME", *DECLARED)
    if "REQUEST_URI" in before and case not in OTHER_TARGET:
        wanted += ("REQUEST_URI",)
    assert {key: after.get(key) for key in wanted} == {key: before.get(key) for key in wanted}
    assert {key for key in after if key in DECLARED} == {key for key in before if key in DECLARED}
    assert after["body_sha256"] == hashlib.sha256(body).hexdigest()
    assert after["wsgiproxy.verified"] == "spawn"
    left = [key for key in after if key.startswith(("HTTP_X_", "HTTP_WSGIPROXY", "HTTP_SIGNATURE"))]
    assert left == []


FORGED = [
    ("X-Forwarded-For", "6.6.6.6"),
    ("X_Forwarded_Host", "evil.example"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X-Script-Name", "/evil"),
    ("X-Traversal-Path", "/mount"),
    ("WSGIProxy", "e30"),
    ("Remote-User", "root"),
    ("Signature-Input", 'wsgiproxy=("@method");created=1;keyid="spawn"'),
    ("Signature", "wsgiproxy=:AA==:"),
]


@pytest.mark.parametrize("name", PROCESSES)
def test_forged_headers_of_clients_are_removed(make: Make, name: str) -> None:
    forged = {"HTTP_" + key.upper().replace("-", "_"): value for key, value in FORGED}
    after = seen(make(name, False), environ(**forged))
    assert after["REMOTE_ADDR"] == "203.0.113.9"
    assert after["HTTP_HOST"] == "public.example"
    assert after["SCRIPT_NAME"] == ""
    assert "REMOTE_USER" not in after
    assert [key for key in forged if key in after] == []


# Those who come directly

SERVED = {
    "waitress": module("waitress", "--listen=127.0.0.1:{port}", RESTORED),
    "gunicorn": PROCESSES["gunicorn"],
    "wsgiproxy run": PROCESSES["wsgiproxy run"],
}


@pytest.fixture
def site(spawn, request):
    """A process at a port that the test knows."""
    port = free_port()
    app = spawn(SERVED[request.param], cwd=ROOT, spawned_port=port)
    app.start()
    return app, port


@pytest.mark.parametrize("site", SERVED, indirect=True)
def test_unsigned_and_forged_requests_get_403(site, tmp_path):
    app, port = site
    other = tmp_path / "other"
    other.touch(0o600)
    other.write_text(new_key("spawn") + "\n")
    directly = [
        request_bytes("GET /"),
        request_bytes("GET /", FORGED),
        request_bytes("GET /", FORGED[:7]),
        request_bytes("POST /", FORGED, b"body"),
        request_bytes("GET /", [("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1")]),
    ]
    for request in directly:
        answer = raw_exchange(port, request)
        assert answer.status == 403, request
        assert b"REMOTE_ADDR" not in answer.body
    stranger = WSGIProxyApp(f"http://127.0.0.1:{port}", str(other))
    assert ask(stranger).status == 403
    stranger.close()
    assert ask(app).status == 200  # all this does not keep its parent out


def key_of(app: SpawningApplication) -> Path:
    """The file of the keys, as the process was told."""
    assert app.pid
    entries = Path(f"/proc/{app.pid}/environ").read_text().split("\0")
    return Path(next(each for each in entries if each.startswith(SECRET_FILE)).partition("=")[2])


def test_each_instance_has_new_keys_of_mode_0600(spawn, temporary):
    app = spawn(PROCESSES["gunicorn"], cwd=ROOT)
    keys = []
    for _ in range(3):
        assert ask(app).status == 200
        file = key_of(app)
        assert file.is_relative_to(temporary)
        found = file.stat()
        assert stat.S_IMODE(found.st_mode) == 0o600 and found.st_uid == os.geteuid()
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        keys.append(file.read_text().strip())
        app.stop()
        assert not file.exists() and not file.parent.exists()
    assert len(set(keys)) == 3
    assert all(len(key) > 40 for key in keys)


def test_keys_of_an_earlier_instance_are_refused(spawn, tmp_path):
    port = free_port()
    app = spawn(SERVED["waitress"], cwd=ROOT, spawned_port=port)
    app.start()
    old = tmp_path / "old"
    old.touch(0o600)
    old.write_bytes(key_of(app).read_bytes())
    known = WSGIProxyApp(f"http://127.0.0.1:{port}", str(old))
    assert ask(known).status == 200
    app.stop()
    app.start()
    known.close()
    assert ask(known).status == 403
    assert ask(app).status == 200


@pytest.mark.parametrize("how", ["a crash", "the end of the application"])
def test_key_files_are_removed_at_each_kind_of_end(spawn, how):
    app = spawn(PROCESSES["gunicorn"], cwd=ROOT)
    app.start()
    file = key_of(app)
    assert file.exists()
    if how == "a crash":
        os.kill(app.pid, 9)
    else:
        app.close()
    until(lambda: not file.parent.exists(), "the end of the keys")


def test_two_applications_have_two_keys(spawn):
    one, two = (spawn(PROCESSES["gunicorn"], cwd=ROOT) for _ in range(2))
    one.start()
    two.start()
    assert key_of(one).read_text() != key_of(two).read_text()


# Settings


def test_a_key_file_of_ones_own_is_used_and_kept(spawn, tmp_path, monkeypatch):
    """Its path may be relative, and the process may run elsewhere."""
    file = tmp_path / "own.key"
    file.touch(0o600)
    file.write_text(new_key("mine") + "\n")
    monkeypatch.chdir(tmp_path)
    app = spawn(PROCESSES["gunicorn"], cwd=ROOT, secret_file="own.key")
    assert reported(ask(app).body)["wsgiproxy.verified"] == "mine"
    assert key_of(app) == file
    app.stop()
    assert file.read_text().startswith("mine:")


def test_a_key_file_is_replaced_while_the_process_runs(spawn, tmp_path):
    file = tmp_path / "own.key"
    app = None
    for name in ("one", "two", "three"):
        new = tmp_path / "new"
        new.touch(0o600)
        new.write_text(new_key(name) + "\n")
        os.replace(new, file)
        app = app or spawn(PROCESSES["gunicorn"], cwd=ROOT, secret_file=str(file))
        assert reported(ask(app).body)["wsgiproxy.verified"] == name


def test_sign_false_sends_no_signature_and_hands_no_keys_over(spawn):
    command = module("waitress", "--listen=127.0.0.1:{port}", "tests.support.backend:echo")
    app = spawn(command, cwd=ROOT, sign=False)
    after = reported(ask(app).body)
    assert not {"HTTP_SIGNATURE", "HTTP_SIGNATURE_INPUT", "HTTP_WSGIPROXY"} & set(after)
    assert SECRET_FILE not in Path(f"/proc/{app.pid}/environ").read_text()
    # By default, they are also sent to a process that ignores them.
    signed = reported(ask(spawn(command, cwd=ROOT)).body)
    assert {"HTTP_SIGNATURE", "HTTP_SIGNATURE_INPUT", "HTTP_WSGIPROXY"} <= set(signed)


def test_bodies_can_be_covered(spawn):
    variables = {"OPTIONS": json.dumps({"sign_body": True})}
    command = PROCESSES["gunicorn"]
    covered = spawn(command, cwd=ROOT, sign_body=True, script_env=variables)
    answer = ask(covered, method="POST", body=b"hello")
    assert reported(answer.body)["body_sha256"] == hashlib.sha256(b"hello").hexdigest()
    bare = spawn(command, cwd=ROOT, script_env=variables)
    assert ask(bare, method="POST", body=b"hello").status == 403


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({"secret_file": "k", "sign": False}, "secret_file", id="keys and no sign"),
        pytest.param({"string_keys": "a", "sign": False}, "string_keys", id="string_keys"),
        pytest.param({"json_keys": "a", "sign": False}, "json_keys", id="json_keys"),
        pytest.param({"sign_body": True, "sign": False}, "sign_body", id="sign_body"),
        pytest.param({"pickle_keys": "a"}, "pickle_keys", id="pickle_keys"),
        pytest.param({"string_keys": "HTTP_HOST"}, "string_keys", id="a reserved key"),
    ],
)
def test_options_without_effect_are_refused(options, named):
    with pytest.raises(ConfigurationError, match=named):
        SpawningApplication(["true"], **options)


# Those who have no parent


def application(environ: Any, start_response: Any) -> list[bytes]:
    raise AssertionError


def test_without_a_parent_the_variable_is_named(monkeypatch):
    monkeypatch.delenv(SECRET_FILE, raising=False)
    with pytest.raises(ConfigurationError, match=SECRET_FILE):
        WSGIProxyMiddleware.from_env(application)
    monkeypatch.setenv(SECRET_FILE, "")
    with pytest.raises(ConfigurationError, match=SECRET_FILE):
        WSGIProxyMiddleware.from_env(application)


def test_a_missing_key_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(SECRET_FILE, str(tmp_path / "gone"))
    with pytest.raises(ConfigurationError, match="gone"):
        WSGIProxyMiddleware.from_env(application)


def test_a_process_that_gets_no_signature_logs_it(spawn, caplog):
    app = spawn(PROCESSES["gunicorn"], cwd=ROOT, sign=False)
    caplog.set_level("INFO", "wsgiproxy.spawn")
    assert ask(app).status == 502
    assert SECRET_FILE in caplog.text


def test_run_without_a_parent_says_what_to_do():
    command = [sys.executable, "-m", "wsgiproxy", "run", "tests.support.backend:echo"]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("LISTEN_")}
    ended = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, timeout=60, text=True)
    assert ended.returncode in (1, 2)
    assert "wsgiproxy serve -- wsgiproxy run" in ended.stderr
    assert "Traceback" not in ended.stderr
