"""The options of the inspector."""

from __future__ import annotations

from wsgiproxy.settings.convert import field_names, positive_count, size, words
from wsgiproxy.settings.rows import SIZE
from wsgiproxy.settings.setting import Setting

__all__ = ["INSPECT"]


def _names(value: object) -> tuple[str, ...]:
    """Names of fields and of parameters, or an asterisk for all."""
    names = words(value)
    field_names([name for name in names if name != "*"])
    return names


INSPECT = (
    Setting(
        "exchanges", positive_count, 1000, "a whole number from 1 on", "exchanges that are kept"
    ),
    Setting("memory", size, 64 << 20, SIZE, "memory for all that is kept, in bytes"),
    Setting("body", size, 16 << 20, SIZE, "bytes of one body that are kept"),
    Setting("disk", size, 1 << 30, SIZE, "bytes of all bodies of over 64 KiB, which are in files"),
    Setting(
        "hide",
        _names,
        (),
        "names of fields and parameters",
        "further secrets to mask, beside Authorization, Cookie and the like",
        metavar="NAMES",
    ),
    Setting(
        "show",
        _names,
        (),
        "names of fields and parameters, or *",
        "what not to mask",
        metavar="NAMES",
    ),
)
