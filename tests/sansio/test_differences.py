"""What is said about the two sides of a response; requests are in the tests of the demo."""

from __future__ import annotations

import pytest

from wsgiproxy.sansio.differences import STATES, compare, compare_answers


@pytest.mark.parametrize(
    ("client", "upstream", "state", "why"),
    [
        pytest.param([("A", "1")], [("a", "1")], "same", "", id="same"),
        pytest.param(
            [("Location", "/b")], [("Location", "/a")], "changed", "address", id="location"
        ),
        pytest.param([], [("Keep-Alive", "5")], "removed", "one connection", id="hop-by-hop"),
        pytest.param([], [("X-Accel-Redirect", "/")], "removed", "Commands", id="command"),
        pytest.param([], [("Alt-Svc", "h2")], "removed", "other addresses", id="alternative"),
        pytest.param([], [("X-New", "1")], "removed", "", id="by-a-hook"),
        pytest.param([("Via", "1.1 x")], [], "added", "signs", id="via"),
        pytest.param([("X-New", "1")], [], "added", "", id="added-by-a-hook"),
    ],
)
def test_state_and_reason_of_a_response_field(client, upstream, state, why):
    (change,) = compare_answers(client, upstream)
    assert change.state == state and change.state in STATES
    assert (change.client is None) == (not client) and (change.upstream is None) == (not upstream)
    assert (why in change.why) if why else change.why == ""


def test_field_named_in_connection_of_the_upstream():
    changes = compare_answers([], [("Connection", "x-a"), ("X-A", "1")])
    assert "Named in Connection" in {each.name: each.why for each in changes}["X-A"]


@pytest.mark.parametrize(
    ("client", "upstream", "why"),
    [
        ([("Expect", "100-continue")], [], "answers it itself"),
        ([("Proxy", "x")], [], "CVE-2016-5385"),
        ([("Content-Length", "1")], [], "not known"),
        ([], [("Content-Length", "1")], "known now"),
    ],
)
def test_reasons_of_framing_and_of_fields_for_the_server(client, upstream, why):
    (change,) = compare(client, upstream)
    assert why in change.why
