"""What is wrong in a configuration file, and where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from wsgiproxy.cli.listen import CannotStart

if TYPE_CHECKING:
    from wsgiproxy.cli.config import Config

__all__ = ["Fault", "Faults", "Lines"]


class Fault(NamedTuple):
    """One thing that is wrong in a file."""

    line: int
    sentence: str


class Faults(CannotStart):
    """All that is wrong in a file; the text has a line for each.

    :param config: what is right in it; None if it is no TOML.
    """

    def __init__(self, path: str, faults: Iterable[Fault], config: Config | None = None) -> None:
        self.faults = sorted(set(faults))
        self.config = config
        self.lines = [f"{path}:{fault.line}: {fault.sentence}" for fault in self.faults]
        super().__init__("\n".join(self.lines))


# What may hold the end of a line, or a bracket, without meaning it; then those that mean it.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}\n]',
    re.DOTALL,
)
_NAME = r"""\s*["']?([\w-]+)["']?\s*"""
_HEAD = re.compile(rf"\s*\[\[{_NAME}\]\]")
_TABLE = re.compile(rf"\s*\[\[?{_NAME}(?:\.{_NAME})?")
_KEY = re.compile(rf"{_NAME}[.=]")


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The first lines of all that stands in a file of TOML, each with its number."""
    lines = text.split("\n")
    number, depth = 1, 0
    yield 1, lines[0]
    for token in _TOKEN.findall(text):
        depth += (token in ("[", "{")) - (token in ("]", "}"))
        number += token.count("\n")
        if token == "\n" and not depth:
            yield number, lines[number - 1]


class Lines:
    """Where keys stand in a file of TOML without faults; its parser does not tell."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._keys: dict[tuple[int, str], int] = {}
        self.heads = [1]
        is_within = False  # a table of a route: its keys are none of the route
        for number, line in _statements(text):
            key = _KEY.match(line)
            table = _TABLE.match(line)
            head = _HEAD.match(line)
            if head and head[1] == "route":
                self.heads.append(number)
                is_within = False
            if table:
                is_within = not head
                name = table[2] or table[1]
            elif key and not is_within:
                name = key[1]
            else:
                continue
            self._keys.setdefault((len(self.heads) - 1, name), number)

    def of(self, table: int, key: str, value: object = None) -> int:
        """The line of a key; table 0 is the file, 1 the first route.

        :param value: a text in a list below that key, which may have a line of its own.
        """
        number = self._of_key(table, key)
        if isinstance(value, str) and value:
            for more, line in enumerate(self._lines[number - 1 :]):
                if more and (_HEAD.match(line) or _KEY.match(line)):
                    break
                if f'"{value}"' in line or f"'{value}'" in line:
                    return number + more
        return number

    def _of_key(self, table: int, key: str) -> int:
        # Routes of one list have no heads.
        head = self.heads[table] if table < len(self.heads) else self._keys.get((0, "route"), 1)
        return self._keys.get((table, key), head)
