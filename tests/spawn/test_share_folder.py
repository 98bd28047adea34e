"""The folder in which processes agree on one child: whose it is, and what may be left in it."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import shutil
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.spawn.children import MARK, ask, program, until
from tests.spawn.programs import server, told
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.spawn import SpawningApplication

pytestmark = pytest.mark.in_turns(2)

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")

#: A program that shares: it answers each line of its stdin with the process that it reaches.
SHARES = f"""
import sys
from tests.spawn.children import ask
from tests.spawn.programs import told
from wsgiproxy.spawn import SpawningApplication

app = SpawningApplication(sys.argv[2:], share=sys.argv[1], inherit_env=[{MARK!r}])
for line in sys.stdin:
    print(told(ask(app))["pid"], flush=True)
app.close()
"""


# Who meets


def test_programs_that_name_the_same_folder_share_one_process(mark, folder):
    words = [SHARES, folder, *server()]
    variables = {MARK: mark}
    with program(*words, **variables) as one, program(*words, **variables) as two:
        pids = []
        for each in (one, two, one):
            each.tell("")
            pids.append(each.line())
        assert len(set(pids)) == 1
        one.kill()  # it has started it
        two.tell("")
        assert two.line() == pids[0]


def test_two_applications_do_not_share_a_process_in_one_folder(spawn, folder):
    """Each is asked for what it serves itself, or one of them is refused."""
    one = spawn(server(name="one"), share=str(folder))
    two = spawn(server(name="two"), share=str(folder))
    assert told(ask(one))["words"] == ["name=one"]
    assert told(ask(two))["words"] == ["name=two"]


def test_two_applications_of_one_server_do_not_share_a_process(spawn, monkeypatch, folder):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    one, two = spawn(server(name="one"), share=True), spawn(server(name="two"), share=True)
    same = spawn(server(name="one"), share=True)
    assert told(ask(one))["words"] == ["name=one"]
    assert told(ask(two))["words"] == ["name=two"]
    assert told(ask(same))["pid"] == told(ask(one))["pid"]


def test_folders_and_files_are_private(spawn, monkeypatch, folder):
    """Whatever the umask is."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    before = os.umask(0)
    try:
        app = spawn(server(socket="{socket}"), share=True)
        app.start()
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_dir()}
    assert len(modes) == 3  # of this user, of the application, of this instance
    assert set(modes.values()) == {0o700}


# Whose it may be


def refused(share: Path | str) -> str:
    with pytest.raises(ConfigurationError, match="share") as error:
        SpawningApplication(server(), share=str(share))
    assert str(share) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o770, 0o777])
def test_a_folder_that_others_may_enter_is_refused(folder, mode):
    made = folder / "made"
    made.mkdir()
    made.chmod(mode)
    assert "chmod 700" in refused(made)
    assert os.listdir(made) == []


def test_a_link_is_refused(folder):
    """It could be made to lead elsewhere at any time."""
    real, link = folder / "real", folder / "link"
    real.mkdir(0o700)
    link.symlink_to(real)
    refused(link)
    assert os.listdir(real) == []


@AS_ROOT
def test_a_folder_of_another_user_is_refused(folder):
    made = folder / "made"
    made.mkdir(0o700)
    os.chown(made, 65534, 65534)
    refused(made)
    assert os.listdir(made) == []


