"""The question of ``wsgiproxy doctor``: one header, which only the holder of a key can write.

It covers neither method nor host nor path, since those are what is to be examined. So a
captured question can be asked again while it is fresh, and then shows how the request of
whoever asks it arrives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from wsgiproxy.sansio.fields.signature import is_fresh
from wsgiproxy.sansio.keys import KEYID, Key, base64url, unbase64url

__all__ = ["ENVIRON_KEY", "HEADER", "INNER", "INNER_KEY", "Question", "ask", "asked"]

#: Outside the forwarding namespace, so that proxies pass it on.
HEADER = "X-Doctor"
ENVIRON_KEY = "HTTP_X_DOCTOR"
#: Makes a middleware pass the question on to what it wraps: a second middleware answers it,
#: and any other application answers the request.
INNER = "X-Doctor-Inner"
INNER_KEY = "HTTP_X_DOCTOR_INNER"

# A key id may hold dots; the other three cannot.
_QUESTION = re.compile(
    rf"({KEYID.pattern})\.([1-9][0-9]{{0,11}})\.([A-Za-z0-9_-]{{16,64}})\.([A-Za-z0-9_-]{{1,128}})"
)


class Question(NamedTuple):
    """A question that was asked by a holder of a key.

    :param keyid: the key.
    :param created: when, in seconds since 1970.
    :param nonce: what tells it from all others.
    """

    keyid: str
    created: int
    nonce: str

    def is_fresh(self, now: float, max_age: float, clock_skew: float) -> bool:
        """Whether it is neither old nor from the future."""
        return is_fresh(self.created, now, max_age, clock_skew)


def _text(question: Question) -> bytes:
    # The first line keeps it apart from a signature base (RFC 9421), which starts with a quote.
    return "wsgiproxy doctor\n{}\n{}\n{}".format(*question).encode("ascii")


def ask(question: Question, key: Key) -> str:
    """The value of the header.

    >>> from wsgiproxy.sansio.keys import hmac_key
    >>> key = hmac_key("k1", b"x" * 32)
    >>> text = ask(Question("k1", 1795225108, "n" * 16), key)
    >>> asked(text, {"k1": key})
    Question(keyid='k1', created=1795225108, nonce='nnnnnnnnnnnnnnnn')
    """
    assert key.sign is not None
    return "{}.{}.{}.{}".format(*question, base64url(key.sign(_text(question))))


def asked(text: str, keys: Mapping[str, Key]) -> Question | None:
    """The question in a header; None if no holder of one of *keys* has written it."""
    match = _QUESTION.fullmatch(text)
    key = keys.get(match[1]) if match else None
    if match is None or key is None:
        return None
    question = Question(match[1], int(match[2]), match[3])
    try:
        signature = unbase64url(match[4])
    except ValueError:
        return None
    return question if key.verify(_text(question), signature) else None
