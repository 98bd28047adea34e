"""The dishonest and the odd questions: what is sent with them, and what must not come of it."""

from __future__ import annotations

from collections.abc import Mapping

from wsgiproxy.sansio.diagnosis.arrival import full_path
from wsgiproxy.sansio.diagnosis.belief import came_through_proxy
from wsgiproxy.sansio.diagnosis.examination import Examination
from wsgiproxy.sansio.diagnosis.finding import Asked, Finding, Heard, bad, ok, warn
from wsgiproxy.sansio.message import Headers
from wsgiproxy.sansio.target import decoded

__all__ = ["FORGED", "NAMES", "ODD_PATHS", "forgeries", "names", "paths"]

# RFC 5737 and RFC 6761: nobody has this address, and nobody can have this name.
_ADDRESS, _HOST, _PREFIX = "192.0.2.66", "doctor.invalid", "/doctor-forged"


def _forged(scheme: str) -> Headers:
    element = f"for={_ADDRESS};host={_HOST};proto={scheme}"
    return [
        ("X-Forwarded-For", _ADDRESS),
        ("X-Real-IP", _ADDRESS),
        ("X-Forwarded-Host", _HOST),
        ("X-Forwarded-Server", _HOST),
        ("X-Forwarded-Proto", scheme),
        ("X-Forwarded-Scheme", scheme),
        ("X-Forwarded-Prefix", _PREFIX),
        ("X-Forwarded-Script-Name", _PREFIX),
        ("X-Script-Name", _PREFIX),
        ("Forwarded", element),
    ]


#: Scheme that we ask by -> fields that a client has no business to send.
FORGED: Mapping[str, Headers] = {"http": _forged("https"), "https": _forged("http")}
#: Names and repetitions that servers treat in different ways.
NAMES: Headers = [
    ("X_Doctor_Underscore", "1"),
    ("X_Forwarded_For", _ADDRESS),
    ("X_Forwarded_Host", _HOST),
    ("X-Doctor-Twice", "a"),
    ("X-Doctor-Twice", "b"),
]
#: Question -> what is put behind the path.
ODD_PATHS = {"slash": "/doctor%2Fslash", "odd": "/doctor//odd;a=b/caf%C3%A9"}


def _believed(asked: Asked, plain: Examination, found: Examination) -> list[str]:
    """What the application would believe of a forgery, and has not believed before."""
    scheme = "http" if asked.scheme == "https" else "https"
    return [
        fact
        for fact, key, forged in (
            ("client address", "REMOTE_ADDR", _ADDRESS),
            ("host", "HTTP_HOST", _HOST),
            ("scheme", "wsgi.url_scheme", scheme),
            ("prefix", "SCRIPT_NAME", _PREFIX),
        )
        if _is(found.seen.get(key, ""), forged) and not _is(plain.seen.get(key, ""), forged)
    ]


def _is(value: str, forged: str) -> bool:
    """Whether a value is the forged one, with a port or a path behind it or not."""
    return value == forged or value.startswith((f"{forged}:", f"{forged}/"))


def forgeries(asked: Asked, plain: Examination, heard: Heard) -> Finding:
    """Whether a client can forge what the application knows of it."""
    found = heard.examination
    if found is None:
        return _unanswered("forgery", "with forged X-Forwarded-* fields", heard)
    if found.status and not plain.status:
        return ok("forgery", f"Forged fields make the backend refuse: {found.reason}.")
    if found.status:
        return warn(
            "forgery", "Whether forged fields are believed cannot be seen while it refuses."
        )
    believed = _believed(asked, plain, found)
    if not believed:
        return ok("forgery", "Forged X-Forwarded-*, Forwarded and X-Script-Name have no effect.")
    what = " and ".join([", ".join(believed[:-1])] * (len(believed) > 1) + believed[-1:])
    return _forgery(what, believed, asked, plain, found)


def _forgery(
    what: str, believed: list[str], asked: Asked, plain: Examination, found: Examination
) -> Finding:
    sentence = f"A client can forge its {what}: the application believes what we made up."
    if plain.everybody:
        cure = "Name the address of the proxy in trust_ips, or use a secret_file."
        if plain.mode == "counts":
            cure = "Ask the proxy, not the backend; and count no more proxies than there are."
        return bad("forgery", sentence, cure)
    us = plain.seen.get("REMOTE_ADDR", "")
    maybe = (
        f"We are believed, since we ask from {us!r}, an address that is trusted as a proxy."
        " To know what others can forge, ask from another machine."
    )
    if plain.mode != "secret_file" and not came_through_proxy(plain):
        return warn("forgery", maybe, "That is as it should be if only proxies have this address.")
    if plain.mode != "secret_file" and not (believed == ["client address"] and _appended(found)):
        return bad(
            "forgery",
            sentence,
            "The proxy in front passes on what clients write. It must set these fields itself."
            " nginx: proxy_set_header X-Forwarded-Host $http_host; and so on for each.",
        )
    if asked.own.startswith("127.") or asked.own == "::1" or plain.mode != "secret_file":
        return warn("forgery", maybe, "Name no more in trusted_proxies and trust_ips than proxies.")
    return bad(
        "forgery",
        sentence,
        "WSGIProxyApp believes the peer: name no more than your proxies in trusted_proxies. If"
        " a proxy is in front of it, that one must set these fields itself.",
    )


