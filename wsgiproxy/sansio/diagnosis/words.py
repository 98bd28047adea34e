"""Words for what is the case, and how conditions and sentences are read with them."""

from __future__ import annotations

from typing import Any

from wsgiproxy.sansio.diagnosis.finding import Observed
from wsgiproxy.sansio.diagnosis.report import Examination

__all__ = ["FAMILIES", "Words", "X", "answer", "first", "holds", "is_loopback", "text"]
__all__ += ["whole_path"]

# Family -> fact -> the field that tells it.
X = {
    "client": "X-Forwarded-For",
    "scheme": "X-Forwarded-Proto",
    "host": "X-Forwarded-Host",
    "prefix": "X-Forwarded-Prefix",
}
FAMILIES = {
    "x-forwarded": X,
    "historical": {
        "client": "X-Forwarded-For",
        "scheme": "X-Forwarded-Scheme",
        "host": "X-Forwarded-Server",
        "prefix": "X-Forwarded-Script-Name",
    },
    "forwarded": {"client": "Forwarded", "scheme": "Forwarded", "host": "Forwarded"},
}


class Words(dict[str, Any]):
    """What is the case; a word that was not said is empty."""

    def __missing__(self, word: str) -> str:
        return ""

    def plus(self, **more: Any) -> Words:
        """With more words."""
        return Words(self, **more)


def first(rows: tuple[tuple[str, str], ...], words: Words) -> str:
    """The text of the first row whose condition holds."""
    return next(text.format_map(words) for condition, text in rows if holds(condition, words))


def holds(condition: str, words: Words) -> bool:
    """Whether all words of a condition are so; one with ``-`` before it must not be.

    >>> holds("a -b", Words(a=1)), holds("a -b", Words(a=1, b=1)), holds("", Words())
    (True, False, True)
    """
    return all(bool(words[word.lstrip("-")]) != word.startswith("-") for word in condition.split())


def text(value: str) -> str:
    """A native string (PEP 3333) as people read it, if it is UTF-8.

    >>> text("caf\\xc3\\xa9")
    'café'
    """
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def answer(heard: Observed) -> dict[str, Any]:
    """Words for what came back for one question."""
    status = heard.status
    return {
        "http": status,
        f"http_{status}": True,
        "http_error": status >= 400,
        "no_backend": status in (502, 503),
        "fault": heard.fault,
        "location": heard.location,
        "unanswered": heard.examination is None,
        "kept_out": 400 <= status < 500,
        "answer": heard.fault or f"status {status}",
    }


def is_loopback(address: str) -> bool:
    """Whether it is an address of the machine itself."""
    return address == "::1" or address.startswith("127.")


def whole_path(found: Examination) -> str:
    """The whole decoded path that the application sees."""
    return found.seen.get("SCRIPT_NAME", "") + found.seen.get("PATH_INFO", "")
