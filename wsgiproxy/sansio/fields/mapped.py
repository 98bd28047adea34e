"""Which field lines of a response hold addresses or cookies, and are mapped (stage 6)."""

from __future__ import annotations

from collections.abc import Callable

from wsgiproxy.sansio.fields.cookies import map_cookie
from wsgiproxy.sansio.fields.forwarded import Public
from wsgiproxy.sansio.fields.location import AskedPaths, map_address, map_challenges, map_refresh
from wsgiproxy.sansio.href import Base
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.message import Headers

__all__ = ["has_addresses", "map_headers"]

_ADDRESSES: dict[str, Callable[[str, Base, Public, AskedPaths | None], str]] = {
    "location": map_address,
    "content-location": map_address,
    "refresh": map_refresh,
    "www-authenticate": map_challenges,
}


@remembered
def _is_mapped(name: str) -> bool:
    return name.lower() in _ADDRESSES or name.lower() == "set-cookie"


def has_addresses(headers: Headers) -> bool:
    """Whether there is anything to map; most answers have nothing."""
    is_mapped = _is_mapped
    # A list, since a generator costs twice as much here, and this runs for every answer.
    return bool([name for name, _ in headers if is_mapped(name)])


def map_headers(
    headers: Headers,
    base: Base,
    known: Public,
    *,
    scope_cookies: bool,
    cookie_domain: str | None,
    rewrite_location: bool = True,
    mount: tuple[Base, Public] | None = None,
    asked: AskedPaths | None = None,
) -> Headers:
    """Stage 6: all addresses in the field lines of a response.

    :param rewrite_location: map what is no cookie; each of the three settings is on its own.
    :param mount: what cookies are scoped by, if not by *base* and *known*.
    :param asked: the path of the request.
    """
    mapped = []
    cookies = mount or (base, known)
    addresses = _ADDRESSES if rewrite_location else {}
    for name, value in headers:
        field = name.lower()
        if field in addresses:
            value = addresses[field](value, base, known, asked)
        elif field == "set-cookie" and (scope_cookies or cookie_domain is not None):
            value = map_cookie(value, *cookies, scope_cookies, cookie_domain)
        mapped.append((name, value))
    return mapped
