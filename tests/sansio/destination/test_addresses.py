"""Rules about kinds of addresses: the whole of IPv4, the ranges of IPv6, and one in the other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rounds import together
from wsgiproxy.sansio.destination import kind, same_address

#: The first address of each range, and what the range is up to the next row.
IPV4 = [
    ("0.0.0.0", "unspecified"),
    ("0.0.0.1", "reserved"),
    ("1.0.0.0", "public"),
    ("10.0.0.0", "private"),
    ("11.0.0.0", "public"),
    ("100.64.0.0", "shared"),
    ("100.100.100.200", "metadata"),
    ("100.100.100.201", "shared"),
    ("100.128.0.0", "public"),
    ("127.0.0.0", "loopback"),
    ("128.0.0.0", "public"),
    ("168.63.129.16", "metadata"),
    ("168.63.129.17", "public"),
    ("169.254.0.0", "link-local"),
    ("169.254.42.42", "metadata"),
    ("169.254.42.43", "link-local"),
    ("169.254.169.254", "metadata"),
    ("169.254.169.255", "link-local"),
    ("169.254.170.2", "metadata"),
    ("169.254.170.3", "link-local"),
    ("169.254.170.23", "metadata"),
    ("169.254.170.24", "link-local"),
    ("169.255.0.0", "public"),
    ("172.16.0.0", "private"),
    ("172.32.0.0", "public"),
    ("192.0.0.0", "reserved"),
    ("192.0.0.192", "metadata"),
    ("192.0.0.193", "reserved"),
    ("192.0.1.0", "public"),
    ("192.0.2.0", "reserved"),
    ("192.0.3.0", "public"),
    ("192.88.99.0", "reserved"),
    ("192.88.100.0", "public"),
    ("192.168.0.0", "private"),
    ("192.169.0.0", "public"),
    ("198.18.0.0", "reserved"),
    ("198.20.0.0", "public"),
    ("198.51.100.0", "reserved"),
    ("198.51.101.0", "public"),
    ("203.0.113.0", "reserved"),
    ("203.0.114.0", "public"),
    ("224.0.0.0", "multicast"),
    ("240.0.0.0", "reserved"),
]
STARTS = [int(IPv4Address(first)) for first, _ in IPV4]

ENDS = [*(start - 1 for start in STARTS[1:]), 2**32 - 1]

#: First and last address, without what carries IPv4.
IPV6 = [
    ("::", "::", "unspecified"),
    ("::1", "::1", "loopback"),
    ("::1:0:0", "::fffe:ffff:ffff", "reserved"),
    ("::1:0:0:0", "::fffe:ffff:ffff:ffff", "reserved"),
    ("::ffff:1:0:0", "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ("64:ff9b::1:0:0", "64:ff9b:0:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ("64:ff9b:2::", "ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ("100::", "100::ffff:ffff:ffff:ffff", "reserved"),
    ("100:0:0:1::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ("2000::", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "public"),
    ("2001:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ("2001:10::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ("2001:200::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "public"),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ("2001:db9::", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "public"),
    ("2003::", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "public"),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ("3fff:1000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "public"),
    ("4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ("5f01::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "private"),
    ("fd00:ec2::254", "fd00:ec2::254", "metadata"),
    ("fd00:ec2::23", "fd00:ec2::23", "metadata"),
    ("fd20:ce::254", "fd20:ce::254", "metadata"),
    ("fd00:c1::a9fe:a9fe", "fd00:c1::a9fe:a9fe", "metadata"),
    ("fd00:42::42", "fd00:42::42", "metadata"),
    ("fe00::", "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"),
    ("fe80::a9fe:a9fe", "fe80::a9fe:a9fe", "metadata"),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
]


def in_ipv6(network: str, shift: int = 0) -> Callable[[IPv4Address], str]:
    start = int(IPv6Address(network))
    return lambda address: str(IPv6Address(start | int(address) << shift))


#: Ways to write an IPv4 address within an IPv6 one.
CARRIERS = {
    "mapped": in_ipv6("::ffff:0:0"),
    "nat64": in_ipv6("64:ff9b::"),
    "compatible": in_ipv6("::"),
    "translated": in_ipv6("::ffff:0:0:0"),
    "local-nat64": in_ipv6("64:ff9b:1::"),
    "6to4": in_ipv6("2002::", 80),
    "6to4-of-a-subnet": in_ipv6("2002:0:0:1::1", 80),
    "teredo-server": in_ipv6("2001:0:0:0:8000:63bf:f6f6:f6f6", 64),
    "teredo-client": lambda address: in_ipv6("2001:0:909:909::")(
        IPv4Address(~int(address) % 2**32)
    ),
    "isatap": in_ipv6("2a00::5efe:0:0"),
    "isatap-global": in_ipv6("2a00::200:5efe:0:0"),
}
#: Those that packets to a public address may take today.
IN_USE = {"mapped", "nat64", "isatap", "isatap-global"}

ipv4 = st.ip_addresses(v=4) | st.sampled_from([IPv4Address(each) for each in STARTS + ENDS])
carried = st.builds(lambda how, address: how(address), st.sampled_from([*CARRIERS.values()]), ipv4)
near_a_border = st.builds(
    lambda row, step: str(IPv6Address((int(IPv6Address(row)) + step) % 2**128)),
    st.sampled_from([row[0] for row in IPV6] + [row[1] for row in IPV6]),
    st.integers(-(2**33), 2**33),
)
ipv6 = st.ip_addresses(v=6).map(str) | st.ip_addresses(network="2000::/3").map(str)
ipv6 |= carried | near_a_border


@together
@pytest.mark.parametrize(
    ("first", "last", "name"),
    [
        pytest.param(first, str(IPv4Address(end)), name, id=f"{first}-is-{name}")
        for (first, name), end in zip(IPV4, ENDS, strict=True)
    ]
    + [pytest.param(*row, id=f"{row[0]}-is-{row[2]}") for row in IPV6],
)
def test_a_range_is_of_one_kind_from_its_first_address_to_its_last(
    first: str, last: str, name: str
) -> None:
    assert (kind(first), kind(last)) == (name, name)


@given(ipv4)
def test_the_table_is_whole(address: IPv4Address) -> None:
    """Any IPv4 address is what the range says that it is in."""
    assert kind(str(address)) == IPV4[bisect_right(STARTS, int(address)) - 1][1]


@given(st.ip_addresses(v=4).map(str) | ipv6)
def test_what_is_public_here_is_so_for_python(address: str) -> None:
    """Whatever is called public is global for ipaddress as well; it calls more global."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped  # older versions call all mapped ones private
    assert kind(address) != "public" or parsed.is_global


