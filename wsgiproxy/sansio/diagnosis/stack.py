"""Words for the stack as a whole: who is believed, what arrived, whose clock is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wsgiproxy.sansio.diagnosis.finding import Observed, Target
from wsgiproxy.sansio.diagnosis.probes import FORGED
from wsgiproxy.sansio.diagnosis.remedies import ELSEWHERE, LINES, REASONS
from wsgiproxy.sansio.diagnosis.report import Examination
from wsgiproxy.sansio.diagnosis.words import FAMILIES, X, is_loopback, text
from wsgiproxy.sansio.fields.forwarded import client_address
from wsgiproxy.sansio.fields.names import environ_key
from wsgiproxy.sansio.fields.namespace import is_forwarding_key

__all__ = ["clocks", "stack"]

_MODES = ("secret_file", "trust_ips", "counts", "nothing")
_READS = {
    "x-forwarded": "the X-Forwarded-* fields",
    "historical": "the fields of WSGIProxy 0.2",
    "forwarded": "the field Forwarded",
}
_USED_TOO = {"X-Forwarded-Port", "X-Script-Name", "X-Traversal-Path"}
_DROPPED = re.compile("([A-Za-z-]+) (?:did not arrive|is covered, but not there)")


def stack(asked: Target, found: Examination, heard: Mapping[str, Observed]) -> dict[str, Any]:
    """Words for what the receiving end believes, and for what arrived there."""
    arrived, server = found.arrived, found.arrived.get("SERVER_SOFTWARE", "")
    dropped = _DROPPED.match(found.reason)
    lost = [name for name in found.carried if name not in found.accepted]
    end = "" if found.reason.endswith("?") else "."
    return {
        **{mode: found.mode == mode for mode in _MODES},
        "believing": found.mode not in ("nothing", "secret_file"),
        "family": _READS.get(found.reads, found.reads),
        "software": f", {server}" if server else "",
        "waitress": server.lower().startswith("waitress"),
        "peer": arrived.get("wsgiproxy.peer") or arrived.get("REMOTE_ADDR", ""),
        # Something between has written a field of its own.
        "told": any(is_forwarding_key(key) or key == "HTTP_VIA" for key in arrived),
        "by_front": found.verified or "wsgiproxy" in arrived.get("HTTP_VIA", ""),
        **_client_field(asked, found, heard),
        **_lines(heard["plain"].server),
        "refusal": f"The backend refuses it with {found.status}: {text(found.reason)}{end}",
        **{word: found.reason.startswith(start) for start, word in REASONS.items()},
        "dropped": dropped and dropped[1].replace("wsgiproxy", "WSGIProxy"),
        "us": found.seen.get("REMOTE_ADDR", ""),
        "own_is_loopback": is_loopback(client_address(asked.own)),
        "seen_path": text(found.seen.get("PATH_INFO", "")),
        "arrived_path": text(arrived.get("PATH_INFO", "")),
        "prefix": text(found.seen.get("SCRIPT_NAME", "")),
        "mounted": _mounted(found),
        "unused": ", ".join(_unused(found)),
        "lost_keys": lost,
        "lost_text": ", ".join(map(repr, lost)),
    }


def _client_field(
    asked: Target, found: Examination, heard: Mapping[str, Observed]
) -> dict[str, Any]:
    """The field that tells the client, and whether it arrives."""
    field = FAMILIES.get(found.reads, X)["client"]
    key = environ_key(field.lower())
    forged = heard.get("forged", Observed()).examination
    # The doctor has sent it by itself, beside others that did arrive.
    sent = [environ_key(name.lower()) for name, _ in FORGED[asked.scheme]]
    arrives = forged is not None and any(name in forged.arrived for name in sent)
    others = {
        family: fields["client"]
        for family, fields in FAMILIES.items()
        if fields["client"] != field and environ_key(fields["client"].lower()) in found.arrived
    }
    other, other_field = next(iter(others.items()), ("", ""))
    return {
        "client_field": field,
        "other_family": other,
        "other_field": other_field,
        "client_told": key in found.arrived or "x_for=0" in found.reads.split(", "),
        "client_passes": forged is not None and key in forged.arrived,
        "removed": forged is not None and arrives and key not in forged.arrived,
    }


def _lines(server: str) -> dict[str, str]:
    """How the proxy in front is told things, if it is nginx, or does not say what it is."""
    lines = LINES if not server or server.lower().startswith("nginx") else ELSEWHERE
    return {f"line_{name}": line for name, line in lines.items()}


def _mounted(found: Examination) -> str:
    """Where a mount around the middleware took something off the path that has come back."""
    mount = found.arrived.get("SCRIPT_NAME", "")
    undone = found.seen.get("PATH_INFO", "") == mount + found.arrived.get("PATH_INFO", "")
    return text(mount) if undone else ""


def _unused(found: Examination) -> list[str]:
    used = set(FAMILIES.get(found.reads, X).values()) | _USED_TOO if found.peer_trusted else set()
    if found.verified:
        used = {"WSGIProxy", "X-Traversal-Path", "X-Traversal-Query-String"}
    keys = {environ_key(name.lower()) for name in used}
    unused = [key for key in found.arrived if is_forwarding_key(key) and key not in keys]
    return sorted(key[5:].replace("_", "-").title().replace("Wsgip", "WSGIP") for key in unused)


# Seconds that two clocks may differ without a word.
_CLOSE = 2.0


def clocks(plain: Observed, found: Examination) -> list[dict[str, str]]:
    """Words for each difference of two clocks that is worth a word."""
    # Where the answer took long, it can only be said so exactly.
    away = found.clock - plain.time
    away -= max(-plain.spread, min(plain.spread, away))
    differences = [("the doctor's", away)]
    if found.created:
        # It is given in whole seconds, rounded down.
        differences.append(("the signing front's", found.clock - found.created - 0.5))
    return [
        {
            "one": "The backend's",
            "other": other,
            "how": "ahead of" if seconds > 0 else "behind",
            "seconds": _time(abs(seconds)),
        }
        for other, seconds in differences
        if abs(seconds) > _CLOSE
    ]


def _time(seconds: float) -> str:
    """A length of time as people say it.

    >>> _time(7), _time(3600), _time(200_000)
    ('7 seconds', '60 minutes', '56 hours')
    """
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"
