"""X-Request-Id: which one is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.sansio.fields.request_id import identified
from wsgiproxy.sansio.message import Headers, Inbound

NEW = "b2"


def named(headers: Headers, is_trusted: bool = True) -> tuple[Headers, str]:
    inbound = Inbound(
        "GET", "http", "h", "h", 80, "", "/", "", headers, "10.0.0.1", "", "1.1", None, False
    )
    after, request_id = identified(inbound, is_trusted, NEW)
    assert after._replace(headers=[]) == inbound._replace(headers=[])
    return after.headers, request_id


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("a1", id="short"),
        pytest.param("7d5d747b-e160-e280-5049-099d984bcfe0", id="uuid"),
        pytest.param("1-67891233-abcdef012345678912345678", id="of-amazon"),
        pytest.param("Root=1;x:y/z~!#$%&'*+.^_`|(){}[]<>?@=", id="visible"),
        pytest.param("x" * 128, id="longest"),
    ],
)
def test_the_id_of_a_trusted_proxy_is_kept(value: str) -> None:
    lines, request_id = named([("Accept", "*/*"), ("x-request-id", value)])
    assert request_id == value
    assert lines == [("Accept", "*/*"), ("X-Request-Id", value)]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="none"),
        pytest.param([("X-Request-Id", "")], id="empty"),
        pytest.param([("X-Request-Id", "x" * 129)], id="long"),
        pytest.param([("X-Request-Id", "a b")], id="space"),
        pytest.param([("X-Request-Id", "a,b")], id="joined"),
        pytest.param([("X-Request-Id", 'a"b')], id="quote"),
        pytest.param([("X-Request-Id", "a\\b")], id="backslash"),
        pytest.param([("X-Request-Id", "a\x1b[2J")], id="control"),
        pytest.param([("X-Request-Id", "a\n")], id="line-end"),
        pytest.param([("X-Request-Id", "caf\xe9")], id="latin-1"),
        pytest.param([("X-Request-Id", "a"), ("X-Request-Id", "a")], id="two"),
        pytest.param([("X_Request_Id", "a")], id="another-spelling"),
    ],
)
def test_any_other_is_replaced(headers: Headers) -> None:
    assert named(headers) == ([("X-Request-Id", NEW)], NEW)


@pytest.mark.parametrize("name", ["X-Request-Id", "x-request-id", "X_Request_Id", "X.Request.Id"])
def test_that_of_an_untrusted_client_is_replaced(name: str) -> None:
    lines, request_id = named([(name, "mine"), ("Accept", "*/*")], is_trusted=False)
    assert (lines, request_id) == ([("Accept", "*/*"), ("X-Request-Id", NEW)], NEW)


@given(st.lists(st.tuples(st.sampled_from(["X-Request-Id", "X_REQUEST_ID", "B"]), st.text())))
def test_there_is_one_and_it_is_fit_for_a_log(headers: Headers) -> None:
    lines, request_id = named(headers)
    assert [value for name, value in lines if name != "B"] == [request_id]
    assert request_id.isascii() and request_id.isprintable() and 1 <= len(request_id) <= 128
    assert not set(' ",\\') & set(request_id)
