"""The differences of both sides of a proxy, and their reasons."""

from __future__ import annotations

import pytest

from wsgiproxy.sansio.differences import compare, compare_answers


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
        pytest.param([("A", "1")], [("A", "1")], "same", "", id="same"),
        pytest.param(
            [("Location", "http://a/x")],
            [("Location", "http://b/x")],
            "changed",
            "own address",
            id="location",
        ),
        pytest.param([("Via", "1.1 p")], [], "added", "signs here", id="via"),
        pytest.param([("X-New", "1")], [], "added", "", id="unknown"),
        pytest.param([], [("Keep-Alive", "5")], "removed", "one connection", id="hop-by-hop"),
        pytest.param([], [("Alt-Svc", "h3")], "removed", "other addresses", id="alt-svc"),
        pytest.param([], [("X-Sendfile", "/etc")], "removed", "Commands", id="command"),
        pytest.param([], [("X-Gone", "1")], "removed", "", id="of-a-hook"),
    ],
)
def test_state_and_reason_of_a_field_of_a_response(client, upstream, state, why):
    (change,) = compare_answers(client, upstream)
    assert change.state == state
    assert (change.client, change.upstream) == (
        client[0][1] if client else None,
        upstream[0][1] if upstream else None,
    )
    assert (why in change.why) if why else change.why == ""


def test_a_field_of_a_response_named_in_connection():
    upstream = [("Connection", "x-hop"), ("X-Hop", "1")]
    changes = {change.name: change for change in compare_answers([], upstream)}
    assert "Named in Connection" in changes["X-Hop"].why
