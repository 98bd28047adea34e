"""Keys: the text of a key file, and what its lines can sign and verify.

It refuses keys that are too short to be secrets, and never shows one.
"""

from __future__ import annotations

import binascii
import hmac
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.extras import extra

__all__ = [
    "ED25519",
    "HMAC",
    "KEYID",
    "Key",
    "Keyring",
    "base64url",
    "ed25519_halves",
    "has_lines",
    "hmac_key",
    "parse_keys",
    "unbase64url",
]

HMAC = "hmac-sha256"
ED25519 = "ed25519"
# RFC 9421, 7.3.1, and RFC 2104, 3: a key as long as the hash's output.
_LEAST = 32
#: The name of a key.
KEYID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LINE = re.compile(rf"({KEYID.pattern}):(?:({ED25519}):)?([A-Za-z0-9_-]+)={{0,2}}")
# What no secret of 0.2 begins with. A public half that was copied wrongly is a broken line,
# and must not become a secret: it may be known. Neither must a line with a slip (a byte
# order mark, a blank, quotes), or the two sides have different keys without a sign of it.
_SLIP = rf"""(?:\xef\xbb\xbf)?["'\s]*{KEYID.pattern}["']?\s*:\s*["']?[A-Za-z0-9+/_-]{{40}}"""
_KEY_FILE = re.compile(rf"#|[^:]*:{ED25519}:|-----BEGIN |ssh-{ED25519} |{_LINE.pattern}\Z|{_SLIP}")


def base64url(data: bytes) -> str:
    """Base64 with the URL alphabet and without padding (RFC 4648, 5)."""
    text = binascii.b2a_base64(data, newline=False).decode("ascii")
    return text.rstrip("=").replace("+", "-").replace("/", "_")


def unbase64url(text: str) -> bytes:
    """The inverse of :func:`base64url`.

    :raises ValueError: any other character, padding included.
    """
    size = len(text)
    if size % 4 == 1 or "=" in text or "+" in text or "/" in text:
        raise ValueError("not base64url")
    standard = text.replace("-", "+").replace("_", "/")
    data = binascii.a2b_base64(standard + "=" * (-size % 4))
    # Any other character was skipped, and less has come out than went in.
    if len(data) != size * 3 // 4:
        raise ValueError("not base64url")
    return data


class Key(NamedTuple):
    """One key; its secret is nowhere to be seen.

    :param keyid: its name, which travels with each signature.
    :param algorithm: its algorithm, which is never the message's to choose.
    :param sign: from the signature base to the signature; None for a public half.
    :param verify: whether a signature belongs to a signature base.
    """

    keyid: str
    algorithm: str
    sign: Callable[[bytes], bytes] | None
    verify: Callable[[bytes, bytes], bool]

    def __repr__(self) -> str:
        return f"Key({self.keyid!r}, {self.algorithm!r})"


class Keyring(NamedTuple):
    """The keys of one file.

    :param first: the key that signs.
    :param keys: all of them, which verify, by their names.
    """

    first: Key
    keys: Mapping[str, Key]

    def signer(self) -> Key:
        """The first key.

        :raises ConfigurationError: it is a public half, which cannot sign.
        """
        if self.first.sign is None:
            raise ConfigurationError(f"key {self.first.keyid!r}: a public half cannot sign")
        return self.first


