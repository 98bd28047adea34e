"""Rules about key files: what their lines mean, and that nobody ever sees a secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import sys
import traceback

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.support.oracles import ED25519_PRIVATE, ED25519_PUBLIC
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.keys import (
    Key,
    Keyring,
    base64url,
    ed25519_halves,
    hmac_key,
    parse_keys,
    unbase64url,
)

A = b"a" * 32
B = b"b" * 40


def line(secret: bytes, keyid: str = "k1") -> bytes:
    return f"{keyid}:{base64url(secret)}\n".encode("ascii")


def private(keyid: str = "e1", der: bytes = ED25519_PRIVATE) -> bytes:
    return f"{keyid}:ed25519:{base64url(der)}\n".encode("ascii")


def public(keyid: str = "e1", der: bytes = ED25519_PUBLIC) -> bytes:
    return private(keyid, der)


def signs_with(secret: bytes, key: Key) -> bool:
    """Whether a key is exactly that secret for hmac-sha256, by the standard library."""
    expected = hmac.new(secret, b"base", hashlib.sha256).digest()
    assert key.sign is not None
    return key.sign(b"base") == expected and key.verify(b"base", expected)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        pytest.param(line(A), ["k1"], id="one-line"),
        pytest.param(line(A).rstrip(), ["k1"], id="no-line-end"),
        pytest.param(line(A) + line(B, "k2"), ["k1", "k2"], id="the-first-signs"),
        pytest.param(line(B, "k2") + line(A), ["k2", "k1"], id="in-the-order-of-the-file"),
        pytest.param(b"# May\n" + line(A) + b"\n#k9:x\n" + line(B, "k2"), ["k1", "k2"], id="#"),
        pytest.param(b"  # May\n\t" + line(A), ["k1"], id="spaces-in-front"),
        pytest.param(line(A).replace(b"\n", b" \r\n"), ["k1"], id="line-end-of-windows"),
        pytest.param(line(A).rstrip() + b"=\n", ["k1"], id="padding"),
        pytest.param(line(A, "a.b_c-D9"), ["a.b_c-D9"], id="all-characters-of-a-name"),
        pytest.param(line(A, "k" * 64), ["k" * 64], id="a-name-of-64"),
        pytest.param(line(A, "ed25519"), ["ed25519"], id="a-name-that-is-an-algorithm"),
        pytest.param(line(b"\xfb\xff" * 16), ["k1"], id="both-characters-of-base64url"),
        pytest.param("# für März\n".encode() + line(A), ["k1"], id="comment-in-utf-8"),
    ],
)
def test_lines(content: bytes, names: list[str]) -> None:
    keyring = parse_keys(content)
    assert list(keyring.keys) == names
    assert keyring.first is keyring.keys[names[0]] is keyring.signer()
    assert all(key.keyid == name for name, key in keyring.keys.items())


def test_a_line_is_that_secret() -> None:
    keyring = parse_keys(line(A) + line(B, "k2"))
    assert signs_with(A, keyring.keys["k1"])
    assert signs_with(B, keyring.keys["k2"])
    assert {key.algorithm for key in keyring.keys.values()} == {"hmac-sha256"}


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        pytest.param(A, A, id="text"),
        pytest.param(A + b"\n", A, id="line-end-at-the-end"),
        pytest.param(A + b"\r\n", A, id="line-end-of-windows"),
        pytest.param(b" " + A + b" \n", b" " + A + b" ", id="spaces-belong-to-it"),
        pytest.param(bytes(range(128, 192)), bytes(range(128, 192)), id="bytes"),
        pytest.param(A + b"\nb", A + b"\nb", id="a-line-end-within"),
        pytest.param(b"pass:" + A + b"!", b"pass:" + A + b"!", id="a-colon-within"),
        pytest.param(base64.b64encode(B), base64.b64encode(B), id="base64-is-not-decoded"),
    ],
)
def test_one_secret_as_before(content: bytes, secret: bytes) -> None:
    """0.2.2: a file that holds nothing but a secret, which gets its name from itself."""
    keyring = parse_keys(content)
    name = hmac.new(secret, b"wsgiproxy keyid", hashlib.sha256).digest()
    keyid = base64.urlsafe_b64encode(name)[:8].decode("ascii")
    assert keyring == Keyring(keyring.first, {keyid: keyring.first})
    assert keyring.first.keyid == keyid
    assert signs_with(secret, keyring.first)


def test_both_ends_name_a_secret_alike() -> None:
    """Whatever line end an editor has left."""
    names = {parse_keys(A + end).first.keyid for end in (b"", b"\n", b"\r\n", b"\n\n")}
    assert len(names) == 1
    assert names != {parse_keys(B).first.keyid}


BROKEN = [
    pytest.param(b"", "at least 32 bytes", id="empty"),
    pytest.param(b"\n\n", "at least 32 bytes", id="line-ends"),
    pytest.param(b"# nothing\n", "comments alone", id="comments"),
    pytest.param(b"x" * 31, "at least 32 bytes", id="31-bytes"),
    pytest.param(b"x" * 31 + b"\n", "at least 32 bytes", id="31-bytes-and-a-line-end"),
    pytest.param(line(b"x" * 31), "line 1: key 'k1': .* 32 bytes, got 31", id="a-line-of-31-bytes"),
    pytest.param(line(A) + b"k2:\n", "line 2: expected keyid:base64url", id="no-secret"),
    pytest.param(line(A) + b"k2\n", "line 2: expected keyid:base64url", id="no-colon"),
    pytest.param(line(A) + b":" + line(B), "line 2: expected", id="no-name"),
    pytest.param(line(A) + line(B, "k 2"), "line 2: expected", id="a-space-in-the-name"),
    pytest.param(line(A) + line(B, "k" * 65), "line 2: expected", id="a-name-of-65"),
    pytest.param(line(A) + line(B, 'k"'), "line 2: expected", id="a-quote-in-the-name"),
    pytest.param(line(A) + b"k2:a/b+" + A, "line 2: expected", id="not-base64url"),
    pytest.param(line(A) + b"k2:rsa:" + A, "line 2: expected", id="another-algorithm"),
    pytest.param(line(A) + b"k2:" + b"x" * 45, "line 2: not base64url", id="six-bits-too-many"),
    pytest.param(b"#\n\n" + line(A) + line(B), "line 4: the key 'k1' is there twice", id="twice"),
    pytest.param(line(A) + A + b"\n", "line 2: expected", id="a-secret-among-lines"),
    pytest.param(A + b"\n#\n", "line 1: expected", id="a-secret-and-a-comment"),
    pytest.param(line(A, "k\xf6"[:1]) + b"k2:\xf6" + A, "line 2: expected", id="latin-1"),
]


@pytest.mark.parametrize(("content", "message"), BROKEN)
def test_broken_files(content: bytes, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_keys(content)


PEM = b"-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(ED25519_PUBLIC) + b"\n-----END...-----\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"e1:ed25519:" + base64.b64encode(ED25519_PUBLIC), "line 1", id="base64"),
        pytest.param(b" e1:ed25519:" + base64.b64encode(ED25519_PUBLIC), "line 1", id="indented"),
        pytest.param(b"e1:ed25519:" + b"x" * 40 + b"!", "line 1", id="no-base64"),
        pytest.param(b"e 1:ed25519:" + b"x" * 40, "line 1", id="a-name-that-is-none"),
        pytest.param(PEM, "line 1", id="pem"),
        pytest.param(b"ssh-ed25519 " + b"x" * 64 + b" me@here\n", "line 1", id="openssh"),
    ],
)
def test_a_public_half_is_never_taken_for_a_secret(content: bytes, message: str) -> None:
    """Whoever has seen it could sign: a broken line is an error, and no secret of 0.2.2."""
    with pytest.raises(ConfigurationError, match=message):
        parse_keys(content)


def test_ed25519_private() -> None:
    key = parse_keys(private()).signer()
    assert key.algorithm == "ed25519"
    assert key.sign is not None
    signature = key.sign(b"base")
    assert key.verify(b"base", signature)
    assert not key.verify(b"other", signature)
    # RFC 8032: there is one signature only, so that another's is the same.
    other = ed25519.Ed25519PrivateKey.from_private_bytes(ED25519_PRIVATE[-32:])
    assert signature == other.sign(b"base")


def test_ed25519_public() -> None:
    """It verifies what the private half has signed, and signs nothing."""
    keyring = parse_keys(public())
    sign = parse_keys(private()).signer().sign
    assert sign is not None
    assert keyring.first.verify(b"base", sign(b"base"))
    assert keyring.first.sign is None
    with pytest.raises(ConfigurationError, match="'e1': a public half cannot sign"):
        keyring.signer()


def test_ed25519_halves() -> None:
    """The two files of a key pair, made of 32 random bytes: here those of RFC 9421, B.1.4."""
    assert ed25519_halves(ED25519_PRIVATE[-32:]) == (ED25519_PRIVATE, ED25519_PUBLIC)


def test_the_first_key_signs_whatever_else_could() -> None:
    keyring = parse_keys(public() + line(A))
    assert list(keyring.keys) == ["e1", "k1"]
    with pytest.raises(ConfigurationError, match="'e1'"):
        keyring.signer()
    assert parse_keys(line(A) + public()).signer().keyid == "k1"


@pytest.mark.parametrize("make", [hmac_key, lambda *_: parse_keys(private()).first])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: b"", id="nothing"),
        pytest.param(lambda s: s[:-1], id="a-byte-less"),
        pytest.param(lambda s: s + b"\0", id="a-byte-more"),
        pytest.param(lambda s: s[::-1], id="backwards"),
        pytest.param(lambda s: s[:-1] + bytes([s[-1] ^ 1]), id="one-bit"),
        pytest.param(lambda s: bytes(len(s)), id="zeros"),
    ],
)
def test_a_signature_is_right_or_wrong(make, change) -> None:
    """Of whatever length: the answer is False, and no error."""
    key = make("k1", A)
    assert key.verify(b"base", key.sign(b"base"))
    assert not key.verify(b"base", change(key.sign(b"base")))


_rsa = rsa.generate_private_key(65537, 1024)
_x25519 = x25519.X25519PrivateKey.generate()
_spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
_pkcs8 = (Encoding.DER, PrivateFormat.PKCS8)


@pytest.mark.parametrize(
    "der",
    [
        pytest.param(b"x", id="no-der"),
        pytest.param(ED25519_PUBLIC[:-1], id="public-cut"),
        pytest.param(ED25519_PRIVATE[:-1], id="private-cut"),
        pytest.param(ED25519_PUBLIC[-32:], id="32-bytes-alone"),
        pytest.param(_rsa.public_key().public_bytes(*_spki), id="public-rsa"),
        pytest.param(_rsa.private_bytes(*_pkcs8, NoEncryption()), id="private-rsa"),
        pytest.param(_x25519.public_key().public_bytes(*_spki), id="public-x25519"),
        pytest.param(_x25519.private_bytes(*_pkcs8, NoEncryption()), id="private-x25519"),
        pytest.param(ED25519_PUBLIC.replace(b"+ep", b"+ew"), id="public-of-nobody-knows-what"),
        pytest.param(ED25519_PRIVATE.replace(b"+ep", b"+ew"), id="private-of-nobody-knows-what"),
        pytest.param(
            ed25519.Ed25519PrivateKey.generate().private_bytes(
                *_pkcs8, BestAvailableEncryption(b"pass")
            ),
            id="encrypted",
        ),
    ],
)
def test_ed25519_takes_nothing_else(der: bytes) -> None:
    with pytest.raises(ConfigurationError, match="line 1: key 'e1': expected an ed25519 key"):
        parse_keys(private(der=der))


def test_ed25519_that_openssl_cannot_name() -> None:
    """PKCS #8 with one bit changed: cryptography raises InternalError, which is no ValueError."""
    odd = b"k2:ed25519:MC4CAQAwBQYDK2VvBCIEIHNzc3Puc3Nzc3Nzc3Nzc75zc3Nzc3Nzc3Nzc3Nzc3Nz"
    with pytest.raises(ConfigurationError, match="line 1: key 'k2': expected an ed25519 key"):
        parse_keys(odd)


