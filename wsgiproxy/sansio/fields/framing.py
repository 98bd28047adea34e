"""Content-Length and Transfer-Encoding: where a body ends (RFC 9112, 6.3).

The framing of a message is computed from these rules and never copied from another message.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from io import BytesIO
from typing import Any

from wsgiproxy.errors import BadRequest, BadResponse, LengthRequired, NotSupported
from wsgiproxy.sansio.grammar import NO_BODY, is_length

__all__ = ["End", "body_framing", "decoded_framing", "request_framing", "response_framing"]


class End(Enum):
    """Where a body ends."""

    #: There is none.
    HEAD = auto()
    #: After the number of bytes that Content-Length says.
    LENGTH = auto()
    #: With its last chunk.
    CHUNKS = auto()
    #: Where the connection does.
    CLOSE = auto()


# A look at a member of an enumeration costs more than one at a name.
_HEAD, _LENGTH, _CHUNKS, _CLOSE = End


def response_framing(
    method: str, status: int, length: int | None, coding: str | None, old: bool = False
) -> End:
    """Where the body of a response ends, by the steps of RFC 9112, 6.3.

    :param method: of its request.
    :param length: Content-Length, which is one number: others are refused before (step 5).
    :param coding: Transfer-Encoding, its lines joined; never beside a length (step 3).
    :param old: the upstream speaks HTTP/1.0.
    :raises BadResponse: another coding than ``chunked``.

    >>> response_framing("GET", 200, None, "Chunked"), response_framing("HEAD", 200, 5, None)
    (<End.CHUNKS: 3>, <End.HEAD: 1>)
    """
    # "gzip, chunked" would reach the client with its coding unnamed; HTTP/1.0 knows no codings, so
    # an upstream that sends one has made the message up (RFC 9112, 6.1).
    if coding is not None and (coding.lower() != "chunked" or old):
        raise BadResponse(f"transfer coding {coding!r}")
    # 1. No body behind these, whatever the fields say. (2. A tunnel has a client of its own.)
    if method == "HEAD" or status in NO_BODY:
        return _HEAD
    # 4. The last chunk.
    if coding is not None:
        return _CHUNKS
    # 6. So many bytes; 8. or all that comes.
    if length is None:
        return _CLOSE
    return _LENGTH if length else _HEAD


def request_framing(
    method: str, version: str, lengths: list[str], codings: list[str]
) -> tuple[End, int]:
    """Where the body of a request to our own server ends, and its length, if it has one.

    :param version: such as ``1.1``.
    :param lengths: the values of Content-Length.
    :param codings: those of Transfer-Encoding.
    :raises BadRequest: two framings, of which one is a lie, or a length that is no number.
    :raises NotSupported: another coding than ``chunked``.

    >>> request_framing("POST", "1.1", ["5"], []), request_framing("GET", "1.1", [], [])
    ((<End.LENGTH: 2>, 5), (<End.HEAD: 1>, 0))
    """
    if codings:
        # 3. and 4.; HTTP/1.0 knows no codings.
        if lengths or version == "1.0" or method == "CONNECT":
            raise BadRequest(f"transfer coding {codings!r} with {lengths!r}: {method}")
        if [coding.lower() for coding in codings] != ["chunked"]:
            raise NotSupported(f"transfer coding {codings!r}")
        return End.CHUNKS, 0
    if not lengths:
        return End.HEAD, 0  # 7.
    if len(lengths) > 1 or not is_length(lengths[0]):
        raise BadRequest(f"Content-Length {lengths!r} is not one number")  # 5.
    length = int(lengths[0])
    if length and method == "CONNECT":
        # RFC 9110, 9.3.6: what follows is the tunnel's. A zero some clients do send.
        raise BadRequest("a CONNECT with a body")
    return (End.LENGTH if length else End.HEAD), length  # 6.


def body_framing(environ: Mapping[str, Any]) -> tuple[int | None, bool]:
    """Where the request body ends: a length, or the end of ``wsgi.input``.

    The framing is computed and never copied, since servers hand over both
    ``Content-Length`` and ``Transfer-Encoding`` (RFC 9112, 6.1 and 6.3).

    :returns: length in bytes or None, and whether to read until the end.
    :raises BadRequest: a length that is no number, or both without a server that decodes.
    :raises LengthRequired: chunks that the server has not decoded, or not said so.
    :raises NotSupported: another transfer coding than exactly ``chunked``.

    >>> body_framing({"CONTENT_LENGTH": "3"}), body_framing({})
    ((3, False), (None, False))
    """
    length = environ.get("CONTENT_LENGTH")
    coding = environ.get("HTTP_TRANSFER_ENCODING")
    if coding is None and not length:
        # HTTP/2 and 3 frame bodies without either field; HTTP/1 without both has none.
        later = environ.get("SERVER_PROTOCOL", "").startswith(("HTTP/2", "HTTP/3"))
        return None, later and _is_terminated(environ)
    framing = decoded_framing(None if coding is not None else str(length), coding)
    if coding is None or _is_terminated(environ):
        return framing
    if length:
        raise BadRequest("both Content-Length and Transfer-Encoding")
    raise LengthRequired("a chunked body that the server has not decoded")


def decoded_framing(
    length: str | None, coding: str | None, *, later: bool = False
) -> tuple[int | None, bool]:
    """Where a request body ends whose chunks the server has decoded, as all servers for ASGI do.

    :param length: Content-Length.
    :param coding: Transfer-Encoding, which overrides it (RFC 9112, 6.3).
    :param later: the request is one of HTTP/2 or 3, which frame bodies without either field.
    :returns: length in bytes or None, and whether to read until the end.
    :raises BadRequest: a length that is no number.
    :raises NotSupported: another transfer coding than exactly ``chunked``.

    >>> decoded_framing("3", None), decoded_framing(None, "chunked"), decoded_framing(None, None)
    ((3, False), (None, True), (None, False))
    """
    if coding is not None:
        if coding.strip(" \t").lower() != "chunked":
            raise NotSupported(f"transfer coding {coding!r}")
        return None, True
    if length is None:
        return None, later
    if not is_length(length):
        raise BadRequest(f"Content-Length {length!r} is not a number")
    return int(length), False


def _is_terminated(environ: Mapping[str, Any]) -> bool:
    """Whether ``wsgi.input`` ends where the body does, chunks being decoded.

    Of the adapters for ASGI servers that do not say so, a2wsgi hands over the scope and reads
    until the last ``http.request`` event; Starlette's has read it all into memory.
    """
    return (
        bool(environ.get("wsgi.input_terminated"))
        or isinstance(environ.get("asgi.scope"), Mapping)
        or isinstance(environ.get("wsgi.input"), BytesIO)
    )
