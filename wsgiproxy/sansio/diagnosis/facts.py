"""The facts about a stack: what was asked, what arrived, and what the application sees.

Whether a fact is good or bad is said in :mod:`wsgiproxy.sansio.diagnosis.checks`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wsgiproxy.sansio.diagnosis.checks import CURES, ELSEWHERE, NGINX, SOURCES, Found, first
from wsgiproxy.sansio.diagnosis.examination import (
    Asking,
    Examination,
    Installation,
    Observed,
    is_loopback,
    readable,
)
from wsgiproxy.sansio.diagnosis.question import ADDRESS, FORGED, HOST, ODD_PATHS, PREFIX
from wsgiproxy.sansio.fields.forwarded import client_address, peer_of
from wsgiproxy.sansio.fields.host import authority
from wsgiproxy.sansio.fields.names import environ_key
from wsgiproxy.sansio.fields.namespace import is_forwarding_key
from wsgiproxy.sansio.target import decoded

__all__ = ["collect"]

_FRONTS = "WSGIProxyApp or ASGIProxyApp"
_MIDDLEWARES = "WSGIProxyMiddleware or ASGIProxyMiddleware"
_MODES = ("secret_file", "trust_ips", "counts", "nothing")
_FAMILIES = {
    "x-forwarded": "the X-Forwarded-* fields",
    "historical": "the fields of WSGIProxy 0.2",
    "forwarded": "the field Forwarded",
}
# Fact of the request -> member of Target, environ key, forged value, settings that replace it.
_REQUEST: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "client": ("own", "REMOTE_ADDR", ADDRESS, ()),
    "host": ("host", "HTTP_HOST", HOST, ("host", "domain", "port")),
    "scheme": ("scheme", "wsgi.url_scheme", "", ("scheme",)),
    "prefix": ("path", "SCRIPT_NAME", PREFIX, ("prefix", "pop_prefix")),
}
# Family -> the fields of client, host, scheme and prefix.
_FIELDS = {
    family: dict(zip(_REQUEST, (f"{start}{end}" for end in ends.split()), strict=False))
    for family, start, ends in (
        ("x-forwarded", "X-Forwarded-", "For Host Proto Prefix"),
        ("historical", "X-Forwarded-", "For Server Scheme Script-Name"),
        ("forwarded", "", "Forwarded Forwarded Forwarded"),
    )
}
_X = _FIELDS["x-forwarded"]
_USED_TOO = ["X-Forwarded-Port", "X-Script-Name", "X-Traversal-Path"]
_SIGNED = ["WSGIProxy", "X-Traversal-Path", "X-Traversal-Query-String"]
_DROPPED = re.compile("([A-Za-z-]+) (?:did not arrive|is covered, but not there)")
# Seconds by which two clocks may differ.
_CLOSE = 2.0


def collect(
    installation: Installation, target: Asking, observed: Mapping[str, Observed]
) -> tuple[Found, dict[str, list[Found]]]:
    """The facts of the stack, and those of the cases of some topics; no case, no finding.

    :param observed: name of a question -> its result; empty if no question was asked.
    """
    plain = observed.get("plain", Observed())
    examination = plain.examination or Examination()
    clashes = [("Here", each) for each in installation.clash]
    clashes += [("At the backend", each) for each in examination.clash]
    # Without a question, the one finding is about the installation, be it good or bad.
    clashes = clashes or [("", "")] * (not observed)
    cases = {topic: list[Found]() for topic in ("application", "forgery", "underscores", "twice")}
    cases["installation"] = [Found(where=where, clash_text=text) for where, text in clashes]
    cases["path"] = []
    stack = Found(observed=observed, keyid=target.keyid, here=installation.version)
    stack.update(front=_FRONTS, middleware=_MIDDLEWARES)
    stack.update(plain.facts())
    if plain.examination is None:
        return stack, cases
    stack.update(examination._asdict(), **_stack(target, examination, plain))
    stack.update(_client_field(target, examination, observed.get("forged", Observed())))
    stack.update(answered=True, other_version=examination.version != installation.version)
    cases["clock"] = _clocks(plain, examination)
    for name in _REQUEST:
        cases[name] = [_fact(name, target, examination, stack)]
    cases["path"] = [each for each in cases["prefix"] if each["rewritten"] and not each["status"]]
    cases["path"] += _odd_paths(target, observed)
    if "application" in observed:
        cases["application"] = _application(observed["application"])
    if "forged" in observed:
        what = "with forged X-Forwarded-* fields"
        cases["forgery"] = [_probe(target, examination, observed["forged"], what)]
    if "names" in observed:
        names = _probe(target, examination, observed["names"], "with underscores in names")
        cases["underscores"] = cases["twice"] = [names]
    return stack, cases


# -- what the backend believes, and what arrived there ---------------------------------


def _stack(target: Asking, examination: Examination, plain: Observed) -> dict[str, Any]:
    arrived, seen, reason = examination.arrived, examination.seen, examination.reason
    software, mount = arrived.get("SERVER_SOFTWARE", ""), arrived.get("SCRIPT_NAME", "")
    is_undone = seen.get("PATH_INFO", "") == mount + arrived.get("PATH_INFO", "")
    is_nginx = not plain.server or plain.server.lower().startswith("nginx")
    dropped, words = _DROPPED.match(reason), re.findall("[a-z]+", reason)
    lost = [name for name in examination.carried if name not in examination.accepted]
    end = "" if reason.endswith("?") else "."
    return {
        **{mode: examination.mode == mode for mode in _MODES},
        "believing": examination.mode not in ("nothing", "secret_file"),
        "family": _FAMILIES.get(examination.reads, examination.reads),
        "software": f", {software}" if software else "",
        "middleware": _named(examination.middleware),
        "waitress": software.lower().startswith("waitress"),
        "peer": peer_of(arrived),
        # A proxy between the two has written a field of its own.
        "announced": any(is_forwarding_key(key) or key == "HTTP_VIA" for key in arrived),
        "by_front": examination.verified or "wsgiproxy" in arrived.get("HTTP_VIA", ""),
        **{f"line_{name}": line for name, line in (NGINX if is_nginx else ELSEWHERE).items()},
        "refusal": f"The backend refuses it with {examination.status}: {readable(reason)}{end}",
        **{f"reason_{'_'.join(words[:count])}": True for count in (1, 2)},
        "dropped": dropped and dropped[1].replace("wsgiproxy", "WSGIProxy"),
        "us": seen.get("REMOTE_ADDR", ""),
        "own_is_loopback": is_loopback(client_address(target.own)),
        "seen_path": readable(seen.get("PATH_INFO", "")),
        "arrived_path": readable(arrived.get("PATH_INFO", "")),
        "prefix": readable(seen.get("SCRIPT_NAME", "")),
        "mounted": readable(mount) if is_undone else "",
        "unused": ", ".join(_unused(examination)),
        "lost_keys": lost,
        "lost_text": ", ".join(map(repr, lost)),
    }


def _named(middleware: str) -> str:
    """The class that has answered; both, where an earlier version does not tell."""
    return middleware if middleware in _MIDDLEWARES.split(" or ") else _MIDDLEWARES


def _client_field(target: Asking, examination: Examination, forged: Observed) -> dict[str, Any]:
    """Whether the field that names the client arrives, from the proxy and from the doctor."""
    field = _FIELDS.get(examination.reads, _X)["client"]
    key = environ_key(field)
    received = forged.examination.arrived if forged.examination else {}
    passes = key in received
    others = (
        (family, fields["client"])
        for family, fields in _FIELDS.items()
        if fields["client"] != field and environ_key(fields["client"]) in examination.arrived
    )
    other_family, other_field = next(others, ("", ""))
    return {
        "client_field": field,
        "client_announced": key in examination.arrived
        or "x_for=0" in examination.reads.split(", "),
        "client_passes": passes,
        # Others of the forged fields arrive.
        "removed": not passes
        and any(environ_key(name) in received for name, _ in FORGED[target.scheme]),
        "other_family": other_family,
        "other_field": other_field,
    }


def _unused(examination: Examination) -> list[str]:
    used = [*_FIELDS.get(examination.reads, _X).values(), *_USED_TOO]
    used = _SIGNED if examination.verified else used if examination.peer_trusted else []
    keys = set(filter(is_forwarding_key, examination.arrived)) - set(map(environ_key, used))
    return sorted(key[5:].replace("_", "-").title().replace("Wsgip", "WSGIP") for key in keys)


def _clocks(plain: Observed, examination: Examination) -> list[Found]:
    """The differences of clocks that are worth a finding; one without facts if there is none."""
    ahead = examination.clock - plain.time
    # The doctor's clock is known but for half the duration of the exchange.
    differences = [("the doctor's", ahead - max(-plain.spread, min(plain.spread, ahead)))]
    if examination.created:
        # Whole seconds, rounded down.
        differences.append(("the signing front's", examination.clock - examination.created - 0.5))
    return [
        Found(other=other, how="ahead of" if ahead > 0 else "behind", seconds=_time(abs(ahead)))
        for other, ahead in differences
        if abs(ahead) > _CLOSE
    ] or [Found()]


def _time(seconds: float) -> str:
    """A length of time in the largest fitting unit.

    >>> _time(7), _time(3600), _time(200_000)
    ('7 seconds', '60 minutes', '56 hours')
    """
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"


# -- client, scheme, host and prefix ---------------------------------------------------


def _fact(name: str, target: Asking, examination: Examination, stack: Found) -> Found:
    """A fact of the request: what was asked, what is seen, where that comes from, and its cure."""
    member, key, _, settings = _REQUEST[name]
    field = _FIELDS.get(examination.reads, _X).get(name, "")
    value = readable(examination.arrived.get(environ_key(field), "")) if field else ""
    asked, seen = getattr(target, member), examination.seen.get(key, "")
    facts = Found(stack, asked=asked, seen=seen, field=field, field_value=value)
    facts["fixed"] = next((each for each in settings if each in examination.fixed), "")
    if name == "client":
        own, client = client_address(asked), client_address(seen)
        is_far = own and not is_loopback(own) and (is_loopback(client) or not client)
        is_peer = seen == examination.arrived.get("REMOTE_ADDR")
        facts["same"] = client == own or (is_loopback(client) and is_loopback(own))
        facts["lost"] = is_far or (stack["announced"] and is_peer)
    elif name == "prefix":
        facts.update(_path(target, examination))
        facts["home"] = f"below {stack['prefix']!r}" if stack["prefix"] else "at the root"
        facts["field_prefix"] = value if examination.peer_trusted else ""
    else:
        facts["same"] = authority(asked, target.scheme) == authority(seen, target.scheme)
    if field == _X[name]:
        facts["line"] = stack[f"line_{name}"].replace("/the/path", facts["lacks"] or "/the/path")
    facts.update(source=first(SOURCES, facts), cure=first(CURES, facts))
    return facts


def _path(target: Asking, examination: Examination) -> dict[str, Any]:
    whole, path = examination.path, decoded(target.path)
    same = (whole or "/") == path
    tail = whole if path.endswith(whole) else whole.rstrip("/")
    lacks = path[: len(path) - len(tail)] if not same and path.endswith(tail) else ""
    surplus = whole[: len(whole) - len(path)] if not same and whole.endswith(path) else ""
    return {
        "asked": readable(path),
        "seen": readable(whole),
        "same": same,
        "lacks": readable(lacks),
        "surplus": readable(surplus),
        "rewritten": not (same or lacks or surplus),
    }


# -- the other questions ---------------------------------------------------------------


def _application(observed: Observed) -> list[Found]:
    inner = observed.examination
    if inner is None:
        return [Found(observed.facts(), what="to the application")]
    reason = readable(inner.reason)
    # Versions before this question answer it like any other.
    facts = Found(inner=True, inner_status=inner.status, inner_reason=reason)
    return [facts] if inner.inner else []


def _probe(target: Asking, plain: Examination, observed: Observed, what: str) -> Found:
    examination = observed.examination or Examination()
    scheme = "http" if target.scheme == "https" else "https"
    believed = [
        name.replace("client", "client address")
        for name, (_, key, value, _) in _REQUEST.items()
        if _is(examination.seen.get(key, ""), value or scheme)
        and not _is(plain.seen.get(key, ""), value or scheme)
    ]
    arrived = examination.arrived
    chains = [arrived.get(key, "") for key in ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED")]
    # The proxy in front has put the doctor's address behind the forged one.
    is_appended = any(ADDRESS in chain and not chain.endswith(ADDRESS) for chain in chains)
    twice = arrived.get("HTTP_X_DOCTOR_TWICE", "")
    return Found(
        observed.facts(),
        what=what,
        forged_status=examination.status,
        forged_reason=readable(examination.reason),
        believed=believed,
        believed_text=" and ".join(filter(None, [", ".join(believed[:-1]), *believed[-1:]])),
        only_appended=believed == ["client address"] and is_appended,
        may_be_us=is_loopback(target.own) or plain.mode != "secret_file",
        passes="HTTP_X_DOCTOR_UNDERSCORE" in arrived,
        both=[part.strip() for part in twice.split(",")] == ["a", "b"],
        kept=f"only {twice!r} arrives" if twice else "none arrives",
    )


def _is(value: str, forged: str) -> bool:
    """Whether a value is the forged one, with or without a port or a path behind it."""
    return value == forged or value.startswith((f"{forged}:", f"{forged}/"))


def _odd_paths(target: Asking, observed: Mapping[str, Observed]) -> list[Found]:
    odd = [_odd_path(name, target, observed[name]) for name in ODD_PATHS if name in observed]
    odd = [each for each in odd if not each["refused"]]
    if len(odd) == len(ODD_PATHS) and all(each["exact"] for each in odd):
        return [Found(all_exact=True)]
    return odd


def _odd_path(name: str, target: Asking, observed: Observed) -> Found:
    examination, tail = observed.examination or Examination(), ODD_PATHS[name]
    whole, sent = examination.path, decoded(target.path.rstrip("/") + tail)
    raw = examination.seen.get("REQUEST_URI") or examination.seen.get("RAW_URI") or ""
    is_raw = raw.partition("?")[0].endswith(tail)
    arrives = whole == sent or whole.endswith(decoded(tail))
    return Found(
        observed.facts(),
        refused=examination.status,
        what=f"for {tail!r}",
        tail=tail,
        whole=readable(whole),
        tidied=not is_raw and not arrives,
        slash=name == "slash",
        exact=is_raw or (name != "slash" and arrives),
    )
