"""What is read from the text of /proc: as Linux writes it, and as a hostile process would."""

from __future__ import annotations

import sys
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.sansio.process.procfs import Listening, listening, parents, socket_link

little = pytest.mark.skipif(
    sys.byteorder != "little", reason="the words are those of a little-endian machine"
)

# As Linux writes them on x86-64, but for blanks at the ends of lines.
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 26391 1 0000000000000000 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 20118 1 0000000000000000 100 0 0 10 0
   2: 0100007F:C4A6 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 40021 1 0000000000000000 20 4 30 10 -1
   3: 0100007F:1F90 0100007F:C4A6 01 00000012:00000000 01:00000014 00000000  1000        0 40022 2 0000000000000000 20 4 30 10 -1
   4: 0100007F:C364 0100007F:1F90 06 00000000:00000000 03:000008F3 00000000     0        0 0 3 0000000000000000
  10: 0302A8C0:FFFF 00000000:0000 0A 00000000:00000080 00:00000000 00000000 65534        0 4294967295 1 0000000000000000 100 0 0 10 0
"""  # noqa: E501
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:1F91 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31337 1 0000000000000000 100 0 0 10 0
   1: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000001 00:00000000 00000000     0        0 20120 1 0000000000000000 100 0 0 10 0
   2: 0000000000000000FFFF00000100007F:1F92 00000000000000000000000000000000:0000 0A 00000000:00000002 00:00000000 00000000  1000        0 31338 1 0000000000000000 100 0 0 10 0
   3: 0000000000000000FFFF00000100007F:1F92 0000000000000000FFFF00000100007F:DC56 01 00000000:00000000 00:00000000 00000000  1000        0 31339 1 0000000000000000 20 4 30 10 -1
   4: B80D0120000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 31340 1 0000000000000000 100 0 0 10 0
"""  # noqa: E501


def at(address: str, port: int, waiting: int, inode: int) -> Listening:
    """A listening socket, with its address as people write it."""
    return Listening(ip_address(address).packed, port, waiting, inode)


@little
def test_tcp() -> None:
    """Those that listen, and no connection of theirs; the second queue is of those that wait."""
    assert list(listening(TCP)) == [
        at("127.0.0.1", 8080, 0, 26391),
        at("0.0.0.0", 22, 3, 20118),
        at("192.168.2.3", 65535, 128, 4294967295),
    ]


@little
def test_tcp6() -> None:
    assert list(listening(TCP6)) == [
        at("::1", 8081, 0, 31337),
        at("::", 22, 1, 20120),
        at("::ffff:127.0.0.1", 8082, 2, 31338),
        at("2001:db8::1", 443, 0, 31340),
    ]


LINE = "   0: {}:1F90 00000000:0000 {} 00000000:00000002 00:00000000 00000000  1000        0 4711 1"


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "0.0.0.0", "10.1.2.3", "::", "::1", "::ffff:127.0.0.1", "2001:db8::1"]
)
def test_addresses_are_in_network_order_on_every_machine(address: str) -> None:
    """The kernel prints words of 32 bits, as numbers of its own; a copy of one would be wrong."""
    packed = ip_address(address).packed
    words = (packed[index : index + 4] for index in range(0, len(packed), 4))
    written = "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)
    assert list(listening(LINE.format(written, "0A"))) == [Listening(packed, 8080, 2, 4711)]


@pytest.mark.parametrize("state", [f"{number:02X}" for number in range(1, 13) if number != 10])
def test_a_socket_in_another_state_does_not_listen(state: str) -> None:
    assert list(listening(LINE.format("0100007F", state))) == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(TCP.splitlines()[0], id="heading-alone"),
        pytest.param(LINE.format("0100007F", "0A")[:-7], id="cut-before-the-inode"),
        pytest.param(LINE.format("0100007", "0A"), id="short-address"),
        pytest.param(LINE.format("0100007F01", "0A"), id="address-of-five-bytes"),
        pytest.param("x" + LINE.format("0100007F", "0A"), id="not-at-the-begin-of-a-line"),
        pytest.param(LINE.format("0100007F", "0A").replace(" 1000", "\n1000"), id="two-lines"),
    ],
)
def test_lines_of_another_form_are_left_out(text: str) -> None:
    assert list(listening(text)) == []


