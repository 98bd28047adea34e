"""Warnings about settings that are unsafe: each is logged once, when it is made."""

from __future__ import annotations

import logging

__all__ = ["warn_once"]

_log = logging.getLogger("wsgiproxy.error")
_warned: set[str] = set()


def warn_once(text: str) -> None:
    """Log a warning, unless this process has logged the same one before."""
    if text not in _warned:
        _warned.add(text)
        _log.warning("%s", text)
