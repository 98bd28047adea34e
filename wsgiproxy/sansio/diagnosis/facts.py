"""Words for client, scheme, host and path: what was asked, what is seen, and what tells it."""

from __future__ import annotations

from typing import Any

from wsgiproxy.sansio.diagnosis.finding import Target
from wsgiproxy.sansio.diagnosis.remedies import CURES, SOURCES
from wsgiproxy.sansio.diagnosis.report import Examination
from wsgiproxy.sansio.diagnosis.words import (
    FAMILIES,
    Words,
    X,
    first,
    is_loopback,
    text,
    whole_path,
)
from wsgiproxy.sansio.fields.forwarded import client_address
from wsgiproxy.sansio.fields.host import split_host
from wsgiproxy.sansio.fields.names import environ_key
from wsgiproxy.sansio.message import DEFAULT_PORTS
from wsgiproxy.sansio.target import decoded

__all__ = ["FACTS", "fact"]

FACTS = ("client", "scheme", "host", "prefix")
# Settings that give a fact by themselves.
_FIXED = {
    "client": (),
    "scheme": ("scheme",),
    "host": ("host", "domain", "port"),
    "prefix": ("prefix", "pop_prefix"),
}


def fact(name: str, asked: Target, found: Examination, stack: Words) -> Words:
    """What was asked and what is seen of a fact, what tells it, and what brings it back."""
    field = FAMILIES.get(found.reads, X).get(name, "")
    told = found.arrived.get(environ_key(field.lower()), "") if field else ""
    about = {"client": _client, "scheme": _scheme, "host": _host, "prefix": _path}[name]
    words = stack.plus(
        field=field,
        told_value=text(told),
        told_prefix=text(told) if name == "prefix" and found.peer_trusted else "",
        fixed=next((each for each in _FIXED[name] if each in found.fixed), ""),
        prefix_fact=name == "prefix",
        line=stack[f"line_{name}"] if field == X[name] else "",
        **about(asked, found, stack),
    )
    words["line"] = words["line"].replace("/the/path", words["lacks"] or "/the/path")
    return words.plus(source=first(SOURCES, words), cure=first(CURES, words))


def _client(asked: Target, found: Examination, stack: Words) -> dict[str, Any]:
    seen = found.seen.get("REMOTE_ADDR", "")
    own, client = client_address(asked.own), client_address(seen)
    far = own and not is_loopback(own) and (is_loopback(client) or not client)
    return {
        "seen": seen,
        "own": asked.own,
        "same": client == own or (is_loopback(client) and is_loopback(own)),
        "lost": far or (stack["told"] and seen == found.arrived.get("REMOTE_ADDR")),
    }


def _scheme(asked: Target, found: Examination, stack: Words) -> dict[str, Any]:
    seen = found.seen.get("wsgi.url_scheme", "")
    return {"asked": asked.scheme, "seen": seen, "same": seen == asked.scheme}


def _host(asked: Target, found: Examination, stack: Words) -> dict[str, Any]:
    seen = found.seen.get("HTTP_HOST", "")
    try:
        same = _canonical(seen, asked.scheme) == _canonical(asked.host, asked.scheme)
    except ValueError:  # what stands for a port is no number
        same = False
    return {"asked": asked.host, "seen": seen, "same": same}


def _canonical(host: str, scheme: str) -> str:
    name, port = split_host(host, 0)
    return f"{name.lower()}:{port or DEFAULT_PORTS.get(scheme, 80)}"


def _path(asked: Target, found: Examination, stack: Words) -> dict[str, Any]:
    whole, path = whole_path(found), decoded(asked.path)
    same = (whole or "/") == path
    tail = whole if path.endswith(whole) else whole.rstrip("/")
    lacks = path[: len(path) - len(tail)] if not same and path.endswith(tail) else ""
    surplus = whole[: len(whole) - len(path)] if not same and whole.endswith(path) else ""
    return {
        "asked": text(path),
        "seen": text(whole),
        "same": same,
        "home": f"below {stack['prefix']!r}" if stack["prefix"] else "at the root",
        "lacks": text(lacks),
        "surplus": text(surplus),
        "rewritten": not (same or lacks or surplus),
    }
