"""Key files: made once, changed as a whole, and never lost."""

from __future__ import annotations

import os
import re
import stat
import sys
import threading

import pytest

from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.cli import keyfile, main
from wsgiproxy.errors import BadSignature, ConfigurationError
from wsgiproxy.middleware import WSGIProxyMiddleware
from wsgiproxy.sansio.keys import parse_keys
from wsgiproxy.secretloader import KeyFile
from wsgiproxy.signature import check_request, sign_request


@pytest.fixture
def path(tmp_path):
    return tmp_path / "secret.txt"


def keygen(capsys, *argv) -> str:
    assert main(["keygen", *map(str, argv)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def refused(capsys, *argv) -> tuple[int, str]:
    status = main(["keygen", *map(str, argv)])
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("wsgiproxy: ") and err.count("\n") == 1
    return status, err


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def keyids(path) -> list[str]:
    return list(parse_keys(path.read_bytes()).keys)


def left(path) -> list[str]:
    """What is in its folder besides."""
    return sorted(name for name in os.listdir(path.parent) if name != path.name)


def signs_for(front, backend) -> bool:
    """Whether what the one file signs is believed with the other."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": "example.com"}
    sign_request(environ, front.read_bytes())
    try:
        check_request(environ, backend.read_bytes(), authorities=["example.com"])
    except BadSignature:
        return False
    return True


# -- a new file ------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777], ids="{:03o}".format)
def test_the_mode_is_0600(umask, path, capsys):
    before = os.umask(umask)
    try:
        keygen(capsys, path)
    finally:
        os.umask(before)
    assert mode(path) == 0o600


def test_proxy_and_middleware_accept_the_file(path, capsys):
    out = keygen(capsys, path)
    assert f"WSGIProxyApp(\"http://...\", secret_file='{path}')" in out
    assert f"app = WSGIProxyMiddleware(app, secret_file='{path}')" in out
    assert "(ASGIProxyApp in the same way)" in out and "(ASGIProxyMiddleware in the" in out
    assert path.read_text().splitlines()[-1].split(":")[1] not in out
    WSGIProxyApp("http://127.0.0.1:1", str(path))
    WSGIProxyMiddleware(print, str(path))
    assert signs_for(path, path)


def test_the_file_has_a_comment(path, capsys):
    keygen(capsys, path)
    comments = path.read_text().splitlines()[:-1]
    assert re.match(r"# wsgiproxy keygen, \d{4}-\d\d-\d\d\. ", comments[0])
    assert comments[1].endswith(" ASGIProxyApp or WSGIProxyApp(..., secret_file='secret.txt')")


def test_key_ids_differ(tmp_path, capsys):
    paths = [tmp_path / str(number) for number in range(3)]
    for path in paths:
        keygen(capsys, path)
    names = {keyids(path)[0] for path in paths}
    assert len(names) == 3
    assert all(re.fullmatch(r"20\d{6}-[0-9a-f]{8}", name) for name in names)


def test_keyid_option(path, capsys):
    keygen(capsys, path, "--keyid", "k.1")
    assert keyids(path) == ["k.1"]


def test_a_line_end_in_the_file_name_makes_no_key(tmp_path, capsys):
    path = tmp_path / 'x\nevil:AAAA"é'
    keygen(capsys, path)
    assert len(keyids(path)) == 1


@pytest.mark.parametrize("content", ["", "precious\n"], ids=["empty", "precious"])
def test_an_existing_file_is_not_changed(content, path, capsys):
    path.write_text(content)
    status, said = refused(capsys, path)
    assert status == 1
    assert f"{path} is there already, and is left as it is; --rotate adds a key" in said
    assert path.read_text() == content
    assert left(path) == []


def test_a_link_is_not_followed(path, tmp_path, capsys):
    path.symlink_to(tmp_path / "elsewhere")
    assert refused(capsys, path)[0] == 1
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("argv", "status", "line"),
    [
        pytest.param(["{}/no/secret"], 1, "no such file or directory", id="no-folder"),
        pytest.param(["{}/x", "--keyid", "a b"], 2, "--keyid 'a b': expected", id="keyid"),
        pytest.param(["{}/x", "--algorithm", "rsa"], 2, "invalid choice: 'rsa'", id="algorithm"),
        pytest.param(["{}/x", "--rotate"], 2, "cannot be read: No such file", id="rotate-nothing"),
        pytest.param(["{}/x", "--promote", "a", "--keyid", "b"], 2, "--keyid: expected", id="both"),
        pytest.param(["{}/x", "--promote", "a", "--rotate"], 2, "not allowed with", id="two"),
    ],
)
def test_errors_and_their_status(argv, status, line, tmp_path, capsys):
    got, said = refused(capsys, *(word.format(tmp_path) for word in argv))
    assert (got, line in said) == (status, True)
    assert os.listdir(tmp_path) == []


# -- ed25519 ---------------------------------------------------------------------------


def test_ed25519_writes_two_halves(path, tmp_path, capsys):
    public = tmp_path / "secret.txt.pub"
    out = keygen(capsys, path, "--algorithm", "ed25519")
    assert f"secret_file='{public}', authorities=[" in out and "with a copy of FILE.pub" in out
    assert (mode(path), mode(public)) == (0o600, 0o644)
    assert parse_keys(public.read_bytes()).first.sign is None
    assert signs_for(path, public) and signs_for(path, path)
    with pytest.raises(ConfigurationError, match="a public half cannot sign"):
        WSGIProxyApp("http://127.0.0.1:1", str(public))


def test_the_mode_of_a_public_half_is_0644(path, capsys, caplog):
    keygen(capsys, path, "--algorithm", "ed25519")
    WSGIProxyMiddleware(print, f"{path}.pub", authorities="a.example")
    assert caplog.text == ""


def test_an_existing_public_half_is_not_changed(path, tmp_path, capsys):
    public = tmp_path / "secret.txt.pub"
    public.write_text("precious")
    assert refused(capsys, path, "--algorithm", "ed25519")[0] == 1
    assert public.read_text() == "precious" and not path.exists()


def test_no_public_half_beside_an_existing_file(path, capsys):
    path.write_text("precious")
    assert refused(capsys, path, "--algorithm", "ed25519")[0] == 1
    assert path.read_text() == "precious" and left(path) == []


def test_missing_cryptography_is_named_with_its_extra(path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.serialization", None)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    status, said = refused(capsys, path, "--algorithm", "ed25519")
    assert (status, "pip install 'wsgiproxy[ed25519]>=1'" in said) == (2, True)
    assert left(path) == [] and not path.exists()


# -- a change of keys ------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "ed25519"])
def test_rotation_step_by_step(algorithm, tmp_path, capsys):
    """At each step, what either front signs is believed by either backend."""
    front, copied = tmp_path / "front.txt", tmp_path / "copied.txt"
    backend = tmp_path / ("front.txt.pub" if algorithm == "ed25519" else "front.txt")
    keygen(capsys, front, "--algorithm", algorithm, "--keyid", "old")
    for step in (["--rotate", "--keyid", "new"], ["--promote", "new"], ["--remove", "old"]):
        copied.write_bytes(backend.read_bytes())  # a backend that is one step behind
        keygen(capsys, *step, front)
        assert signs_for(front, backend) and signs_for(front, copied)
    assert keyids(front) == ["new"] and keyids(backend) == ["new"]
    assert mode(front) == 0o600


def test_rotate_without_a_pub_file_prints_the_public_half(path, capsys):
    keygen(capsys, path, "--algorithm", "ed25519", "--keyid", "a")
    (path.parent / "secret.txt.pub").unlink()
    out = keygen(capsys, "--rotate", path, "--keyid", "b")
    (line,) = re.findall("^  (b:ed25519:.*)$", out, re.MULTILINE)
    assert parse_keys(line.encode()).first.sign is None
    assert left(path) == []


def test_the_last_public_half_is_not_removed(path, capsys):
    keygen(capsys, path, "--algorithm", "ed25519", "--keyid", "a")
    status, said = refused(capsys, "--remove", "a", f"{path}.pub")
    assert (status, "got comments alone" in said) == (2, True)
    assert keyids(path.parent / "secret.txt.pub") == ["a"]


def test_a_new_key_is_the_second(path, capsys):
    keygen(capsys, path, "--keyid", "a")
    out = keygen(capsys, "--rotate", path, "--keyid", "b")
    assert f"wsgiproxy keygen --promote b {path}" in out
    keygen(capsys, "--rotate", path, "--keyid", "c")
    assert keyids(path) == ["a", "c", "b"]
    assert path.read_text().startswith("# wsgiproxy keygen")
    out = keygen(capsys, "--promote", "b", path)
    assert keyids(path) == ["b", "a", "c"]
    assert f"wsgiproxy keygen --remove a {path}" in out
    assert keygen(capsys, "--promote", "b", path).count("\n") == 1
    keygen(capsys, "--remove", "c", path)
    assert keyids(path) == ["b", "a"]


def test_a_running_process_reads_a_promoted_key(path, capsys):
    keygen(capsys, path, "--keyid", "a")
    file = KeyFile(path)
    keygen(capsys, "--rotate", path, "--keyid", "b")
    assert list(file.keyring().keys) == ["a", "b"]
    keygen(capsys, "--promote", "b", path)
    assert file.keyring().first.keyid == "b"


@pytest.mark.parametrize("bits", [0o600, 0o640, 0o400], ids="{:03o}".format)
def test_rotate_keeps_mode_and_owner(bits, path, capsys):
    keygen(capsys, path)
    path.chmod(bits)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    before = path.stat()
    keygen(capsys, "--rotate", path)
    after = path.stat()
    assert mode(path) == bits
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert left(path) == []


def test_rotate_keeps_a_symbolic_link(path, tmp_path, capsys):
    keygen(capsys, path)
    link = tmp_path / "link"
    link.symlink_to(path)
    keygen(capsys, "--rotate", link)
    assert link.is_symlink() and len(keyids(path)) == 2


def test_rotate_gives_a_bare_secret_a_key_id(path, capsys):
    """One bare secret, as WSGIProxy 0.2 had it."""
    path.write_bytes(b"s" * 40 + b"\n")
    path.chmod(0o600)
    old = path.read_bytes()
    (keyid,) = keyids(path)
    keygen(capsys, "--rotate", path, "--keyid", "new")
    assert keyids(path) == [keyid, "new"]
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": "example.com"}
    sign_request(environ, old)
    check_request(environ, path.read_bytes())
    assert "HTTP_SIGNATURE" not in environ


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        pytest.param(["--rotate", "--keyid", "a"], "the key 'a' is there already", id="twice"),
        pytest.param(
            ["--rotate", "--algorithm", "ed25519"],
            "--algorithm 'ed25519': expected hmac-sha256, as",
            id="algorithm",
        ),
        pytest.param(["--promote", "x"], "no key 'x' in it: there are 'a', 'b'", id="promote"),
        pytest.param(["--remove", "x"], "no key 'x' in it: there are 'a', 'b'", id="remove"),
        pytest.param(["--remove", "a"], "the key 'a' signs: let another one", id="remove-first"),
    ],
)
def test_a_refused_change_leaves_the_file(argv, line, path, capsys):
    keygen(capsys, path, "--keyid", "a")
    keygen(capsys, "--rotate", path, "--keyid", "b")
    before = path.read_bytes()
    status, said = refused(capsys, *argv, path)
    assert (status, line in said) == (2, True)
    assert path.read_bytes() == before and left(path) == []


def test_a_file_that_other_users_may_write_is_refused(path, capsys):
    keygen(capsys, path)
    path.chmod(0o666)
    status, said = refused(capsys, "--rotate", path)
    assert (status, "may write it (666)" in said, len(keyids(path))) == (2, True, 1)


def test_concurrent_changes_lose_no_key(path, capsys):
    keygen(capsys, path, "--keyid", "first")
    lines = [f"k{number}:{'A' * 43}" for number in range(8)]
    start = threading.Barrier(len(lines))

    def add(line: str) -> None:
        start.wait(10)
        keyfile.change(str(path), lambda content: keyfile.added(content, line))

    threads = [threading.Thread(target=add, args=[line]) for line in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(keyids(path)) == sorted(["first", *(line.split(":")[0] for line in lines)])


def test_a_failed_write_leaves_the_old_file(path, monkeypatch, capsys):
    keygen(capsys, path)
    before = path.read_bytes()

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    assert refused(capsys, "--rotate", path) == (
        1,
        f"wsgiproxy: {path}: no space left on device\n",
    )
    assert path.read_bytes() == before and left(path) == []
    new = path.parent / "new.txt"
    assert refused(capsys, new)[0] == 1
    assert not new.exists()


def test_public_halves_are_not_rotated(tmp_path, capsys):
    """The new line would be a private half, in a file that all users may read."""
    file = tmp_path / "secret.txt"
    assert main(["keygen", "--algorithm", "ed25519", str(file)]) == 0
    before = (tmp_path / "secret.txt.pub").read_bytes()
    assert main(["keygen", "--rotate", "--algorithm", "ed25519", f"{file}.pub"]) == 2
    assert "these are public halves" in capsys.readouterr().err
    assert (tmp_path / "secret.txt.pub").read_bytes() == before
