"""Growth per hour from samples that jump about; it measures nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

#: The part of a run that counts as the warm-up.
WARM_UP = 0.25
_PAIRS_OF = 400  # samples; more are thinned out, since pairs are what is looked at

Point = tuple[float, float]


def theil_sen(points: Sequence[Point]) -> float:
    """The slope of a line: the median of the slopes between all pairs, which few jumps do not move.

    >>> theil_sen([(0, 1), (1, 3), (2, 5), (3, 700), (4, 9)])
    2.0
    >>> theil_sen([(0, 1)])
    0.0
    """
    step = -(-len(points) // _PAIRS_OF) or 1
    pairs = combinations(points[::step], 2)
    slopes = [(y - b) / (x - a) for (a, b), (x, y) in pairs if x != a]
    return float(median(slopes)) if slopes else 0.0


@dataclass(frozen=True)
class Growth:
    """What one kind of figure did in a run.

    :param first: the median of the first third after the warm-up.
    :param last: that of the last third.
    :param hourly: the slope of all after the warm-up, for an hour.
    """

    first: float
    last: float
    hourly: float
    least: float
    most: float


def growth(points: Iterable[Point]) -> Growth:
    """The growth of samples ``(seconds since the start, value)``.

    >>> growth([(second, 100 + second) for second in range(0, 120, 10)])
    Growth(first=140, last=200, hourly=3600.0, least=130, most=210)
    """
    known = sorted(points)
    end = known[-1][0]
    warm = [point for point in known if point[0] >= end * WARM_UP]
    values = [value for _, value in warm]
    third = max(1, len(values) // 3)
    return Growth(
        median(values[:third]),
        median(values[-third:]),
        theil_sen(warm) * 3600,
        min(values),
        max(values),
    )
