"""One finding, and the facts from which the findings follow."""

from __future__ import annotations

from typing import NamedTuple

from wsgiproxy.sansio.diagnosis.report import Examination

__all__ = ["BAD", "OK", "WARN", "Target", "Finding", "Observed", "Installation"]

OK, WARN, BAD = "ok", "warn", "bad"


class Finding(NamedTuple):
    """One thing that is right or wrong.

    :param level: ``ok``, ``warn`` (worth a look; it may be meant so) or ``bad``.
    :param topic: one word.
    :param sentence: what was found.
    :param cure: what to do; empty if nothing is to be done.
    """

    level: str
    topic: str
    sentence: str
    cure: str = ""


class Target(NamedTuple):
    """What the doctor has asked for.

    :param scheme: ``http`` or ``https``.
    :param host: the value of Host.
    :param path: raw path.
    :param own: our own address, as the kernel would choose it; empty if there is none.
    :param keyid: the key of the question; empty if it was asked without one.
    """

    scheme: str
    host: str
    path: str
    own: str = ""
    keyid: str = ""


class Observed(NamedTuple):
    """What came back for one question.

    :param examination: the answer of the middleware, if it was that.
    :param status: of the response; 0 if there is none.
    :param time: our own clock, in the middle of the exchange.
    :param spread: half of the time that it took.
    :param fault: why there is no response.
    :param location: where a redirect leads.
    :param server: the value of Server.
    """

    examination: Examination | None = None
    status: int = 0
    time: float = 0.0
    spread: float = 0.0
    fault: str = ""
    location: str = ""
    server: str = ""


class Installation(NamedTuple):
    """The doctor's own installation.

    :param version: of this package.
    :param clash: sentences about the installation.
    """

    version: str
    clash: tuple[str, ...] = ()
