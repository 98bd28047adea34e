"""The factories of Paste Deploy: applications from the strings of an ini file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from wsgiproxy.forward import ForwardProxy

if TYPE_CHECKING:
    from wsgiproxy.settings import ForwardOptions

__all__ = ["make_real_proxy"]


def make_real_proxy(global_conf: Mapping[str, str] | None = None, **options: str) -> ForwardProxy:
    """``[app:main] use = egg:wsgiproxy#real_proxy``: a proxy for browsers.

    In 0.2 it served everybody and reached everything; :class:`~wsgiproxy.forward.ForwardProxy`
    has to be told to.

    :param global_conf: the section ``[DEFAULT]``, of which nothing is taken.
    :param options: those of :class:`~wsgiproxy.forward.ForwardProxy`.
    :raises ConfigurationError: naming the option, its value and what was expected.

    >>> make_real_proxy({}, ports="80 443 8080").guard
    Guard(allow=[], deny=[], ports='80 443 8080')
    """
    return ForwardProxy(**cast("ForwardOptions", options))
