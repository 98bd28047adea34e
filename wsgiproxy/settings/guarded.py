"""The converter of ``guard``, which loads the guard only where one is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsgiproxy.settings.convert import boolean

if TYPE_CHECKING:
    from wsgiproxy.guard import Guard

__all__ = ["guard"]


def guard(value: object) -> Guard | None:
    """A guard; true stands for one that lets public addresses pass, false and None for none."""
    if value is None or value is False:
        return None
    from wsgiproxy.guard import Guard  # sockets: not for those who only want settings

    if isinstance(value, Guard):
        return value
    return Guard() if boolean(value) else None
