"""Settings as the command line spells them: in refusals, and in the log."""

from __future__ import annotations

import re

from wsgiproxy.cli import options
from wsgiproxy.settings import APP, FORWARD, SIGNING, TRANSPORT

__all__ = ["as_typed"]

_ROWS = {
    row.name: row
    for row in (*APP, *SIGNING, *TRANSPORT, *options.PROCESS, *options.RUN[0][1], *FORWARD)
}
_FLAGS = {name: options.flag(row) for name, row in _ROWS.items()}
_FLAGS |= {"start_script": "COMMAND", "match": "--match"}
# `name=value`; a name of several words needs no value to be one.
# What stands in quotes is not ours: a value, a Host.
_SETTING = re.compile(
    r"(?P<quote>\\?['\"])(?:(?!(?P=quote)).)*(?P=quote)|"
    rf"(?<![\w-])(?P<name>{'|'.join(sorted(_FLAGS, key=len, reverse=True))})"
    r"(?:(?P<equals>=)(?P<switch>(?:True|False)\b)?|(?![\w=]))"
)


def as_typed(message: str) -> str:
    """A message about settings, which then are named by their flags.

    >>> as_typed("max_head='x': expected a number of bytes")
    "--max-head 'x': expected a number of bytes"
    >>> as_typed("Host 'max_head=1' is not in allowed_hosts")
    "Host 'max_head=1' is not in --allowed-hosts"
    >>> as_typed("ca_file='x': expected no verify=False beside it")
    "--ca-file 'x': expected no --no-verify beside it"
    """
    return _SETTING.sub(_flag, message)


def _flag(match: re.Match[str]) -> str:
    name, switch = match["name"], match["switch"]
    if name is None:
        return match[0]
    row = _ROWS.get(name)
    if not match["equals"]:
        # A word of plain English, such as "ports", is no setting.
        return _FLAGS[name] if "_" in name else name
    if switch and row is not None and isinstance(row.default, bool):
        return f"--no-{_FLAGS[name][2:]}" if switch == "False" else _FLAGS[name]
    rest = match.string[match.end("equals") :]
    blank = " " if rest[:1].strip() else ""
    return f"{_FLAGS[name]}{blank}{switch or ''}"
