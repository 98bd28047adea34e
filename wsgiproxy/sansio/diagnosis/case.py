"""The cases that are looked up in the table: words of what was asked and answered.

It says what is so, and not whether that is good; that is in the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wsgiproxy.sansio.diagnosis.facts import FACTS, fact
from wsgiproxy.sansio.diagnosis.finding import Installation, Observed, Target
from wsgiproxy.sansio.diagnosis.probes import ADDRESS, HOST, ODD_PATHS, PREFIX
from wsgiproxy.sansio.diagnosis.report import Examination
from wsgiproxy.sansio.diagnosis.stack import clocks, stack
from wsgiproxy.sansio.diagnosis.words import Words, answer, is_loopback, text, whole_path
from wsgiproxy.sansio.target import decoded

__all__ = ["cases"]


def cases(
    asked: Target, heard: Mapping[str, Observed], here: Installation
) -> Iterator[tuple[str, Words]]:
    """Topics and their words, in the order in which the findings are read.

    :param asked: the address.
    :param heard: question -> what came back.
    :param here: our own installation.
    """
    plain = heard.get("plain", Observed())
    found = plain.examination
    clashes = [("Here", each) for each in here.clash]
    clashes += [("At the backend", each) for each in (found.clash if found else ())]
    for where, sentence in clashes or [("", "")] * (not heard):
        yield "installation", Words(where=where, clash_text=sentence, here=here.version)
    if not heard:
        return
    words = Words(keyid=asked.keyid, here=here.version, **answer(plain))
    if found is None:
        yield "answer", words
        return
    words.update(found._asdict(), answered=True, other_version=found.version != here.version)
    words.update(stack(asked, found, heard))
    for topic in _FIRST:
        yield topic, words
    for each in clocks(plain, found) or [{}]:
        yield "clock", words.plus(**each)
    facts = {name: fact(name, asked, found, words) for name in FACTS}
    yield from facts.items()
    if facts["prefix"]["rewritten"] and not found.status:
        yield "path", facts["prefix"]
    for topic in ("mount", "fields", "carried"):
        yield topic, words
    yield from _others(asked, found, heard, words)


_FIRST = ["answer", "version", "signature", "refused", "trust", "everybody", "unannounced"]
_FIRST += ["authorities"]


# -- the other questions ---------------------------------------------------------------


def _others(
    asked: Target, found: Examination, heard: Mapping[str, Observed], words: Words
) -> Iterator[tuple[str, Words]]:
    if "application" in heard:
        yield from _application(heard["application"], words)
    if "forged" in heard:
        more = _probe(asked, found, heard["forged"], "with forged X-Forwarded-* fields")
        yield "forgery", words.plus(**more)
    if "names" in heard:
        more = _probe(asked, found, heard["names"], "with underscores in names")
        yield "underscores", words.plus(**more)
        if not more["unanswered"]:
            yield "twice", words.plus(**more)
    odd = [_odd(name, asked, heard[name]) for name in ODD_PATHS if name in heard]
    odd = [each for each in odd if not each["status"]]
    if len(odd) == len(ODD_PATHS) and all(each["exact"] for each in odd):
        odd = [{"all_exact": True}]
    for each in odd:
        yield "path", words.plus(**each)


def _application(heard: Observed, words: Words) -> Iterator[tuple[str, Words]]:
    """A request that the middleware has passed on to what it wraps."""
    found = heard.examination
    if found is None:
        more = {**answer(heard), "what": "to the application"}
    else:
        more = {"inner": True, "inner_status": found.status, "inner_reason": text(found.reason)}
    # Versions before this question answer it like any other.
    if found is None or found.inner:
        yield "application", words.plus(**more)


def _probe(asked: Target, plain: Examination, heard: Observed, what: str) -> dict[str, Any]:
    found = heard.examination or Examination()
    scheme = "http" if asked.scheme == "https" else "https"
    believed = [
        fact
        for fact, key, forged in (
            ("client address", "REMOTE_ADDR", ADDRESS),
            ("host", "HTTP_HOST", HOST),
            ("scheme", "wsgi.url_scheme", scheme),
            ("prefix", "SCRIPT_NAME", PREFIX),
        )
        if _is(found.seen.get(key, ""), forged) and not _is(plain.seen.get(key, ""), forged)
    ]
    twice = found.arrived.get("HTTP_X_DOCTOR_TWICE", "")
    return {
        **answer(heard),
        "what": what,
        "forged_status": found.status,
        "forged_reason": text(found.reason),
        "believed": believed,
        "believed_text": " and ".join(filter(None, [", ".join(believed[:-1]), *believed[-1:]])),
        "only_appended": believed == ["client address"] and _appended(found),
        "may_be_us": is_loopback(asked.own) or plain.mode != "secret_file",
        "passes": "HTTP_X_DOCTOR_UNDERSCORE" in found.arrived,
        "both": [part.strip() for part in twice.split(",")] == ["a", "b"],
        "kept": f"only {twice!r} arrives" if twice else "none arrives",
    }


def _is(value: str, forged: str) -> bool:
    """Whether a value is the forged one, with a port or a path behind it or not."""
    return value == forged or value.startswith((f"{forged}:", f"{forged}/"))


def _appended(found: Examination) -> bool:
    """Whether the proxy in front has put our own address behind the forged one."""
    values = [found.arrived.get(key, "") for key in ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED")]
    return any(ADDRESS in value and not value.endswith(ADDRESS) for value in values)


def _odd(name: str, asked: Target, heard: Observed) -> dict[str, Any]:
    found, tail = heard.examination or Examination(), ODD_PATHS[name]
    sent = decoded(asked.path.rstrip("/") + tail)
    whole = whole_path(found)
    raw = found.seen.get("REQUEST_URI") or found.seen.get("RAW_URI") or ""
    exact = raw.partition("?")[0].endswith(tail)
    arrives = whole == sent or whole.endswith(decoded(tail))
    return {
        **answer(heard),
        "what": f"for {tail!r}",
        "status": found.status,
        "tail": tail,
        "whole": text(whole),
        "tidied": not exact and not arrives,
        "slash": name == "slash",
        "exact": exact or (name != "slash" and arrives),
        "rewritten": False,
    }