@AS_ROOT
def test_a_default_folder_of_another_user_is_refused(monkeypatch, folder):
    """Its name can be guessed, and each user may write in the folder for temporary files."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    made = folder / f"wsgiproxy-{os.geteuid()}"
    made.mkdir(0o700)
    os.chown(made, 65534, 65534)
    with pytest.raises(ConfigurationError, match="share"):
        SpawningApplication(server(), share=True)


def test_a_file_is_refused(folder):
    (folder / "file").write_text("")
    refused(folder / "file")


def test_a_folder_without_a_parent_folder_is_refused(folder):
    refused(folder / "no" / "such")


def test_a_path_too_long_for_a_unix_socket_is_refused_at_once(folder):
    """Of 107 bytes, some are for names of ours."""
    refused(folder / ("x" * 90))


# What may be left in it


def agreed(folder: Path) -> Path:
    """The folder of the one application that shares in *folder*."""
    (found,) = folder.iterdir()
    return found


def test_a_failure_from_before_a_reboot_is_ignored(spawn, folder):
    """Its clock began anew."""
    app = spawn(server(), share=str(folder))
    until_when = time.monotonic() + 1_000_000
    (agreed(folder) / "failure").write_text(json.dumps({"failures": 3, "until": until_when}))
    assert ask(app).status == 200


def test_a_file_current_of_an_ended_process_is_ignored(spawn, folder):
    app = spawn(server(), share=str(folder))
    app.start()
    current = agreed(folder) / "current"
    left = current.read_bytes()
    app.close()
    current.write_bytes(left)
    assert ask(spawn(server(), share=str(folder))).status == 200


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"folder": "/nowhere"}'])
def test_a_malformed_file_current_is_ignored(spawn, folder, content):
    """The disk was full, or it is of another version."""
    app = spawn(server(), share=str(folder))
    for name in ("current", "failure"):
        (agreed(folder) / name).write_bytes(content)
    assert ask(app).status == 200


def test_a_process_that_is_just_ending_is_not_joined(spawn, folder):
    """It has taken the call, and hangs up before it has said a word."""
    app = spawn(server(), share=str(folder))
    app.start()
    (current,) = folder.rglob("current")
    note = current.read_bytes()
    app.close()
    until(lambda: not list(folder.rglob("control")), "the end of it")
    facts = json.loads(note)
    os.makedirs(facts["folder"], exist_ok=True)
    control = Path(facts["folder"], "control")
    current.write_bytes(note)

    def hang_up(listener: socket.socket) -> None:
        with listener, listener.accept()[0]:
            control.unlink()

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(control))
    listener.listen(1)
    thread = threading.Thread(target=hang_up, args=[listener], daemon=True)
    thread.start()
    assert ask(spawn(server(), share=str(folder))).status == 200
    thread.join()


def test_a_folder_that_is_cleaned_up_does_not_end_the_service(spawn, folder):
    """By a program that removes old temporary files."""
    app = spawn(server(), share=str(folder), max_wait=2, stop_timeout=1)
    app.start()
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    until(lambda: ask(app).status == 200, "an answer")
    assert app.state == "ready"


# How long it stays


def is_free(path: Path) -> bool:
    """Whether no process holds a folder's lock, and so it may be removed."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(number)
    return True


def test_the_folder_is_locked_while_a_process_uses_it(spawn, folder):
    """systemd-tmpfiles(8) removes nothing that is locked, however old it looks."""
    one, two = spawn(server(), share=str(folder)), spawn(server(), share=str(folder))
    path = agreed(folder)
    assert not is_free(path)
    del one
    gc.collect()
    assert not is_free(path)
    assert ask(two).status == 200
    two.close()
    del two
    gc.collect()
    # Its last thread may hold it for a moment.
    until(lambda: is_free(path), "the end of it")


def test_folders_of_ended_servers_are_removed(spawn, folder):
    """By the next one of the same user; the other folders are in use or of another kind."""
    living = spawn(server(name="living"), share=str(folder))
    pid = told(ask(living))["pid"]
    lives = agreed(folder)
    before = sorted(lives.rglob("*"))
    kept = {lives.name}
    gone = [folder / "0123456789abcdef", folder / ("f" * 16)]
    others = [
        "0123456789abcdeg",
        "0123456789ABCDEF",
        "0123456789abcde",
        "f" * 17,
        "run-0123456789a",
    ]
    for path in [*gone, *(folder / name for name in others), folder / "elsewhere"]:
        (path / "run-1").mkdir(parents=True)
        (path / "run-1" / "secret").write_text("")
    (folder / ("a" * 16)).write_text("a file")
    (folder / ("b" * 16)).symlink_to(folder / "elsewhere")
    kept |= {*others, "elsewhere", "a" * 16, "b" * 16}
    app = spawn(server(name="next"), share=str(folder))
    (own,) = {path.name for path in folder.iterdir()} - kept
    assert own not in {path.name for path in gone}
    for name in [*others, "elsewhere"]:
        assert (folder / name / "run-1" / "secret").exists()
    assert (sorted(lives.rglob("*")), told(ask(living))["pid"]) == (before, pid)
    assert ask(app).status == 200


# The end of the program

ENDS = f"""
import sys
from tests.spawn.children import ask
from wsgiproxy.spawn import SpawningApplication

app = SpawningApplication(sys.argv[2:], share=sys.argv[1], inherit_env=[{MARK!r}])
print(ask(app).status, flush=True)
"""


def test_a_program_without_close_ends_without_output(mark, folder):
    with program(ENDS, folder, *server(), **{MARK: mark}) as parent:
        assert parent.line() == "200"
        assert (parent.wait(), parent.stderr) == (0, "")
