"""The answer to a question: what of a request may be shown, and how it is read again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from wsgiproxy.sansio.fields.names import environ_key, words
from wsgiproxy.sansio.fields.namespace import is_forwarding_key

__all__ = ["Examination", "read_examination", "shown"]


class Examination(NamedTuple):
    """What the receiving end has to say of one request.

    :param doctor: the nonce of the question.
    :param clock: its clock, in seconds since 1970.
    :param stale: the question was out of date; then this and the clock are all.
    :param version: of this package.
    :param python: of the interpreter.
    :param mode: ``secret_file``, ``trust_ips``, ``counts`` or ``nothing``.
    :param reads: the family, or the counts as text.
    :param everybody: whether everybody is trusted.
    :param peer_trusted: whether the peer of this request is.
    :param fixed: facts that the configuration gives.
    :param unsigned: ``reject`` or ``strip``.
    :param max_age: seconds for which a signature is good.
    :param clock_skew: seconds by which the sender may be ahead.
    :param arrived: what :func:`shown` has let pass, as it came in.
    :param seen: the same as the application would get it; empty if it is refused.
    :param status: of the refusal; 0 if there is none.
    :param reason: of the refusal, as the log has it.
    :param verified: the key of the verified signature.
    :param created: when the signature says that it was made; 0 if there is none.
    :param carried: names of the carried keys.
    :param accepted: those that the application would get.
    :param clash: sentences about the installation.
    :param inner: another middleware has restored the request before this one got it.
    :param require_forwarded: a trusted peer must tell the client; versions that do not know
        the setting are not asked for it.
    :param public: a key here is the public half of one.
    :param authorities: whether the backend knows its own names.
    """

    doctor: str = ""
    clock: float = 0.0
    stale: bool = False
    version: str = ""
    python: str = ""
    mode: str = ""
    reads: str = ""
    everybody: bool = False
    peer_trusted: bool = False
    fixed: tuple[str, ...] = ()
    unsigned: str = ""
    max_age: float = 0.0
    clock_skew: float = 0.0
    arrived: Mapping[str, str] = {}
    seen: Mapping[str, str] = {}
    status: int = 0
    reason: str = ""
    verified: str = ""
    created: int = 0
    carried: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    clash: tuple[str, ...] = ()
    inner: bool = False
    require_forwarded: bool = True
    public: bool = False
    authorities: bool = False


_KEYS = words(
    "REQUEST_METHOD wsgi.url_scheme HTTP_HOST SERVER_NAME SERVER_PORT SERVER_PROTOCOL "
    "SERVER_SOFTWARE REMOTE_ADDR REMOTE_PORT SCRIPT_NAME PATH_INFO QUERY_STRING REQUEST_URI "
    "RAW_URI HTTP_VIA wsgiproxy.peer wsgiproxy.verified wsgiproxy.traversal_path "
    "wsgiproxy.traversal_query_string"
)
# Of the forwarding namespace, those that speak of the request. Others may be credentials:
# X-Forwarded-Access-Token is one, and the envelope holds whatever the front has carried.
_FIELDS = frozenset(
    environ_key(name)
    for name in words(
        "x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-port x-forwarded-prefix "
        "x-forwarded-scheme x-forwarded-server x-forwarded-script-name x-forwarded-ssl forwarded "
        "x-real-ip x-script-name script-name path-info x-original-url x-rewrite-url "
        "x-traversal-path x-traversal-query-string"
    )
)
_PROBES = "HTTP_X_DOCTOR_"
# Our own probes are short; a client's fields need not be shown in full.
_LONGEST = 1024


def shown(environ: Mapping[str, Any]) -> dict[str, str]:
    """What of an environ is answered: the address, and the forwarding fields.

    Of fields that may hold secrets, it is the length alone.

    >>> shown({"HTTP_COOKIE": "a=b", "HTTP_X_FORWARDED_FOR": "::1", "HTTP_WSGIPROXY": "eyJ2"})
    {'HTTP_X_FORWARDED_FOR': '::1', 'HTTP_WSGIPROXY': '(4 characters)'}
    """
    found = {}
    for key, value in environ.items():
        if not isinstance(value, str):
            continue
        if key in _KEYS or key in _FIELDS or key.startswith(_PROBES):
            found[key] = value[:_LONGEST]
        elif is_forwarding_key(key):
            found[key] = f"({len(value)} characters)"
    return found


def _fits(value: object, default: object) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, (int, float)):
        return isinstance(value, (int, float)) and -1e15 < value < 1e15  # NaN is not
    if isinstance(default, tuple):
        return isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)
    if isinstance(default, dict):
        return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
    return isinstance(value, str)


def read_examination(answer: object, nonce: str) -> Examination | None:
    """What an answer says; None if it is none to the question of this nonce.

    What is missing has its default, and what is unknown is left out: the two ends may be of
    different versions.

    >>> read_examination({"doctor": "n1", "clock": 5}, "n1").clock
    5
    >>> read_examination({"hello": "world"}, "n1") is None
    True
    """
    if not isinstance(answer, dict) or answer.get("doctor") != nonce:
        return None
    said = {name: answer[name] for name in Examination._fields if name in answer}
    defaults = Examination._field_defaults
    if not all(_fits(value, defaults[name]) for name, value in said.items()):
        return None
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in said.items()
    }
    return Examination(**known)
