"""What the registry says of methods."""

from __future__ import annotations

import pytest

from wsgiproxy.sansio.message import ALLOWED
from wsgiproxy.sansio.methods import IDEMPOTENT, SAFE


def test_safe_methods_are_idempotent():
    assert SAFE < IDEMPOTENT


@pytest.mark.parametrize("method", ["POST", "PATCH", "LOCK", "CONNECT", "TRACE", "*", "PRI", ""])
def test_these_are_never_sent_twice(method):
    assert method not in IDEMPOTENT


def test_of_those_that_allow_names_only_two_are_not_idempotent():
    assert set(ALLOWED) - IDEMPOTENT == {"POST", "PATCH"}
