"""One case of the parity tables: what a client sends and what must come of it, everywhere.

A server that makes something impossible is named in the case with what happens there
instead, so the tables document the servers as well as the proxy.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.apps import MOUNT
from tests.support.client import raw_exchange, request_bytes
from tests.support.connection import Script
from tests.support.echo import CASE_FIELD
from tests.support.fronts import Front
from tests.support.judges import JudgedResponse
from tests.support.messages import HeaderList, RawRequest
from tests.support.rounds import FULL
from tests.support.serve import ASGI_SERVERS
from tests.support.upstream import RawUpstream

__all__ = ["ALL", "ASGI", "REVERSE", "Case", "Differs", "Expect", "asgi_app", "but", "judge"]
__all__ += ["mount_of", "on_asgi", "play", "refused", "wsgi_apps"]

#: The three kinds of proxy that stand behind every front server.
ALL = ("reverse", "mounted", "exact")
REVERSE = ("reverse", "mounted")
#: Those behind the servers for ASGI; see `tests.support.asgi_apps`.
ASGI = ("reverse", "mounted", "rooted")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Expect:
    """What is to be seen; what is None is not asked."""

    status: int | None = 200
    reason: str | None = None
    #: Whether the client can tell that the response is whole.
    complete: bool = True
    interim: list[int] | None = None
    #: Values of response fields, ``[]`` for a field that is not there.
    headers: Mapping[str, list[str]] = field(default_factory=dict)
    body: bytes | None = None
    not_in_body: Sequence[bytes] = ()
    #: Whether the request reached the upstream; the next three are of what arrived there.
    reached: bool = True
    line: str | None = None
    sent: Mapping[str, list[str]] = field(default_factory=dict)
    sent_body: bytes | None = None


@dataclass(frozen=True)
class Differs:
    """What happens on one server instead, and why; see `but`."""

    why: str
    changes: Mapping[str, Any]


def refused(status: int) -> Expect:
    """An answer of the proxy or of the server; nothing reaches the upstream."""
    return Expect(status, reached=False)


def on_asgi(why: str, **changes: Any) -> dict[str, Differs]:
    """What differs on every server for ASGI."""
    return dict.fromkeys(ASGI_SERVERS, but(why, **changes))


def but(why: str, **changes: Any) -> Differs:
    """Everything as expected, but for *changes*; fields are added to those expected."""
    return Differs(why, changes)


@dataclass(frozen=True)
class Case:
    """One request and its outcome; ``except_on`` has keys ``server`` or ``server/app``.

    ``{mount}`` in the target stands for the place of the mount, if not at its start.
    """

    id: str
    expect: Expect
    method: str = "GET"
    target: str = "/x"
    headers: HeaderList = field(default_factory=list)
    body: bytes = b""
    apps: Sequence[str] = ALL
    script: Script | None = None
    except_on: Mapping[str, Differs] = field(default_factory=dict)

    def expected(self, front: str, app: str) -> Expect:
        """What is expected of *app* in the server called *front*."""
        differs = self.except_on.get(f"{front}/{app}") or self.except_on.get(front)
        if differs is None:
            return self.expect
        changes = dict(differs.changes)
        for name in ("headers", "sent"):
            changes[name] = {**getattr(self.expect, name), **changes.get(name, {})}
        return dataclasses.replace(self.expect, **changes)

    def request(self, app: str, mark: str) -> bytes:
        """The bytes for *app*, with *mark* to know them by."""
        mount = mount_of(app)
        target = mount + self.target if self.target.startswith("/") else self.target
        line = f"{self.method} {target.replace('{mount}', mount)}"
        headers = [*self.headers, (CASE_FIELD, mark)]
        return request_bytes(line, headers, self.body)


def mount_of(app: str) -> str:
    """The path below which *app* is; empty if it is at the root."""
    return MOUNT if app in ("mounted", "rooted") else ""


def asgi_app(case: Case, turn: int) -> str | None:
    """The application that *case* meets in a server for ASGI; None if there is none for it.

    With the server's number as a part of *turn*, each server sees each case once, and each case
    sees each application.
    """
    kinds = {"reverse": "reverse", "mounted": "mounted", "rooted": "mounted"}
    apps = [app for app in ASGI if kinds[app] in case.apps]
    return apps[turn % len(apps)] if apps else None


def wsgi_apps(case: Case, front: str, turn: int) -> list[str]:
    """The applications that *case* meets in a server for WSGI.

    In the long form it meets all of them, in the short one those in which the server differs, or
    one. With the server's number as a part of *turn*, each server sees each case, and each case
    sees each application.
    """
    apps = [app for app in ALL if app in case.apps]
    if FULL or not apps:
        return apps
    differing = [app for app in apps if f"{front}/{app}" in case.except_on]
    return differing or [apps[turn % len(apps)]]


def play(
    case: Case, app: str, server: Front, upstream: RawUpstream
) -> tuple[JudgedResponse, list[RawRequest]]:
    """Send the request of *case*; the response, and what arrived at the upstream."""
    mark = f"{case.id}#{next(_numbers)}"
    response = raw_exchange(server.port, case.request(app, mark))
    arrived = [each for each in list(upstream.requests) if mark in each.values(CASE_FIELD)]
    return response, arrived


def judge(expect: Expect, response: JudgedResponse, arrived: list[RawRequest]) -> None:
    """Compare all that is asked in one go, so that a failure shows all of it."""
    seen, wanted = _of_response(expect, response)
    if expect.reached != bool(arrived):
        seen["reached"], wanted["reached"] = bool(arrived), expect.reached
    elif arrived:
        more_seen, more_wanted = _of_request(expect, arrived[-1])
        seen |= more_seen
        wanted |= more_wanted
    assert seen == wanted
    for text in expect.not_in_body:
        assert text not in response.body


def _of_response(
    expect: Expect, response: JudgedResponse
) -> tuple[dict[str, object], dict[str, object]]:
    seen: dict[str, object] = {"complete": response.complete}
    wanted: dict[str, object] = {"complete": expect.complete}
    for name in ("status", "reason", "interim", "body"):
        if getattr(expect, name) is not None:
            seen[name], wanted[name] = getattr(response, name), getattr(expect, name)
    for name, values in expect.headers.items():
        seen[f"response {name}"], wanted[f"response {name}"] = response.values(name), values
    return seen, wanted


def _of_request(expect: Expect, request: RawRequest) -> tuple[dict[str, object], dict[str, object]]:
    seen: dict[str, object] = {}
    wanted: dict[str, object] = {}
    if expect.line is not None:
        seen["line"], wanted["line"] = request.line, expect.line
    if expect.sent_body is not None:
        seen["sent body"], wanted["sent body"] = request.body, expect.sent_body
    for name, values in expect.sent.items():
        seen[f"sent {name}"], wanted[f"sent {name}"] = request.values(name), values
    return seen, wanted
