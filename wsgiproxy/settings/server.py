"""The options of our server, one row each."""

from __future__ import annotations

from wsgiproxy.settings.convert import count, seconds
from wsgiproxy.settings.rows import SECONDS
from wsgiproxy.settings.setting import Setting

__all__ = ["SERVER"]


def _some(value: object) -> int:
    number = count(value)
    if not number:
        raise ValueError(value)
    return number


SERVER = (
    Setting("head_timeout", seconds, 30.0, SECONDS, "seconds for the whole head of a request"),
    Setting("idle_timeout", seconds, 60.0, SECONDS, "seconds between two reads or writes"),
    Setting(
        "max_connections", _some, 1000, "a whole number from 1 on", "connections at the same time"
    ),
)
