"""What is said about the two sides of a request, and of a response."""

from __future__ import annotations

import pytest

from wsgiproxy.sansio.differences import STATES, compare, compare_answers


@pytest.mark.parametrize(
    ("client", "backend", "state", "why"),
    [
        pytest.param([("A", "1")], [("A", "1")], "same", "", id="same"),
        pytest.param([("a", "1")], [("A", "1")], "same", "", id="case-does-not-count"),
        pytest.param([("A", "1"), ("a", "2")], [("A", "1, 2")], "same", "", id="joined"),
        pytest.param([("A", "1")], [("A", "2")], "changed", "", id="changed"),
        pytest.param([("A", "")], [], "removed", "", id="empty-is-there"),
        pytest.param([("Host", "a")], [("Host", "b")], "changed", "backend’s own", id="host"),
        pytest.param(
            [("X-Forwarded-For", "6.6.6.6")],
            [("X-Forwarded-For", "127.0.0.1")],
            "changed",
            "may not say this",
            id="forged-and-replaced",
        ),
        pytest.param([("X_Real.IP", "6")], [], "removed", "may not say this", id="forged"),
        pytest.param([("TE", "trailers")], [], "removed", "one connection", id="hop-by-hop"),
        pytest.param([], [("Via", "1.1 x")], "added", "signs here", id="via"),
        pytest.param([], [("X-New", "x")], "added", "", id="unknown"),
    ],
)
def test_state_and_reason_of_a_field(client, backend, state, why):
    (change,) = compare(client, backend)
    assert change.state == state
    assert (why in change.why) if why else change.why == ""


def test_a_field_named_in_connection():
    client = [("Connection", "close, x-secret"), ("X-Secret", "1"), ("B", "2")]
    changes = {change.name: change for change in compare(client, [("B", "2")])}
    assert changes["X-Secret"].state == "removed"
    assert "Named in Connection" in changes["X-Secret"].why
    assert "one connection" in changes["Connection"].why


def test_changed_removed_and_added_come_before_same():
    client = [("A", "1"), ("B", "1"), ("Y", "1"), ("TE", "x")]
    backend = [("A", "1"), ("B", "2"), ("Y", "2"), ("C", "1")]
    assert [(change.state, change.name) for change in compare(client, backend)] == [
        ("changed", "B"),
        ("changed", "Y"),
        ("removed", "TE"),
        ("added", "C"),
        ("same", "A"),
    ]


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
