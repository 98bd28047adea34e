"""Whether everything that must be refused is, without one assert: a program.

    python -O -m tests.support.refusals

Under ``python -O`` asserts are gone: ours, and those of any test. So this raises, and
``tests/test_optimised.py`` runs it both ways. It prints the number of things it has tried.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.support.in_process import Backend, front_environ, key_file, run, signed_environ
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.middleware import WSGIProxyMiddleware
from wsgiproxy.secretloader import KeyFile, new_key
from wsgiproxy.signature import BadSignature, check_request, sign_request

__all__ = ["TRIED", "LetThrough", "main"]

BODY = b"pay=100"
RAW = "0123456789abcdef0123456789abcdef"
_HREF = "http://backend/"


class LetThrough(Exception):
    """Something was not refused, or refused that should not be."""


class _Places:
    """Where the keys of one run are."""

    def __init__(self, folder: Path) -> None:
        self.secret = key_file(folder / "secret", new_key("k1"))
        self.other = key_file(folder / "other", new_key("k1"))
        self.writable = key_file(folder / "writable", new_key("k1"), 0o666)
        self.short = key_file(folder / "short", "short")


_seen: dict[str, Any] = {}


def _application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    _seen.clear()
    _seen.update(environ)
    start_response("200 OK", [])
    return []


def _status(environ: dict[str, Any], *arguments: Any, **options: Any) -> int:
    _seen.clear()
    return run(WSGIProxyMiddleware(_application, *arguments, **options), environ).head.status


def _signed(secret: str, body: bytes = b"", **options: Any) -> dict[str, Any]:
    front = front_environ(body) | {"a.key": "value", "REMOTE_USER": "bob"}
    return signed_environ(secret, front, href=_HREF, **options)


def _changed(text: str) -> str:
    """*text* with another character at the tenth place from its end."""
    return f"{text[:-10]}{'B' if text[-10] == 'A' else 'A'}{text[-9:]}"


Requests = Mapping[str, tuple[int, dict[str, Any], dict[str, Any]]]


def _of_signatures(places: _Places) -> Requests:
    """Name -> status, environ, options of the middleware."""
    good = _signed(places.secret)
    ours = {"secret_file": places.secret}
    pickled = _signed(places.secret, pickle_keys="a.key", allow_pickle=True)
    covered = _signed(places.secret, BODY, sign_body=True)
    body = front_environ(BODY.replace(b"1", b"9"))["wsgi.input"]
    replaced = {name: {**good, name: _changed(good[name])} for name in _FIELDS}
    return {
        "a good signature": (200, good, ours),
        "no signature": (403, front_environ(), ours),
        "no signature, which strip lets in": (200, front_environ(), {**ours, "unsigned": "strip"}),
        "a bad signature, which strip does not": (
            403, replaced["HTTP_SIGNATURE"], {**ours, "unsigned": "strip"},
        ),
        **{f"a changed {name}": (403, environ, ours) for name, environ in replaced.items()},
        "another method": (403, {**good, "REQUEST_METHOD": "PUT"}, ours),
        "another host": (403, {**good, "HTTP_HOST": "evil"}, ours),
        "another query": (403, {**good, "QUERY_STRING": "x"}, ours),
        "another path": (403, {**good, "PATH_INFO": "/x"}, ours),
        "another key": (403, _signed(places.other), ours),
        "a pickle that is allowed": (
            200, pickled, {**ours, "accept_keys": "a.key", "allow_pickle": True},
        ),
        "a pickle that is not": (403, pickled, {**ours, "accept_keys": "a.key"}),
        "a body that is covered": (200, _signed(places.secret, BODY, sign_body=True), ours),
        "a changed body": (403, {**covered, "wsgi.input": body}, ours),
        "a body that is not covered": (
            403, _signed(places.secret, BODY), {**ours, "sign_body": True},
        ),
        "a body that is too large": (
            413, {**covered, "CONTENT_LENGTH": str(1024**2 + 1)}, ours,
        ),
        "a host that is not allowed": (400, good, {**ours, "allowed_hosts": "other.example"}),
        "a path that is not under pop_prefix": (404, good, {**ours, "pop_prefix": "/p"}),
    }  # fmt: skip


_FIELDS = ("HTTP_WSGIPROXY", "HTTP_SIGNATURE_INPUT", "HTTP_SIGNATURE")


def _of_settings(places: _Places) -> Mapping[str, Callable[[], object]]:
    """Name -> what must raise ConfigurationError."""

    def app(**options: Any) -> Callable[[], object]:
        return lambda: WSGIProxyApp(_HREF, transport=Backend(), **options)

    def middleware(**options: Any) -> Callable[[], object]:
        return lambda: WSGIProxyMiddleware(_application, **options)

    reserved = ("wsgi.input", "HTTP_COOKIE", "REQUEST_METHOD", "wsgiproxy.verified")
    return {
        **{f"{key} carried": app(secret_file=places.secret, json_keys=[key]) for key in reserved},
        **{
            f"{key} accepted": middleware(secret_file=places.secret, accept_keys=[key])
            for key in reserved
        },
        "keys without a secret": app(string_keys=["a"]),
        "pickle_keys without allow_pickle": app(secret_file=places.secret, pickle_keys=["a"]),
        "a secret that others may write": app(secret_file=places.writable),
        "the same at the backend": middleware(secret_file=places.writable),
        "a short secret": middleware(secret_file=places.short),
        "no secret": middleware(secret_file="/nowhere"),
        "secret and addresses": middleware(secret_file=places.secret, trust_ips="::1"),
        "an address that is none": middleware(trust_ips="10.0.0.300"),
        "a star among others": middleware(trust_ips="*, ::1"),
        "allow_pickle under trust_ips": middleware(trust_ips="::1", allow_pickle=True),
        "accept_keys under trust_ips": middleware(trust_ips="::1", accept_keys="REMOTE_USER"),
    }


def _statuses(places: _Places) -> int:
    requests = _of_signatures(places)
    for name, (expected, environ, options) in requests.items():
        status = _status(environ, **options)
        if status != expected or bool(_seen) != (expected == 200):
            raise LetThrough(f"{name}: {status}, not {expected}")
    return len(requests)


def _constructions(places: _Places) -> int:
    settings = _of_settings(places)
    for name, make in settings.items():
        try:
            make()
        except ConfigurationError:
            continue
        raise LetThrough(f"{name} is taken")
    return len(settings)


def _at_another_time(seconds: float, what: Callable[[], int]) -> int:
    real = time.time
    time.time = lambda: real() + seconds
    try:
        return what()
    finally:
        time.time = real


def _times(places: _Places) -> int:
    good = _signed(places.secret)
    ages = {0: 200, 58: 200, 61: 403, 10**8: 403, -4: 200, -7: 403}
    for age, expected in ages.items():
        status = _at_another_time(age, lambda: _status(dict(good), places.secret))
        if status != expected:
            raise LetThrough(f"a signature {age} seconds old: {status}, not {expected}")
    once = WSGIProxyMiddleware(_application, places.secret, replay="memory")
    for number, expected in enumerate([200, 403, 403]):
        status = run(once, dict(good)).head.status
        if status != expected:
            raise LetThrough(f"a nonce, time {number + 1}: {status}, not {expected}")
    return len(ages) + 3


_FORGED = {
    "HTTP_X_FORWARDED_FOR": "6.6.6.6",
    "HTTP_X_FORWARDED_HOST": "evil.example",
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_FORWARDED_PREFIX": "/evil",
    "HTTP_FORWARDED": "for=6.6.6.6;host=evil.example",
    "HTTP_X_REAL_IP": "6.6.6.6",
    "HTTP_REMOTE_USER": "root",
}


def _namespace(places: _Places) -> int:
    """Strangers change nothing, and what they write is gone."""
    ways: list[dict[str, Any]] = [
        {},
        {"trust_ips": "10.0.0.1"},
        {"trust_ips": "unix"},
        {"x_for": 1, "trust_ips": "10.0.0.1"},
        {"secret_file": places.secret, "unsigned": "strip", "accept_keys": "REMOTE_USER"},
        {"secret_file": places.secret},
    ]
    for options in ways:
        signed = options.get("secret_file") and "unsigned" not in options
        environ = {**(_signed(places.secret) if signed else front_environ()), **_FORGED}
        if _status(environ, **options) != 200:
            raise LetThrough(f"{options}: a request that should pass does not")
        left = [key for key in _seen if key in _FORGED]
        facts = [_seen.get(key) for key in ("REMOTE_ADDR", "HTTP_HOST", "wsgi.url_scheme")]
        if left or facts != ["203.0.113.9", "shop.example", "http"] or _seen["SCRIPT_NAME"]:
            raise LetThrough(f"{options}: {left} are left, the facts are {facts}")
        if "REMOTE_USER" in _seen:
            raise LetThrough(f"{options}: REMOTE_USER is {_seen['REMOTE_USER']!r}")
    return len(ways)


def _functions(places: _Places) -> int:
    """The names of 0.2."""
    for change in ({}, {"QUERY_STRING": "x"}, {"HTTP_SIGNATURE": "wsgiproxy=:AAAA:"}):
        environ = front_environ()
        sign_request(environ, RAW)
        try:
            check_request({**environ, **change}, RAW)
        except BadSignature:
            if not change:
                raise
        else:
            if change:
                raise LetThrough(f"check_request lets {change} through")
    ring = KeyFile(places.secret)
    before = ring.keyring()
    key_file(Path(places.secret), new_key("evil"), 0o666)
    if ring.keyring() is not before:
        raise LetThrough("keys that others could write are believed")
    return 4


def main() -> int:
    """Try all of it.

    :returns: how many things were tried.
    :raises LetThrough: naming the first that was not refused.
    """
    with tempfile.TemporaryDirectory() as folder:
        places = _Places(Path(folder))
        parts = (_statuses, _constructions, _times, _namespace, _functions)
        return sum(part(places) for part in parts)


#: How many things there are, so that none can be lost.
TRIED = 58

if __name__ == "__main__":
    print(main())
