"""Key files: what they may hold, who may write them, and what happens when they change."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.in_process import Backend, front_environ, key_file, run, signed_environ
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.middleware import WSGIProxyMiddleware
from wsgiproxy.observe import warn
from wsgiproxy.sansio.keys import base64url, ed25519_halves
from wsgiproxy.secretloader import KeyFile, get_secret, new_key

RAW = "correct horse battery staple, and then some"


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins without a warning."""
    monkeypatch.setattr(warn, "_warned", set())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secret"


def keyids(file: KeyFile) -> list[str]:
    """The ids of the keys, the one that signs first."""
    ring = file.keyring()
    assert next(iter(ring.keys)) == ring.first.keyid
    return list(ring.keys)


def replace(path: Path, content: str) -> None:
    """A new file under the old name, as Kubernetes and careful editors do it."""
    new = path.with_name("new")
    key_file(new, content)
    new.replace(path)


def overwrite(path: Path, content: str) -> None:
    """Other bytes in the same file, and a later time."""
    before = path.stat()
    path.write_text(content)
    later = max(path.stat().st_mtime_ns, before.st_mtime_ns + 1)
    os.utime(path, ns=(later, later))


# -- what it may hold ------------------------------------------------------------------


def test_lines_of_keys(path):
    text = f"# since May\n\n  {new_key('k2')}\r\n{new_key('k1')}==\n# {new_key('k0')}\n"
    assert keyids(KeyFile(key_file(path, text))) == ["k2", "k1"]


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_one_raw_secret(path, end):
    """As 0.2 had it; its id follows from it, and newlines at the end are not part of it."""
    assert keyids(KeyFile(key_file(path, RAW + end))) == keyids(KeyFile(key_file(path, RAW)))
    other = keyids(KeyFile(key_file(path, "x" + RAW)))
    assert other != keyids(KeyFile(key_file(path, RAW)))
    assert len(other[0]) == 8


def test_a_raw_secret_may_be_any_bytes(path):
    assert len(keyids(KeyFile(key_file(path, bytes(range(128, 256)))))) == 1


BROKEN = [
    pytest.param("", "at least 32 bytes", id="empty"),
    pytest.param("\n\n", "at least 32 bytes", id="blank"),
    pytest.param("too short", "at least 32 bytes", id="short-secret"),
    pytest.param("x" * 31, "at least 32 bytes", id="31-bytes"),
    pytest.param("# nothing here\n", "comments alone", id="comments"),
    pytest.param("k1:AAAA\n", "line 1: .*at least 32 bytes", id="short-key"),
    pytest.param(new_key("k1")[:-3], "line 1: .*at least 32 bytes, got 30", id="cut-key"),
    pytest.param("k1:" + "A" * 45, "line 1: not base64url", id="impossible-length"),
    pytest.param(f"{new_key('k1')}\nnonsense", "line 2: expected keyid:base64url", id="nonsense"),
    pytest.param(f"{new_key('k1')}\nk2:a b", "line 2: expected keyid:base64url", id="blank-in-key"),
    pytest.param(f"{new_key('k1')}\n{new_key('k1')}", "line 2: the key 'k1'.*twice", id="twice"),
    pytest.param(f"{new_key('k1')}\nk2:rsa:AAAA", "line 2: expected keyid", id="other-algorithm"),
    pytest.param("#" * 70_000, "at most 65536 bytes", id="huge"),
    pytest.param(
        "k2:ed25519:MC4CAQAwBQYDK2VvBCIEIHNzc3Puc3Nzc3Nzc3Nzc75zc3Nzc3Nzc3Nzc3Nzc3Nz",
        "line 1: key 'k2': expected an ed25519 key",
        id="odd-ed25519-key",
    ),
]


@pytest.mark.parametrize(("content", "message"), BROKEN)
def test_what_is_no_key_file(path, content, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        KeyFile(key_file(path, content), "the_setting")
    assert str(caught.value).startswith(f"the_setting={str(path)!r}: ")


@pytest.mark.parametrize("name", ["missing", "a/b", "nul\0", ""])
def test_what_is_no_file(tmp_path, name):
    with pytest.raises(ConfigurationError, match="secret_file="):
        KeyFile(tmp_path / name)


def test_a_device_is_not_read_for_ever():
    with pytest.raises(ConfigurationError, match="secret_file='/dev/zero'"):
        KeyFile("/dev/zero")


# -- who may write and read it ---------------------------------------------------------


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o660, 0o666, 0o777, 0o622])
def test_a_file_that_others_may_write_is_refused(path, mode):
    with pytest.raises(ConfigurationError, match=f"may write it \\({mode:o}\\): chmod 600"):
        KeyFile(key_file(path, new_key("k1"), mode))


