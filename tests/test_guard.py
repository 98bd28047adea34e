"""The guard: spellings of loopback, answers of resolvers, and where the connection ends up."""

from __future__ import annotations

import contextlib
import socket

import pytest

from tests.support.answers import Answers
from tests.support.upstream import RawUpstream
from wsgiproxy.errors import ConfigurationError, ConnectFailed, Forbidden, UpstreamTimeout
from wsgiproxy.guard import Guard

PUBLIC = "9.9.9.9"

#: Spellings of this machine, and what the system's resolver makes of them.
SPELLINGS = {
    "127.0.0.1": "127.0.0.1",
    "127.1": "127.0.0.1",
    "2130706433": "127.0.0.1",
    "0x7f000001": "127.0.0.1",
    "0x7F.1": "127.0.0.1",
    "0177.0.0.1": "127.0.0.1",
    "0": "0.0.0.0",
    "\u2460\u2461\u2466.0.0.1": "127.0.0.1",
    "\uff11\uff12\uff17\u30021": "127.0.0.1",
    "localhost": "127.0.0.1",
    "[::1]": "::1",
    "[::ffff:127.0.0.1]": "::ffff:127.0.0.1",
    "::ffff:7f00:1": "::ffff:127.0.0.1",
    "64:ff9b::7f00:1": "64:ff9b::7f00:1",
    "2002:7f00:1::": "2002:7f00:1::",
    "::127.0.0.1": "::127.0.0.1",
    "::": "::",
}
SPELLED = [pytest.param(each, id=f"{each}") for each in SPELLINGS]
#: Those by which the kernel gets to an address of IPv4.
OLD = [each for each, address in SPELLINGS.items() if address == "127.0.0.1"]


@pytest.mark.parametrize("host", SPELLED)
def test_every_spelling_of_this_machine_is_refused(host: str, upstream: RawUpstream) -> None:
    guard = Guard(ports=upstream.port)
    with pytest.raises(Forbidden):
        guard.addresses(host, upstream.port)
    with pytest.raises(Forbidden):
        guard.connect(host, upstream.port, 5)
    assert upstream.connections == 0


@pytest.mark.parametrize("host", SPELLED)
def test_the_resolver_of_the_system_takes_every_spelling(host: str) -> None:
    """Else the test above would find nothing to refuse."""
    assert SPELLINGS[host] in Guard(allow="*").addresses(host, 80)


@pytest.mark.parametrize("host", OLD)
def test_an_allowed_destination_is_allowed_in_every_spelling(
    host: str, upstream: RawUpstream
) -> None:
    guard = Guard(allow=["127.0.0.1:*", "[::1]:*"])
    with guard.connect(host, upstream.port, 5) as sock:
        assert sock.getpeername() == ("127.0.0.1", upstream.port)


# -- F4: answers of resolvers ----------------------------------------------------------


def test_a_name_is_looked_up_once_and_the_connection_goes_there(upstream: RawUpstream) -> None:
    resolve = Answers(["127.0.0.1"], ["127.0.0.2"])
    guard = Guard(allow="127.0.0.1:*", resolve=resolve)
    with guard.connect("rebinding.example", upstream.port, 5) as sock:
        assert sock.getpeername() == ("127.0.0.1", upstream.port)
    assert resolve.asked == [("rebinding.example", upstream.port)]


def test_a_second_answer_is_judged_anew(upstream: RawUpstream) -> None:
    guard = Guard(resolve=Answers([PUBLIC], ["127.0.0.1"]), ports=upstream.port)
    assert guard.addresses("rebinding.example", upstream.port) == [PUBLIC]
    with pytest.raises(Forbidden, match="127.0.0.1 is loopback"):
        guard.connect("rebinding.example", upstream.port, 5)
    assert upstream.connections == 0


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([PUBLIC, "127.0.0.1"], id="private-last"),
        pytest.param(["127.0.0.1", PUBLIC], id="private-first"),
        pytest.param([PUBLIC, "::1"], id="private-in-IPv6"),
        pytest.param(["2a00::1", "::ffff:10.0.0.1", PUBLIC], id="private-in-the-middle"),
    ],
)
def test_mixed_answers_are_refused_as_a_whole(answer: list[str], upstream: RawUpstream) -> None:
    guard = Guard(resolve=Answers(answer), ports=upstream.port)
    with pytest.raises(Forbidden):
        guard.addresses("mixed.example", upstream.port)
    with pytest.raises(Forbidden):
        guard.connect("mixed.example", upstream.port, 5)
    assert upstream.connections == 0


