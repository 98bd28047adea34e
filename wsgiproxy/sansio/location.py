"""Addresses in a response: from the upstream's to the public one.

Only what is exactly the upstream's is mapped (RFC 9110, 10.2.2); strings that merely begin
like it, other schemes and other ports pass unchanged.
"""

from __future__ import annotations

import re

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.forwarded import Public
from wsgiproxy.sansio.headers import Remembered, is_host
from wsgiproxy.sansio.href import Base
from wsgiproxy.sansio.message import DEFAULT_PORTS, Headers
from wsgiproxy.sansio.target import Absolute, absolute_form, split_host, under

__all__ = ["has_addresses", "map_address", "map_cookie", "map_headers", "map_refresh"]

_REFRESH = re.compile(r"\s*[0-9.]+\s*[;,]\s*url\s*=\s*", re.IGNORECASE)


def _is_upstream(scheme: str, authority: str, base: Base) -> bool:
    if scheme != base.origin.scheme or not is_host[authority]:
        return False
    host, port = split_host(authority, DEFAULT_PORTS[scheme])
    names = {host.lower(), base.origin.host.lower()}
    return port == base.origin.port and (len(names) == 1 or names <= _LOOPBACK)


# One machine has one service at a port, whatever it calls itself (RFC 6761, 6.3).
_LOOPBACK = frozenset(["localhost", "127.0.0.1", "::1"])


def _map_path(rest: str, base: Base, prefix: str) -> str | None:
    if not under(_path_of(rest), base.path):
        return None
    mapped = prefix + rest[len(base.path) :]
    return mapped if mapped.startswith("/") else "/" + mapped


def map_address(address: str, base: Base, known: Public) -> str:
    """Map one absolute URL, protocol-relative one or absolute path.

    An absolute path that already begins with the public prefix is left alone: the backend
    has read ``X-Forwarded-Prefix``. Relative references are right as they are.

    :param address: the value of Location or Content-Location.
    :param base: the upstream and its base path.
    :param known: the public address of this request.

    >>> from wsgiproxy.sansio.href import parse_href
    >>> base = parse_href("http://10.0.0.7:8000/app")
    >>> known = Public("https", "example.com", "443", "/mount", "")
    >>> map_address("http://10.0.0.7:8000/app/login?next=/", base, known)
    'https://example.com/mount/login?next=/'
    >>> map_address("http://10.0.0.7:8000.evil.example/app/", base, known)
    'http://10.0.0.7:8000.evil.example/app/'
    """
    if address.startswith("//"):
        authority, rest = _split_authority(address[2:])
        absolute = Absolute(base.origin.scheme, authority, rest)
        return _map_absolute(address, absolute, "", base, known)
    if address.startswith("/"):
        return _map_absolute_path(address, base, known.prefix)
    head, mark, fragment = address.partition("#")
    try:
        parts = absolute_form(head)
    except BadRequest:
        return address
    if parts is None:
        return address
    root = "" if parts.rest.startswith("/") else "/"
    absolute = parts._replace(rest=root + parts.rest + mark + fragment)
    return _map_absolute(address, absolute, known.scheme + ":", base, known)


def _map_absolute(address: str, absolute: Absolute, lead: str, base: Base, known: Public) -> str:
    if not _is_upstream(absolute.scheme, absolute.authority, base):
        return address
    mapped = _map_path(absolute.rest, base, known.prefix)
    return address if mapped is None else f"{lead}//{known.host}{mapped}"


def _map_absolute_path(address: str, base: Base, prefix: str) -> str:
    path = _path_of(address)
    # A base that itself lies under the prefix is told from it by being longer.
    inner = under(base.path, prefix) and under(path, base.path)
    if prefix and under(path, prefix) and not inner:
        return address
    mapped = _map_path(address, base, prefix)
    if mapped is None or mapped == address:
        return address
    # "//host" would be another host, and to browsers so would "/\\host".
    return "/." + mapped if mapped[1:2] in ("/", "\\") else mapped


