"""The receiving end: the facts of the original request, put back into the environ.

It removes the forwarding namespace whatever else it does, believes only what the settings
name, and loads nothing that could connect.
"""

from __future__ import annotations

import base64
import os
import pickle
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from wsgiproxy.doctor.endpoint import ENVIRON_KEY, examiner
from wsgiproxy.errors import BadRequest, ConfigurationError, Forbidden, ProxyError
from wsgiproxy.observe.warn import Refusals, warn_of_wildcards, warn_once
from wsgiproxy.replay import MemoryReplay
from wsgiproxy.sansio.environ.restore import (
    Changes,
    Fixed,
    by_configuration,
    by_envelope,
    by_family,
    namespace,
)
from wsgiproxy.sansio.fields.envelope import Carried
from wsgiproxy.sansio.fields.forwarded import (
    Counts,
    Stated,
    believe,
    check_named,
    count,
    peer_of,
    trust,
)
from wsgiproxy.sansio.fields.host import is_allowed, is_host
from wsgiproxy.secretloader import SECRET_FILE, KeyFile
from wsgiproxy.settings import resolve
from wsgiproxy.settings.described import listing
from wsgiproxy.settings.parts import PARTS
from wsgiproxy.settings.setting import shown
from wsgiproxy.signature import Verifier, apply, is_signed

if TYPE_CHECKING:
    from typing import Literal

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from typing_extensions import Unpack

    from wsgiproxy.settings.options import MiddlewareOptions

__all__ = ["WSGIProxyMiddleware"]


