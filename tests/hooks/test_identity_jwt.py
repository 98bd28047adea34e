"""A backend knows who the user is, and clients cannot say it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.hooks.both import EDGES, asked
from tests.support.upstream import RawUpstream
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.hooks.identity_jwt import identity_jwt, logged_in
from wsgiproxy.hooks.messages import Request

jwt = pytest.importorskip("jwt")


def pem(key: Any) -> str:
    whole: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return whole.decode()


KEYS = {"ES256": pem(generate_private_key(SECP256R1())), "EdDSA": pem(Ed25519PrivateKey.generate())}
OPTIONS: dict[str, Any] = {"key": KEYS["EdDSA"], "issuer": "https://a", "audience": "shop"}


def hook_for(user: str | None, **options: Any) -> Any:
    return identity_jwt(**{**OPTIONS, **options}, user=lambda request: user)


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("algorithm", KEYS)
def test_a_backend_checks_the_token_by_the_address_of_the_key(
    edge: str, algorithm: str, upstream: RawUpstream
) -> None:
    hook = hook_for("ann", key=KEYS[algorithm])
    asked(edge, upstream.url, [hook], headers=[("X-Identity-Token", "forged")])
    (token,) = upstream.requests[0].values("X-Identity-Token")
    published = asked(edge, upstream.url, [hook], "/.well-known/jwks.json")
    assert published.value("Content-Type") == "application/jwk-set+json"
    (public,) = json.loads(published.body)["keys"]
    assert "d" not in public and jwt.get_unverified_header(token)["kid"] == public["kid"]
    claims = jwt.decode(token, jwt.PyJWK(public), [algorithm], audience="shop", issuer="https://a")
    assert claims["sub"] == "ann" and 0 < claims["exp"] - time.time() <= 60
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("edge", EDGES)
def test_the_first_of_several_keys_signs_and_all_are_published(
    edge: str, upstream: RawUpstream
) -> None:
    """A backend that has read the set before takes tokens of the key that comes to the front."""
    old, new = KEYS["ES256"], KEYS["EdDSA"]
    before, after = hook_for("ann", key=[old, new]), hook_for("ann", key=(new, old))
    published = jwt.PyJWKSet.from_json(
        asked(edge, upstream.url, [before], "/.well-known/jwks.json").body
    )
    for hook, algorithm in ((before, "ES256"), (after, "EdDSA")):
        upstream.requests.clear()
        asked(edge, upstream.url, [hook])
        (token,) = upstream.requests[0].values("X-Identity-Token")
        header = jwt.get_unverified_header(token)
        assert header["alg"] == algorithm
        key = published[header["kid"]]
        assert jwt.decode(token, key, [algorithm], audience="shop")["sub"] == "ann"


@pytest.mark.parametrize("edge", EDGES)
def test_no_user_no_token(edge: str, upstream: RawUpstream) -> None:
    sent = [("X-Identity-Token", "forged"), ("Remote-User", "root")]
    asked(edge, upstream.url, [identity_jwt(**OPTIONS)], headers=sent)
    assert upstream.requests[0].values("X-Identity-Token") == []


def test_a_user_who_is_no_text_is_an_error(upstream: RawUpstream) -> None:
    number: Any = 5
    assert asked("wsgi", upstream.url, [hook_for(number)]).status == 500
    assert upstream.requests == []


class User:
    is_authenticated = True
    display_name = "ann"


@pytest.mark.parametrize(
    ("environ", "scope", "user"),
    [
        pytest.param({"REMOTE_USER": "ann"}, None, "ann", id="wsgi"),
        pytest.param({"HTTP_REMOTE_USER": "ann"}, None, None, id="field"),
        pytest.param(None, {"user": User()}, "ann", id="asgi"),
        pytest.param(None, {"user": "ann"}, None, id="not-logged-in"),
        pytest.param(None, {}, None, id="none"),
    ],
)
def test_who_is_logged_in(environ: Any, scope: Any, user: str | None) -> None:
    request = Request("GET", "http://a")
    request._environ, request._scope = environ, scope
    assert logged_in(request) == user


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"key": "s3cr3t"}, id="no-key"),
        pytest.param({"key": pem(generate_private_key(SECP384R1()))}, id="curve"),
        pytest.param({"key": []}, id="no-keys"),
        pytest.param({"key": 5}, id="number"),
        pytest.param({"key": [KEYS["EdDSA"], "s3cr3t"]}, id="one-of-two"),
        pytest.param({"key": [KEYS["EdDSA"], KEYS["EdDSA"]]}, id="twice"),
        pytest.param({"issuer": ""}, id="issuer"),
        pytest.param({"audience": None}, id="audience"),
        pytest.param({"name": "Host"}, id="name"),
        pytest.param({"jwks_path": "x"}, id="jwks_path"),
        pytest.param({"jwks_path": "/x?y"}, id="jwks_path-query"),
    ],
)
def test_settings_are_checked(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(change))) as caught:
        identity_jwt(**{**OPTIONS, **change})
    assert "s3cr3t" not in str(caught.value) and "PRIVATE" not in str(caught.value)
