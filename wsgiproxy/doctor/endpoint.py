"""The doctor at the receiving end: answers what arrived, to those who have a key.

It shows addresses and forwarding fields and the reason of a refusal, and no cookie, no
credential, no other header and nothing of a key. To all others it does not exist.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from wsgiproxy.doctor.installation import clash
from wsgiproxy.errors import ProxyError
from wsgiproxy.replay import MemoryReplay
from wsgiproxy.sansio.diagnosis import (
    ENVIRON_KEY,
    INNER_KEY,
    Examination,
    Question,
    asked,
    shown,
)
from wsgiproxy.sansio.environ.restore import Fixed
from wsgiproxy.sansio.fields.envelope import open_envelope
from wsgiproxy.sansio.fields.forwarded import Counts, peer_of
from wsgiproxy.sansio.fields.signature_members import LABEL, LIMIT
from wsgiproxy.sansio.fields.structured import dictionary, parameters
from wsgiproxy.secretloader import KeyFile
from wsgiproxy.version import __version__

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from wsgiproxy.replay import Replay

    Restore = Callable[[WSGIEnvironment], WSGIEnvironment]

__all__ = ["ENVIRON_KEY", "Examiner", "examiner"]


def examiner(settled: Mapping[str, Any], trusts: Callable[[str], bool]) -> Examiner | None:
    """What answers doctors for a middleware; None if there is no key file to know them by.

    :param settled: the rows of :data:`wsgiproxy.settings.MIDDLEWARE`.
    :param trusts: whether a peer is trusted.
    :raises ConfigurationError: the key file cannot be read, or holds no key.
    """
    doctor, fronts = (
        KeyFile(settled[name], name) if settled[name] else None
        for name in ("doctor_file", "secret_file")
    )
    file = doctor or fronts
    return Examiner(file, settled, trusts, fronts) if file else None


class Examiner:
    """Answers the questions of ``wsgiproxy doctor``.

    :param file: the keys of those who may ask.
    :param settled: the rows of :data:`wsgiproxy.settings.MIDDLEWARE`.
    :param trusts: whether a peer is trusted.
    :param verifies: the keys of the fronts; None if requests are not signed.
    """

    def __init__(
        self,
        file: KeyFile,
        settled: Mapping[str, Any],
        trusts: Callable[[str], bool],
        verifies: KeyFile | None,
    ) -> None:
        self._file = file
        self._trusts = trusts
        self._max_age: float = settled["max_age"]
        self._clock_skew: float = settled["clock_skew"]
        replay = settled["replay"]
        self._replay: Replay | None = MemoryReplay() if replay == "memory" else replay
        self._accepted = frozenset(settled["accept_keys"])
        self._verifies = verifies
        self._about = Examination(
            version=__version__,
            python=platform.python_version(),
            **_belief(settled),
            fixed=tuple(name for name in Fixed._fields if settled[name] is not None),
            unsigned=settled["unsigned"],
            require_forwarded=settled["require_forwarded"],
            authorities=bool(settled["authorities"]),
            max_age=self._max_age,
            clock_skew=self._clock_skew,
        )

    def answer(
        self, environ: WSGIEnvironment, restore: Restore, start_response: StartResponse
    ) -> Iterable[bytes] | None:
        """Answer a question (PEP 3333); None if *environ* holds none that may be asked.

        :param restore: what the middleware does to an environ.
        """
        now = time.time()
        question = asked(environ[ENVIRON_KEY], self._file.keyring().keys)
        if question is None or environ["REQUEST_METHOD"] != "GET":
            return None
        # What the middleware leaves in an environ shows a second one that it is inside of a first.
        inner = "wsgiproxy.orig" in environ
        if INNER_KEY in environ and not inner:
            return None
        if not question.is_fresh(now, self._max_age, self._clock_skew):
            # The time is enough to ask again, and all that a question of yesterday is worth.
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
        start_response("200 OK", headers)
        return [body]

    def _is_new(self, question: Question) -> bool:
        if self._replay is None:
            return True
        try:
            return self._replay.add(
                f"doctor:{question.keyid}:{question.nonce}", self._max_age + self._clock_skew
            )
        except Exception:  # a store that fails is what the doctor has come for
            return True

    def _examine(
        self, environ: WSGIEnvironment, restore: Restore, question: Question, now: float
    ) -> Examination:
        found = self._about._replace(
            doctor=question.nonce,
            clock=now,
            peer_trusted=self._trusts(peer_of(environ)),
            arrived=shown(environ),
            created=_created(environ.get("HTTP_SIGNATURE_INPUT", "")),
            clash=tuple(clash()),
            public=self._verifies is not None
            and any(key.sign is None for key in self._verifies.keyring().keys.values()),
        )
        try:
            restored = restore(environ)
        except ProxyError as error:
            return found._replace(status=error.status, reason=str(error))
        verified = restored.get("wsgiproxy.verified", "")
        carried = _carried(environ) if verified else ()
        return found._replace(
            seen=shown(restored),
            verified=verified,
            carried=carried,
            accepted=tuple(name for name in carried if name in self._accepted),
        )


def _belief(settled: Mapping[str, Any]) -> dict[str, Any]:
    """Whom a middleware believes, and what."""
    if settled["secret_file"]:
        return {"mode": "secret_file"}
    counts = [f"{name}={settled[name]}" for name in Counts._fields if settled[name] is not None]
    trusted = settled["trust_ips"]
    everybody = trusted == ("*",)
    if counts:
        return {"mode": "counts", "reads": ", ".join(counts), "everybody": everybody}
    if trusted:
        return {"mode": "trust_ips", "reads": settled["family"], "everybody": everybody}
    return {"mode": "nothing"}


def _created(signature_input: str) -> int:
    """When our signature says that it was made, right or wrong; 0 if it does not say."""
    with suppress(ValueError, KeyError):
        if len(signature_input) <= LIMIT:
            return int(parameters(dictionary(signature_input)[LABEL].parameters)["created"])
    return 0


def _carried(environ: WSGIEnvironment) -> tuple[str, ...]:
    """The names of the carried keys; the signature has been verified."""
    carried = open_envelope(environ["HTTP_WSGIPROXY"]).carried
    return tuple(name for members in carried.values() for name in members)
