"""Signatures: signed at the front, verified at the backend.

It never loads a transport, so that a backend can check without one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from wsgiproxy.errors import BadSignature
from wsgiproxy.sansio.environ import inbound as environs
from wsgiproxy.sansio.fields.envelope import facts
from wsgiproxy.sansio.fields.forwarded import direct
from wsgiproxy.sansio.fields.names import environ_key, values
from wsgiproxy.sansio.fields.signature_members import foreign_members, received_members
from wsgiproxy.sansio.keys import Keyring, parse_keys
from wsgiproxy.sansio.message import Request
from wsgiproxy.sansio.pipeline import whole_target
from wsgiproxy.signature.signer import Signer, configured_signer, declared_keys
from wsgiproxy.signature.verifier import (
    Nonce,
    Steps,
    Verifier,
    apply,
    is_signed,
    taken,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = [
    "BadSignature",
    "Nonce",
    "Signer",
    "Steps",
    "Verifier",
    "apply",
    "check_request",
    "configured_signer",
    "declared_keys",
    "is_signed",
    "sign_request",
    "taken",
]


def _keyring(secret: bytes | str) -> Keyring:
    return parse_keys(secret.encode("utf-8") if isinstance(secret, str) else secret)


def sign_request(environ: WSGIEnvironment, secret: bytes | str) -> None:
    """Sign the request that *environ* describes, in place.

    It gets ``HTTP_WSGIPROXY``, ``HTTP_SIGNATURE_INPUT`` and ``HTTP_SIGNATURE`` (RFC 9421).

    :param environ: the request; changed.
    :param secret: content of a key file, as :func:`~wsgiproxy.secretloader.get_secret` gives
        it: one secret of at least 32 bytes, or lines of keys.
    :raises ConfigurationError: the secret is none.
    :raises BadRequest: the environ describes no well-formed request.

    >>> environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": "example.com"}
    >>> sign_request(environ, b"x" * 32)
    >>> check_request(environ, b"x" * 32)
    >>> "HTTP_SIGNATURE" in environ
    False
    """
    inbound = environs.read(environ)
    known = direct(
        inbound.scheme, inbound.host, inbound.script_name, inbound.peer, inbound.server_port
    )
    headers = [("Host", inbound.host)]
    for name in ("Signature-Input", "Signature"):
        headers += [(name, value) for value in values(inbound.headers, name)]
    request = Request(inbound.method, whole_target(inbound), headers)
    envelope = facts(known, "", "")
    keyring = _keyring(secret)
    _, sealed = Signer(lambda: keyring).seal(environ, envelope, inbound.scheme, request, None)
    for name, value in sealed.headers:
        environ[environ_key(name)] = value


def check_request(
    environ: WSGIEnvironment, secret: bytes | str, *, authorities: Iterable[str] = ()
) -> None:
    """Check the signature of a request, and remove it.

    :param environ: the request; changed.
    :param secret: as for :func:`sign_request`, or a public half.
    :param authorities: the hosts, with their ports, for which it must have been signed; needed
        with a public half.
    :raises BadSignature: there is none, or it is wrong, stale, or not for this request.
    :raises ConfigurationError: the secret is none, or a public half alone.
    """
    keyring = _keyring(secret)
    _, _, changes = Verifier(lambda: keyring, authorities=authorities).check(environ)
    rest = foreign_members(received_members(environ))
    # A covered body has been read: the application gets it once more.
    apply(
        {
            **changes,
            "HTTP_WSGIPROXY": None,
            "HTTP_SIGNATURE_INPUT": rest.signature_input or None,
            "HTTP_SIGNATURE": rest.signature or None,
        },
        environ,
    )