def _appended(found: Examination) -> bool:
    """Whether somebody has put our own address behind the forged one."""
    return any(
        _ADDRESS in found.arrived.get(key, "") and not found.arrived[key].endswith(_ADDRESS)
        for key in ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED")
    )


def _unanswered(topic: str, what: str, heard: Heard) -> Finding:
    answer = heard.fault or f"status {heard.status}"
    if 400 <= heard.status < 500:
        return ok(topic, f"Something refuses the question {what} ({answer}), and keeps it out.")
    return warn(topic, f"The question {what} was not answered: {answer}.")


def names(asked: Asked, plain: Examination, heard: Heard) -> list[Finding]:
    """What becomes of names with underscores, and of fields that come twice."""
    found = heard.examination
    if found is None:
        return [_unanswered("underscores", "with underscores in names", heard)]
    return [_underscores(asked, plain, found), _twice(found.arrived)]


def _underscores(asked: Asked, plain: Examination, found: Examination) -> Finding:
    believed = _believed(asked, plain, found)
    passes = "HTTP_X_DOCTOR_UNDERSCORE" in found.arrived
    if believed and came_through_proxy(plain):
        return bad(
            "underscores",
            "X_Forwarded_For passes for X-Forwarded-For, and is believed: a client can forge it.",
            "Let the proxy drop names with underscores (nginx does; HAProxy: http-request"
            " del-header _ -m sub), or use a secret_file.",
        )
    if not passes:
        return ok(
            "underscores",
            "Names with underscores are dropped on the way: X_Forwarded_For passes for nothing.",
        )
    return ok(
        "underscores",
        "Names with underscores get through, and WSGI cannot tell X_User from X-User."
        " X_Forwarded_For and its like are removed.",
    )


def _twice(arrived: Mapping[str, str]) -> Finding:
    value = arrived.get("HTTP_X_DOCTOR_TWICE", "")
    if [part.strip() for part in value.split(",")] == ["a", "b"]:
        return ok("twice", "A field that comes twice arrives as one list.")
    kept = f"only {value!r} arrives" if value else "none arrives"
    return warn(
        "twice",
        f"Of a field that comes twice, {kept}: two servers may read one request differently.",
    )


def paths(asked: Asked, heard: Mapping[str, Heard]) -> list[Finding]:
    """Whether odd paths arrive as they were sent."""
    findings = []
    for name, tail in ODD_PATHS.items():
        if name in heard:
            found = heard[name].examination
            if found is None:
                findings.append(_unanswered("path", f"for {tail!r}", heard[name]))
            elif not found.status:
                findings.append(_fidelity(name, asked.path.rstrip("/") + tail, found))
    if [finding.sentence for finding in findings] == list(_EXACT.values()):
        return [ok("path", "Odd paths (%2F, //, ;a=b, non-ASCII) arrive byte for byte.")]
    return findings


_EXACT = {
    "slash": "The application can tell %2F from a slash.",
    "odd": "Paths with //, with ;a=b and with other than ASCII arrive byte for byte.",
}


def _fidelity(name: str, sent: str, found: Examination) -> Finding:
    tail = ODD_PATHS[name]
    raw = found.seen.get("REQUEST_URI") or found.seen.get("RAW_URI") or ""
    whole = full_path(found)
    if raw.partition("?")[0].endswith(tail):
        return ok("path", _EXACT[name])
    if whole != decoded(sent) and not whole.endswith(decoded(tail)):
        return warn(
            "path",
            f"We asked for {tail!r}, but the application sees {whole!r}: something tidies it up.",
            "nginx: give proxy_pass no path at its end, and set merge_slashes off.",
        )
    if name == "slash":
        return warn(
            "path",
            "The application cannot tell %2F from a slash: a server on the way keeps no raw path.",
            "waitress and gunicorn keep it. Most applications do not mind.",
        )
    return ok("path", _EXACT[name])