@pytest.mark.parametrize("how", CARRIERS)
@given(address=ipv4)
def test_an_address_is_never_better_than_the_one_that_it_carries(
    how: str, address: IPv4Address
) -> None:
    """However an IPv4 address is packed, it is no more public than by itself."""
    own, packed = kind(str(address)), kind(CARRIERS[how](address))
    assert packed != "public" or own == "public"
    if how in IN_USE:
        assert packed == own


@pytest.mark.parametrize("how", sorted(CARRIERS.keys() - IN_USE))
def test_a_retired_way_to_carry_a_public_address_is_not_public(how: str) -> None:
    assert kind(CARRIERS[how](IPv4Address("9.9.9.9"))) == "reserved"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        pytest.param("::ffff:127.0.0.1", "loopback", id="mapped"),
        pytest.param("::ffff:7f00:1", "loopback", id="mapped-in-hexadecimal"),
        pytest.param("64:ff9b::7f00:1", "loopback", id="nat64"),
        pytest.param("64:ff9b:1::a00:1", "private", id="local-nat64"),
        pytest.param("2002:7f00:1::", "loopback", id="6to4"),
        pytest.param("2002:a9fe:a9fe::1", "metadata", id="6to4-of-metadata"),
        pytest.param("::127.0.0.1", "loopback", id="compatible"),
        pytest.param("::ffff:0:127.0.0.1", "loopback", id="translated"),
        pytest.param("2001:0:7f00:1::", "loopback", id="teredo-server"),
        pytest.param("2001:0:808:808:0:0:80ff:fffe", "loopback", id="teredo-client"),
        pytest.param("2a00::5efe:10.0.0.1", "private", id="isatap"),
        pytest.param("2a00::200:5efe:169.254.169.254", "metadata", id="isatap-global"),
        pytest.param("2a00::100:5efe:10.0.0.1", "public", id="another-interface"),
        pytest.param("fd00::5efe:9.9.9.9", "private", id="isatap-of-a-private-network"),
        pytest.param("fe80::1%eth0", "link-local", id="zone"),
        pytest.param("fe80::1%", "link-local", id="empty-zone"),
        pytest.param("9.9.9.9%1", "public", id="zone-of-IPv4"),
    ],
)
def test_an_address_that_carries_another(address: str, name: str) -> None:
    assert kind(address) == name


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("localhost", id="name"),
        pytest.param("127.1", id="old-spelling"),
        pytest.param("2130706433", id="number"),
        pytest.param("0x7f000001", id="hexadecimal"),
        pytest.param("0177.0.0.1", id="octal"),
        pytest.param("[::1]", id="brackets"),
        pytest.param("9.9.9.9:80", id="port"),
        pytest.param("9.9.9.9/32", id="network"),
        pytest.param(" 9.9.9.9", id="blank"),
        pytest.param("%eth0", id="zone-alone"),
        pytest.param("\uff11.1.1.1", id="full-width-digit"),
    ],
)
def test_what_is_no_address_is_of_no_kind_that_passes(text: str) -> None:
    assert kind(text) == "unknown"


@given(st.text() | st.text("0123456789abcdef:.%", max_size=30))
def test_any_text_has_a_kind(text: str) -> None:
    """There is an answer for any text, and it is not public unless the text is an address."""
    if kind(text) == "public":
        assert ip_address(text.partition("%")[0])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("127.0.0.1", "127.0.0.1", True, id="equal"),
        pytest.param("::ffff:127.0.0.1", "127.0.0.1", True, id="mapped"),
        pytest.param("FE80:0::1%2", "fe80::1", True, id="spelling-and-zone"),
        pytest.param("127.0.0.1", "0.0.0.0", False, id="another"),
        pytest.param("::1", "0.0.0.1", False, id="another-family"),
        pytest.param("::127.0.0.1", "127.0.0.1", False, id="compatible-acts-for-itself"),
        pytest.param("x", "x", False, id="no-addresses"),
        pytest.param("127.0.0.1", "x", False, id="one-address"),
    ],
)
def test_the_same_address(one: str, other: str, same: bool) -> None:
    assert same_address(one, other) is same
