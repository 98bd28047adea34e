"""Terminals that obey control sequences."""

from __future__ import annotations

import os
from typing import TextIO

__all__ = ["is_terminal"]

# Terminals that would show control sequences as text.
_SIMPLE = ("dumb", "unknown")


def is_terminal(stream: TextIO) -> bool:
    """Whether a stream is a terminal that obeys control sequences (ECMA-48).

    >>> import io
    >>> is_terminal(io.StringIO())
    False
    """
    return stream.isatty() and os.environ.get("TERM") not in _SIMPLE
