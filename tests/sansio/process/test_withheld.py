"""Which variables a command has missed, as far as its output tells."""

from __future__ import annotations

import pytest

from wsgiproxy.sansio.process.withheld import missed

WITHHELD = {"DATABASE_URL", "http_proxy", "A_B", "IN", "ONE", "TWO"}


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        pytest.param(["KeyError: 'DATABASE_URL'"], ["DATABASE_URL"], id="python"),
        pytest.param(["sh: 1: DATABASE_URL: parameter not set"], ["DATABASE_URL"], id="shell"),
        pytest.param(["$DATABASE_URL http_proxy="], ["DATABASE_URL", "http_proxy"], id="two"),
        pytest.param(["DATABASE_URL", "DATABASE_URL"], ["DATABASE_URL"], id="once"),
        pytest.param(["MY_DATABASE_URL DATABASE_URLS"], [], id="a-part-of-a-word"),
        pytest.param(["database_url"], [], id="case-counts"),
        pytest.param(["IN"], [], id="a-short-word"),
        pytest.param(["SECRET_KEY"], [], id="not-set-here"),
        pytest.param(["TWO ONE A_B DATABASE_URL"], ["TWO", "ONE", "A_B"], id="no-more-than-three"),
        pytest.param([], [], id="silence"),
    ],
)
def test_missed(lines, names):
    assert missed(lines, WITHHELD) == names
