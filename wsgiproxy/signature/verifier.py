"""The receiving end: verifies a request, with the keys, the clock and the nonces."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from wsgiproxy.errors import BadSignature, ConfigurationError, ContentTooLarge, Unavailable
from wsgiproxy.sansio.fields.content_digest import LARGEST_BODY, check_digest, spooled
from wsgiproxy.sansio.fields.envelope import Envelope, belongs, open_envelope
from wsgiproxy.sansio.fields.framing import body_framing
from wsgiproxy.sansio.fields.host import authority
from wsgiproxy.sansio.fields.signature import Proof, verify
from wsgiproxy.sansio.fields.signature_members import LABEL, foreign_members, received_members
from wsgiproxy.sansio.keys import Key, Keyring
from wsgiproxy.sansio.message import DEFAULT_PORTS
from wsgiproxy.wsgi.input import blocks_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from wsgiproxy.replay import Replay

    Checked = tuple["Proof", "Envelope", Mapping[str, Any]]

__all__ = ["Body", "Nonce", "Steps", "Verifier", "Wish", "apply", "fulfilled", "is_signed", "taken"]

_NEEDS_AUTHORITIES = (
    "expected authorities, the hosts by which the fronts reach this backend; else another backend"
    " that verifies by the same half could send on what it gets"
)


class Body(NamedTuple):
    """What a check waits for: the request body, which is to be the answer.

    :param length: bytes to read at most.
    """

    length: int


class Nonce(NamedTuple):
    """What a check waits for: whether a nonce is new, by :meth:`is_new`.

    :param replay: the store of nonces; one of the user's may block.
    :param key: key id and nonce.
    :param ttl: seconds for which to remember it.
    """

    replay: Replay
    key: str
    ttl: float

    def is_new(self) -> bool:
        """Remember the nonce.

        :raises Unavailable: the store fails.
        """
        try:
            return self.replay.add(self.key, self.ttl)
        except Exception as error:  # a store of the user's may raise anything
            raise Unavailable(f"the store of nonces failed: {error!r}") from error


_T = TypeVar("_T")
Wish = Body | Nonce
#: A check that yields what it waits for, and is sent the answer: one check for threads and loops.
Steps = Generator[Wish, Any, _T]


def fulfilled(wish: Wish, environ: WSGIEnvironment) -> object:
    """The answer to what a check waits for, from ``wsgi.input`` and the store."""
    if isinstance(wish, Body):
        return spooled(blocks_of(environ, wish.length))
    return wish.is_new()


def taken(steps: Steps[_T], environ: WSGIEnvironment) -> _T:
    """The result of all steps of a check, which may block."""
    answer: object = None
    while True:
        try:
            wish = steps.send(answer)
        except StopIteration as end:
            result: _T = end.value
            return result
        answer = fulfilled(wish, environ)


def apply(changes: Mapping[str, Any], environ: WSGIEnvironment) -> None:
    """Make changes of an environ; None removes a key."""
    for key, value in changes.items():
        if value is None:
            environ.pop(key, None)
        else:
            environ[key] = value


class Verifier:
    """Verifies requests: only what a fresh signature covers is believed.

    :param keys: returns the keys as they are now.
    :param max_age: seconds for which a signature is good.
    :param clock_skew: seconds by which the sender's clock may be ahead.
    :param replay: remembers nonces; None to rely on ``max_age`` alone.
    :param needs_body: whether a body must be covered.
    :param authorities: the hosts, with their ports, by which the fronts reach this backend: the
        ``@authority`` of a request must be one of them. Without any, only keys that could sign
        here, too, are believed: another backend that has a public half gets requests that it could
        send on as they are.
    :raises ConfigurationError: there is a public half among the keys, and no authority.
    """

    def __init__(
        self,
        keys: Callable[[], Keyring],
        *,
        max_age: float = 60,
        clock_skew: float = 5,
        replay: Replay | None = None,
        needs_body: bool = False,
        authorities: Iterable[str] = (),
    ) -> None:
        self._keys = keys
        self._max_age = max_age
        self._clock_skew = clock_skew
        self._replay = replay
        self._needs_body = needs_body
        self._authorities = frozenset(
            authority(host, scheme) for host in authorities for scheme in DEFAULT_PORTS
        )
        for key in keys().keys.values():
            if key.sign is None and not self._authorities:
                raise ConfigurationError(
                    f"key {key.keyid!r} is a public half: {_NEEDS_AUTHORITIES}"
                )

    def check(self, environ: WSGIEnvironment) -> Checked:
        """Verify a request.

        :returns: the parameters of the signature, the envelope, and changes of the environ, if the
            body had to be read.
        :raises BadSignature: with the reason, for the log.
        :raises Unavailable: the store of nonces fails.
        """
        return taken(self.steps(environ), environ)

    def steps(self, environ: Mapping[str, Any]) -> Steps[Checked]:
        """The same, without waiting: a body is asked for when the signature has been verified."""
        proof = self.prove(environ)
        envelope = open_envelope(environ["HTTP_WSGIPROXY"])
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if not belongs(envelope.target, path):
            raise BadSignature(f"signed for {envelope.target!r}, but it came to {path!r}")
        changes = yield from self._body(environ, proof)
        if self._replay is not None:
            left = proof.created + self._max_age + self._clock_skew - time.time()
            is_new = yield Nonce(self._replay, f"{proof.keyid}:{proof.nonce}", max(left, 1.0))
            if not is_new:
                raise BadSignature(f"nonce {proof.nonce!r} of key {proof.keyid!r} was used before")
        return proof, envelope, changes

    def prove(self, environ: Mapping[str, Any]) -> Proof:
        """Verify the signature alone.

        :raises BadSignature: with the reason, for the log.
        """
        if not is_signed(environ):
            if "wsgiproxy.verified" in environ:
                raise BadSignature("verified already: is the middleware applied twice?")
            raise BadSignature("not signed; has WSGIProxyApp or ASGIProxyApp the same secret_file?")
        keys = self._keys().keys
        host, scheme = environ.get("HTTP_HOST", ""), environ.get("wsgi.url_scheme", "http")
        signed_for = authority(host, scheme)
        try:
            proof = self._prove(environ, signed_for, keys)
        except BadSignature:
            # gunicorn takes the scheme from X-Forwarded-Proto (of 127.0.0.1): then the port
            # that the sender has left out as the default is not that of the scheme here.
            other = authority(host, "http" if scheme == "https" else "https")
            if other == signed_for:
                raise
            signed_for = other
            proof = self._prove(environ, signed_for, keys)
        return self._addressed(proof, signed_for, keys)

    def _addressed(self, proof: Proof, host: str, keys: Mapping[str, Key]) -> Proof:
        """*proof*, if the request was signed for this backend.

        :raises BadSignature: it was signed for another one, or nothing says for which.
        """
        if self._authorities:
            if host not in self._authorities:
                raise BadSignature(
                    f"signed for {host!r}, which is none of authorities={sorted(self._authorities)}"
                )
        elif keys[proof.keyid].sign is None:
            raise BadSignature(f"key {proof.keyid!r} is a public half: {_NEEDS_AUTHORITIES}")
        return proof

    def _prove(self, environ: Mapping[str, Any], host: str, keys: Mapping[str, Key]) -> Proof:
        get = environ.get
        components = {
            "@method": get("REQUEST_METHOD"),
            "@authority": host or None,
            "@query": "?" + get("QUERY_STRING", ""),
            "wsgiproxy": get("HTTP_WSGIPROXY"),
            "x-traversal-path": get("HTTP_X_TRAVERSAL_PATH"),
            "x-traversal-query-string": get("HTTP_X_TRAVERSAL_QUERY_STRING"),
            "content-digest": get("HTTP_CONTENT_DIGEST"),
        }
        return verify(
            received_members(environ),
            components.get,
            keys,
            now=time.time(),
            max_age=self._max_age,
            clock_skew=self._clock_skew,
        )

    def _body(self, environ: Mapping[str, Any], proof: Proof) -> Steps[Mapping[str, Any]]:
        covered = "content-digest" in proof.covered
        if not covered and not self._needs_body:
            return {}
        length, to_end = body_framing(environ)
        if not covered:
            if length or to_end:
                raise BadSignature("the body is not covered: sign_body=True at the sender")
            return {}
        if length is not None and length > LARGEST_BODY:
            raise ContentTooLarge(f"a signed body of {length} bytes, over {LARGEST_BODY}")
        data = yield Body(LARGEST_BODY + 1 if to_end else length or 0)
        check_digest(environ, data)
        return {
            "wsgi.input": io.BytesIO(data),
            "CONTENT_LENGTH": str(len(data)),
            "HTTP_TRANSFER_ENCODING": None,
        }


def is_signed(environ: Mapping[str, Any]) -> bool:
    """Whether a request claims to be signed by us."""
    if "HTTP_WSGIPROXY" in environ:
        return True
    fields = received_members(environ)
    return any(LABEL in text.lower() for text in fields) and foreign_members(fields) != fields
