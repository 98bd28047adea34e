"""The cookies of ``balance="sticky"``, made with the keys of ``secret_file``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from wsgiproxy.sansio.fields.sticky import sticky_cookie, sticky_key, sticky_marks
from wsgiproxy.sansio.message import Headers

if TYPE_CHECKING:
    from wsgiproxy.sansio.balance import Member
    from wsgiproxy.sansio.keys import Key, Keyring

__all__ = ["Sticky"]

# What a key signs for it; the text that a signature of a request covers begins with a quotation
# mark (RFC 9421, 2.5), so that neither can be taken for the other.
_PURPOSE = b"wsgiproxy: the secret of sticky cookies"


def _secret(key: Key) -> bytes:
    assert key.sign is not None
    return key.sign(_PURPOSE)


class Sticky:
    """Cookies that name upstreams; processes and hosts with the same key file know them.

    :param keyring: gives the keys; the first one makes cookies, and all of them know theirs.
    :param name: of the cookie.
    """

    def __init__(self, keyring: Callable[[], Keyring], name: str = "wsgiproxy_upstream") -> None:
        self._keyring = keyring
        self.name = name
        self._known: tuple[Keyring | None, tuple[Member, ...], dict[str, str]] = None, (), {}

    def key(self, headers: Headers, members: tuple[Member, ...]) -> str:
        """The key of the upstream that a request's cookie names; empty for none.

        :param members: the upstreams.
        """
        keyring = self._keyring()
        known = self._known
        if known[0] is not keyring or known[1] is not members:
            keys = [each for each in keyring.keys.values() if each.sign is not None]
            texts = [member.key for member in members]
            marks = {
                mark: text
                for key in keys
                for mark, text in sticky_marks(texts, _secret(key)).items()
            }
            # One assignment: another thread may do the same for another list.
            self._known = known = keyring, members, marks
        return sticky_key(headers, self.name, known[2])[0]

    def cookie(self, upstream: str, *, secure: bool, path: str) -> str:
        """The value of Set-Cookie that names an upstream; see :func:`.sticky_cookie`."""
        secret = _secret(self._keyring().signer())
        return sticky_cookie(self.name, upstream, secret, secure=secure, path=path)
