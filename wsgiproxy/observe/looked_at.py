"""Figures of what stands, in place of what passes: it is looked at when they are asked for."""

from __future__ import annotations

import shlex
import threading
import weakref
from collections import Counter as Sum
from collections.abc import Callable
from enum import Enum
from posixpath import basename
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import Metric

from wsgiproxy.observe.watched import POOLS, SPAWNERS, TUNNELS, UPSTREAMS
from wsgiproxy.sansio.message import Origin

__all__ = ["LookedAt"]

_Values = Sum[tuple[str, ...]]


class _Level:
    """A gauge whose sets of labels come and go: one that has gone is at 0."""

    def __init__(
        self, name: str, about: str, labels: tuple[str, ...], registry: CollectorRegistry
    ) -> None:
        self.gauge = Gauge(name, about, labels, registry=registry, multiprocess_mode="livesum")
        self._seen: set[tuple[str, ...]] = set()

    def set(self, values: _Values) -> None:
        """Show *values*."""
        for labels in self._seen | values.keys():
            child = self.gauge.labels(*labels) if labels else self.gauge
            child.set(values[labels])
        self._seen |= values.keys()


class LookedAt:
    """Pools, tunnels, commands and sets of upstreams; safe across threads.

    :param registry: holds the figures.
    :param before: called before each look.
    :ivar known: the labels of the upstreams that the configuration has chosen: those of others,
        such as the destinations of a browser proxy, are one.
    """

    def __init__(self, registry: CollectorRegistry, before: Callable[[], None]) -> None:
        self._before = before
        self.known: dict[Origin, str] = {}
        self.begin_anew()
        # The first of all, so that it comes before the figures that it sets.
        registry.register(self)

        def level(name: str, about: str, *labels: str) -> _Level:
            return _Level(f"wsgiproxy_{name}", about, labels, registry)

        self._open = level("pool_open", "Connections to upstreams", "upstream")
        self._idle = level("pool_idle", "Those that no exchange uses", "upstream")
        self._tunnels = level("tunnels_open", "WebSockets and other tunnels that are open")
        self._spawners = level("spawners", "Commands in a state", "command", "state")
        self._states = level("upstream_state", "1 for the state it is in", "upstream", "state")
        self._in_flight = level("upstream_in_flight", "Exchanges of an upstream", "upstream")
        self._starts, self._failures = (
            Counter(f"wsgiproxy_spawner_{name}", about, ("command",), registry=registry)
            for name, about in (("starts", "Starts of commands"), ("failures", "Failed ones"))
        )
        # Until when the starts and failures of a command are counted.
        self._counted: weakref.WeakKeyDictionary[Any, tuple[int, int]] = weakref.WeakKeyDictionary()

    def begin_anew(self) -> None:
        """Wait for no thread of another process, whose copy this one is."""
        self._lock = threading.Lock()

    @property
    def all(self) -> list[Any]:
        """Those that a registry knows."""
        levels = (self._open, self._idle, self._tunnels, self._spawners, self._states)
        gauges = [each.gauge for each in (*levels, self._in_flight)]
        return [self, *gauges, self._starts, self._failures]

    def describe(self) -> list[Metric]:
        """Nothing: the figures are registered by themselves."""
        return []

    def collect(self) -> list[Metric]:
        """Nothing, but the figures that come next are those of now."""
        self.look()
        return []

    def look(self) -> None:
        """Set all figures to what is there now."""
        self._before()
        with self._lock:
            self._look_at_pools()
            self._look_at_commands()
            self._look_at_upstreams()
            self._tunnels.set(Sum({(): sum(each.count for each in TUNNELS)}))

    def _look_at_pools(self) -> None:
        opened, unused = _Values(), _Values()
        for pool in POOLS:
            for origin, (count, idle) in pool.counts().items():
                labels = (self.known.get(origin, ""),)
                opened[labels] += count
                unused[labels] += idle
        self._open.set(opened)
        self._idle.set(unused)

    def _look_at_commands(self) -> None:
        states = _Values()
        for backend in SPAWNERS:
            # Further words may hold a password.
            command = basename(shlex.split(backend.command)[0])
            life = backend.lifecycle
            states[command, life.state.phase.value] += 1
            now = life.starts, life.failures
            before = self._counted.get(backend, (0, 0))
            if now < before:  # after a fork it begins anew
                before = (0, 0)
            self._counted[backend] = now
            self._starts.labels(command).inc(max(0, now[0] - before[0]))
            self._failures.labels(command).inc(max(0, now[1] - before[1]))
        self._spawners.set(states)

    def _look_at_upstreams(self) -> None:
        states, in_flight = _Values(), _Values()
        for upstreams in UPSTREAMS:
            for member in list(upstreams.members):
                key = member.key
                name = key.label if isinstance(key, Origin) else str(key)
                state = member.state.value if isinstance(member.state, Enum) else member.state
                states[name, str(state)] += 1
                in_flight[name,] += member.in_flight
        self._states.set(states)
        self._in_flight.set(in_flight)
