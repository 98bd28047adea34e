"""What a head may cost, in either direction."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Limits"]


class Limits(NamedTuple):
    """What a head may cost; beyond it the message is refused.

    :param head: bytes of a whole head, 64 KiB.
    :param fields: field lines, 200.
    :param line: bytes of one line, 8 KiB, which is also nginx's and gunicorn's limit.
    :param interim: 1xx responses before the final one, 16.
    """

    head: int = 65536
    fields: int = 200
    line: int = 8192
    interim: int = 16
