"""One option, and the conversion of its value."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.href import without_password

__all__ = ["Choice", "Setting", "resolve", "shown"]


def shown(value: object) -> str:
    """A value for a message, without the password of a URL, and without those of variables.

    >>> shown(["http://user:secret@host"]), shown({"TOKEN": "secret", "PORT": 80})
    ("['http://***@host']", "{'TOKEN': '***', 'PORT': 80}")
    """
    if isinstance(value, Mapping):
        value = {name: "***" if isinstance(each, str) else each for name, each in value.items()}
    return without_password(repr(value))


@dataclass(frozen=True)
class Choice:
    """A converter that takes one of some words.

    >>> Choice(("http", "https"))("https")
    'https'
    """

    words: tuple[str, ...]

    def __call__(self, value: object) -> str:
        """The word itself."""
        if value not in self.words:
            raise ValueError(value)
        return str(value)


@dataclass(frozen=True)
class Setting:
    """One option.

    :param name: as a keyword.
    :param convert: from the value of a keyword or an ini file to the one in use; raises ValueError.
    :param default: the value if there is none; where it is None, None is a value, too.
    :param expected: what a good value is, for the message about a bad one.
    :param help: what the option does, for the command line and the documentation.
    :param needs: names of other settings of the same part, one of which has to be in effect: this
        one has no effect without it.
    :param flag: on the command line, where it is not the name with dashes.
    :param metavar: the value in the help of the command line, where the converter does not say it.
    """

    name: str
    convert: Callable[[Any], Any]
    default: Any
    expected: str
    help: str
    needs: tuple[str, ...] = ()
    flag: str = ""
    metavar: str = ""

    def convert_value(self, value: object) -> Any:
        """Convert a value.

        :raises ConfigurationError: naming the setting, the value and what was expected.
        """
        if value is None and self.default is None:
            return None
        try:
            return self.convert(value)
        except ConfigurationError as error:  # which says more, perhaps by another name
            raise ConfigurationError(f"{self.name}={str(error).partition('=')[2]}") from error
        except (ValueError, TypeError) as error:
            if isinstance(self.default, dict) and isinstance(value, str):
                # Where a variable ends may be what is wrong in a line of them.
                value = re.sub("=.*", "=***", value, flags=re.DOTALL)
            what = shown(value)
            raise ConfigurationError(f"{self.name}={what}: expected {self.expected}") from error


def resolve(rows: Iterable[Setting], options: Mapping[str, object]) -> dict[str, Any]:
    """The values of *rows*, from *options* and the defaults.

    :raises ConfigurationError: an unknown name, a bad value, or one that has no effect beside the
        others.

    >>> from wsgiproxy.settings import TRANSPORT
    >>> resolve(TRANSPORT, {"max_head": "16k"})["max_head"]
    16384
    >>> resolve(TRANSPORT, {"conect_timeout": 1})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    wsgiproxy.errors.ConfigurationError: conect_timeout=1: ... did you mean connect_timeout?
    """
    known = {row.name: row for row in rows}
    for name, value in options.items():
        if name not in known:
            raise ConfigurationError(f"{name}={shown(value)}: no such setting{_hint(name, known)}")
    values = {
        name: row.convert_value(options[name]) if name in options else row.default
        for name, row in known.items()
    }
    for name in options:
        _check_needs(known[name], options, values)
    return values


# Settings of the first builds of 1.0 that are gone, and what holds without them.
_REMOVED = {
    "max_fields": "a head has at most 200 fields; max_head limits it as a whole",
    "max_line": "a line has at most 8192 bytes; max_head limits a head as a whole",
    "max_signed_body": "a body that is covered by a signature has at most 1 MiB",
    "strict_permissions": "a key file that all users may read is worth a warning; chmod 600 it",
    "ready_statuses": "ready has to be answered with 2xx or 3xx",
}


def _hint(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: names that are near, and their classes."""
    from wsgiproxy.settings.parts import PARTS  # made of rows, which are made of us

    if name in _REMOVED:
        return f" any more: {_REMOVED[name]}"
    near = difflib.get_close_matches(name, known, n=1)
    owners = [part for part, rows in PARTS.items() if any(row.name == name for row in rows)]
    meant = f"; did you mean {near[0]}?" if near else ""
    if owners:
        return f" here, but one of {' and '.join(owners)}{meant}"
    return meant or f"; expected one of {', '.join(sorted(known))}"


def _check_needs(row: Setting, options: Mapping[str, object], values: Mapping[str, Any]) -> None:
    """Refuse a setting that another one silently switches off."""
    if not row.needs or values[row.name] == row.default:
        return
    # An empty list does not switch anything off.
    if any(values.get(name) or (name in options and values[name] == ()) for name in row.needs):
        return
    off = [f"no {name}={options[name]!r}" for name in row.needs if options.get(name) is not None]
    expected = off[0] if off else " or ".join(row.needs)
    raise ConfigurationError(
        f"{row.name}={shown(options[row.name])}: expected {expected} beside it"
    )
