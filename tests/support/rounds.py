"""The two lengths of the tests: the short one, and that of ``tox -e full``."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping

import pytest

__all__ = ["FULL", "IN_FULL", "in_turns", "rounds"]

#: Whether this is the long form.
FULL = os.environ.get("WSGIPROXY_FULL") == "1"
#: The mark of a test that the short form leaves out.
IN_FULL = pytest.mark.skipif(not FULL, reason="in the long form alone")


def rounds(short: int, full: int) -> int:
    """How often something is tried."""
    return full if FULL else short


def in_turns(count: int, tests: Iterable[tuple[Hashable, Mapping[str, object]]]) -> list[bool]:
    """Which cases the short form keeps where only one in *count* is run.

    Each value of each parameter is met in one test or another of the same module, and each test
    has a case.

    :param tests: the function of each case, and its parameters.

    >>> cases = [{"server": server, "signal": signal} for server in "abc" for signal in "XY"]
    >>> in_turns(2, [("test_end", case) for case in cases])
    [True, False, False, True, True, False]
    >>> in_turns(2, [("test_a", {}), ("test_b", {"x": "a"}), ("test_b", {"x": "b"})])
    [True, False, True]
    """
    functions: dict[Hashable, int] = {}
    values: dict[tuple[Hashable, str], list[object]] = {}
    turns = []
    for function, parameters in tests:
        total = functions.setdefault(function, len(functions))
        for name, value in parameters.items():
            known = values.setdefault((function, name), [])
            if not any(value is each for each in known):
                known.append(value)
            total += next(at for at, each in enumerate(known) if each is value)
        turns.append((function, total % count))
    kept: dict[Hashable, int] = {}
    for function, turn in turns:
        kept[function] = min(kept.get(function, count), turn)
    return [turn == kept[function] for function, turn in turns]
