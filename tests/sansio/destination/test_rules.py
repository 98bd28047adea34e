"""Rules about destinations: ports, what is allowed and denied, and how entries are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rounds import together
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.destination import Destinations, kind, looked_up

PUBLIC = "9.9.9.9"
INSIDE = "10.1.2.3"


@pytest.mark.parametrize(
    ("addresses", "reason"),
    [
        pytest.param([PUBLIC], "", id="public"),
        pytest.param([PUBLIC, "2a00::1"], "", id="public-ones"),
        pytest.param(["64:ff9b::909:909"], "", id="public-by-nat64"),
        pytest.param(
            ["127.0.0.1"], "127.0.0.1 is loopback (allow= names exceptions)", id="loopback"
        ),
        pytest.param(
            ["169.254.169.254"],
            "169.254.169.254 is metadata (allow= names exceptions)",
            id="metadata",
        ),
        pytest.param([PUBLIC, INSIDE], "10.1.2.3 is private (allow= names exceptions)", id="mixed"),
        pytest.param(
            [INSIDE, PUBLIC],
            "10.1.2.3 is private (allow= names exceptions)",
            id="mixed-the-other-way-round",
        ),
        pytest.param(
            [PUBLIC, "fe80::1%2"],
            "fe80::1%2 is link-local (allow= names exceptions)",
            id="mixed-families",
        ),
        pytest.param(
            ["::ffff:10.1.2.3"],
            "::ffff:10.1.2.3 is private (allow= names exceptions)",
            id="mapped",
        ),
        pytest.param([], "it has no address", id="none"),
        pytest.param(["x"], "x is unknown (allow= names exceptions)", id="no-address"),
    ],
)
def test_only_public_addresses_unless_told_otherwise(addresses: list[str], reason: str) -> None:
    assert Destinations().refusal_of("a.example", 80, addresses) == reason


@pytest.mark.parametrize(
    ("ports", "port", "reason"),
    [
        pytest.param((80, 443), 80, "", id="http"),
        pytest.param((80, 443), 443, "", id="https"),
        pytest.param((80, 443), 25, "port 25 is not one of ports=80 443", id="smtp"),
        pytest.param((80, 443), 8080, "port 8080 is not one of ports=80 443", id="another"),
        pytest.param("8000, 8001", 8001, "", id="as-a-string"),
        pytest.param(["8000", 8001], 8000, "", id="mixed"),
        pytest.param(8000, 8000, "", id="one"),
        pytest.param((), 80, "port 80 is not one of ports=", id="none"),
        pytest.param("*", 25, "", id="all"),
        pytest.param(["*", 80], 65535, "", id="all-and-one"),
        pytest.param("*", 0, "port 0 is not one of ports=*", id="no-port"),
        pytest.param("*", 65536, "port 65536 is not one of ports=*", id="too-large"),
        pytest.param("*", -1, "port -1 is not one of ports=*", id="negative"),
    ],
)
def test_ports(ports: object, port: int, reason: str) -> None:
    where = Destinations(ports=ports)  # type: ignore[arg-type]  # some are of settings files
    assert where.refusal("a.example", port) == reason
    assert where.refusal_of("a.example", port, [PUBLIC]) == reason


# Host and port -> whether it is refused before the look-up, and after it with these addresses.
@together
@pytest.mark.parametrize(
    ("allow", "host", "port", "addresses", "before", "after"),
    [
        pytest.param("a.example", "a.example", 80, [INSIDE], True, True, id="name"),
        pytest.param("a.example", "A.Example.", 80, [INSIDE], True, True, id="name-case-and-dot"),
        pytest.param("A.EXAMPLE.", "a.example", 80, [INSIDE], True, True, id="entry-case-and-dot"),
        pytest.param("a.example", "\uff41.example", 80, [INSIDE], True, True, id="full-width"),
        pytest.param("a.example", "b.a.example", 80, [INSIDE], True, False, id="not-below-a-name"),
        pytest.param("a.example", "xa.example", 80, [INSIDE], True, False, id="not-its-end"),
        pytest.param("a.example", "a.example", 8080, [INSIDE], False, False, id="other-port"),
        pytest.param("a.example:8080", "a.example", 8080, [INSIDE], True, True, id="its-port"),
        pytest.param("a.example:8080", "a.example", 80, [INSIDE], True, False, id="not-80-then"),
        pytest.param("a.example:8080", "a.example", 80, [PUBLIC], True, True, id="public-at-80"),
        pytest.param("a.example:8080", "b.example", 8080, [PUBLIC], False, False, id="other-host"),
        pytest.param("a.example:*", "a.example", 22, [INSIDE], True, True, id="every-port"),
        pytest.param("a.example:*", "a.example", 0, [INSIDE], False, False, id="no-port"),
        pytest.param("a.example:*", "a.example", 65536, [INSIDE], False, False, id="too-large"),
        pytest.param(".example.com", "a.b.example.com", 80, [INSIDE], True, True, id="below"),
        pytest.param(".example.com", "example.com", 80, [INSIDE], True, False, id="not-itself"),
        pytest.param(".example.com", "badexample.com", 80, [INSIDE], True, False, id="boundary"),
        pytest.param(
            ".Example.com.:81", "a.example.com", 81, [INSIDE], True, True, id="port-below"
        ),
        pytest.param("*", "a.example", 80, [INSIDE, PUBLIC], True, True, id="all"),
        pytest.param("*", "a.example", 22, [INSIDE], False, False, id="all-at-the-usual-ports"),
        pytest.param("*", "127.0.0.1", 80, ["127.0.0.1"], True, True, id="all-addresses"),
        pytest.param("*:*", "::1", 22, ["::1"], True, True, id="all-at-all"),
        pytest.param(INSIDE, "a.example", 80, [INSIDE], True, True, id="address-of-a-name"),
        pytest.param(INSIDE, INSIDE, 80, [INSIDE], True, True, id="address"),
        pytest.param(INSIDE, f"::ffff:{INSIDE}", 80, [f"::ffff:{INSIDE}"], True, True, id="mapped"),
        pytest.param(f"::ffff:{INSIDE}", INSIDE, 80, [INSIDE], True, True, id="mapped-entry"),
        pytest.param(
            INSIDE, "64:ff9b::a01:203", 80, ["64:ff9b::a01:203"], False, False, id="nat64"
        ),
        pytest.param(INSIDE, "10.1.2.4", 80, ["10.1.2.4"], False, False, id="next-address"),
        pytest.param(INSIDE, "a.example", 80, [INSIDE, "10.1.2.4"], True, False, id="mixed"),
        pytest.param(INSIDE, "a.example", 80, [INSIDE, PUBLIC], True, True, id="and-public"),
        pytest.param(INSIDE, "a.example", 80, ["x"], True, False, id="no-address"),
        pytest.param(INSIDE, "a.example", 8080, [INSIDE], False, False, id="address-other-port"),
        pytest.param(f"{INSIDE}:81", "a.example", 81, [INSIDE], True, True, id="address-and-port"),
        pytest.param(f"{INSIDE}:81", "a.example", 81, [PUBLIC], True, False, id="port-of-another"),
        pytest.param(
            f"{INSIDE}:81", "a.example", 81, [INSIDE, PUBLIC], True, False, id="port-of-one"
        ),
        pytest.param(f"{INSIDE}:81", PUBLIC, 81, [PUBLIC], False, False, id="port-of-a-literal"),
        pytest.param("10.0.0.0/8", "a.example", 80, [INSIDE], True, True, id="network"),
        pytest.param("10.0.0.0/8", "11.0.0.0", 80, ["172.16.0.0"], True, False, id="beyond-it"),
        pytest.param("10.0.0.0/8:81", INSIDE, 81, [INSIDE], True, True, id="network-and-port"),
        pytest.param("::ffff:10.0.0.0/104", INSIDE, 80, [INSIDE], True, True, id="mapped-network"),
        pytest.param("fd00::/8", "fd00::1", 80, ["fd00::1"], True, True, id="IPv6-network"),
        pytest.param("[fd00::/8]:81", "[fd00::1]", 81, ["fd00::1"], True, True, id="IPv6-and-port"),
        pytest.param("fd00::81", "fd00::81", 80, ["fd00::81"], True, True, id="IPv6-bare"),
        pytest.param("[fd00::81]", "fd00::81", 80, ["fd00::81"], True, True, id="IPv6-in-brackets"),
        pytest.param("fe80::/10", "fe80::1%2", 80, ["fe80::1%2"], True, True, id="zone"),
        pytest.param("::/0", "::ffff:10.1.2.3", 80, [INSIDE], False, False, id="mapped-is-IPv4"),
        pytest.param("a.example, 10.0.0.0/8", "b.c", 80, [INSIDE], True, True, id="commas"),
        pytest.param("a.example\n 10.0.0.0/8", "b.c", 80, [INSIDE], True, True, id="lines"),
        pytest.param(["a.example", "10.0.0.0/8"], "b.c", 80, [INSIDE], True, True, id="list"),
    ],
)
def test_allow(
    allow: str | list[str], host: str, port: int, addresses: list[str], before: bool, after: bool
) -> None:
    """Beside the public ones, at other ports if it says so, and nothing else than it says."""
    where = Destinations(allow=allow)
    assert (where.refusal(host, port) == "") is before
    assert (where.refusal_of(host, port, addresses) == "") is after


@together
@pytest.mark.parametrize(
    ("deny", "host", "port", "addresses", "before", "after"),
    [
        pytest.param("a.example", "A.Example.", 80, [PUBLIC], False, False, id="name"),
        pytest.param("a.example", "\uff41\u3002example", 80, [PUBLIC], False, False, id="IDNA"),
        pytest.param("a.example", "a.example", 22, [PUBLIC], False, False, id="at-all-ports"),
        pytest.param("a.example:*", "a.example", 22, [PUBLIC], False, False, id="every-port"),
        pytest.param("a.example:80", "a.example", 80, [PUBLIC], False, False, id="its-port"),
        pytest.param("a.example:80", "a.example", 443, [PUBLIC], True, True, id="another-port"),
        pytest.param("a.example", "b.example", 80, [PUBLIC], True, True, id="another-name"),
        pytest.param(".a.example", "b.a.example", 80, [PUBLIC], False, False, id="below"),
        pytest.param(".a.example", "a.example", 80, [PUBLIC], True, True, id="not-itself"),
        pytest.param(PUBLIC, "a.example", 80, [PUBLIC], True, False, id="address-of-a-name"),
        pytest.param(PUBLIC, PUBLIC, 80, [PUBLIC], False, False, id="address"),
        pytest.param(PUBLIC, "a.b", 80, ["8.8.8.8", PUBLIC], True, False, id="one-of-them"),
        pytest.param("9.0.0.0/8", "a.b", 80, ["64:ff9b::909:909"], True, False, id="by-nat64"),
        pytest.param("9.0.0.0/8", "a.b", 80, ["2002:909:909::"], True, False, id="by-6to4"),
        pytest.param("9.0.0.0/8", "a.b", 80, ["::ffff:9.9.9.9"], True, False, id="mapped"),
        pytest.param("::ffff:9.0.0.0/104", "a.b", 80, [PUBLIC], True, False, id="mapped-entry"),
        pytest.param("::/0", "a.b", 80, ["::ffff:9.9.9.9"], True, False, id="as-it-is-written"),
        pytest.param("9.0.0.0/8:443", "a.b", 80, [PUBLIC], True, True, id="network-another-port"),
        pytest.param("*", "a.b", 80, [PUBLIC], False, False, id="all"),
        pytest.param("*:443", "a.b", 80, [PUBLIC], True, True, id="all-at-a-port"),
    ],
)
def test_deny(
    deny: str, host: str, port: int, addresses: list[str], before: bool, after: bool
) -> None:
    """It wins over allow, by name before the look-up, and by any one address after it."""
    where = Destinations(allow="*:*", deny=deny)
    assert (where.refusal(host, port) == "") is before
    assert (where.refusal_of(host, port, addresses) == "") is after


def test_a_refusal_names_the_entry_as_it_was_given() -> None:
    where = Destinations(deny=["b.c", "A.Example.:80"])
    assert where.refusal("a.example", 80) == "it is in deny=A.Example.:80"


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        pytest.param("127.0.0.1", "127.0.0.1 is loopback (allow= names exceptions)", id="IPv4"),
        pytest.param("::1", "::1 is loopback (allow= names exceptions)", id="IPv6"),
        pytest.param("[::1]", "::1 is loopback (allow= names exceptions)", id="brackets"),
        pytest.param(
            "fe80::1%eth0", "fe80::1%eth0 is link-local (allow= names exceptions)", id="zone"
        ),
        pytest.param(
            "\u2460\u2461\u2466.0.0.1",
            "127.0.0.1 is loopback (allow= names exceptions)",
            id="circled-digits",
        ),
        pytest.param(
            "\uff11\uff12\uff17.0.0.1",
            "127.0.0.1 is loopback (allow= names exceptions)",
            id="full-width-digits",
        ),
        pytest.param(
            "127\u30020\uff0e0\uff611",
            "127.0.0.1 is loopback (allow= names exceptions)",
            id="full-stops",
        ),
        pytest.param(PUBLIC, "", id="public"),
        pytest.param("127.1", "", id="old-spellings-are-for-the-resolver"),
        pytest.param("a b", "", id="what-no-resolver-takes"),
    ],
)
def test_an_address_is_judged_without_a_look_up(host: str, reason: str) -> None:
    assert Destinations().refusal(host, 80) == reason


BAD = [
    pytest.param("", id="empty"),
    pytest.param("a b", id="blank"),
    pytest.param("a.example:", id="no-port"),
    pytest.param("a.example:0", id="port-zero"),
    pytest.param("a.example:65536", id="port-too-large"),
    pytest.param("a.example:http", id="port-by-name"),
    pytest.param("a.example:\u0661", id="port-in-arabic-digits"),
    pytest.param(":80", id="no-host"),
    pytest.param("http://a.example", id="URL"),
    pytest.param("a.example/x", id="path"),
    pytest.param("user@a.example", id="userinfo"),
    pytest.param("a..example", id="empty-label"),
    pytest.param(".", id="dot"),
    pytest.param("..a", id="dots"),
    pytest.param("*.example.com", id="star-in-a-name"),
    pytest.param("caf\xe9.example", id="not-an-A-label"),
    pytest.param("a" * 64, id="label-too-long"),
    pytest.param("127.1", id="old-spelling"),
    pytest.param("2130706433", id="number"),
    pytest.param("0x7f.1", id="hexadecimal"),
    pytest.param("a.0x7f", id="ends-in-a-number"),
    pytest.param("0177.0.0.1", id="octal"),
    pytest.param("10.0.0.1/8", id="host-bits"),
    pytest.param("10.0.0.0/33", id="prefix-too-long"),
    pytest.param("10.0.0.0/255.0.0.0", id="netmask"),
    pytest.param("10.0.0.0/", id="no-prefix"),
    pytest.param("fd00::/8:8080", id="IPv6-port-without-brackets"),
    pytest.param("[fd00::1", id="bracket-open"),
    pytest.param("[a.example]:80", id="name-in-brackets"),
    pytest.param("[]", id="nothing-in-brackets"),
    pytest.param("fe80::1%eth0", id="zone"),
    pytest.param("[fe80::1%1]", id="zone-in-brackets"),
    pytest.param("::ffff:0:0/95", id="mapped-and-host-bits"),
    pytest.param(None, id="none"),
    pytest.param(5, id="number"),
    pytest.param(b"a.example", id="bytes"),
]


@together
@pytest.mark.parametrize("setting", ["allow", "deny"])
@pytest.mark.parametrize("entry", BAD)
def test_a_bad_entry_is_refused_by_its_name(setting: str, entry: object) -> None:
    settings: dict[str, object] = {setting: [entry]}
    with pytest.raises(ConfigurationError) as caught:
        Destinations(**settings)  # type: ignore[arg-type]  # the point of it
    assert str(caught.value).startswith(f"{setting}={entry!r}: expected HOST")


@pytest.mark.parametrize("value", [None, 5.0, b"a.example", True], ids=repr)
def test_what_is_no_list_of_entries_is_refused(value: object) -> None:
    with pytest.raises(ConfigurationError, match="^allow=.*: expected HOST"):
        Destinations(allow=value)  # type: ignore[arg-type]  # the point of it


@pytest.mark.parametrize(
    "ports",
    [
        pytest.param([0], id="zero"),
        pytest.param([65536], id="too-large"),
        pytest.param(["http"], id="name"),
        pytest.param("80-90", id="range"),
        pytest.param([True], id="boolean"),
        pytest.param([80.0], id="float"),
        pytest.param(["\u0661"], id="arabic-digits"),
        pytest.param(None, id="none"),
        pytest.param(b"80", id="bytes"),
        pytest.param([None], id="none-among-them"),
    ],
)
def test_bad_ports_are_refused(ports: object) -> None:
    with pytest.raises(
        ConfigurationError, match="^ports=.*: expected port numbers, or \\* for all$"
    ):
        Destinations(ports=ports)  # type: ignore[arg-type]  # the point of it


def test_equal_ones_are_one_value() -> None:
    one = Destinations("a.example 10.0.0.0/8", ["b.example"], [443, "80"])
    other = Destinations(["a.example", "10.0.0.0/8"], "b.example", "80,443")
    assert one == other
    assert len({one, other, Destinations()}) == 2
    with pytest.raises(AttributeError):
        one.allow = ()  # type: ignore[misc]  # the point of it


def test_it_shows_what_was_given() -> None:
    shown = repr(Destinations("A.example", [], "*"))
    assert shown == "Destinations(allow=['A.example'], deny=[], ports='*')"


@together
@pytest.mark.parametrize(
    ("host", "name"),
    [
        pytest.param("Example.COM", "example.com", id="case"),
        pytest.param("example.com.", "example.com.", id="the-dot-stops-the-search"),
        pytest.param("B\xfccher.example", "xn--bcher-kva.example", id="IDNA"),
        pytest.param("_dmarc.a-b.example", "_dmarc.a-b.example", id="underscore"),
        pytest.param("[2001:DB8::1]", "2001:DB8::1", id="brackets"),
        pytest.param("fe80::1%eth0", "fe80::1%eth0", id="zone"),
        pytest.param("a" * 63, "a" * 63, id="longest-label"),
        pytest.param("a." * 126 + "a", "a." * 126 + "a", id="longest-name"),
        pytest.param("a." * 127, "a." * 127, id="longest-name-and-dot"),
        pytest.param("a." * 127 + "a", "", id="name-too-long"),
        pytest.param("a" * 64, "", id="label-too-long"),
        pytest.param("\xfc" * 63, "", id="A-label-too-long"),
        pytest.param("\u2488" * 130, "", id="too-long-when-expanded"),
        pytest.param("", "", id="empty"),
        pytest.param(".", "", id="root"),
        pytest.param("a..b", "", id="empty-label"),
        pytest.param(".a", "", id="dot-first"),
        pytest.param("a b", "", id="blank"),
        pytest.param("a\0b", "", id="NUL"),
        pytest.param("a\n", "", id="newline"),
        pytest.param("a/b", "", id="slash"),
        pytest.param("u@a", "", id="userinfo"),
        pytest.param("\u2100.example", "", id="what-turns-into-a-slash"),
        pytest.param("a%41", "", id="percent"),
        pytest.param("a:80", "", id="port"),
        pytest.param("[127.0.0.1]", "", id="IPv4-in-brackets"),
        pytest.param("::1%\u0661", "", id="zone-of-other-digits"),
        pytest.param("\udcff.example", "", id="surrogate"),
        pytest.param("x" * 100_000, "", id="very-long"),
    ],
)
def test_what_is_given_to_the_resolver(host: str, name: str) -> None:
    assert looked_up(host) == name


hosts = st.text(max_size=20) | st.text("aA.1:%[]-_\u2460\uff0e\xfc", max_size=12)
entries = hosts | st.text("aA.*:/0123456789[]", max_size=20)


@given(hosts)
def test_a_name_is_looked_up_as_it_is_compared(host: str) -> None:
    """What is looked up is ASCII, and looked up again is the same."""
    name = looked_up(host)
    assert name.isascii()
    assert looked_up(name) == name


@given(st.lists(entries, max_size=3), st.lists(entries, max_size=3))
def test_any_entry_is_read_or_refused(allow: list[str], deny: list[str]) -> None:
    """Entries are understood, or refused in words that name the setting and the entry."""
    try:
        where = Destinations(allow, deny)
    except ConfigurationError as error:
        assert str(error).startswith(("allow=", "deny="))
    else:
        assert [each.text for each in where.allow + where.deny] == allow + deny


@given(hosts, st.integers(-1, 70_000) | st.just(80), st.lists(st.ip_addresses().map(str)))
def test_nothing_but_public_addresses_at_the_usual_ports_passes(
    host: str, port: int, addresses: list[str]
) -> None:
    """Without allow, what passes has public addresses alone, and one of the two ports."""
    if Destinations().refusal_of(host, port, addresses) == "":
        assert {kind(each) for each in addresses} == {"public"}
        assert port in (80, 443)


good = st.sampled_from(["a", ".a", "a:81", "*", "*:*", "10.0.0.0/8", "[::1]:81", "1.1.1.1:*"])


@given(
    hosts | st.sampled_from(["a", "b.a", "10.0.0.1", "::1", "1.1.1.1"]),
    st.lists(good, max_size=2),
    st.lists(good, max_size=2),
    st.sampled_from([0, 22, 80, 81]),
    st.lists(st.ip_addresses().map(str) | st.sampled_from(["10.0.0.1", "::1"]), min_size=1),
)
def test_what_is_refused_beforehand_is_refused_afterwards(
    host: str, allow: list[str], deny: list[str], port: int, addresses: list[str]
) -> None:
    """No addresses make a destination good that was refused without any."""
    where = Destinations(allow, deny)
    if kind(looked_up(host)) != "unknown":
        addresses = [looked_up(host)]
    if where.refusal(host, port):
        assert where.refusal_of(host, port, addresses)
