"""A key that clients use without having it: they hold a placeholder.

The key is put in on the way to the backend of this application, and nowhere else. Where the backend
repeats it, in fields, bodies or the text of errors, the placeholder stands again. What cannot be
looked through, such as a compressed body or a WebSocket, does not pass.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Generator, Iterable
from copy import copy
from hmac import compare_digest
from html import escape
from typing import Any

from wsgiproxy.errors import BadResponse, NotSupported, ProxyError
from wsgiproxy.hooks.checks import field_names, named, require, secret_value
from wsgiproxy.hooks.messages import Request, Response
from wsgiproxy.hooks.representation import is_coded
from wsgiproxy.sansio.fields.names import without
from wsgiproxy.sansio.hooks import Hook

__all__ = ["Scrubber", "swap_credentials"]

# A part of a body may hold a part of the key, and a coded one hides it.
_REMOVED = ("Range", "If-Range", "Accept-Encoding")
_SHORTEST = 8


class Scrubber:
    """Replaces a secret in blocks of bytes, also where it lies across two of them.

    :param secret: what is not to pass, also percent-encoded, in JSON, with entities of HTML, or as
        base64 of it alone or among other bytes.
    :param instead: what stands there.

    >>> scrubber = Scrubber("s3cr3t-key", "placeholder")
    >>> scrubber.block(b"the s3cr"), scrubber.block(b"3t-key."), scrubber.end()
    (b'the ', b'placeholder.', b'')
    """

    def __init__(self, secret: str, instead: str) -> None:
        forms = [[_spellings(character) for character in secret]]
        forms += [[(form[at : at + 1],) for at in range(len(form))] for form in _base64(secret)]
        self._forms = forms
        self._longest = max(sum(max(map(len, unit)) for unit in form) for form in forms)
        units = ["".join(f"(?:{'|'.join(_pattern(unit))})" for unit in form) for form in forms]
        self._found = re.compile("|".join(units).encode())
        self._firsts = frozenset(each[:1] for form in forms for each in form[0])
        self._instead = instead.encode()
        self._rest = b""

    def block(self, data: bytes) -> bytes:
        """What can be sent so far; a possible beginning of the secret is kept."""
        data = self.whole(self._rest + data)
        kept = self._kept(data)
        self._rest = data[len(data) - kept :]
        return data[: len(data) - kept]

    def end(self) -> bytes:
        """What was kept."""
        rest, self._rest = self._rest, b""
        return rest

    def whole(self, data: bytes) -> bytes:
        """All of *data*, with nothing kept."""
        return self._found.sub(lambda match: self._instead, data)

    def text(self, text: str) -> str:
        """As :meth:`whole`, for text."""
        return self.whole(text.encode("latin-1", "replace")).decode("latin-1")

    def _kept(self, data: bytes) -> int:
        """How many bytes at the end of *data* may begin the secret."""
        for at in range(max(0, len(data) - self._longest + 1), len(data)):
            if data[at : at + 1] in self._firsts:
                end = data[at:]
                if any(_begins(end, form) for form in self._forms):
                    return len(end)
        return 0


def _spellings(character: str) -> tuple[bytes, ...]:
    """How a character may be written: by itself, for an address, in JSON, in HTML."""
    code = ord(character)
    found = {character, f"%{code:02X}", f"\\u{code:04X}", f"&#{code};", f"&#x{code:X};"}
    found |= {json.dumps(character)[1:-1], escape(character), "\\/" if character == "/" else ""}
    found |= {"+" if character == " " else "", "&#039;" if character == "'" else ""}
    found |= {f"%{code:02x}", f"\\u{code:04x}", f"&#x{code:x};"}
    return tuple(sorted((each.encode() for each in found if each), key=len, reverse=True))


def _base64(secret: str) -> set[bytes]:
    """What all base64 of bytes with the secret has, wherever it stands among them."""
    found = set()
    for before in range(3):
        whole = b64encode(bytes(before) + secret.encode())
        # The characters that hold bits of what stands before and behind are left out.
        core = whole[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]
        found |= {core, core.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def _pattern(spellings: Iterable[bytes]) -> list[str]:
    return [re.escape(each.decode()) for each in spellings]


def _begins(data: bytes, form: Iterable[tuple[bytes, ...]]) -> bool:
    """Whether *data* may be the beginning of a form."""
    rests = {data}
    for spellings in form:
        pairs = [(rest, each) for rest in rests for each in spellings]
        if any(each.startswith(rest) for rest, each in pairs):
            return True
        rests = {rest[len(each) :] for rest, each in pairs if rest.startswith(each)}
        if not rests:
            return False
    return False


def swap_credentials(placeholder: str, key: str, name: str = "Authorization") -> Hook:
    """Send a key instead of the placeholder that the client has sent; without it, answer 401.

    :param placeholder: alone in the field, or behind a scheme such as ``Bearer``.
    :param key: what the backend gets; 8 characters at least, or too much would look like it.
    :param name: of the field.
    :raises ConfigurationError: one cannot stand in a field, or one holds the other.

    >>> from wsgiproxy import WSGIProxyApp
    >>> hook = swap_credentials("placeholder-1", "sk-the-real-key")
    >>> app = WSGIProxyApp("http://localhost:3000", hooks=[hook])
    """
    _check(placeholder, key, name)
    made = Scrubber(key, placeholder)

    def hook(request: Request) -> Generator[Any, Any, Response | None]:
        scheme, is_right = _scheme(request.headers.getlist(name), placeholder)
        if not is_right:
            return Response(401, {"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"})
        if request.inbound is not None and request.inbound.upgrade:
            raise NotSupported("a key cannot be kept from what follows an upgrade")
        request.headers = [*without(request.lines, [name, *_REMOVED]), (name, scheme + key)]
        request.headers["Accept-Encoding"] = "identity"
        scrubber = copy(made)
        try:
            response: Response = yield request
        except ProxyError as error:
            text = scrubber.text(str(error))
            if text == str(error):
                raise
            raise BadResponse(text) from None
        _scrub(response, scrubber)
        return None

    return named(hook, f"swap_credentials({name})")


def _check(placeholder: str, key: str, name: str) -> None:
    secret_value("placeholder", placeholder)
    right = len(secret_value("key", key)) >= _SHORTEST
    require(right, "key", "(not shown)", f"{_SHORTEST} characters at least")
    right = key not in placeholder and placeholder not in key
    require(right, "placeholder", "(not shown)", "another text than the key")
    field_names("name", [name], ours=False)


def _scheme(values: list[str], placeholder: str) -> tuple[str, bool]:
    value = values[0] if len(values) == 1 else ""
    scheme, space, rest = value.rpartition(" ")
    is_right = compare_digest(rest.encode("utf-8", "replace"), placeholder.encode())
    return scheme + space, is_right and scheme.isalnum() == bool(space)


def _scrub(response: Response, scrubber: Scrubber) -> None:
    response.headers = [
        (scrubber.text(name), scrubber.text(value)) for name, value in response.lines
    ]
    response.reason = scrubber.text(response.reason)
    if is_coded(response.lines):
        raise BadResponse("a coded body, which a key cannot be kept from")
    response.body.map(scrubber.block, scrubber.end)
