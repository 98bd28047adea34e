"""What to install where a package of an extra is missing.

The index has a program of 2010 by the name of this package, so that the version is always named.
"""

from __future__ import annotations

__all__ = ["extra"]


def extra(name: str) -> str:
    """The command that installs this package with one of its extras.

    >>> extra("socks")
    "pip install 'wsgiproxy[socks]>=1' (or, in a clone of the repository, '.[socks]')"
    """
    return f"pip install 'wsgiproxy[{name}]>=1' (or, in a clone of the repository, '.[{name}]')"
