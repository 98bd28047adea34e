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

    Each test has a case, and each value of each parameter is met in one of these tests or another:
    where its turn does not come, the case that has it is kept all the same.

    :param tests: the function of each case, and its parameters.

    >>> cases = [{"server": server, "signal": signal} for server in "abc" for signal in "XY"]
    >>> in_turns(2, [("test_end", case) for case in cases])
    [True, False, False, True, True, False]
    >>> in_turns(9, [("test_end", case) for case in cases])
    [True, False, False, True, True, False]
    >>> in_turns(2, [("test_a", {}), ("test_b", {"x": "a"}), ("test_b", {"x": "b"})])
    [True, True, True]
    >>> in_turns(2, [(test, {"x": x}) for test in ("test_a", "test_b") for x in "abcd"])
    [True, False, True, False, False, True, False, True]
    """
    cases = list(tests)
    turns = _turns(count, cases)
    first: dict[Hashable, int] = {}
    for (function, _), turn in zip(cases, turns, strict=True):
        first[function] = min(first.get(function, count), turn)
    kept = [turn == first[function] for (function, _), turn in zip(cases, turns, strict=True)]
    met = {
        value
        for (_, case), is_kept in zip(cases, kept, strict=True)
        if is_kept
        for value in _values(case)
    }
    # The more new values a case has, the better: it stands for all of them.
    for wanted in range(max((len(case) for _, case in cases), default=0), 0, -1):
        for at, (_, case) in enumerate(cases):
            if len(_values(case) - met) >= wanted:
                kept[at] = True
                met |= _values(case)
    return kept


def _turns(count: int, cases: Iterable[tuple[Hashable, Mapping[str, object]]]) -> list[int]:
    """The turn of each case, so that no two values of a test always come together."""
    functions: dict[Hashable, int] = {}
    known: dict[tuple[Hashable, str], dict[Hashable, int]] = {}
    turns = []
    for function, case in cases:
        total = functions.setdefault(function, len(functions))
        for name, value in _values(case):
            values = known.setdefault((function, name), {})
            total += values.setdefault(value, len(values))
        turns.append(total % count)
    return turns


def _values(case: Mapping[str, object]) -> set[tuple[str, Hashable]]:
    """The parameters of a case; what is no text, number or truth is itself alone."""
    plain = (str, int, float, bool, type(None))
    return {
        (name, value if isinstance(value, plain) else id(value)) for name, value in case.items()
    }