def test_one_line_more_or_less_changes_no_other() -> None:
    """The file is written while sockets come and go."""
    lines = TCP.splitlines(keepends=True)
    broken = "".join([*lines[:2], "   1: 0000\n", *lines[2:], lines[1][:40]])
    assert list(listening(broken)) == list(listening(TCP))


def test_the_link_of_a_descriptor() -> None:
    assert socket_link(4711) == "socket:[4711]"


# Processes

REST = "S {} 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 100 0 0 18446744073709551615 0 0 0\n"
NAMES = [
    pytest.param("bash", id="plain"),
    pytest.param("", id="empty"),
    pytest.param("a b", id="space"),
    pytest.param("(sd-pam)", id="parentheses"),
    pytest.param(")", id="closing"),
    pytest.param("((", id="opening"),
    pytest.param("a) S 1 (b", id="as-if-it-were-init's-child"),
    pytest.param("x) R 1 7 7 0 -1", id="as-if-it-were-all"),
    pytest.param("a\nb", id="line-end"),
    pytest.param("\n9 (x) S 1 ", id="as-if-it-were-another"),
    pytest.param("\ufffd\u2603", id="not-ascii"),
    pytest.param("\x00\x1b", id="control"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_process_name_cannot_forge_a_parent(name: str) -> None:
    """The name may hold anything, and what follows the last parenthesis is the kernel's."""
    assert parents(iter([f"4711 ({name}) " + REST.format(42)])) == {4711: 42}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="gone-while-it-was-read"),
        pytest.param("4711", id="pid-alone"),
        pytest.param("4711 (bash", id="cut-in-the-name"),
        pytest.param("4711 (bash) S", id="cut-before-the-parent"),
        pytest.param("4711 (bash) S 4", id="cut-in-the-parent"),
        pytest.param("x (bash) S 42 7", id="no-pid"),
        pytest.param("4711 (bash) S -1 7", id="no-parent"),
        pytest.param("\n4711 (bash) S 42 7", id="not-at-the-begin"),
    ],
)
def test_texts_of_another_form_are_left_out(text: str) -> None:
    others = ["1 (init) " + REST.format(0), "7 (x) " + REST.format(1)]
    assert parents(iter([others[0], text, others[1]])) == {1: 0, 7: 1}


def test_every_state_of_a_process_is_read() -> None:
    for state in "RSDZTtWXxKPI":
        assert parents(iter([f"7 (a) {state} 1 7 7 0"])) == {7: 1}


_lines = st.sampled_from([*TCP.splitlines(), *TCP6.splitlines()])
_cut = st.tuples(_lines, st.integers(0, 200), st.text("0123456789ABCDEFxg: \n\0", max_size=9)).map(
    lambda some: some[0][: some[1]] + some[2] + some[0][some[1] + len(some[2]) :]
)
_tables = st.text() | st.lists(_lines | _cut | st.text(max_size=40)).map("\n".join)


@given(_tables)
def test_any_table_of_sockets(text: str) -> None:
    """No text raises, and whatever is found in it is a socket that could be."""
    for found in listening(text):
        assert len(found.address) in (4, 16)
        assert 0 <= found.port <= 65535
        assert found.waiting >= 0
        assert found.inode >= 0


@given(st.lists(st.text() | st.text("0123 ()S\n\0", max_size=30)))
def test_any_text_of_a_process(texts: list[str]) -> None:
    """No text raises, and there is at most one process in each."""
    found = parents(iter(texts))
    assert len(found) <= len(texts)
    assert all(pid >= 0 and parent >= 0 for pid, parent in found.items())


@given(st.integers(1, 2**22), st.text(), st.integers(0, 2**22))
def test_any_name_of_a_process(pid: int, name: str, parent: int) -> None:
    """Whatever its name, its number and its parent are those that the kernel wrote."""
    assert parents(iter([f"{pid} ({name}) " + REST.format(parent)])) == {pid: parent}
