"""The questions of ``wsgiproxy doctor``: a header that only the holder of a key can write.

It covers neither method nor host nor path, since those are what is to be examined. So a captured
question can be asked again while it is fresh; it then shows how that request arrives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from wsgiproxy.sansio.keys import KEYID, Key, base64url, unbase64url
from wsgiproxy.sansio.message import Headers

__all__ = ["ADDRESS", "ENVIRON_KEY", "FORGED", "HEADER", "HOST", "INNER", "INNER_KEY", "NAMES"]
__all__ += ["ODD_PATHS", "PREFIX", "Question", "read_question", "write_question"]

#: Outside the forwarding namespace, so that proxies pass it on.
HEADER = "X-Doctor"
ENVIRON_KEY = "HTTP_X_DOCTOR"
#: Makes a middleware pass the question on to what it wraps: a second middleware answers it,
#: and any other application answers the request.
INNER = "X-Doctor-Inner"
INNER_KEY = "HTTP_X_DOCTOR_INNER"

# RFC 5737 and RFC 6761: no host has this address, and none can have this name.
ADDRESS, HOST, PREFIX = "192.0.2.66", "doctor.invalid", "/doctor-forged"
#: Scheme of the question -> forwarding fields that a client must not be able to set.
FORGED: Mapping[str, Headers] = {
    asked: [
        ("X-Forwarded-For", ADDRESS),
        ("X-Real-IP", ADDRESS),
        ("X-Forwarded-Host", HOST),
        ("X-Forwarded-Server", HOST),
        ("X-Forwarded-Proto", scheme),
        ("X-Forwarded-Scheme", scheme),
        ("X-Forwarded-Prefix", PREFIX),
        ("X-Forwarded-Script-Name", PREFIX),
        ("X-Script-Name", PREFIX),
        ("Forwarded", f"for={ADDRESS};host={HOST};proto={scheme}"),
    ]
    for asked, scheme in (("http", "https"), ("https", "http"))
}
#: Names and repetitions that servers treat in different ways.
NAMES: Headers = [
    ("X_Doctor_Underscore", "1"),
    ("X_Forwarded_For", ADDRESS),
    ("X_Forwarded_Host", HOST),
    ("X-Doctor-Twice", "a"),
    ("X-Doctor-Twice", "b"),
]
#: Name of a question -> what is put behind its path.
ODD_PATHS = {"slash": "/doctor%2Fslash", "odd": "/doctor//odd;a=b/caf%C3%A9"}

# A key id may hold dots; the other three cannot.
_QUESTION = re.compile(
    rf"({KEYID.pattern})\.([1-9][0-9]{{0,11}})\.([A-Za-z0-9_-]{{16,64}})\.([A-Za-z0-9_-]{{1,128}})"
)


class Question(NamedTuple):
    """A question by the holder of a key."""

    keyid: str
    created: int  # seconds since 1970
    nonce: str  # different for every question

    def text(self) -> bytes:
        """The signed text."""
        # The first line keeps it apart from a signature base (RFC 9421), which starts with a quote.
        return "wsgiproxy doctor\n{}\n{}\n{}".format(*self).encode("ascii")


def write_question(question: Question, key: Key) -> str:
    """The value of the header.

    >>> from wsgiproxy.sansio.keys import hmac_key
    >>> key = hmac_key("k1", b"x" * 32)
    >>> text = write_question(Question("k1", 1795225108, "n" * 16), key)
    >>> read_question(text, {"k1": key})
    Question(keyid='k1', created=1795225108, nonce='nnnnnnnnnnnnnnnn')
    """
    assert key.sign is not None
    return "{}.{}.{}.{}".format(*question, base64url(key.sign(question.text())))


def read_question(text: str, keys: Mapping[str, Key]) -> Question | None:
    """The question in a header; None if it is not signed with one of *keys*."""
    match = _QUESTION.fullmatch(text)
    key = keys.get(match[1]) if match else None
    if match is None or key is None:
        return None
    question = Question(match[1], int(match[2]), match[3])
    try:
        signature = unbase64url(match[4])
    except ValueError:
        return None
    return question if key.verify(question.text(), signature) else None
