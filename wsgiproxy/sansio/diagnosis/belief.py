"""Whether the receiving end has believed the sender of an honest question, and if not, why."""

from __future__ import annotations

from wsgiproxy.sansio.diagnosis.examination import Examination
from wsgiproxy.sansio.diagnosis.finding import Finding, bad, ok, warn
from wsgiproxy.sansio.headers import is_forwarding_key

__all__ = ["belief", "came_through_proxy"]


def came_through_proxy(found: Examination) -> bool:
    """Whether something between has written a field of its own."""
    return any(is_forwarding_key[key] or key == "HTTP_VIA" for key in found.arrived)


def belief(found: Examination) -> list[Finding]:
    """Whether the sender was believed, and if not, why."""
    if found.mode == "secret_file":
        return [_signature(found)]
    if found.status:
        return [
            bad(
                "refused",
                _refusal(found),
                "The same line is in the log of the backend, as wsgiproxy.error.",
            )
        ]
    told = came_through_proxy(found)
    peer = found.arrived.get("wsgiproxy.peer") or found.arrived.get("REMOTE_ADDR", "")
    if found.mode == "nothing":
        if not told:
            return [ok("trust", "Nobody is believed, and nobody has told anything.")]
        return [
            bad(
                "trust",
                "A proxy has told the backend about the client, but the backend believes nobody.",
                f"If {peer!r} is your proxy: WSGIProxyMiddleware(app, trust_ips={peer!r}). Or, if"
                " it is WSGIProxyApp, the same secret_file on both sides.",
            )
        ]
    return [_peer(found, peer, told), *_everybody(found)]


def _peer(found: Examination, peer: str, told: bool) -> Finding:
    if not found.peer_trusted:
        if not told:
            return ok("trust", f"It came from {peer!r}, which is not trusted, and told nothing.")
        return bad(
            "trust",
            f"It came from {peer!r}, which is not in trust_ips: nothing that it tells is believed.",
            f"If {peer!r} is your proxy, add it to trust_ips.",
        )
    if not told:
        return warn(
            "trust",
            f"It came from {peer!r}, which is trusted, but told nothing about the client.",
            "If that is your proxy, let it send X-Forwarded-For, -Proto and -Host. If you have"
            " asked the backend itself, ask the address of the proxy instead.",
        )
    return ok("trust", f"It came from {peer!r}, which is trusted.")


def _everybody(found: Examination) -> list[Finding]:
    if not found.everybody:
        return []
    return [
        warn(
            "everybody",
            "Whoever can reach the backend without the proxy can forge everything.",
            f"Name the proxy in trust_ips{' beside the counts' * (found.mode == 'counts')},"
            " or use a secret_file.",
        )
    ]


def _refusal(found: Examination) -> str:
    end = "" if found.reason.endswith("?") else "."
    return f"The backend refuses it with {found.status}: {found.reason}{end}"


# How a reason begins -> the cure.
_CURES = (
    ("not signed", "Give WSGIProxyApp the key file: WSGIProxyApp(href, secret_file=...)."),
    ("no such key", "Copy the key file of the front to the backend: both must hold this key."),
    ("created", "Let both machines keep time by NTP."),
    (
        "wrong signature",
        "Either the two sides have different keys of one name, or something between them changes"
        " Host, method or query. nginx: proxy_set_header Host $http_host;",
    ),
    (
        "signed for",
        "Something between the two changes the path. nginx: give proxy_pass no path at its end.",
    ),
    ("the body", "Set sign_body on both sides, or on neither."),
    ("the store", "Look after the store that replay= names; until then nothing is let in."),
)


def _signature(found: Examination) -> Finding:
    if found.verified:
        return ok("signature", f"The signature is right; it was made with key {found.verified!r}.")
    if not found.status:
        return warn(
            "signature",
            "The request is not signed, and unsigned='strip' lets it in. The application knows"
            " nothing about its clients.",
            _CURES[0][1],
        )
    if found.reason.startswith("not signed") and not came_through_proxy(found):
        cure = "Nothing that a proxy adds is there: you may have asked the backend itself. Ask the"
        cure += " address of the proxy."
    else:
        cures = [cure for start, cure in _CURES if found.reason.startswith(start)]
        cure = cures[0] if cures else "The same line is in the log of the backend."
    return bad("signature", _refusal(found), cure)
