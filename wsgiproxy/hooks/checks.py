"""What the settings of ready-made hooks have to be, and the name of a hook for logs.

It knows no single hook, and never shows a secret in a message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar
from urllib.parse import urlsplit

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.fields.connection import is_hop_or_ours
from wsgiproxy.sansio.fields.names import normalized_name
from wsgiproxy.sansio.grammar import is_field_value, is_token
from wsgiproxy.sansio.href import parse_href, without_password

__all__ = ["field_names", "http_url", "is_number", "named", "require", "secret_value"]

Function = TypeVar("Function", bound=Callable[..., object])


def require(is_right: object, setting: str, value: object, expected: str) -> None:
    """Refuse the value of a setting.

    :raises ConfigurationError: it is not right.

    >>> require(False, "status", 99, "200 to 599")
    Traceback (most recent call last):
    wsgiproxy.errors.ConfigurationError: status=99: expected 200 to 599
    """
    if not is_right:
        raise ConfigurationError(f"{setting}={value!r}: expected {expected}")


def is_number(value: object, most: float = 1e9) -> bool:
    """Whether it is a number above 0, and none that a clock cannot count.

    >>> is_number(0.5), is_number(True), is_number("1"), is_number(float("nan"))
    (True, False, False, False)
    """
    is_one = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_one and 0 < value <= most  # type: ignore[operator]


def secret_value(setting: str, value: str) -> str:
    """A secret that can be sent in a field; it is not shown when it is wrong.

    :raises ConfigurationError: it is empty, or has other characters than a field may have.
    """
    if not isinstance(value, str) or not value or value != value.strip() or not _is_ascii(value):
        raise ConfigurationError(
            f"{setting}: expected text of printable ASCII characters (the value is not shown)"
        )
    return value


def _is_ascii(value: str) -> bool:
    return value.isascii() and is_field_value(value)


def field_names(setting: str, names: Iterable[str], *, ours: bool = True) -> tuple[str, ...]:
    """Names of fields.

    :param ours: whether it may be a field that the proxy writes or removes, such as Connection.
    :raises ConfigurationError: one is no name, or one of those.
    """
    expected = "a list of names of fields"
    require(not isinstance(names, str) and isinstance(names, Iterable), setting, names, expected)
    found = tuple(names)
    for name in found:
        right = isinstance(name, str) and is_token(name)
        right = right and normalized_name(name) not in ("host", "content-length")
        right = right and (ours or not is_hop_or_ours(name))
        require(right, setting, name, "the name of a field that hooks may set")
    return found


def http_url(setting: str, url: str) -> str:
    """An address of http or https without user and fragment; a password in it is not shown.

    :raises ConfigurationError: it is another one.
    """
    expected = "http://host[:port]/path or https, without user and fragment"
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        right = right and "#" not in url and "@" not in parts.netloc
        parse_href(f"{parts.scheme}://{parts.netloc}")  # as it is read for each request
    except (ValueError, AttributeError, TypeError):
        right = False
    if not right or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigurationError(f"{setting}={without_password(repr(url))}: expected {expected}")
    return url


def named(hook: Function, name: str) -> Function:
    """The same function, with the name that logs show."""
    hook.__qualname__ = hook.__name__ = name
    return hook
