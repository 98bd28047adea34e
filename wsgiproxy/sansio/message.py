"""The values that the rules pass to each other; they know nothing of sockets or of WSGI."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "BLOCK",
    "ALLOWED",
    "DEFAULT_PORTS",
    "Headers",
    "Inbound",
    "Moved",
    "Origin",
    "Request",
    "ResponseHead",
    "bracketed",
    "default_port",
]

#: What one read may bring, in bytes: a long body is never held beyond it.
BLOCK = 65536

#: Field lines in order, names as they go on the wire, values as latin-1 text.
Headers = list[tuple[str, str]]


def bracketed(host: str) -> str:
    """A host as it stands in an authority: IPv6 in brackets (RFC 3986, 3.2.2).

    >>> bracketed("::1"), bracketed("[::1]"), bracketed("example.com")
    ('[::1]', '[::1]', 'example.com')
    """
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


class Origin(NamedTuple):
    """Where to connect to. It is never made from text that a client wrote into a target.

    :param scheme: ``http`` or ``https``.
    :param host: a name or an address, IPv6 without brackets; also the name that TLS checks.
    :param port: TCP port.
    :param unix: path of a Unix socket, which is then used instead of host and port.
    """

    scheme: str
    host: str
    port: int
    unix: str = ""

    @property
    def authority(self) -> str:
        """The value for Host: brackets for IPv6, no default port (RFC 9110, 7.2).

        >>> Origin("http", "::1", 8080).authority
        '[::1]:8080'
        >>> Origin("https", "example.com", 443).authority
        'example.com'
        """
        host = bracketed(self.host)
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def label(self) -> str:
        """Its name for people and in figures.

        >>> Origin("http", "::1", 8080).label, Origin("http", "localhost", 80, "/run/a.sock").label
        ('http://[::1]:8080', 'unix:/run/a.sock')
        """
        return f"unix:{self.unix}" if self.unix else f"{self.scheme}://{self.authority}"


DEFAULT_PORTS = {"http": 80, "https": 443}


def default_port(scheme: str) -> int:
    """The port of a scheme where none is written (RFC 9110, 4.2); that of http for others."""
    return DEFAULT_PORTS.get(scheme, 80)


#: What Allow says; others pass too, but CONNECT and TRACE do not (RFC 9110, 10.2.1).
ALLOWED = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Moved(NamedTuple):
    """The beginning of a path that was replaced, and is turned back in addresses of the answer.

    :param old: what the client's path begins with; empty, or with a slash in front alone.
    :param new: what stands there in the path that is sent.
    :param asked: the client's whole path, raw and below the mount.
    """

    old: str
    new: str
    asked: str


class Inbound(NamedTuple):
    """What a server has told us about one request, checked.

    :param method: the token as received.
    :param scheme: ``http`` or ``https``.
    :param host: the authority that the client asked for (Host, or that of an absolute target).
    :param server_name: ``SERVER_NAME``.
    :param server_port: ``SERVER_PORT``.
    :param script_name: the mount prefix in its raw, percent-encoded form.
    :param path: the rest of the path in its raw form; may be empty under a mount.
    :param query: empty, or ``?`` and the raw query; ``?`` alone is kept.
    :param headers: all other field lines, hop-by-hop ones included.
    :param peer: ``REMOTE_ADDR`` or empty.
    :param peer_port: ``REMOTE_PORT`` or empty.
    :param protocol: the version that the client spoke, such as ``1.1``.
    :param content_length: length of the body in bytes, None if the client gave none.
    :param chunked: the body ends where ``wsgi.input`` ends.
    :param login: there are credentials, perhaps of a scheme that is bound to a connection.
    :param upgrade: the protocols that it wants to go over to, in lower case.
    :param moved: how a hook has come from the client's path to *path*, where that can be undone.
    """

    method: str
    scheme: str
    host: str
    server_name: str
    server_port: int
    script_name: str
    path: str
    query: str
    headers: Headers
    peer: str
    peer_port: str
    protocol: str
    content_length: int | None
    chunked: bool
    login: bool = False
    upgrade: tuple[str, ...] = ()
    moved: Moved | None = None


class Request(NamedTuple):
    """One request as it goes upstream.

    The framing is its own two fields, and never a header (RFC 9112, 6.3); so is Upgrade.

    :param method: token.
    :param target: the request-target, byte for byte.
    :param headers: field lines, Host included, framing fields excluded.
    :param content_length: length of the body in bytes, None if there is none to announce.
    :param chunked: send the body in chunks.
    :param login: there may be credentials among the headers; None if that is not known.
    :param upgrade: the protocol to go over to (RFC 9110, 7.8); empty for an ordinary request.
    """

    method: str
    target: str
    headers: Headers
    content_length: int | None = None
    chunked: bool = False
    login: bool | None = None
    upgrade: str = ""


class ResponseHead(NamedTuple):
    """Status line and field lines of one response.

    :param status: 100 to 999.
    :param reason: reason phrase, possibly empty.
    :param headers: field lines as received.
    """

    status: int
    reason: str
    headers: Headers
