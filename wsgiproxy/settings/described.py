"""What a row says to people: a sentence for editors, and a list for ``help()``."""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import TypeVar

from wsgiproxy.settings.parts import PARTS
from wsgiproxy.settings.setting import Setting

__all__ = ["HEADING", "listing", "sentence"]

#: What stands above the options.
HEADING = "Options, and what they are if they are not given:"

_T = TypeVar("_T", bound=type)


def sentence(row: Setting) -> str:
    """What the option does, and what it takes.

    >>> from wsgiproxy.settings import TRANSPORT
    >>> sentence(TRANSPORT[0])
    'Seconds to connect, for each address; expects a number of seconds above 0.'
    """
    return f"{row.help[0].upper()}{row.help[1:]}; expects {row.expected}."


def listing(cls: _T) -> _T:
    """Put the options of a class at the end of its docstring, without those that are parameters.

    :param cls: one of :data:`~wsgiproxy.settings.parts.PARTS`.
    """
    if cls.__doc__ is not None:  # python -OO
        named = inspect.signature(cls).parameters
        items = [_item(row) for row in PARTS[cls.__name__] if row.name not in named]
        cls.__doc__ = "\n\n".join([inspect.cleandoc(cls.__doc__), HEADING, *items, ""])
    return cls


def _item(row: Setting) -> str:
    # The default of some is long, and said in words.
    default = "" if "(default: " in row.help else f" = ``{row.default!r}``"
    # In reStructuredText an asterisk may begin an emphasis.
    text = re.sub(r"[\w./'-]*\*'?", r"``\g<0>``", sentence(row))
    text = textwrap.fill(text, 90, initial_indent="    ", subsequent_indent="    ")
    return f"``{row.name}``{default}\n{text}"
