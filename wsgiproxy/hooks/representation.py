"""Which representation a response has, for the hooks that change its body: its coding, its tag.

It changes no body.
"""

from __future__ import annotations

from wsgiproxy.hooks.messages import Response
from wsgiproxy.sansio.fields.names import list_members, values
from wsgiproxy.sansio.message import Headers

__all__ = ["is_coded", "weaken_known"]


def is_coded(lines: Headers) -> bool:
    """Whether a field line names a coding other than ``identity`` (RFC 9110, 8.4).

    >>> is_coded([("Content-Encoding", "identity"), ("Content-Encoding", "gzip")]), is_coded([])
    (True, False)
    """
    found = list_members(",".join(values(lines, "Content-Encoding")))
    return any(each != "identity" for each in found)


def weaken_known(response: Response, known: str) -> bool:
    """Give a 304 the weak tag by which the client knows what was changed; whether that is so.

    A cache would not update by a strong one what it has by a weak one (RFC 9111, 4.3.4).

    :param known: If-None-Match of the request.

    >>> response = Response(304, {"ETag": '"a"'})
    >>> weaken_known(response, '"b", W/"a"'), response.headers["ETag"]
    (True, 'W/"a"')
    """
    tag = response.headers.get("ETag", "")
    if response.status != 304 or not tag.startswith('"') or "W/" + tag not in known:
        return False
    response.headers["ETag"] = "W/" + tag
    return True