def test_ed25519_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install; other keys need nothing."""
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(ConfigurationError, match=r"line 1: key 'e1'.*wsgiproxy\[ed25519\]"):
        parse_keys(private())
    assert parse_keys(line(A)).first.keyid == "k1"
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(ConfigurationError, match=r"wsgiproxy\[ed25519\]"):
        ed25519_halves(bytes(32))


SECRET = b"0123456789-the-secret-itself-ABCDEF"
SHOWN = [SECRET, base64.b64encode(SECRET), base64url(SECRET).encode(), SECRET.hex().encode()]


def assert_hidden(text: str) -> None:
    for form in SHOWN:
        for start in range(0, len(form) - 8, 4):
            assert form[start : start + 8].decode("ascii") not in text


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(SECRET + b"\n#\n", id="raw-and-a-comment"),
        pytest.param(line(A) + SECRET, id="raw-among-lines"),
        pytest.param(line(A) + b"k2:" + SECRET + b"!", id="not-base64url"),
        pytest.param(line(A) + line(SECRET), id="twice"),
        pytest.param(b"k1:" + base64url(SECRET).encode()[:40], id="too-short"),
        pytest.param(line(A) + b"k2:" + base64url(SECRET).encode()[:45], id="six-bits-too-many"),
        pytest.param(line(A) + b"k2:" + base64url(SECRET).encode() + b"=" * 3, id="padding"),
        pytest.param(private(der=SECRET), id="ed25519-that-is-none"),
        pytest.param(b"k2:ed25519:" + base64.b64encode(SECRET) + b"/", id="ed25519-in-base64"),
        pytest.param(SECRET[:31], id="raw-too-short"),
    ],
)
def test_no_message_shows_a_secret(content: bytes) -> None:
    """Nor does any of the errors behind it."""
    with pytest.raises(ConfigurationError) as caught:
        parse_keys(content)
    assert_hidden("".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(SECRET, id="raw"),
        pytest.param(line(A) + line(SECRET, "k2"), id="lines"),
        pytest.param(private(der=ED25519_PRIVATE[:-32] + SECRET[:32]), id="ed25519"),
    ],
)
def test_no_repr_shows_a_secret(content: bytes) -> None:
    keyring = parse_keys(content)
    for value in (keyring, keyring.keys, *keyring.keys.values()):
        assert "Key('" in repr(value)
        assert_hidden(repr(value))
        assert_hidden(str(value))
    for key in keyring.keys.values():
        assert_hidden("".join(map(repr, tuple(key))))


@given(st.binary(max_size=80) | st.text("k1:=#\n -_aA+ed2519", max_size=80).map(str.encode))
def test_any_content_is_keys_or_an_error(content: bytes) -> None:
    """Whatever is in the file, it gives keys that can verify, or a ConfigurationError."""
    try:
        keyring = parse_keys(content)
    except ConfigurationError:
        return
    assert keyring.first in keyring.keys.values()
    assert not any(key.verify(b"base", b"wrong") for key in keyring.keys.values())


@given(st.binary(max_size=20))
def test_base64url(data: bytes) -> None:
    """It is that of RFC 4648, 5 without padding, and comes back."""
    text = base64url(data)
    assert text == base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")
    assert unbase64url(text) == data


@pytest.mark.parametrize("text", ["A", "AAAAA", "AA=", "AA==", "A+AA", "A/AA", "A A", "AA\n", "é"])
def test_unbase64url_refuses(text: str) -> None:
    with pytest.raises(ValueError):
        unbase64url(text)


@given(st.text(max_size=9) | st.text("Aa0-_=+/ \n", max_size=9))
def test_unbase64url_skips_nothing(text: str) -> None:
    """What is accepted has no character that does not count."""
    try:
        data = unbase64url(text)
    except ValueError:
        return
    assert len(base64url(data)) == len(text)
    assert base64url(data)[:-1] == text[:-1]
