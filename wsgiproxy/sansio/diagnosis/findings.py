"""All findings, in the order in which they are read; and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wsgiproxy.sansio.diagnosis.arrival import facts, fields
from wsgiproxy.sansio.diagnosis.belief import belief
from wsgiproxy.sansio.diagnosis.examination import Examination
from wsgiproxy.sansio.diagnosis.finding import (
    BAD,
    Asked,
    Finding,
    Heard,
    Here,
    bad,
    ok,
    warn,
)
from wsgiproxy.sansio.diagnosis.probes import forgeries, names, paths

__all__ = ["diagnose", "diagnose_installation", "verdict"]

_MODES = {
    "secret_file": "it has a secret_file, and believes what is signed",
    "trust_ips": "it believes {reads} of the peers in trust_ips",
    "counts": "it counts proxies as ProxyFix does ({reads})",
    "nothing": "it believes nobody",
}
_READS = {
    "x-forwarded": "the X-Forwarded-* fields",
    "historical": "the fields of WSGIProxy 0.2",
    "forwarded": "the field Forwarded",
}
# Seconds that two clocks may differ without a word.
_CLOSE = 2.0


def diagnose(asked: Asked, heard: Mapping[str, Heard], here: Here) -> list[Finding]:
    """What is right and what is wrong.

    :param asked: the address, as the person typed it.
    :param heard: question (``plain``, ``forged``, ``names``, and those of ``ODD_PATHS``)
        -> what came back.
    :param here: our own installation.
    """
    findings = _clashes("Here", here.clash)
    plain = heard["plain"]
    found = plain.examination
    if found is None:
        return [*findings, _nobody(asked, plain)]
    findings += [_who(found), *_installation(found, here), *belief(found)]
    findings += _clocks(plain, found)
    if not found.status:
        findings += facts(asked, found)
    findings += fields(found)
    if "forged" in heard:
        findings.append(forgeries(asked, found, heard["forged"]))
    if "names" in heard:
        findings += names(asked, found, heard["names"])
    return findings + paths(asked, heard)


def diagnose_installation(here: Here) -> list[Finding]:
    """What is right and what is wrong, if nobody is to be asked.

    >>> diagnose_installation(Here("1.0"))[0].sentence
    'Nothing is wrong with the installation of wsgiproxy 1.0.'
    """
    sentence = f"Nothing is wrong with the installation of wsgiproxy {here.version}."
    return _clashes("Here", here.clash) or [ok("installation", sentence)]


def verdict(findings: Sequence[Finding], heard: Mapping[str, Heard]) -> int:
    """The exit status: 0 healthy, 1 not, 2 if somebody was asked and did not answer."""
    if heard and heard["plain"].examination is None:
        return 2
    return int(any(finding.level == BAD for finding in findings))


_REINSTALL = (
    "pip uninstall WSGIProxy2, and then: pip install --force-reinstall --no-deps wsgiproxy. In"
    " this order, since uninstalling WSGIProxy2 deletes files of this package. For what requires"
    " WSGIProxy2, install docs/examples/wsgiproxy2, which has its name and no modules."
)


def _clashes(where: str, sentences: Sequence[str]) -> list[Finding]:
    return [bad("installation", f"{where}: {sentence}", _REINSTALL) for sentence in sentences]


def _installation(found: Examination, here: Here) -> list[Finding]:
    findings = _clashes("At the backend", found.clash)
    if found.version != here.version:
        findings.append(
            warn(
                "version",
                f"The backend has version {found.version!r}, and this is {here.version!r}.",
                "Install the same version on both sides.",
            )
        )
    return findings


def _who(found: Examination) -> Finding:
    server = found.arrived.get("SERVER_SOFTWARE", "")
    mode = _MODES.get(found.mode, "it has an unknown mode").format(
        reads=_READS.get(found.reads, found.reads)
    )
    where = f"Python {found.python}" + f", {server}" * bool(server)
    return ok("answer", f"WSGIProxyMiddleware {found.version} answered ({where}); {mode}.")


def _clocks(plain: Heard, found: Examination) -> list[Finding]:
    # Where the answer took long, it can only be said so exactly.
    away = found.clock - plain.time
    away -= max(-plain.spread, min(plain.spread, away))
    findings = [_difference("the backend's", "the doctor's", away)]
    if found.created:
        # It is given in whole seconds, rounded down.
        findings.append(
            _difference("the backend's", "the signing front's", found.clock - found.created - 0.5)
        )
    far = [finding for finding in findings if finding.level != "ok"]
    return far or [ok("clock", "The clocks agree.")]


def _difference(one: str, other: str, seconds: float) -> Finding:
    if abs(seconds) <= _CLOSE:
        return ok("clock", "")
    how = "ahead of" if seconds > 0 else "behind"
    return warn(
        "clock",
        f"{one.capitalize()} clock is {_time(abs(seconds))} {how} {other}.",
        "Let both machines keep time by NTP; signatures are good for seconds only.",
    )


def _time(seconds: float) -> str:
    """A length of time as people say it.

    >>> _time(7), _time(3600), _time(200_000)
    ('7 seconds', '60 minutes', '56 hours')
    """
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"


# -- when nobody has answered ----------------------------------------------------------

_HOW = (
    "At the backend: app = WSGIProxyMiddleware(app, secret_file=FILE), with the file of"
    " --secret-file. Where trust_ips is used instead, doctor_file=FILE beside it."
)


def _nobody(asked: Asked, plain: Heard) -> Finding:
    if plain.fault:
        return bad("answer", f"Nothing answers: {plain.fault}.", "Start it, or ask elsewhere.")
    if not asked.keyid:
        return bad(
            "answer",
            f"Something answers with {plain.status}. What arrived there, the middleware tells only"
            " to those who have its key file.",
            "Ask again with --secret-file FILE.",
        )
    sentence, cure = _STATUSES.get(plain.status, ("", ""))
    if plain.location:
        return bad(
            "answer",
            f"It redirects to {plain.location!r} ({plain.status}).",
            "Ask that address.",
        )
    if sentence:
        return bad("answer", f"It answers with {plain.status}: {sentence}", cure)
    return bad(
        "answer",
        f"It answers with {plain.status}, but not the middleware: there is none, or its key file"
        f" has no key {asked.keyid!r}, or something on the way removes the field X-Doctor.",
        _HOW,
    )


_STATUSES = {
    400: ("the request was refused on its way.", "Ask by the name that is used otherwise."),
    401: (
        "a login is in front of it.",
        "Give what gets you in: --header 'Authorization: ...' or --header 'Cookie: ...'",
    ),
    403: (
        "it is refused, and the question was not understood. If the backend has a"
        " WSGIProxyMiddleware, its key file is not ours.",
        _HOW,
    ),
    407: ("a proxy on the way wants a login.", "Ask from a machine that needs none."),
    502: (
        "the proxy is there, but not the backend.",
        "Start the backend; look at the proxy's log.",
    ),
    503: (
        "the proxy is there, but not the backend.",
        "Start the backend; look at the proxy's log.",
    ),
    504: ("the backend is too slow.", "Look at the backend's log."),
}
