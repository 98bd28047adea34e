"""What is done for several upstreams between requests: looking names up, and asking for health.

A daemon thread does it, for event loops as well: it never keeps a program alive, and a process that
was forked begins one of its own with its first request.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
import threading
import weakref
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from wsgiproxy.errors import ProxyError
from wsgiproxy.sansio.href import join
from wsgiproxy.sansio.message import Origin, Request, bracketed
from wsgiproxy.sansio.upstreams import Address, Lookup
from wsgiproxy.transport.base import Call, Timeouts
from wsgiproxy.transport.srv import services

if TYPE_CHECKING:
    from wsgiproxy.sansio.balance import Member
    from wsgiproxy.transport.base import Transport
    from wsgiproxy.transport.upstreams import Upstream, Upstreams

__all__ = ["Attendant", "looked_up"]

_log = logging.getLogger("wsgiproxy.error")
# Seconds for one check; an upstream that takes longer is not healthy.
_CHECK = Call(Timeouts(3.0, 3.0, 3.0))
# Upstreams that are checked at the same time.
_AT_ONCE = 16
# Seconds until a name that could not be looked up is looked up again.
_AGAIN = 1.0


def looked_up(lookup: Lookup) -> dict[Address, Origin]:
    """The addresses of a name, and where to connect for each.

    :raises OSError: there are none.
    :raises UnicodeError: a name is none.
    """
    places = [(lookup.name, lookup.port, 1)] if lookup.port else services(lookup.name)
    found: dict[Address, Origin] = {}
    error: OSError | UnicodeError = OSError("no addresses")
    for name, port, weight in places:
        try:
            answers = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as failure:  # the others of a service are there
            error = failure
            continue
        for *_, where in answers:
            host = str(where[0]).partition("%")[0]
            text = f"http://{bracketed(host)}:{port}"
            found[Address(text, lookup.base, weight)] = Origin("http", host, port)
    if not found:
        raise error
    return found


class Attendant:
    """The thread of the upstreams of one proxy.

    :param upstreams: of which it keeps no reference: it ends with them.
    :param make_transport: makes what the checks are sent with; None for no checks.
    """

    def __init__(self, upstreams: Upstreams, make_transport: Callable[[], Transport]) -> None:
        self._upstreams = weakref.ref(upstreams)
        self._make_transport = make_transport
        self._lookup = upstreams.targets.lookup
        self._check_path: str | None = upstreams.settings["check_path"]
        self._intervals = (
            upstreams.settings["lookup_interval"],
            upstreams.settings["check_interval"],
        )
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        #: When the last look-up without an answer ended.
        self._failed_at = -math.inf
        self._end = threading.Event()
        self._process = 0
        self.is_needed = self._lookup is not None or self._check_path is not None

    def attend(self) -> None:
        """See that the thread runs; called for each request."""
        if not self.is_needed or self._process == os.getpid():
            return
        with self._lock:
            if self._process == os.getpid():
                return
            self._process = os.getpid()
            self._end = threading.Event()
            thread = threading.Thread(
                target=self._run, args=[self._end], name="wsgiproxy-upstreams", daemon=True
            )
        with contextlib.suppress(RuntimeError):  # the process ends
            thread.start()

    def forget(self) -> None:
        """The thread is one of the parent process."""
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._process = 0

    def close(self) -> None:
        """End the thread; the next request begins another one."""
        self._end.set()
        self._process = 0

    def look_up_now(self) -> None:
        """Look the name up, once for all requests that wait for it, with or without an answer."""
        since = monotonic()
        with self._looking:
            upstreams = self._upstreams()
            if upstreams is None or upstreams.is_known or self._failed_at >= since:
                return
            if not self._look_up(upstreams):
                self._failed_at = monotonic()

    def _look_up(self, upstreams: Upstreams) -> bool:
        """Whether there were addresses; those that were known stay in use if not."""
        assert self._lookup is not None
        try:
            found = looked_up(self._lookup)
        except (OSError, UnicodeError) as error:
            _log.warning("dns:%s: %s", self._lookup.name, error)
            return False
        origins = {address.text: origin for address, origin in found.items()}
        addresses = tuple(sorted({each.text: each for each in found}.values()))
        upstreams.use(addresses, origins)
        return True

    def _run(self, end: threading.Event) -> None:
        lookups, checks = self._intervals
        transport = self._make_transport() if self._check_path is not None else None
        due = [monotonic() + lookups, monotonic()]
        while (upstreams := self._upstreams()) is not None:
            now = monotonic()
            try:
                if self._lookup is not None and now >= due[0]:
                    due[0] = now + min(_AGAIN, lookups)
                    if self._look_up(upstreams):
                        due[0] = now + lookups
                if transport is not None and now >= due[1]:
                    due[1] = now + checks
                    self._check(upstreams, transport)
                    due[1] = monotonic() + checks
            except Exception:  # such as no more threads: it goes on all the same
                _log.exception("unexpected failure between requests")
            del upstreams
            wanted = [due[0]] * (self._lookup is not None) + [due[1]] * (transport is not None)
            if end.wait(max(min(wanted) - monotonic(), 0.01)):
                return

    def _check(self, upstreams: Upstreams, transport: Transport) -> None:
        """Ask all upstreams for their health, some of them at a time: dead ones take seconds."""
        places = upstreams.places()
        rows = [places[first::_AT_ONCE] for first in range(min(_AT_ONCE, len(places)))]
        threads = [
            threading.Thread(target=self._check_each, args=[upstreams, transport, row], daemon=True)
            for row in rows
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _check_each(
        self, upstreams: Upstreams, transport: Transport, places: list[tuple[Member, Upstream]]
    ) -> None:
        assert self._check_path is not None
        for member, upstream in places:
            base = upstream.base
            lines = [
                ("Host", base.origin.authority),
                ("User-Agent", "wsgiproxy"),
                ("Accept", "*/*"),
            ]
            request = Request("GET", join(base, self._check_path, ""), lines)
            try:
                reply = transport.send(upstream.origin or base.origin, request, None, _CHECK)
            except ProxyError:
                upstreams.checked(member, False)
            except Exception:
                _log.exception("unexpected failure of a check of %s", member.key)
                upstreams.checked(member, False)
            else:
                upstreams.checked(member, 200 <= reply.head.status < 400)
                reply.close()