@listing
class WSGIProxyMiddleware:
    """Restores the original request at the backend, from a signature or trusted peers.

    With ``secret_file``, what a signature of :class:`~wsgiproxy.app.WSGIProxyApp` covers is
    believed, and every other request refused (403). With ``trust_ips``, one family of
    forwarding fields is believed, when the peer is among them. With neither, nothing is. In
    all cases the forwarding fields are gone when the application is called, and what was
    replaced is under ``wsgiproxy.orig``.

    :param application: the WSGI application.
    :param secret_file: path of the key file of the sender.
    :param trust_ips: addresses, networks in CIDR notation, ``unix``, or ``*`` alone.
    :param prefix: value for ``SCRIPT_NAME``.
    :param pop_prefix: what to move from ``PATH_INFO`` to ``SCRIPT_NAME`` (404 if it is not there).
    :param scheme: ``http`` or ``https``.
    :param host: ``host:port``; sets ``HTTP_HOST``, ``SERVER_NAME`` and ``SERVER_PORT``.
    :param domain: the host alone.
    :param port: the port alone.
    :param options: the other rows of :data:`wsgiproxy.settings.MIDDLEWARE`. The counts of
        Werkzeug's ProxyFix are among them.
    :raises ConfigurationError: naming the setting, its value and what was expected.

    >>> from webob import Request
    >>> def hello(environ, start_response):
    ...     start_response("200 OK", [("Content-Type", "text/plain")])
    ...     return [environ["REMOTE_ADDR"].encode()]
    >>> request = Request.blank("/", {"REMOTE_ADDR": "10.0.0.2"})
    >>> request.headers["X-Forwarded-For"] = "192.0.2.1"
    >>> request.get_response(WSGIProxyMiddleware(hello)).text
    '10.0.0.2'
    >>> request.get_response(WSGIProxyMiddleware(hello, trust_ips="10.0.0.0/8")).text
    '192.0.2.1'
    """

    def __init__(
        self,
        application: WSGIApplication,
        secret_file: str | os.PathLike[str] | None = None,
        trust_ips: str | Iterable[str] | None = None,
        prefix: str | None = None,
        pop_prefix: str | None = None,
        scheme: Literal["http", "https"] | None = None,
        host: str | None = None,
        domain: str | None = None,
        port: int | str | None = None,
        **options: Unpack[MiddlewareOptions],
    ) -> None:
        _check_application(application)
        settings = _resolved(
            {
                "secret_file": secret_file,
                "trust_ips": trust_ips,
                "prefix": prefix,
                "pop_prefix": pop_prefix,
                "scheme": scheme.lower() if isinstance(scheme, str) else scheme,
                "host": host,
                "domain": domain,
                "port": port,
                **options,
            }
        )
        self.application = application
        self._counts = _counts(settings)
        self._verifier = _verifier(settings)
        self._strips = settings["unsigned"] == "strip"
        self._accepted = frozenset(settings["accept_keys"])
        self._unpickles = settings["allow_pickle"]
        self._trusts = trust(settings["trust_ips"], "trust_ips", any_peer=True)
        self._family = settings["family"]
        self._requires = settings["require_forwarded"]
        self._fixed = Fixed(*(settings[name] for name in Fixed._fields))
        self._allowed_hosts = settings["allowed_hosts"]
        self._examiner = examiner(settings, self._trusts)
        self._refusals = Refusals()

    @classmethod
    def from_env(
        cls, application: WSGIApplication, **options: Unpack[MiddlewareOptions]
    ) -> WSGIProxyMiddleware:
        """For an application that :class:`~wsgiproxy.spawn.SpawningApplication` has started.

        It believes its own parent, and refuses all other requests. The environment variable
        ``WSGIPROXY_SECRET_FILE`` names the file with the keys.

        :param application: the WSGI application.
        :param options: rows of :data:`wsgiproxy.settings.MIDDLEWARE`.
        :raises ConfigurationError: there is no such variable: no spawner has started this process.
        """
        secret_file = os.environ.get(SECRET_FILE)
        if not secret_file:
            raise ConfigurationError(
                f"{SECRET_FILE} is not set: expected to be started by SpawningApplication or"
                " `wsgiproxy serve -- COMMAND`, with sign=True"
            )
        return cls(application, secret_file, **options)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333); the environ is copied, and the caller's left alone."""
        if ENVIRON_KEY in environ and self._examiner is not None:
            answer = self._examiner.answer(environ, self._restored, start_response)
            if answer is not None:
                return answer
        try:
            restored = self._restored(environ)
        except ProxyError as error:
            self._refusals.log(error)
            # WebOb is seldom needed here, and loads many modules.
            from wsgiproxy.wsgi.errorpage import error_page

            return error_page(error)(environ, start_response)
        return self.application(restored, start_response)

    def _restored(self, environ: WSGIEnvironment) -> WSGIEnvironment:
        """Verify, strip, believe, apply: the order keeps out all that is not proven."""
        changes: Changes = namespace(environ)
        carried: Changes = {}
        if self._verifier is not None:
            changes.update(dict.fromkeys(self._accepted))
            if not self._strips or is_signed(environ):
                proven, carried = self._proven(self._verifier, environ)
                changes.update(proven)
        elif self._trusts(peer_of(environ)):
            received = self._received(environ)
            if self._requires:
                check_named(received.client)
            changes.update(by_family(received, environ))
        restored = dict(environ)
        apply(changes, restored)
        restored.update(carried)
        configured = by_configuration(self._fixed, restored)
        apply(configured, restored)
        changes.update(configured)
        host = restored.get("HTTP_HOST", "")
        if host and not is_host(host):
            # wsgiref and Paste keep the line end of a folded field.
            raise BadRequest(f"Host {host!r} is not host[:port]")
        if self._allowed_hosts and not is_allowed(host, self._allowed_hosts):
            raise BadRequest(f"Host {host!r} is not in allowed_hosts")
        restored["wsgiproxy.orig"] = {
            key: environ[key] for key in changes if key in environ and key != "wsgi.input"
        }
        return restored

    def _received(self, environ: WSGIEnvironment) -> Stated:
        if self._counts is not None:
            return count(environ, self._counts)
        return believe(environ, self._family, self._trusts)

    def _proven(self, verifier: Verifier, environ: WSGIEnvironment) -> tuple[Changes, Changes]:
        proof, envelope, body = verifier.check(environ)
        changes = by_envelope(envelope, environ)
        changes.update(body)
        changes["wsgiproxy.verified"] = proof.keyid
        return changes, self._carried(envelope.carried)

    def _carried(self, carried: Carried) -> Changes:
        """The carried keys; None is a value here, and removes nothing."""
        changes: Changes = {}
        for kind, members in carried.items():
            for name, value in members.items():
                if name in self._accepted:
                    changes[name] = self._unpickled(name, value) if kind == "pickle" else value
        return changes

    def _unpickled(self, name: str, value: str) -> object:
        if not self._unpickles:
            raise Forbidden(f"the key {name!r} comes by pickle, and allow_pickle is off")
        try:
            return pickle.loads(base64.b64decode(value, validate=True))
        except Exception as error:  # a pickle may raise anything
            raise Forbidden(f"the key {name!r} cannot be unpickled: {error!r}") from error


