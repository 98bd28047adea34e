"""The two lengths of the tests: the short one, and that of ``tox -e full``."""

from __future__ import annotations

import os

__all__ = ["FULL", "rounds"]

#: Whether this is the long form.
FULL = os.environ.get("WSGIPROXY_FULL") == "1"


def rounds(short: int, full: int) -> int:
    """How often something is tried."""
    return full if FULL else short