@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o400, 0), (0o640, 0), (0o444, 1)])
def test_a_file_that_all_may_read_is_worth_one_warning(path, caplog, mode, warned):
    name = key_file(path, new_key("k1"), mode)
    for _ in range(3):
        assert keyids(KeyFile(name)) == ["k1"]
    assert len(caplog.records) == warned
    if warned:
        assert "all users may read it (444)" in caplog.text


def test_a_fifo_is_refused_and_not_waited_for(path):
    os.mkfifo(path, 0o600)
    with pytest.raises(ConfigurationError, match="expected a file"):
        KeyFile(path)


def test_a_symlink_is_followed(path, tmp_path):
    """Kubernetes mounts a link to a link, and turns the outer one."""
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        key_file(tmp_path / str(number) / "secret", new_key(f"k{number}"))
    data = tmp_path / "..data"
    data.symlink_to("1")
    path.symlink_to("..data/secret")
    file = KeyFile(path)
    assert keyids(file) == ["k1"]
    turned = tmp_path / "turned"
    turned.symlink_to("2")
    turned.replace(data)
    assert keyids(file) == ["k2"]


def test_the_mode_is_that_of_the_file_and_not_of_the_link(path, tmp_path):
    key_file(tmp_path / "real", new_key("k1"), 0o620)
    path.symlink_to("real")
    with pytest.raises(ConfigurationError, match="may write it"):
        KeyFile(path)


# -- when it changes -------------------------------------------------------------------


@pytest.mark.parametrize("change", [replace, overwrite])
def test_a_changed_file_is_read_again(path, change, caplog):
    caplog.set_level("INFO")
    file = KeyFile(key_file(path, new_key("k1")))
    assert keyids(file) == keyids(file) == ["k1"]
    assert not caplog.records
    change(path, f"{new_key('k2')}\n{new_key('k1')}\n")
    assert keyids(file) == keyids(file) == ["k2", "k1"]
    assert len(caplog.records) == 1
    assert "read again, keys ['k2', 'k1']" in caplog.text


def test_a_rename_within_one_tick_of_the_clock_is_seen(path):
    """Same size, same time: the inode tells."""
    file = KeyFile(key_file(path, new_key("k1")))
    found = path.stat()
    new = path.with_name("new")
    key_file(new, new_key("k2"))
    os.utime(new, ns=(found.st_atime_ns, found.st_mtime_ns))
    new.replace(path)
    assert keyids(file) == ["k2"]


@pytest.mark.parametrize(
    "content", [pytest.param(param.values[0], id=param.id) for param in BROKEN]
)
@pytest.mark.parametrize("change", [replace, overwrite])
def test_a_broken_new_file_keeps_the_old_keys_and_is_logged_once(path, change, content, caplog):
    file = KeyFile(key_file(path, new_key("k1")))
    change(path, content)
    for _ in range(3):
        assert keyids(file) == ["k1"]
    assert len(caplog.records) == 1
    assert "keeping the old keys: secret_file=" in caplog.text
    change(path, new_key("k2"))
    assert keyids(file) == ["k2"]


def test_a_missing_file_keeps_the_old_keys_and_is_logged_once(path, caplog):
    text = new_key("k1")
    file = KeyFile(key_file(path, text))
    path.unlink()
    for _ in range(3):
        assert keyids(file) == ["k1"]
    assert len(caplog.records) == 1
    assert "No such file" in caplog.text
    key_file(path, new_key("k2"))
    assert keyids(file) == ["k2"]


