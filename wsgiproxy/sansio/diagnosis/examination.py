"""What a diagnosis rests on: the address, the answer of a middleware, the result of a question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from wsgiproxy.sansio.fields.names import environ_key, words
from wsgiproxy.sansio.fields.namespace import is_forwarding_key

__all__ = ["Examination", "Installation", "Observed", "Asking", "is_loopback", "readable"]
__all__ += ["read_examination", "shown"]


class Examination(NamedTuple):
    """The answer of a middleware: what of one request arrived, and what it makes of that."""

    doctor: str = ""  # the nonce of the question
    clock: float = 0.0  # of the backend, in seconds since 1970
    stale: bool = False  # the question was out of date; then the rest has its defaults
    version: str = ""  # of this package
    python: str = ""  # version of the interpreter
    mode: str = ""  # secret_file, trust_ips, counts or nothing
    reads: str = ""  # the family of fields, or the counts as text
    everybody: bool = False  # every peer is trusted
    peer_trusted: bool = False  # the peer of this request is
    fixed: tuple[str, ...] = ()  # settings that replace a fact of the request
    arrived: Mapping[str, str] = {}  # the environ as it came in, as far as it is shown
    seen: Mapping[str, str] = {}  # the environ of the application; empty if refused
    status: int = 0  # of the refusal; 0 if there is none
    reason: str = ""  # of the refusal, as it is logged
    verified: str = ""  # the key id of the verified signature
    created: int = 0  # the time in the signature; 0 without one
    carried: tuple[str, ...] = ()  # names of the carried keys
    accepted: tuple[str, ...] = ()  # those that the application gets
    clash: tuple[str, ...] = ()  # sentences about files of other packages
    inner: bool = False  # another middleware has restored the request before
    # A version without this setting is not to be told to set it: hence the default.
    require_forwarded: bool = True
    public: bool = False  # the key file holds a public half
    authorities: bool = False  # the setting is there
    middleware: str = ""  # the name of its class

    @property
    def path(self) -> str:
        """The whole decoded path that the application sees."""
        return self.seen.get("SCRIPT_NAME", "") + self.seen.get("PATH_INFO", "")


class Asking(NamedTuple):
    """The address that the doctor asks."""

    scheme: str
    host: str  # the value of Host
    path: str  # raw
    own: str = ""  # the doctor's own address, as the kernel would choose it; empty if unknown
    keyid: str = ""  # of the key that signs the questions; empty without one


class Observed(NamedTuple):
    """The result of one question."""

    examination: Examination | None = None  # None if no middleware has answered
    status: int = 0  # of the response; 0 without one
    time: float = 0.0  # the doctor's own clock, in the middle of the exchange
    spread: float = 0.0  # half the duration of the exchange
    fault: str = ""  # why there is no response
    location: str = ""  # the target of a redirect
    server: str = ""  # the value of Server

    def facts(self) -> dict[str, Any]:
        """The facts about the response."""
        return {
            "http": self.status,
            f"http_{self.status}": True,
            "http_error": self.status >= 400,
            "no_backend": self.status in (502, 503),
            "fault": self.fault,
            "location": self.location,
            "unanswered": self.examination is None,
            "kept_out": 400 <= self.status < 500,
            "answer": self.fault or f"status {self.status}",
        }


class Installation(NamedTuple):
    """The doctor's own installation."""

    version: str
    clash: tuple[str, ...] = ()  # sentences about files of other packages


_KEYS = words(
    "REQUEST_METHOD wsgi.url_scheme HTTP_HOST SERVER_NAME SERVER_PORT SERVER_PROTOCOL "
    "SERVER_SOFTWARE REMOTE_ADDR REMOTE_PORT SCRIPT_NAME PATH_INFO QUERY_STRING REQUEST_URI "
    "RAW_URI HTTP_VIA wsgiproxy.peer wsgiproxy.verified wsgiproxy.traversal_path "
    "wsgiproxy.traversal_query_string"
) | {
    # Of the forwarding namespace, those about the request. Others may be credentials:
    # X-Forwarded-Access-Token is one, and the envelope holds the carried values.
    environ_key(name)
    for name in words(
        "x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-port x-forwarded-prefix "
        "x-forwarded-scheme x-forwarded-server x-forwarded-script-name x-forwarded-ssl forwarded "
        "x-real-ip x-script-name script-name path-info x-original-url x-rewrite-url "
        "x-traversal-path x-traversal-query-string"
    )
}
_PROBES = "HTTP_X_DOCTOR_"
# Our own probes are short; a client's fields need not be shown in full.
_LONGEST = 1024


def shown(environ: Mapping[str, Any]) -> dict[str, str]:
    """The part of an environ that is answered: address and forwarding fields.

    Of fields that may hold secrets, it is the length alone.

    >>> shown({"HTTP_COOKIE": "a=b", "HTTP_X_FORWARDED_FOR": "::1", "HTTP_WSGIPROXY": "eyJ2"})
    {'HTTP_X_FORWARDED_FOR': '::1', 'HTTP_WSGIPROXY': '(4 characters)'}
    """
    return {
        key: value[:_LONGEST] if is_open else f"({len(value)} characters)"
        for key, value in environ.items()
        if isinstance(value, str)
        and ((is_open := key in _KEYS or key.startswith(_PROBES)) or is_forwarding_key(key))
    }


def _fits(value: object, default: object) -> bool:
    """Whether *value* has the type of a default; JSON has lists in place of tuples."""
    if isinstance(default, dict):
        return isinstance(value, dict) and _fits(list(value.values()), ())
    if isinstance(default, tuple):
        return isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)
    if isinstance(default, (bool, str)) or isinstance(value, bool):
        return type(value) is type(default)
    return isinstance(value, (int, float)) and -1e15 < value < 1e15  # NaN is not


def read_examination(answer: object, nonce: str) -> Examination | None:
    """The examination in an answer; None if it is not one for the question of this nonce.

    Missing fields have their defaults, and unknown ones are left out: the two ends may be of
    different versions.

    >>> read_examination({"doctor": "n1", "clock": 5}, "n1").clock
    5
    >>> read_examination({"hello": "world"}, "n1") is None
    True
    """
    if not isinstance(answer, dict) or answer.get("doctor") != nonce:
        return None
    defaults = Examination._field_defaults
    known: dict[str, Any] = {name: answer[name] for name in defaults if name in answer}
    if not all(_fits(value, defaults[name]) for name, value in known.items()):
        return None
    known |= {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
    return Examination(**known)


def readable(value: str) -> str:
    """A native string (PEP 3333) as text, if it is UTF-8.

    >>> readable("caf\\xc3\\xa9")
    'café'
    """
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def is_loopback(address: str) -> bool:
    """Whether an address is one of the machine itself."""
    return address == "::1" or address.startswith("127.")
