"""What both middlewares do to a request: verify, strip, believe, apply; settings included.

It reads environs, knows neither how an application is called nor how a body is waited for, and
loads nothing that could connect.
"""

from __future__ import annotations

import base64
import os
import pickle
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wsgiproxy.doctor.endpoint import ENVIRON_KEY, Answer, examiner
from wsgiproxy.errors import BadRequest, ConfigurationError, Forbidden
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
from wsgiproxy.settings import MIDDLEWARE, resolve
from wsgiproxy.signature import Steps, Verifier, apply, is_signed, taken

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["Restorer", "spawned_secret_file"]


class Restorer:
    """Restores requests by the settings of a middleware.

    :param options: the rows of :data:`wsgiproxy.settings.MIDDLEWARE`; None stands for the default.
    :param middleware: the name of the class that it is for.
    :raises ConfigurationError: naming the setting, its value and what was expected.
    """

    def __init__(self, options: Mapping[str, Any], middleware: str) -> None:
        settings = _resolved(options)
        self._counts = _counts(settings)
        self._verifier = _verifier(settings)
        self._strips = settings["unsigned"] == "strip"
        #: The keys that may be carried.
        self.accepted = frozenset(settings["accept_keys"])
        self._unpickles = settings["allow_pickle"]
        self._trusts = trust(settings["trust_ips"], "trust_ips", any_peer=True)
        self._family = settings["family"]
        self._requires = settings["require_forwarded"]
        self._fixed = Fixed(*(settings[name] for name in Fixed._fields))
        self._allowed_hosts = settings["allowed_hosts"]
        self._examiner = examiner(settings, self._trusts, middleware)
        #: The log of what is refused.
        self.refusals = Refusals()

    def answer(self, environ: WSGIEnvironment) -> Answer | None:
        """The answer to a question of the doctor; None for any other request. It may block."""
        if ENVIRON_KEY not in environ or self._examiner is None:
            return None
        return self._examiner.answer(environ, self.restored)

    def restored(self, environ: WSGIEnvironment) -> WSGIEnvironment:
        """The environ for the application; a copy. It may block.

        :raises ProxyError: the request is refused.
        """
        return taken(self.steps(environ), environ)

    def steps(self, environ: Mapping[str, Any]) -> Steps[dict[str, Any]]:
        """The same, without waiting, by steps: the order keeps out all that is not proven."""
        changes: Changes = namespace(environ)
        carried: Changes = {}
        if self._verifier is not None:
            changes.update(dict.fromkeys(self.accepted))
            if not self._strips or is_signed(environ):
                proven, carried = yield from self._proven(self._verifier, environ)
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

    def _received(self, environ: Mapping[str, Any]) -> Stated:
        if self._counts is not None:
            return count(environ, self._counts)
        return believe(environ, self._family, self._trusts)

    def _proven(
        self, verifier: Verifier, environ: Mapping[str, Any]
    ) -> Steps[tuple[Changes, Changes]]:
        proof, envelope, body = yield from verifier.steps(environ)
        changes = by_envelope(envelope, environ)
        changes.update(body)
        changes["wsgiproxy.verified"] = proof.keyid
        return changes, self._carried(envelope.carried)

    def _carried(self, carried: Carried) -> Changes:
        """The carried keys; None is a value here, and removes nothing."""
        changes: Changes = {}
        for kind, members in carried.items():
            for name, value in members.items():
                if name in self.accepted:
                    changes[name] = self._unpickled(name, value) if kind == "pickle" else value
        return changes

    def _unpickled(self, name: str, value: str) -> object:
        if not self._unpickles:
            raise Forbidden(f"the key {name!r} comes by pickle, and allow_pickle is off")
        try:
            return pickle.loads(base64.b64decode(value, validate=True))
        except Exception as error:  # a pickle may raise anything
            raise Forbidden(f"the key {name!r} cannot be unpickled: {error!r}") from error


def spawned_secret_file() -> str:
    """The path of the key file, of a process that a spawner has started.

    :raises ConfigurationError: none has.
    """
    secret_file = os.environ.get(SECRET_FILE)
    if not secret_file:
        raise ConfigurationError(
            f"{SECRET_FILE} is not set: expected to be started by SpawningApplication,"
            " ASGISpawningApplication or `wsgiproxy serve -- COMMAND`, with sign=True"
        )
    return secret_file


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
    if isinstance(present.get("scheme"), str):
        present["scheme"] = present["scheme"].lower()
    rows = [row for row in MIDDLEWARE if row.name in present]
    changed = {row.name for row in rows if row.convert_value(present[row.name]) != row.default}
    for name, other in _NOT_TOGETHER:
        if name in changed and other in changed:
            raise ConfigurationError(
                f"{other}={present[other]!r}: expected no {name} beside it, but it is"
                f" {present[name]!r}"
            )
    settings = resolve(MIDDLEWARE, present)
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
