"""What is sent with the questions that are not honest ones."""

from __future__ import annotations

from collections.abc import Mapping

from wsgiproxy.sansio.message import Headers

__all__ = ["ADDRESS", "FORGED", "HOST", "NAMES", "ODD_PATHS", "PREFIX"]

# RFC 5737 and RFC 6761: nobody has this address, and nobody can have this name.
ADDRESS, HOST, PREFIX = "192.0.2.66", "doctor.invalid", "/doctor-forged"


def _forged(scheme: str) -> Headers:
    return [
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


#: Scheme that we ask by -> fields that a client has no business to send.
FORGED: Mapping[str, Headers] = {"http": _forged("https"), "https": _forged("http")}
#: Names and repetitions that servers treat in different ways.
NAMES: Headers = [
    ("X_Doctor_Underscore", "1"),
    ("X_Forwarded_For", ADDRESS),
    ("X_Forwarded_Host", HOST),
    ("X-Doctor-Twice", "a"),
    ("X-Doctor-Twice", "b"),
]
#: Question -> what is put behind the path.
ODD_PATHS = {"slash": "/doctor%2Fslash", "odd": "/doctor//odd;a=b/caf%C3%A9"}
