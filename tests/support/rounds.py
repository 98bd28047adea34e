"""The two lengths of the tests: the short one, and that of ``tox -e full``."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

__all__ = ["FULL", "IN_FULL", "in_turns", "rounds", "together"]

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


def together(test: Callable[..., None]) -> Callable[..., None]:
    """Make one case of all rows of a table, which fails with the names of the rows that fail.

    A row that takes microseconds costs milliseconds as a case of its own. The decorator stands
    above those that parametrize; in the long form each row is a case.

    >>> @together
    ... @pytest.mark.parametrize("number", [1, pytest.param(4, id="four"), 6])
    ... def test_even(number):
    ...     assert number % 2 == 0
    >>> test_even()
    Traceback (most recent call last):
    AssertionError: 1 of 3 rows:
    1: AssertionError...
    """
    marks: list[pytest.Mark] = getattr(test, "pytestmark", [])
    if FULL:
        return test
    assert all(mark.name == "parametrize" for mark in marks), test.__name__
    tables = [list(_rows(*mark.args, **mark.kwargs)) for mark in marks]

    def run() -> None:
        failures: dict[str, BaseException] = {}
        rows = list(itertools.product(*tables))
        for row in rows:
            name = "-".join(each for each, _ in row)
            arguments = {key: value for _, values in row for key, value in values.items()}
            try:
                test(**arguments)
            except pytest.skip.Exception:
                continue
            except (Exception, pytest.fail.Exception) as error:
                failures[name] = error
        if failures:
            lines = [f"{name}: {type(each).__name__}: {each}" for name, each in failures.items()]
            text = "\n".join([f"{len(failures)} of {len(rows)} rows:", *lines])
            raise AssertionError(text) from next(iter(failures.values()))

    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
    run.__qualname__ = test.__qualname__
    return run


def _rows(
    names: str | Sequence[str], values: Iterable[Any], ids: object = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of ``parametrize``: a name, and the arguments of the test."""
    keys = [each.strip() for each in names.split(",")] if isinstance(names, str) else list(names)
    for number, row in enumerate(values):
        given = getattr(row, "id", None)
        if isinstance(row, type(pytest.param())):
            assert not row.marks, "a row with a mark is a case of its own"
            row = row.values if len(keys) > 1 else row.values[0]
        name = given or " ".join(repr(row).split())[:80] or str(number)
        yield str(name), dict(zip(keys, row if len(keys) > 1 else [row], strict=True))
