"""Who has a password."""

from __future__ import annotations

import os
import sys

import bcrypt
import pytest

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.forward.passwords import PasswordFile, _slowest


def line(user: str, password: str) -> str:
    return f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "users"
    found.write_text("# who may\n\n" + line("alice", "wonder") + line("jürgen", "pä:ss"))
    return found


@pytest.mark.parametrize(
    ("user", "password", "right"),
    [
        ("alice", "wonder", True),
        ("alice", "Wonder", False),
        ("alice", "", False),
        ("jürgen", "pä:ss", True),
        ("bob", "wonder", False),
        ("", "", False),
    ],
)
def test_a_password_is_right_or_not(path, user, password, right):
    check = PasswordFile(path)
    assert [check(user, password) for _ in range(3)] == [right] * 3


def test_a_remembered_password_is_for_its_user_alone(path):
    check = PasswordFile(path)
    assert check("alice", "wonder")
    assert not check("jürgen", "wonder")
    assert not check("alice", "pä:ss")


def test_a_removed_user_is_refused(path):
    """Also if the hash is there under another name."""
    check = PasswordFile(path)
    assert check("alice", "wonder")
    path.write_text(path.read_text().replace("alice:", "carol:"))
    assert not check("alice", "wonder")
    assert check("carol", "wonder")


def test_a_client_that_tries_passwords_delays_no_other(path):
    check = PasswordFile(path)
    assert check("alice", "wonder", "192.0.2.1")
    addresses = [f"192.0.2.{number}" for number in range(2, 40)]
    taken = check._turns[hash("192.0.2.1") % len(check._turns)]
    other = next(each for each in addresses if check._turns[hash(each) % 64] is not taken)
    with taken:  # as long as one of this client is checked
        assert check("alice", "wonder", "192.0.2.1")  # it is remembered
        assert not check("alice", "queen", other)


def test_a_missing_bcrypt_is_an_error_at_the_start(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    with pytest.raises(ConfigurationError, match=r"expected the package bcrypt.*\[forward\]"):
        PasswordFile(path)


def test_a_fifo_in_its_place_is_not_waited_for(path, caplog):
    check = PasswordFile(path)
    path.unlink()
    os.mkfifo(path)
    assert check("alice", "wonder")
    assert "keeping the old passwords" in caplog.text
    with pytest.raises(ConfigurationError, match="expected a file of at most"):
        PasswordFile(path)


def test_an_unknown_user_takes_as_long_as_the_slowest_hash():
    hashes = {"a": "$2b$04$" + "a" * 53, "b": "$2y$12$" + "b" * 53, "c": "$2b$10$" + "c" * 53}
    assert _slowest(hashes) == hashes["b"]


def test_no_more_of_a_password_counts_than_bcrypt_looks_at(tmp_path):
    path = tmp_path / "users"
    path.write_text(line("alice", "x" * 72))
    check = PasswordFile(path)
    assert check("alice", "x" * 72)
    assert not check("alice", "x" * 73)


def test_the_file_is_read_again(path):
    check = PasswordFile(path)
    assert check("alice", "wonder")
    other = path.with_name("other")
    other.write_text(line("alice", "new"))
    os.replace(other, path)
    assert not check("alice", "wonder")
    assert check("alice", "new")


def test_a_broken_file_leaves_the_old_passwords(path, caplog):
    check = PasswordFile(path)
    path.write_text("nonsense\n")
    assert check("alice", "wonder")
    assert check("alice", "wonder")
    assert "line 1: expected user:hash" in caplog.text
    assert len(caplog.records) == 1
    path.unlink()
    assert check("alice", "wonder")
    assert check("alice", "wonder")
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a line user:hash"),
        ("# nobody\n", "expected a line user:hash"),
        ("alice\n", "line 1: expected user:hash with a hash of bcrypt"),
        (":x\n", "line 1"),
        ("\nalice:$apr1$x$y\n", "line 2: expected user:hash with a hash of bcrypt"),
        ("alice:{SHA}x\n", "as `htpasswd -B` writes it"),
        ("alice:plain\n", "bcrypt"),
        (f"a:$2b$04${'a' * 53}\na:$2b$04${'a' * 53}\n", "line 2: expected user:hash"),
        ("# " + "x" * (1 << 20), "expected a file of at most 1048576 bytes"),
        ("alice:$2y$99$" + "a" * 53, "bcrypt"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, text, message):
    path = tmp_path / "users"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        PasswordFile(path)
    assert str(caught.value).startswith(f"credentials={str(path)!r}: ")
    assert message in str(caught.value)
    assert "apr1" not in str(caught.value)
    assert "plain" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="credentials="):
        PasswordFile(tmp_path / "none")