def test_the_same_file_back_in_its_place_is_read(path, caplog):
    file = KeyFile(key_file(path, new_key("k1")))
    away = path.with_name("away")
    path.rename(away)
    assert keyids(file) == ["k1"]
    away.rename(path)
    assert keyids(file) == ["k1"]
    caplog.clear()
    assert keyids(file) == ["k1"]
    assert not caplog.records


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_new_file_that_others_may_write_is_not_believed(path, caplog, mode):
    file = KeyFile(key_file(path, new_key("k1")))
    new = path.with_name("new")
    key_file(new, new_key("evil"), mode)
    new.replace(path)
    for _ in range(3):
        assert keyids(file) == ["k1"]
    assert len(caplog.records) == 1
    assert f"may write it ({mode:o})" in caplog.text
    assert "evil" not in caplog.text


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that goes as one sets it."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_rights_that_are_corrected_are_seen_at_once(path, clock):
    """chmod changes neither size nor time of the content, and is all that the log asks for."""
    file = KeyFile(key_file(path, new_key("k1")))
    new = path.with_name("new")
    key_file(new, new_key("k2"), 0o666)
    new.replace(path)
    assert keyids(file) == ["k1"]
    refused = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == refused:  # until the clock of the file system ticks
        path.chmod(0o600)
    assert keyids(file) == ["k2"]