def _path_of(rest: str) -> str:
    return re.split("[?#]", rest, maxsplit=1)[0]


def _split_authority(text: str) -> tuple[str, str]:
    match = re.match(r"[^/?#]*", text)
    end = match.end() if match else 0
    rest = text[end:]
    return text[:end], rest if rest.startswith("/") else "/" + rest


def map_refresh(value: str, base: Base, known: Public) -> str:
    """Map the URL in a Refresh field (HTML, "shared declarative refresh steps")."""
    match = _REFRESH.match(value)
    if match is None:
        return value
    url = value[match.end() :]
    mark = url[:1] if url[:1] in ("'", '"') and url.rstrip()[1:].endswith(url[:1]) else ""
    inner = url.rstrip()[1:-1] if mark else url.rstrip()
    tail = url[len(url.rstrip()) :]
    return f"{match[0]}{mark}{map_address(inner, base, known)}{mark}{tail}"


def map_cookie(value: str, base: Base, known: Public, scope: bool, domain: str | None) -> str:
    """Map Path and Domain of one Set-Cookie (RFC 6265, 4.1.2).

    A path is scoped to the mount, and ``__Host-`` cookies are never touched, since they
    are bound to ``Path=/`` and to no domain.

    :param scope: map the path, and give one to a cookie whose path is outside.
    :param domain: replaces the domain; empty removes it; None leaves it.

    >>> from wsgiproxy.sansio.href import parse_href
    >>> known = Public("https", "example.com", "443", "/mount", "")
    >>> map_cookie("a=b; Path=/; Secure", parse_href("http://b/"), known, True, None)
    'a=b; Path=/mount; Secure'
    """
    pair, *attributes = value.split(";")
    if pair.strip().lower().startswith("__host-"):
        return value
    mapped = [pair]
    for attribute in attributes:
        name, _, text = attribute.partition("=")
        name = name.strip()
        if scope and name.lower() == "path":
            attribute = f" {name}={_cookie_path(text.strip(), base, known.prefix)}"
        elif domain is not None and name.lower() == "domain":
            if not domain:
                continue
            attribute = f" {name}={domain}"
        mapped.append(attribute)
    return ";".join(mapped)


def _cookie_path(path: str, base: Base, prefix: str) -> str:
    inner = under(base.path, prefix) and under(path, base.path)
    if prefix and under(path, prefix) and not inner:
        return path
    mapped = _map_path(path, base, prefix) if path.startswith("/") else prefix
    if mapped is None:
        mapped = prefix
    return mapped if mapped == "/" else mapped.rstrip("/") or "/"


_MAPPED = frozenset(["location", "content-location", "refresh", "set-cookie"])


def _is_mapped(name: str) -> bool:
    return name.lower() in _MAPPED


_IS_MAPPED = Remembered(_is_mapped)


def has_addresses(headers: Headers) -> bool:
    """Whether there is anything to map; most answers have nothing."""
    is_mapped = _IS_MAPPED
    # A list, since a generator costs twice as much here, and this runs for every answer.
    return bool([name for name, _ in headers if is_mapped[name]])


def map_headers(
    headers: Headers,
    base: Base,
    known: Public,
    *,
    scope_cookies: bool,
    cookie_domain: str | None,
    mount: tuple[Base, Public] | None = None,
) -> Headers:
    """Stage 6: all addresses in the field lines of a response.

    :param mount: what cookies are scoped by, if not by *base* and *known*.
    """
    mapped = []
    cookies = mount or (base, known)
    for name, value in headers:
        field = name.lower()
        if field in ("location", "content-location"):
            value = map_address(value, base, known)
        elif field == "refresh":
            value = map_refresh(value, base, known)
        elif field == "set-cookie" and (scope_cookies or cookie_domain is not None):
            value = map_cookie(value, *cookies, scope_cookies, cookie_domain)
        mapped.append((name, value))
    return mapped
