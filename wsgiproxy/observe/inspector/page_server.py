"""The server of the inspector's page: on loopback alone, in threads that end with the process."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from collections.abc import Callable
from typing import NoReturn

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.observe.inspector.page import Page
from wsgiproxy.observe.side_server import SideServer
from wsgiproxy.sansio.destination.addresses import kind
from wsgiproxy.sansio.fields.host import is_host, split_host
from wsgiproxy.sansio.message import bracketed

__all__ = ["DEFAULT", "PageServer"]

#: Where the page is, if the port is free.
DEFAULT = "127.0.0.1:4040"

_EXPECTED = "expected a loopback address, such as '127.0.0.1:4040', 'localhost:0' or '4040'"
# Bytes of the token, 43 characters.
_TOKEN = 32
# Seconds between two looks whether the server has to end.
_LOOK = 0.1


class PageServer:
    """Serves the page of an inspector; it begins at once.

    The threads are those of this process: a process that is forked from it has none, and serves no
    page. There, make another one.

    :param make_page: makes the page for a token.
    :param listen: ``host:port``, or the port alone, of a loopback address; with the port 0, or one
        that is taken, the page gets a free one. Or a socket that listens at such an address.
    :param token: what the path begins with; a random one if it is None.
    :raises ConfigurationError: the address is not of loopback, or cannot be listened at.

    >>> from wsgiproxy.observe.inspector.ring import Ring
    >>> from wsgiproxy.sansio.secrets import Secrets
    >>> server = PageServer(lambda token: Page(Ring(), token, Secrets()), "127.0.0.1:0")
    >>> from urllib.request import urlopen
    >>> with urlopen(server.url + "api/state") as response:
    ...     response.status
    200
    >>> server.close()
    >>> PageServer(lambda token: Page(Ring(), token, Secrets()), "0.0.0.0:4040")
    Traceback (most recent call last):
    wsgiproxy.errors.ConfigurationError: listen='0.0.0.0:4040': expected a loopback address, ...
    """

    def __init__(
        self,
        make_page: Callable[[str], Page],
        listen: str | socket.socket = DEFAULT,
        token: str | None = None,
    ) -> None:
        token = token or secrets.token_urlsafe(_TOKEN)
        listener = listen if isinstance(listen, socket.socket) else _listener(listen)
        host, port = listener.getsockname()[:2]
        #: The address of the page, with its token.
        self.url = f"http://{bracketed(host)}:{port}/{token}/"
        self._page = make_page(token)
        self._server = SideServer(listener, self._page)
        self._thread = threading.Thread(target=self._serve, name="inspector", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self._server.serve_forever(_LOOK)

    def close(self) -> None:
        """End the page, its streams and its threads; a second call does nothing."""
        if self._thread.is_alive():  # it is not in a process that was forked
            self._page.close()
            self._server.shutdown()
            self._thread.join()
        self._server.close()


def _refuse(listen: object, why: str) -> NoReturn:
    raise ConfigurationError(f"listen={listen!r}: {why}")


def _listener(listen: str) -> socket.socket:
    """A socket that listens at the address, or at a free port of it."""
    text = f"127.0.0.1:{listen}" if isinstance(listen, str) and listen.isdecimal() else listen
    if not isinstance(text, str) or not is_host(text):
        _refuse(listen, _EXPECTED)
    host, port = split_host(text.lower())
    host = "127.0.0.1" if host == "localhost" else host
    if kind(host) != "loopback":
        _refuse(listen, _EXPECTED)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.suppress(OSError):
        return socket.create_server((host, port), family=family)
    try:
        return socket.create_server((host, 0), family=family)
    except OSError as error:
        _refuse(listen, f"cannot listen there: {error.strerror or error}")
