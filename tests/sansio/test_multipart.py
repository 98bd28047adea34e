"""The parts of a form (RFC 7578)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.sansio.multipart import boundary_of, parts

HEAD = b'Content-Disposition: form-data; name="a"\r\n'


def found_in(body: bytes) -> list[tuple[str, str | None, bytes]]:
    return [(part.name, part.file, body[part.start : part.end]) for part in parts(body, b"x")]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        pytest.param(b"", [], id="empty"),
        pytest.param(b"no parts", [], id="none"),
        pytest.param(b"--x--", [], id="end"),
        pytest.param(b"--x\r\n%s\r\n1\r\n--x--" % HEAD, [("a", None, b"1")], id="one"),
        pytest.param(b"--x\r\n%s\r\n\r\n--x--" % HEAD, [("a", None, b"")], id="empty-value"),
        pytest.param(b"--x\r\n%s\r\n1" % HEAD, [("a", None, b"1")], id="cut-value"),
        pytest.param(b"--x\r\n%s" % HEAD, [], id="cut-head"),
        pytest.param(b"--x\n%s\n1\n--x--" % HEAD[:-2], [], id="head-without-its-end"),
        pytest.param(b"..\r\n--x \r\n%s\r\n1\r\n--x" % HEAD, [("a", None, b"1")], id="preamble"),
        pytest.param(b"--x\r\n%s\r\n--xy\r\n--x--" % HEAD, [("a", None, b"--xy")], id="longer"),
        pytest.param(
            b"--x\r\nContent-Type: a; name=b\r\n%s\r\n1\r\n--x--" % HEAD,
            [("a", None, b"1")],
            id="other-name",
        ),
        pytest.param(
            b"--x\r\nContent-Disposition: form-data; filename=f; name=b\r\n\r\n1\r\n--x--\r\n--x",
            [("b", "f", b"1")],
            id="file",
        ),
    ],
)
def test_parts_of_a_body(body, found):
    assert found_in(body) == found


def test_boundary_of_other_types_is_none():
    assert boundary_of("multipart/mixed; boundary=a") == boundary_of("multipart/form-data") == b""


@given(st.lists(st.sampled_from([b"--x", b"\r\n", HEAD, b"--", b"1", b"\n"])))
def test_parts_lie_behind_each_other(pieces):
    body, last = b"".join(pieces), 0
    for part in parts(body, b"x"):
        assert last <= part.start <= part.end <= len(body)
        last = part.end
