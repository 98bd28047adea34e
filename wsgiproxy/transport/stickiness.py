"""The cookie of ``balance="sticky"``, which names an upstream to this proxy and to nothing else."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import TYPE_CHECKING

from wsgiproxy.sansio.fields.cookies import cookie_values
from wsgiproxy.sansio.keys import base64url
from wsgiproxy.sansio.message import Headers

if TYPE_CHECKING:
    from wsgiproxy.sansio.balance import Member
    from wsgiproxy.sansio.keys import Key, Keyring

__all__ = ["Sticky"]

# What no signature of a request begins with (RFC 9421, 2.5), so that a cookie can never be one.
_PURPOSE = b"wsgiproxy: the upstream of a sticky cookie\0"


class Sticky:
    """Cookies that name upstreams.

    The value is what a key makes of the upstream's address. It does not tell the address, only who
    has the key can make the one of another upstream, and all processes and hosts with the same key
    file know it.

    :param keyring: gives the keys of ``secret_file``; the first one makes cookies.
    :param name: of the cookie.
    """

    def __init__(self, keyring: Callable[[], Keyring], name: str = "wsgiproxy_upstream") -> None:
        self._keyring = keyring
        self.name = name
        self._made: dict[tuple[str, str], str] = {}

    def _value(self, key: Key, upstream: str) -> str:
        found = self._made.get((key.keyid, upstream))
        if found is None:
            assert key.sign is not None
            digest = sha256(key.sign(_PURPOSE + upstream.encode())).digest()
            found = base64url(digest[:18])
            if len(self._made) > 10_000:  # of upstreams that have gone
                self._made.clear()
            self._made[key.keyid, upstream] = found
        return found

    def key(self, headers: Headers, members: Iterable[Member]) -> str:
        """The key of the upstream that a request's cookie names; empty for none.

        :param members: the upstreams.
        """
        given = [value.encode() for value in cookie_values(headers, self.name)[:4]]
        if not given:
            return ""
        keys = [each for each in self._keyring().keys.values() if each.sign is not None]
        for member in members:
            for key in keys:
                value = self._value(key, member.key).encode()
                if any(hmac.compare_digest(value, each) for each in given):
                    return member.key
        return ""

    def cookie(self, upstream: str, *, secure: bool, path: str) -> str:
        """The value of Set-Cookie that names an upstream (RFC 6265, 4.1).

        :param secure: the client came by https.
        :param path: the mount.
        """
        value = self._value(self._keyring().signer(), upstream)
        end = "; Secure" if secure else ""
        return f"{self.name}={value}; Path={path}; HttpOnly; SameSite=Lax{end}"
