"""What a spawner decides about each request, whether the edge is WSGI or ASGI."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping
from time import monotonic
from typing import Any, Generic, TypeVar

from wsgiproxy.errors import ConfigurationError, NotReady, NotStarted, ProxyError
from wsgiproxy.sansio.message import Headers
from wsgiproxy.sansio.process.command import meanings, socket_kind
from wsgiproxy.sansio.process.lifecycle import Phase
from wsgiproxy.sansio.process.waiting_page import is_navigation, waiting_page
from wsgiproxy.sansio.target import matcher
from wsgiproxy.spawn.backend import Backend
from wsgiproxy.spawn.coordination import Coordination, Shared
from wsgiproxy.spawn.gateways import Gateways
from wsgiproxy.spawn.instance import Plan
from wsgiproxy.spawn.readiness import readiness
from wsgiproxy.spawn.state import ProcessLimits

__all__ = ["Admission"]

# Seconds that a request waits longer than a start may take, to get the reason of its failure.
_MORE = 5.0

G = TypeVar("G")


class Admission(Generic[G]):
    """How long a request may wait for the process, and what it gets instead of it.

    Requests are shown to it as WSGI has them: the method, and fields as ``HTTP_…``.

    :param settings: the settings of the application.
    :param gateways: makes what serves.
    :param logger: a logger or its name.
    :ivar backend: the process.
    :ivar ignores: there are paths that :meth:`is_ignored`.
    :ivar max_wait: seconds that a request may wait.
    :raises ConfigurationError: two settings contradict each other.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        gateways: Gateways[G],
        logger: logging.Logger | str | None,
    ) -> None:
        self.backend = _backend(settings, gateways, logger)
        self.max_wait: float = settings["max_wait"] or settings["start_timeout"] + _MORE
        self._waiting_page: float = settings["waiting_page"]
        self._debug: bool = settings["debug"]
        self._matches = matcher(settings["idle_ignore"])
        self.ignores = self._matches is not None

    def is_ignored(self, path: str) -> bool:
        """Whether a request neither starts the process nor keeps it running.

        :param path: its path below the mount.
        """
        return self._matches is not None and bool(self._matches(path))

    def patience(self, request: Mapping[str, Any]) -> float:
        """Seconds that a request may wait."""
        if self.backend.lifecycle.gateway is None and is_navigation(request):
            return min(self.max_wait, self._waiting_page)
        return self.max_wait

    def page(self, error: ProxyError, request: Mapping[str, Any]) -> tuple[Headers, bytes] | None:
        """The page with which a browser waits; None if the answer is that for an error.

        :param error: the reason why there is no other answer; it loses what clients must not see.
        """
        if isinstance(error, NotReady) and is_navigation(request):
            lines = self.backend.lines if self._debug else []
            state = self.backend.lifecycle.state
            seconds = monotonic() - state.since if state.phase is Phase.STARTING else None
            return waiting_page(error.retry_after, seconds, lines)
        if isinstance(error, NotStarted) and not self._debug:
            error.detail = ""
        return None


def _backend(
    settings: Mapping[str, Any], gateways: Gateways[G], logger: logging.Logger | str | None
) -> Backend[G]:
    if not isinstance(logger, logging.Logger):
        logger = logging.getLogger(logger or "wsgiproxy.spawn")
    limits = ProcessLimits(
        settings["start_timeout"],
        settings["stop_timeout"],
        settings["idle_shutdown"],
        settings["max_waiting"],
    )
    plan, share = _plan(settings), settings["share"]
    # A request for a host that is not allowed would get 400.
    host = (*settings["allowed_hosts"], "localhost")[0].lstrip(".")
    return Backend(
        settings["start_script"],
        Coordination(plan) if share is None else Shared(plan, share),
        limits,
        gateways=gateways,
        check=readiness(settings["ready"], host),
        log=logger,
    )


def _plan(settings: Mapping[str, Any]) -> Plan:
    """The plan of an instance.

    :raises ConfigurationError: two settings contradict each other.
    """
    command, variables = settings["start_script"], settings["script_env"]
    tempfile.gettempdir()  # now, since its first call takes a lock that a fork may copy
    texts = [*command, *variables.values()]
    kind = socket_kind(texts, settings["socket"])
    port = settings["spawned_port"]
    if kind == "unix" and port is not None:
        raise ConfigurationError(f"spawned_port={port!r}: expected none with a Unix socket")
    secret_file = settings["secret_file"]
    if secret_file is not None and not settings["sign"]:
        raise ConfigurationError(f"secret_file={secret_file!r}: expected no sign=False beside it")
    return Plan(
        command,
        settings["cwd"],
        variables,
        settings["inherit_env"],
        kind,
        port,
        "fd" in meanings(texts),
        os.path.abspath(secret_file) if secret_file else "" if settings["sign"] else None,
    )