def test_addresses_keep_their_order_and_come_once() -> None:
    answer = ["2a00::2", PUBLIC, "2a00::1", PUBLIC, "2a00::2"]
    guard = Guard(resolve=Answers(answer))
    assert guard.addresses("a.example", 443) == ["2a00::2", PUBLIC, "2a00::1"]


def test_the_resolver_gets_the_name_that_was_compared() -> None:
    resolve = Answers([PUBLIC])
    Guard(resolve=resolve).addresses("B\xfccher.Example.", 80)
    assert resolve.asked == [("xn--bcher-kva.example.", 80)]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(socket.gaierror(socket.EAI_NONAME, "no such name"), id="no-such-name"),
        pytest.param(socket.gaierror(socket.EAI_AGAIN, "later"), id="no-answer"),
        pytest.param(UnicodeError("label too long"), id="IDNA"),
        pytest.param([], id="no-address"),
    ],
)
def test_a_failed_look_up(error: list[str] | Exception) -> None:
    guard = Guard(resolve=Answers(error))
    with pytest.raises(ConnectFailed, match=r"a\.example"):
        guard.connect("a.example", 80, 5)


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("", id="empty"),
        pytest.param("a..example", id="empty-label"),
        pytest.param("a" * 64 + ".example", id="label-too-long"),
        pytest.param("a." * 127 + "a", id="254-characters"),
        pytest.param("\udcff.example", id="surrogate"),
        pytest.param("a\0b", id="NUL"),
        pytest.param("a b", id="blank"),
        pytest.param("x" * 100_000, id="very-long"),
    ],
)
def test_what_is_no_name_is_not_looked_up(host: str) -> None:
    resolve = Answers([PUBLIC])
    with pytest.raises(ConnectFailed) as caught:
        Guard(resolve=resolve).addresses(host, 80)
    assert resolve.asked == []
    assert len(str(caught.value)) < 400


def test_addresses_of_other_families_do_not_count() -> None:
    def resolve(host: str, port: int, *, type: int) -> list[tuple[int, int, int, str, tuple[str]]]:
        return [(socket.AF_UNIX, type, 0, "", ("/run/secret.sock",))]

    with pytest.raises(ConnectFailed, match="no address"):
        Guard(resolve=resolve).connect("a.example", 80, 5)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        pytest.param("a.example", 25, id="port"),
        pytest.param("denied.example", 80, id="denied-name"),
        pytest.param("127.0.0.1", 80, id="address"),
        pytest.param("[::ffff:7f00:1]", 80, id="address"),
    ],
)
def test_what_is_refused_by_name_and_port_is_not_looked_up(host: str, port: int) -> None:
    resolve = Answers([PUBLIC])
    guard = Guard(deny="denied.example", resolve=resolve)
    for ask in (guard.check, guard.addresses):
        with pytest.raises(Forbidden):
            ask(host, port)
    assert resolve.asked == []


def test_a_check_looks_nothing_up() -> None:
    resolve = Answers(OSError("never"))
    Guard(resolve=resolve).check("a.example", 443)
    assert resolve.asked == []


# -- connecting ------------------------------------------------------------------------


def test_the_next_address_is_tried(upstream: RawUpstream) -> None:
    guard = Guard(allow="127.0.0.0/8:*", resolve=Answers(["127.0.0.2", "127.0.0.1"]))
    with guard.connect("a.example", upstream.port, 5) as sock:
        assert sock.getpeername()[0] == "127.0.0.1"


def test_no_more_than_eight_addresses_are_tried(upstream: RawUpstream) -> None:
    closed = [f"127.0.0.{number}" for number in range(2, 9)]
    answers = Answers([*closed, "127.0.0.1"], [*closed, "127.0.0.9", "127.0.0.1"])
    guard = Guard(allow="127.0.0.0/8:*", resolve=answers)
    guard.connect("a.example", upstream.port, 5).close()
    with pytest.raises(ConnectFailed):
        guard.connect("a.example", upstream.port, 5)


def test_all_addresses_are_judged_however_many_there_are() -> None:
    many = [f"9.9.{number // 250}.{number % 250}" for number in range(1000)]
    guard = Guard(resolve=Answers([*many, "10.0.0.1"]))
    with pytest.raises(Forbidden, match="10.0.0.1 is private"):
        guard.addresses("a.example", 80)


def test_the_peer_has_to_be_the_address_that_was_checked(upstream: RawUpstream) -> None:
    """Linux takes 0.0.0.0 for 127.0.0.1, which is not allowed."""
    guard = Guard(allow="0.0.0.0:*")
    with pytest.raises(Forbidden, match=r"connecting to 0\.0\.0\.0 has led to 127\.0\.0\.1"):
        guard.connect("0", upstream.port, 5)
    assert upstream.requests == []