@contextmanager
def no_file_to_spare() -> Iterator[None]:
    """Every open fails with EMFILE, as in a server with too many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    # Not 0: poll() of a server in another thread would fail, too (poll(2), EINVAL).
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_could_not_be_read_for_a_moment_is_read_later(path, clock, caplog):
    """The file is the same as at the first attempt; it is tried once a second, and told once."""
    file = KeyFile(key_file(path, new_key("k1")))
    replace(path, new_key("k2"))
    with no_file_to_spare():
        for _ in range(3):
            assert keyids(file) == ["k1"]
            clock[0] += 1
    [record] = caplog.records
    assert "keeping the old keys: secret_file=" in record.getMessage()
    assert "Too many open files" in record.getMessage()
    assert keyids(file) == ["k2"]


def test_what_cannot_be_read_is_not_tried_for_each_request(path, clock):
    file = KeyFile(key_file(path, new_key("k1")))
    replace(path, new_key("k2"))
    with no_file_to_spare():
        assert keyids(file) == ["k1"]
    clock[0] += 0.99
    assert keyids(file) == ["k1"]
    clock[0] += 0.01
    assert keyids(file) == ["k2"]


def test_a_directory_in_its_place_keeps_the_old_keys(path, clock, caplog):
    file = KeyFile(key_file(path, new_key("k1")))
    away = path.rename(path.with_name("away"))
    path.mkdir()
    for _ in range(3):
        assert keyids(file) == ["k1"]
        clock[0] += 1
    assert len(caplog.records) == 1
    path.rmdir()
    away.rename(path)
    replace(path, new_key("k2"))
    assert keyids(file) == ["k2"]


def test_a_relative_path_is_that_of_the_start(tmp_path, monkeypatch):
    """A daemon changes its directory, and its keys are rotated all the same."""
    monkeypatch.chdir(tmp_path)
    key_file(tmp_path / "secret", new_key("k1"))
    file = KeyFile("secret")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert keyids(file) == ["k1"]
    replace(tmp_path / "secret", new_key("k2"))
    assert keyids(file) == ["k2"]


# -- rotation --------------------------------------------------------------------------


def answering(environ, start_response):
    start_response("200 OK", [("X-Key", environ["wsgiproxy.verified"])])
    return []


def test_rotation_refuses_no_request(tmp_path):
    """Second line everywhere, then first, then the old one goes: each end at its own time."""
    old, new = new_key("old"), new_key("new")
    front, back = tmp_path / "front", tmp_path / "back"
    middleware = WSGIProxyMiddleware(answering, key_file(back, old))
    proxy = WSGIProxyApp("http://backend/", key_file(front, old), transport=Backend(middleware))
    seen = []
    for path, content in [
        (back, f"{old}\n{new}"),
        (front, f"{old}\n{new}"),
        (front, f"{new}\n{old}"),
        (back, f"{new}\n{old}"),
        (front, new),
        (back, new),
    ]:
        replace(path, content)
        head = run(proxy, front_environ()).head
        assert head.status == 200
        seen.append(dict(head.headers)["X-Key"])
    assert seen == ["old", "old", "new", "new", "new", "new"]


def test_the_old_key_verifies_until_it_is_removed(tmp_path):
    old, new = new_key("old"), new_key("new")
    back = tmp_path / "back"
    middleware = WSGIProxyMiddleware(answering, key_file(back, old))
    environ = signed_environ(key_file(tmp_path / "front", old))
    for content, status in [(f"{new}\n{old}", 200), (new, 403), (f"{old}\n{new}", 200)]:
        replace(back, content)
        assert run(middleware, environ).head.status == status


def test_a_front_keeps_its_keys_when_the_new_first_one_cannot_sign(tmp_path, caplog):
    """A public half belongs to the backend; at the front it would make each request a 500."""
    old, public = new_key("old"), f"new:ed25519:{base64url(ed25519_halves(bytes(32))[1])}"
    front, back = tmp_path / "front", tmp_path / "back"
    middleware = WSGIProxyMiddleware(
        answering, key_file(back, f"{public}\n{old}"), authorities="backend"
    )
    proxy = WSGIProxyApp("http://backend/", key_file(front, old), transport=Backend(middleware))
    replace(front, f"{public}\n{old}")
    for _ in range(3):
        head = run(proxy, front_environ()).head
        assert (head.status, dict(head.headers)["X-Key"]) == (200, "old")
    [record] = caplog.records
    assert record.getMessage().startswith(f"keeping the old keys: secret_file={str(front)!r}: ")
    with pytest.raises(ConfigurationError, match="secret_file="):
        WSGIProxyApp("http://backend/", str(front))


# -- the names of 0.2 ------------------------------------------------------------------


def test_get_secret(path):
    assert get_secret(key_file(path, RAW)) == RAW.encode()
    assert get_secret(path) == RAW.encode()
    replace(path, RAW[::-1])
    assert get_secret(str(path)) == RAW[::-1].encode()
    replace(path, "short")
    assert get_secret(str(path)) == RAW[::-1].encode()


def test_get_secret_refuses_what_a_key_file_refuses(path):
    with pytest.raises(ConfigurationError, match="may write it"):
        get_secret(key_file(path, RAW, 0o666))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        get_secret(path.with_name("nowhere"))


# -- a secret stays one ----------------------------------------------------------------


def test_no_representation_shows_a_secret(path):
    text = new_key("k1")
    file = KeyFile(key_file(path, text))
    ring = file.keyring()
    shown = [repr(file), repr(ring), str(ring.first), repr(ring.keys)]
    assert not [each for each in shown if text[3:] in each]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("SeCrEt-SeCrEt", id="short-secret"),
        pytest.param("k1:SeCrEt-SeCrEt", id="short-key"),
        pytest.param(f"{new_key('k0')}\nk1:SeCrEt-SeCrEt SeCrEt", id="malformed-line"),
        pytest.param(f"{new_key('k0')}\nSeCrEt-SeCrEt", id="line-without-id"),
        pytest.param(f"{new_key('k0')}\nk1:{'SeCrEt' * 8}A", id="bad-length"),
        pytest.param(f"{new_key('k0')}\nk1:ed25519:{'SeCrEt' * 8}", id="no-ed25519-key"),
    ],
)
def test_no_message_shows_a_secret(path, content, caplog):
    with pytest.raises(ConfigurationError) as caught:
        KeyFile(key_file(path, content))
    error: BaseException | None = caught.value
    while error is not None:
        assert "SeCrEt" not in str(error)
        error = error.__cause__
    path.unlink()
    file = KeyFile(key_file(path, new_key("k0")))
    replace(path, content)
    file.keyring()
    assert "keeping the old keys" in caplog.text
    assert "SeCrEt" not in caplog.text


def test_new_keys_differ_and_are_good(path):
    one, two = new_key("k1"), new_key("k1")
    assert one != two
    assert keyids(KeyFile(key_file(path, one))) == ["k1"]


def test_any_text_does_not_replace_lines_of_keys(path, caplog):
    """It would be a secret of 0.2, also the error page that a download has brought."""
    file = KeyFile(key_file(path, new_key("k1")))
    replace(path, "<html><title>404 Not Found</title> nothing of the kind </html>")
    assert keyids(file) == ["k1"]
    assert "expected lines of keys" in caplog.text
    replace(path, new_key("k2"))
    assert keyids(file) == ["k2"]