def _check_application(application: object) -> None:
    if not callable(application):
        hint = "; the address of an upstream is for WSGIProxyApp"
        raise ConfigurationError(
            f"application={shown(application)}: expected a WSGI application"
            + hint * isinstance(application, str)
        )


def _counts(settings: Mapping[str, Any]) -> Counts | None:
    """The counts of ProxyFix, with its defaults, if any is counts."""
    counts = {name: settings[name] for name in Counts._fields if settings[name] is not None}
    return Counts(**{"x_for": 1, "x_proto": 1, **counts}) if counts else None


# A setting that would be silently without effect, or contradict another.
_NOT_TOGETHER = (
    ("secret_file", "trust_ips"),
    ("secret_file", "family"),
    ("secret_file", "require_forwarded"),
    *(("secret_file", name) for name in Counts._fields),
    *(("family", name) for name in Counts._fields),
    ("prefix", "pop_prefix"),
    ("host", "domain"),
    ("host", "port"),
)


def _resolved(options: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all settings.

    :raises ConfigurationError: a bad one, or two that contradict each other.
    """
    present = {name: value for name, value in options.items() if value is not None}
    rows = [row for row in PARTS["WSGIProxyMiddleware"] if row.name in present]
    changed = {row.name for row in rows if row.convert_value(present[row.name]) != row.default}
    for name, other in _NOT_TOGETHER:
        if name in changed and other in changed:
            raise ConfigurationError(
                f"{other}={present[other]!r}: expected no {name} beside it, but it is"
                f" {present[name]!r}"
            )
    settings = resolve(PARTS["WSGIProxyMiddleware"], present)
    _resolve_trust(settings, present)
    if settings["require_forwarded"] and settings["x_for"] == 0:
        raise ConfigurationError("require_forwarded=True: expected no x_for=0 beside it")
    return settings


def _resolve_trust(settings: dict[str, Any], present: Mapping[str, Any]) -> None:
    """Without ``trust_ips`` the counts of ProxyFix trust every peer; with "" they trust none."""
    counted = [name for name in Counts._fields if settings[name] is not None]
    if counted and "trust_ips" not in present:
        settings["trust_ips"] = ("*",)
        warn_once(
            f"{counted[0]}={settings[counted[0]]} without trust_ips: any peer that reaches"
            " this application can forge its clients"
        )
    else:
        warn_of_wildcards("trust_ips", settings["trust_ips"])


def _verifier(settings: Mapping[str, Any]) -> Verifier | None:
    if settings["secret_file"] is None:
        return None
    file = KeyFile(settings["secret_file"])
    if settings["allow_pickle"]:
        warn_once("allow_pickle=True: any holder of the secret can run code here")
    replay = settings["replay"]
    return Verifier(
        file.keyring,
        max_age=settings["max_age"],
        clock_skew=settings["clock_skew"],
        replay=MemoryReplay() if replay == "memory" else replay,
        needs_body=settings["sign_body"],
        authorities=settings["authorities"],
    )