def test_a_mapped_address_is_the_one_that_it_stands_for(upstream: RawUpstream) -> None:
    guard = Guard(allow="127.0.0.1:*")
    with guard.connect("::ffff:127.0.0.1", upstream.port, 5) as sock:
        assert sock.getpeername()[:2] == ("::ffff:127.0.0.1", upstream.port)


def test_the_socket_is_ready_for_a_tunnel(upstream: RawUpstream) -> None:
    with Guard(allow="127.0.0.1:*").connect("127.0.0.1", upstream.port, 5) as sock:
        assert sock.gettimeout() == 5
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not sock.get_inheritable()


def test_a_closed_port() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        with pytest.raises(ConnectFailed, match="'localhost' port"):
            Guard(allow="localhost:*").connect("localhost", port, 5)


def test_each_address_has_a_time_to_answer(upstream: RawUpstream) -> None:
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.2", 0), backlog=0))
        port = full.getsockname()[1]
        # The kernel takes one or two, and lets the others wait.
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.2", port))
        with pytest.raises(UpstreamTimeout):
            Guard(allow="127.0.0.2:*").connect("127.0.0.2", port, 0.2)


# -- what it is ------------------------------------------------------------------------


class Trusting:
    """Rules that let pass what they were not asked to."""

    def __init__(self, named: bool) -> None:
        self.named = named

    def refusal(self, host: str, port: int) -> str:
        return ""

    def refusal_of(self, host: str, port: int, addresses: object) -> str:
        return ""

    def is_named(self, host: str, port: int, address: str) -> bool:
        return self.named


@pytest.mark.parametrize("named", [True, False])
def test_an_address_of_this_machine_has_to_be_allowed_also_if_it_is_public(
    named: bool, upstream: RawUpstream
) -> None:
    guard = Guard(ports=upstream.port, resolve=Answers(["127.0.0.1"]))
    object.__setattr__(guard, "destinations", Trusting(named))
    if named:
        guard.connect("shop.example", upstream.port, 5).close()
        return
    with pytest.raises(Forbidden, match="is this machine"):
        guard.connect("shop.example", upstream.port, 5)
    assert upstream.received == b""


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ("9.9.9.9", True),
        ("9.9.9.0/24:80", True),
        ("shop.example", True),
        ("*", True),
        ("9.9.9.9:81", False),
        ("other.example", False),
    ],
)
def test_a_destination_in_allow_is_named(entry: str, named: bool) -> None:
    found = Guard(allow=entry).destinations.is_named("shop.example", 80, "9.9.9.9")
    assert found is named


@pytest.mark.parametrize(
    ("allow", "refused"),
    [
        ("64:ff9b::/96", True),
        ("::/0", True),
        ("64:ff9b::/96 127.0.0.1", False),
        ("*", False),
    ],
)
def test_a_network_of_translators_is_not_what_is_behind_them(allow: str, refused: bool) -> None:
    resolve = Answers(["64:ff9b::7f00:1"])
    if refused:
        with pytest.raises(Forbidden):
            Guard(allow=allow, resolve=resolve).addresses("a.example", 80)
    else:
        assert Guard(allow=allow, resolve=resolve).addresses("a.example", 80)


def test_the_client_does_not_learn_why() -> None:
    with pytest.raises(Forbidden) as caught:
        Guard().addresses("127.1", 80)
    assert (
        str(caught.value)
        == "'127.1' port 80 is refused: 127.0.0.1 is loopback (allow= names exceptions)"
    )
    assert (caught.value.status, caught.value.public) == (
        403,
        "The proxy does not connect to this destination.",
    )


def test_what_is_logged_of_a_name_is_quoted_and_short() -> None:
    with pytest.raises(Forbidden) as caught:
        Guard().check("a\nb" + "x" * 100_000, 25)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_equal_guards_are_one_value() -> None:
    resolve = Answers([PUBLIC])
    one, other = Guard(allow="a.example 10.0.0.0/8"), Guard(allow=["a.example", "10.0.0.0/8"])
    assert one == other != Guard()
    assert len({one, other, Guard(), Guard(resolve=resolve)}) == 3
    with pytest.raises(AttributeError):
        one.resolve = None  # type: ignore[misc]  # the point of it


def test_it_shows_its_rules() -> None:
    guard = Guard(allow="a.example", deny=[".b.example:81"], ports=80)
    assert repr(guard) == "Guard(allow=['a.example'], deny=['.b.example:81'], ports='80')"


@pytest.mark.parametrize("setting", ["allow", "deny", "ports"])
def test_a_bad_setting_is_named(setting: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{setting}='a/b': expected "):
        Guard(**{setting: "a/b"})  # type: ignore[arg-type]  # it may be a resolver