def hmac_key(keyid: str, secret: bytes) -> Key:
    """A key for ``hmac-sha256`` (RFC 9421, 3.3.3).

    :raises ConfigurationError: it is shorter than 32 bytes.
    """
    if len(secret) < _LEAST:
        raise ConfigurationError(
            f"key {keyid!r}: expected a secret of at least {_LEAST} bytes, got {len(secret)}"
        )

    # Prepared once: a copy costs two thirds of what starting anew does.
    prepared = hmac.new(secret, digestmod="sha256")

    def sign(base: bytes) -> bytes:
        state = prepared.copy()
        state.update(base)
        return state.digest()

    def verify(base: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(sign(base), signature)

    return Key(keyid, HMAC, sign, verify)


def _ed25519_key(keyid: str, der: bytes) -> Key:
    """A key for ``ed25519`` (RFC 9421, 3.3.6), in the DER of RFC 8410: PKCS #8, or SPKI."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ed25519
        from cryptography.hazmat.primitives.serialization import (
            load_der_private_key,
            load_der_public_key,
        )
    except ImportError as error:
        raise ConfigurationError(
            f"key {keyid!r}: ed25519 needs the extra: {extra('ed25519')}"
        ) from error
    sign = None
    try:
        public: object = load_der_public_key(der)
    except Exception:  # odd DER raises whatever OpenSSL makes of it, InternalError too
        try:
            private = load_der_private_key(der, None)
        except Exception:
            private = None
        if not isinstance(private, ed25519.Ed25519PrivateKey):
            raise ConfigurationError(
                f"key {keyid!r}: expected an ed25519 key in DER (PKCS #8 or public)"
            ) from None
        sign, public = private.sign, private.public_key()
    if not isinstance(public, ed25519.Ed25519PublicKey):
        raise ConfigurationError(f"key {keyid!r}: expected an ed25519 key") from None
    check = public.verify

    def verify(base: bytes, signature: bytes) -> bool:
        try:
            check(signature, base)
        except InvalidSignature:
            return False
        return True

    return Key(keyid, ED25519, sign, verify)


def ed25519_halves(seed: bytes) -> tuple[bytes, bytes]:
    """The private and the public half of an ed25519 key, in DER.

    :param seed: 32 random bytes.
    :raises ConfigurationError: the extra is not installed.
    """
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise ConfigurationError(f"ed25519 needs the extra: {extra('ed25519')}") from error
    private = Ed25519PrivateKey.from_private_bytes(seed)
    der = serialization.Encoding.DER
    plain = serialization.NoEncryption()
    return (
        private.private_bytes(der, serialization.PrivateFormat.PKCS8, plain),
        private.public_key().public_bytes(der, serialization.PublicFormat.SubjectPublicKeyInfo),
    )


def _lines(content: bytes) -> list[str]:
    return [line.strip() for line in content.decode("latin-1").splitlines()]


def has_lines(content: bytes) -> bool:
    """Whether a key file has lines of keys, and is not one secret.

    >>> has_lines(b"k1:" + b"A" * 43), has_lines(b"correct horse battery staple")
    (True, False)
    """
    return any(map(_KEY_FILE.match, _lines(content)))


def parse_keys(content: bytes) -> Keyring:
    """Read a key file: the first key signs, all of them verify.

    Either one key a line, ``keyid:base64url`` or ``keyid:ed25519:base64url``, with ``#``
    comments; or, as WSGIProxy 0.2 had it, nothing but one secret, with a newline at its end.

    :raises ConfigurationError: naming the line, and never what is in it.

    >>> parse_keys(b"# since May\\nk2:" + b"A" * 43).first
    Key('k2', 'hmac-sha256')
    """
    lines = _lines(content)
    if not has_lines(content):
        secret = content.rstrip(b"\r\n")
        if len(secret) < _LEAST:
            raise ConfigurationError(
                f"expected a secret of at least {_LEAST} bytes, as `wsgiproxy keygen` makes one"
            )
        keyid = base64url(hmac.digest(secret, b"wsgiproxy keyid", "sha256"))[:8]
        return Keyring(key := hmac_key(keyid, secret), {keyid: key})
    keys: dict[str, Key] = {}
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        key = _key(number, line)
        if key.keyid in keys:
            raise ConfigurationError(f"line {number}: the key {key.keyid!r} is there twice")
        keys[key.keyid] = key
    if not keys:
        raise ConfigurationError("expected a key, got comments alone")
    return Keyring(next(iter(keys.values())), keys)


def _key(number: int, line: str) -> Key:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ConfigurationError(
            f"line {number}: expected keyid:base64url or keyid:{ED25519}:base64url"
        )
    try:
        secret = unbase64url(match[3])
    except (ValueError, binascii.Error) as error:
        raise ConfigurationError(f"line {number}: not base64url") from error
    try:
        return (_ed25519_key if match[2] else hmac_key)(match[1], secret)
    except ConfigurationError as error:
        raise ConfigurationError(f"line {number}: {error}") from error
