"""Applications below prefixes of the path: who gets a request, and what is said of all others.

Its paths are those of WSGI or of ASGI, decoded; they are not normalised: ``//app`` is not ``/app``.
"""

from __future__ import annotations

from collections.abc import Iterable

from wsgiproxy.errors import LinkedOutside, NotFound
from wsgiproxy.sansio.reference import page_below
from wsgiproxy.sansio.target import rebuilt_target, under

__all__ = ["is_bare", "outside", "path_in", "shifted", "slash_location"]

# Paths that browsers ask for without a link.
_WITHOUT_LINK = ("/favicon.ico", "/apple-touch-icon", "/robots.txt", "/.well-known/")


def shifted(script_name: str, path_info: str, prefix: str) -> tuple[str, str] | None:
    """The mount and the path in it, below *prefix*; None if the path is not there.

    >>> shifted("", "/app/x", "/app"), shifted("", "/application", "/app")
    (('/app', '/x'), None)
    """
    if not under(path_info, prefix):
        return None
    return script_name + prefix, path_info[len(prefix) :]


def path_in(root: str, path: str) -> tuple[str, str]:
    """The mount of a scope, and the path in it: ``path`` holds both, but not of every server.

    >>> path_in("/app", "/app/x"), path_in("/app", "/x")
    (('/app', '/x'), ('/app', '/x'))
    """
    return root, path[len(root) :] if under(path, root) else path


def is_bare(method: str, script_name: str, path_info: str) -> bool:
    """Whether a request is a GET or HEAD of a mount without its last slash.

    :param script_name: and *path_info*: as the mounted application gets them.
    """
    # The root of a server has its slash in every request (RFC 9112, 3.2.1).
    return method in ("GET", "HEAD") and not path_info and bool(script_name)


def slash_location(script_name: str, query: str) -> str:
    """The ``Location`` of a mount with its last slash: a path, since the host is the client's word.

    :param script_name: as WSGI has it (PEP 3333).
    :raises BadRequest: there is something in it that no target may have.

    >>> slash_location("/app", "a=%2F"), slash_location("//app", "")
    ('/app/?a=%2F', '/.//app/')
    """
    location = "".join(rebuilt_target(script_name, "/", query))
    # Two slashes at the beginning would be a host (RFC 3986, 4.2).
    return "/." + location if location.startswith("//") else location


def outside(path: str, prefixes: Iterable[str], *, mount: str, referer: str, host: str) -> NotFound:
    """The error for a path outside all prefixes.

    :param mount: where the prefixes are.
    :param referer: and *host*: fields of the request, empty for none.
    :returns: :class:`~wsgiproxy.errors.LinkedOutside` if a page below one of them links there.
    """
    for prefix in prefixes if referer and not path.startswith(_WITHOUT_LINK) else ():
        page = page_below(referer, host, mount + prefix) if prefix else ""
        if page:
            return LinkedOutside(
                f"a link of {page!r} leads past the prefix {prefix}; its application has to be"
                " told the prefix, by a setting of its own, or to stand at the root"
            )
    return NotFound("it is outside every prefix")
