"""The endpoint of the doctor in the middleware: answers what arrived, to the holder of a key.

It shows addresses, forwarding fields and the reason of a refusal, but no cookie, no credential, no
other header and nothing of a key. A request without a signed question takes its usual way.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from wsgiproxy.doctor.installation import clash
from wsgiproxy.errors import ProxyError
from wsgiproxy.replay import MemoryReplay
from wsgiproxy.sansio.diagnosis import (
    ENVIRON_KEY,
    INNER_KEY,
    Examination,
    Question,
    read_question,
    shown,
)
from wsgiproxy.sansio.environ.restore import Fixed
from wsgiproxy.sansio.fields.envelope import open_envelope
from wsgiproxy.sansio.fields.forwarded import Counts, peer_of
from wsgiproxy.sansio.fields.signature import is_fresh
from wsgiproxy.sansio.fields.signature_members import LABEL, LIMIT
from wsgiproxy.sansio.fields.structured import dictionary, parameters
from wsgiproxy.secretloader import KeyFile
from wsgiproxy.version import __version__

if TYPE_CHECKING:
    from wsgiproxy.replay import Replay

    Restore = Callable[[dict[str, Any]], dict[str, Any]]

__all__ = ["ENVIRON_KEY", "Answer", "Examiner", "examiner"]


class Answer(NamedTuple):
    """The answer to a question, of which the status is 200."""

    headers: list[tuple[str, str]]
    body: bytes


def examiner(
    settings: Mapping[str, Any], trusts: Callable[[str], bool], middleware: str
) -> Examiner | None:
    """The endpoint of a middleware; None without a key file to know doctors by.

    :param settings: the rows of :data:`wsgiproxy.settings.MIDDLEWARE`.
    :param trusts: whether a peer is trusted.
    :param middleware: the name of its class.
    :raises ConfigurationError: the key file cannot be read, or holds no key.
    """
    doctor, fronts = (
        KeyFile(settings[name], name) if settings[name] else None
        for name in ("doctor_file", "secret_file")
    )
    file = doctor or fronts
    return Examiner(file, settings, trusts, fronts, middleware) if file else None


class Examiner:
    """Answers the questions of ``wsgiproxy doctor``.

    :param file: the keys that questions may be signed with.
    :param settings: the rows of :data:`wsgiproxy.settings.MIDDLEWARE`.
    :param trusts: whether a peer is trusted.
    :param fronts: the keys that requests are signed with; None if they are not.
    :param middleware: the name of its class.
    """

    def __init__(
        self,
        file: KeyFile,
        settings: Mapping[str, Any],
        trusts: Callable[[str], bool],
        fronts: KeyFile | None,
        middleware: str,
    ) -> None:
        self._file = file
        self._trusts = trusts
        self._fronts = fronts
        self._max_age: float = settings["max_age"]
        self._clock_skew: float = settings["clock_skew"]
        replay = settings["replay"]
        self._replay: Replay | None = MemoryReplay() if replay == "memory" else replay
        self._accepted = frozenset(settings["accept_keys"])
        self._middleware = Examination(
            version=__version__,
            python=platform.python_version(),
            **_trust(settings),
            fixed=tuple(name for name in Fixed._fields if settings[name] is not None),
            require_forwarded=settings["require_forwarded"],
            authorities=bool(settings["authorities"]),
            middleware=middleware,
        )

    def answer(self, environ: dict[str, Any], restore: Restore) -> Answer | None:
        """The answer to a question; None if *environ* holds no valid one.

        :param restore: what the middleware does to an environ.
        """
        now = time.time()
        question = read_question(environ[ENVIRON_KEY], self._file.keyring().keys)
        if question is None or environ["REQUEST_METHOD"] != "GET":
            return None
        # Left there by an outer middleware.
        inner = "wsgiproxy.orig" in environ
        if INNER_KEY in environ and not inner:
            return None
        if not is_fresh(question.created, now, self._max_age, self._clock_skew):
            # The time is enough to ask again.
            examination = Examination(doctor=question.nonce, clock=now, stale=True)
        elif self._is_new(question):
            examination = self._examine(environ, restore, question, now)._replace(inner=inner)
        else:
            return None
        body = json.dumps(examination._asdict()).encode("ascii")
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
        ]
        return Answer(headers, body)

    def _is_new(self, question: Question) -> bool:
        if self._replay is None:
            return True
        try:
            return self._replay.add(
                f"doctor:{question.keyid}:{question.nonce}", self._max_age + self._clock_skew
            )
        except Exception:  # the doctor is to learn that the store fails
            return True

    def _examine(
        self, environ: dict[str, Any], restore: Restore, question: Question, now: float
    ) -> Examination:
        examination = self._middleware._replace(
            doctor=question.nonce,
            clock=now,
            peer_trusted=self._trusts(peer_of(environ)),
            arrived=shown(environ),
            created=_created(environ.get("HTTP_SIGNATURE_INPUT", "")),
            clash=tuple(clash()),
            public=self._fronts is not None
            and any(key.sign is None for key in self._fronts.keyring().keys.values()),
        )
        try:
            restored = restore(environ)
        except ProxyError as error:
            return examination._replace(status=error.status, reason=str(error))
        verified = restored.get("wsgiproxy.verified", "")
        carried = _carried(environ) if verified else ()
        return examination._replace(
            seen=shown(restored),
            verified=verified,
            carried=carried,
            accepted=tuple(name for name in carried if name in self._accepted),
        )


def _trust(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The members of an examination about trusted peers and the fields that are read."""
    trusted = settings["trust_ips"]
    counts = [f"{name}={settings[name]}" for name in Counts._fields if settings[name] is not None]
    if settings["secret_file"]:
        return {"mode": "secret_file"}
    if not counts and not trusted:
        return {"mode": "nothing"}
    mode, reads = ("counts", ", ".join(counts)) if counts else ("trust_ips", settings["family"])
    return {"mode": mode, "reads": reads, "everybody": trusted == ("*",)}


def _created(signature_input: str) -> int:
    """The time in our signature, be it right or wrong; 0 without one."""
    with suppress(ValueError, KeyError):
        if len(signature_input) <= LIMIT:
            return int(parameters(dictionary(signature_input)[LABEL].parameters)["created"])
    return 0


def _carried(environ: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the carried keys; the signature has been verified."""
    carried = open_envelope(environ["HTTP_WSGIPROXY"]).carried
    return tuple(name for members in carried.values() for name in members)
