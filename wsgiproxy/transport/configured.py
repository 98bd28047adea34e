"""From the settings of a transport to what it is made of; the same for threads and asyncio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from wsgiproxy.sansio.h1.limits import Limits, Timeouts
from wsgiproxy.settings import resolve
from wsgiproxy.settings.parts import PARTS
from wsgiproxy.transport.connect import Dialler

__all__ = ["Configured", "configured"]


class Configured(NamedTuple):
    """What the settings of a transport make.

    :param timeouts: how long to wait.
    :param limits: what a head may cost.
    :param dialler: opens connections.
    :param is_guarded: there is a guard, which is asked for kept connections as well.
    :param keep_alive: seconds for which a connection may be idle.
    :param max_idle: idle connections to one upstream.
    """

    timeouts: Timeouts
    limits: Limits
    dialler: Dialler
    is_guarded: bool
    keep_alive: float
    max_idle: int


def configured(name: str, options: Mapping[str, Any]) -> Configured:
    """The settings of a transport, checked.

    :param name: of its class, in :data:`wsgiproxy.settings.parts.PARTS`.
    :raises ConfigurationError: naming the setting, its value and what was expected.
    """
    values = resolve(PARTS[name], options)
    identity = ("verify", "ca_file", "client_cert", "client_key", "parent_proxy", "guard")
    return Configured(
        Timeouts(values["connect_timeout"], values["head_timeout"], values["idle_timeout"]),
        Limits(values["max_head"]),
        Dialler(**{key: values[key] for key in identity}),
        values["guard"] is not None,
        values["keep_alive"],
        values["max_idle"],
    )
