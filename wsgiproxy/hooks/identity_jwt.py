"""Who the user is, as a signed token (JWT, RFC 7519) that backends check with any library.

A token of the client is removed, whatever its spelling. The public key is at an address of its own
(JWKS, RFC 7517), so that backends need nothing but that. Who the user is, the login decides that
stands before the proxy: no field of the request is asked.
"""

from __future__ import annotations

import hashlib
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.hooks.checks import field_names, named, require
from wsgiproxy.hooks.messages import Request, Response
from wsgiproxy.sansio.fields.names import without
from wsgiproxy.sansio.hooks import Hook
from wsgiproxy.sansio.target import PRINTABLE

__all__ = ["identity_jwt", "logged_in"]

# Clocks of two machines differ by less, and a token that was stolen is soon worth nothing.
_SECONDS = 60
_ALGORITHMS = {"ES256": "P-256", "EdDSA": "Ed25519"}
_OF_JWKS = {"Content-Type": "application/jwk-set+json", "Cache-Control": "max-age=300"}
# What a thumbprint is made of, in this order (RFC 7638, 3.2; RFC 8037, 2).
_MEMBERS = ("crv", "kty", "x", "y")


def logged_in(request: Request) -> str | None:
    """The user whom the login before the proxy has found.

    Under WSGI that is ``REMOTE_USER``; under ASGI the name of ``scope["user"]``, where the
    middleware of Starlette has put it.
    """
    if request.environ is not None:
        return request.environ.get("REMOTE_USER") or None
    user = (request.scope or {}).get("user")
    if not getattr(user, "is_authenticated", False):
        return None
    return str(getattr(user, "display_name", "")) or None


def identity_jwt(
    key: str | Sequence[str],
    issuer: str,
    audience: str,
    *,
    user: Callable[[Request], str | None] = logged_in,
    name: str = "X-Identity-Token",
    jwks_path: str = "/.well-known/jwks.json",
) -> Hook:
    """Send a token of one minute with ``sub``, ``iss`` and ``aud``; none for users not logged in.

    :param key: a private key in PEM, of P-256 or Ed25519, for PyJWT of the extra ``jwt``; or
        several, of which the first signs, and all are published.
    :param issuer: that of the tokens: the address of this application.
    :param audience: the backend. Each has its own, or one could use the tokens of another.
    :param user: tells who the user is.
    :param name: of the field.
    :param jwks_path: below the mount, where the public keys are.
    :raises ConfigurationError: a setting is not right, or PyJWT is not installed.
    """
    require(isinstance(issuer, str) and issuer, "issuer", issuer, "text")
    require(isinstance(audience, str) and audience, "audience", audience, "text")
    require(callable(user), "user", user, "a function that gets the request")
    field_names("name", [name], ours=False)
    require(_is_path(jwks_path), "jwks_path", jwks_path, "an encoded path")
    sign, jwks = _keys(key)

    def hook(request: Request) -> Generator[Any, Any, Response | None]:
        request.headers = without(request.lines, [name])
        if request.raw_path == jwks_path and request.method in ("GET", "HEAD"):
            return Response(200, _OF_JWKS, jwks)
        if subject := user(request):
            claims = {"iss": issuer, "aud": audience, "sub": subject}
            request.headers[name] = sign(_dated(claims))
        yield request
        return None

    return named(hook, f"identity_jwt({audience})")


def _dated(claims: dict[str, Any]) -> dict[str, Any]:
    # RFC 7519, 4.1.2: libraries refuse a number.
    require(isinstance(claims["sub"], str), "user(request)", claims["sub"], "text")
    now = int(time.time())
    return {**claims, "iat": now, "exp": now + _SECONDS}


def _is_path(path: object) -> bool:
    right = isinstance(path, str) and PRINTABLE.fullmatch(path) and path.startswith("/")
    return bool(right) and not set(str(path)) & {"?", "#"}


def _keys(given: str | Sequence[str]) -> tuple[Callable[[dict[str, Any]], str], str]:
    """What signs claims, by the first key, and the set of all public keys."""
    signers: list[Callable[[dict[str, Any]], str]] = []
    published: list[dict[str, str]] = []
    keys: Iterable[Any] = given if isinstance(given, (list, tuple)) else [given]
    for key in keys:
        sign, public = _signer(key)
        if public in published:
            raise ConfigurationError("key: expected different keys (they are not shown)")
        signers.append(sign)
        published.append(public)
    if not signers:
        raise ConfigurationError("key=[]: expected a key at least")
    return signers[0], json.dumps({"keys": published})


def _signer(key: str) -> tuple[Callable[[dict[str, Any]], str], dict[str, str]]:
    """What signs claims, and the public key."""
    try:
        import jwt
    except ImportError as error:
        raise ConfigurationError("identity_jwt: expected PyJWT to be installed") from error
    for name, curve in _ALGORITHMS.items():
        try:
            algorithm: Any = jwt.get_algorithm_by_name(name)
            private = algorithm.prepare_key(key)
            public = algorithm.to_jwk(private.public_key(), as_dict=True)
        except Exception:  # PyJWT lets the errors of cryptography through, which are of many types
            continue
        if public["crv"] == curve:
            break
    else:
        raise ConfigurationError(
            "key: expected a private key in PEM, of P-256 or Ed25519 (it is not shown)"
        )
    members = {each: public[each] for each in _MEMBERS if each in public}
    digest = hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest()
    kid = urlsafe_b64encode(digest).rstrip(b"=").decode()
    published = {**members, "kid": kid, "alg": name, "use": "sig"}
    return lambda claims: jwt.encode(claims, private, name, headers={"kid": kid}), published
