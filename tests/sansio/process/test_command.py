"""What stands in a command for its socket, which socket that asks for, and what is filled in."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.process.command import KINDS, fill, meanings, socket_kind

MEANINGS = {
    "{port}": "port",
    "__PORT__": "port",
    "{fd}": "fd",
    "__FD__": "fd",
    "{socket}": "socket",
}


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        pytest.param(["myserver"], "inherit", id="nothing-written"),
        pytest.param([], "inherit", id="no-words"),
        pytest.param(["gunicorn", "-b", "fd://{fd}"], "inherit", id="fd"),
        pytest.param(["gunicorn", "-b", "fd://__FD__"], "inherit", id="fd-of-0.2"),
        pytest.param(["node", "server.js", "{port}"], "port", id="port"),
        pytest.param(["node", "server.js", "--port=__PORT__"], "port", id="port-of-0.2"),
        pytest.param(["waitress-serve", "--unix-socket={socket}"], "unix", id="socket"),
        pytest.param(["x", "{fd}", "--public-port={port}"], "inherit", id="fd-of-a-known-port"),
        pytest.param(["x", "__PORT__", "{port}"], "port", id="port-twice"),
        pytest.param(["x", "{ port }", "{PORT}", "__port__", "{}"], "inherit", id="other-braces"),
        pytest.param(["x", "${port}"], "port", id="a-shell-would-read-it-and-none-does"),
    ],
)
def test_placeholders_select_the_kind_of_socket(words: list[str], kind: str) -> None:
    assert socket_kind(words) == kind
    assert socket_kind(iter(words)) == kind


@pytest.mark.parametrize(
    ("words", "given"),
    [
        pytest.param(["x", *some], kind, id=f"{kind}: {' '.join(some) or 'nothing'}")
        for kind, known in KINDS.items()
        for some in (
            [],
            [written for written, meaning in MEANINGS.items() if meaning in known],
        )
        if some or kind != "unix"
    ],
)
def test_the_setting_selects_the_kind_of_socket(words: list[str], given: str) -> None:
    assert socket_kind(words, given) == given


@pytest.mark.parametrize(
    ("written", "given"),
    [
        pytest.param(written, kind, id=f"{written}-with-{kind}")
        for written, kind in itertools.product(MEANINGS, KINDS)
        if MEANINGS[written] not in KINDS[kind]
    ],
)
def test_a_placeholder_that_contradicts_the_setting_is_refused(written: str, given: str) -> None:
    """The message names the placeholder as it was written, the kind, and what could be."""
    with pytest.raises(ConfigurationError) as caught:
        socket_kind(["x", f"--to={written}"], given)
    could_be = {"inherit": "{fd} and {port}", "unix": "{socket}", "port": "{port}"}[given]
    assert str(caught.value) == (
        f"start_script: {written} has no meaning with socket={given!r}, where there is {could_be}"
    )


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["{port}", "{socket}"], id="port-and-socket"),
        pytest.param(["{fd}", "{socket}"], id="fd-and-socket"),
        pytest.param(["__PORT__{socket}"], id="in-one-word"),
        pytest.param(["{fd}", "__PORT__", "{socket}"], id="all-three"),
    ],
)
def test_contradicting_placeholders_are_refused(words: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="^start_script: .* has no meaning with socket="):
        socket_kind(words)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        pytest.param([], set(), id="no-words"),
        pytest.param(["x", "{name}"], set(), id="none-of-ours"),
        pytest.param(["x", "__FD__", "{port}:{fd}"], {"fd", "port"}, id="each-of-them-once"),
        pytest.param(["x{socket}"], {"socket"}, id="within-a-word"),
    ],
)
def test_meanings(words: list[str], wanted: set[str]) -> None:
    assert meanings(words) == wanted


@pytest.mark.parametrize(
    ("text", "values", "filled"),
    [
        pytest.param("{port}", {"port": "4711"}, "4711", id="alone"),
        pytest.param("--to=a:__PORT__/x", {"port": "4711"}, "--to=a:4711/x", id="within-a-word"),
        pytest.param("{port}__PORT__{port}", {"port": "1"}, "111", id="each-of-them"),
        pytest.param("fd://{fd} :{port}", {"fd": "3", "port": "80"}, "fd://3 :80", id="two-values"),
        pytest.param("__FD__", {"fd": "3"}, "3", id="fd-of-0.2"),
        pytest.param("unix:{socket}", {"socket": "/r/s"}, "unix:/r/s", id="socket"),
        pytest.param("{port} {fd}", {"fd": "3"}, "{port} 3", id="unknown-stays"),
        pytest.param("{}{0}{name}%s{{port}", {"port": "1"}, "{}{0}{name}%s{1", id="no-format"),
        pytest.param("$PORT;`id`", {"port": "1"}, "$PORT;`id`", id="no-shell"),
        pytest.param("", {"port": "1"}, "", id="empty"),
    ],
)
def test_fill(text: str, values: dict[str, str], filled: str) -> None:
    assert fill(text, values) == filled


_pieces = st.sampled_from([*MEANINGS, "{", "}", "__", "PORT", "port", "fd", "-", " ", "x"])
_values = st.fixed_dictionaries(
    {},
    optional={
        "port": st.integers(1, 65535).map(str),
        "fd": st.just("3"),
        "socket": st.just("/run/x/socket"),
    },
)


@given(st.lists(_pieces | st.text(max_size=3), max_size=8), _values)
def test_fill_changes_only_placeholders(pieces: list[str], values: dict[str, str]) -> None:
    """No placeholder with a value is left over; without any of them the text stays as it is."""
    text = "".join(pieces)
    filled = fill(text, values)
    written = [each for each in MEANINGS if each in text and MEANINGS[each] in values]
    assert (filled == text) is (not written)
    assert not [each for each in written if each in filled]


def test_a_unix_socket_has_to_be_named() -> None:
    """The path is new for each instance, so the command has to get it."""
    with pytest.raises(ConfigurationError, match=r"expected \{socket\} in it with socket='unix'"):
        socket_kind(["myserver"], "unix")
    assert socket_kind(["myserver", "{socket}"], "unix") == "unix"


@given(st.lists(_pieces | st.text(max_size=3), max_size=8), st.none() | st.sampled_from([*KINDS]))
def test_accepted_commands_can_be_filled(words: list[str], given: str | None) -> None:
    """For every command there is a kind that gives a value to all its placeholders, or an error."""
    wanted = {meaning for word in words for each, meaning in MEANINGS.items() if each in word}
    assert meanings(words) == wanted
    try:
        kind = socket_kind(words, given)
    except ConfigurationError:
        assert given or {"port", "socket"} <= wanted or {"fd", "socket"} <= wanted
        unheard = given == "unix" and not wanted
        assert not given or unheard or not wanted <= KINDS[given]
    else:
        assert given is None or kind == given
        assert wanted <= KINDS[kind]
