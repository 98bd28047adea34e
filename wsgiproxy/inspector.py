"""The inspector: every exchange of an application, on a page for the developer who runs it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from wsgiproxy.asgi.inspected import InspectedASGI
from wsgiproxy.asgi.served import Served
from wsgiproxy.errors import BadRequest, ConfigurationError
from wsgiproxy.observe.inspector.again import checked, environ_of, scope_of
from wsgiproxy.observe.inspector.archived import add_entry, entry_of
from wsgiproxy.observe.inspector.edited import Replayed
from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.heads import KNOWN
from wsgiproxy.observe.inspector.kept import Limits
from wsgiproxy.observe.inspector.ring import Ring
from wsgiproxy.sansio.har.read import entries_of
from wsgiproxy.sansio.har.write import har_text
from wsgiproxy.sansio.secrets import Secrets
from wsgiproxy.settings.inspect import INSPECT
from wsgiproxy.settings.setting import resolve
from wsgiproxy.version import __version__
from wsgiproxy.worlds import is_asgi
from wsgiproxy.wsgi.inspected import InspectedWSGI

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from wsgiproxy.asgi.body import Message
    from wsgiproxy.observe.inspector.page_server import PageServer
    from wsgiproxy.observe.inspector.recorder import Recorder
    from wsgiproxy.settings.options import InspectOptions

__all__ = ["Inspector"]

_log = logging.getLogger("wsgiproxy.inspector")


class Inspector:
    """An application around another one, whose exchanges can be looked at on a page of their own.

    Any WSGI or ASGI application can be inspected, and is served as before; of one of this package
    both sides are seen: what the client sent, and what the upstream got. The page is served at a
    loopback address of its own, to those who know the address with its token, which is logged on
    ``wsgiproxy.inspector`` and stands in :attr:`url`.

    What is kept is kept by the process: with several of them, each has its own page. A process
    that is forked afterwards has none.

    :param application: WSGI or ASGI.
    :param listen: ``host:port`` of the page, a loopback address; a free port is taken if that one
        is not free. None for no page.
    :param title: what the page calls the application.
    :param options: the rows of :data:`wsgiproxy.settings.INSPECT`: ``exchanges`` (1000),
        ``memory`` (64 MiB), ``body`` (16 MiB of each), ``disk`` (1 GiB), ``hide`` and ``show``
        (names of fields and parameters that are secrets, or are none).
    :raises ConfigurationError: naming the setting, its value and what was expected.

    >>> def application(environ, start_response):
    ...     start_response("200 OK", [("Content-Type", "text/plain")])
    ...     return [b"hello"]
    >>> inspector = Inspector(application, listen=None)
    >>> import webob
    >>> webob.Request.blank("/a?token=s3cret").get_response(inspector).text
    'hello'
    >>> [(each.request.target, each.answer.status) for each in inspector.ring.exchanges()]
    [('/a?token=s3cret', 200)]
    """

    def __new__(cls, application: Any, **options: Any) -> Inspector:
        """One for WSGI or one for ASGI, as the application is."""
        if not callable(application):
            raise ConfigurationError(f"application={application!r}: expected one of WSGI or ASGI")
        kind = _ASGIInspector if is_asgi(application) else _WSGIInspector
        return object.__new__(kind if cls is Inspector else cls)

    def __init__(
        self,
        application: Any,
        *,
        listen: str | None = "127.0.0.1:4040",
        title: str = "",
        **options: Unpack[InspectOptions],
    ) -> None:
        values = resolve(INSPECT, options)
        hide, show = values.pop("hide"), values.pop("show")
        #: What is kept.
        self.ring = Ring(Limits(**values))
        #: What is masked.
        self.secrets = Secrets.named(hide, show)
        self.title = title or _name_of(application)
        self._start(application)
        self._server: PageServer | None = None
        if listen is not None:
            self.show(listen)
            _log.warning("inspector of %s: %s", self.title, self.url)

    def show(self, listen: str | socket.socket, token: str | None = None) -> None:
        """Serve the page.

        :param listen: ``host:port`` at a loopback address, or a socket that listens at one.
        :param token: what the path of the page begins with; a random one if it is None.
        :raises ConfigurationError: it is no such address.
        """
        # Not before: an inspector that only records has no page.
        from wsgiproxy.observe.inspector.page import Page
        from wsgiproxy.observe.inspector.page_server import PageServer

        def page(token: str) -> Page:
            return Page(
                self.ring,
                token,
                self.secrets,
                title=self.title,
                replay=self.send_again,
                to_har=self._har,
                from_har=self.add_har,
            )

        self.close()
        self._server = PageServer(page, listen, token)

    def record(self, path: str) -> Recorder:
        """Write each exchange to an HTTP archive, when it has ended; to be closed at the end.

        :param path: of the file, which is new or replaced. Secrets are masked in it.
        :raises ConfigurationError: it cannot be written.
        """
        from wsgiproxy.observe.inspector.recorder import Recorder

        return Recorder(self.ring, path, self.secrets, __version__)

    def har(self, exchanges: Iterable[Exchange] | None = None) -> str:
        """An HTTP archive (HAR 1.2) of what is kept, secrets masked.

        :param exchanges: those of the ring that go into it; None for all.
        """
        found = self.ring.exchanges() if exchanges is None else exchanges
        return "".join(self._har(found))

    def _har(self, exchanges: Iterable[Exchange]) -> Iterable[str]:
        entries = (entry_of(each, self.secrets) for each in exchanges)
        return har_text(entries, mask=self.secrets, version=__version__)

    def add_har(self, text: str | bytes, name: str = "") -> int:
        """Keep the exchanges of an HTTP archive among the others.

        :param name: of the file, for people.
        :returns: how many there are.
        :raises ConfigurationError: it is no such archive.
        """
        entries = entries_of(text)
        for entry in entries:
            add_entry(self.ring, entry, name or "archive")
        return len(entries)

    @property
    def url(self) -> str:
        """The address of the page, with its token; empty without a page."""
        return "" if self._server is None else self._server.url

    def close(self) -> None:
        """End the page."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def send_again(self, exchange: Exchange, again: Replayed) -> int:
        """Send a request to the application once more; it goes on in the background.

        :param exchange: the one that it is of.
        :param again: what is sent.
        :returns: the number of the new exchange.
        :raises BadRequest: it is no request that a client could send, or nothing serves here.
        """
        again = checked(again)
        made = self._made(again, exchange)
        facts = again.method, again.target, "HTTP/1.1", again.headers, exchange.client
        new = self.ring.new(KNOWN, facts, exchange.scheme, exchange.mount)
        new.replay_of = exchange.number
        self.ring.add(new)
        self._serve_again(new, made, again.body)
        return new.number

    def _start(self, application: Any) -> None:
        raise NotImplementedError

    def _made(self, again: Replayed, before: Exchange) -> dict[str, Any]:
        raise NotImplementedError

    def _serve_again(self, exchange: Exchange, made: dict[str, Any], body: bytes) -> None:
        raise NotImplementedError


def _name_of(application: Any) -> str:
    """What an application is called, where nothing is said."""
    href = getattr(application, "href", None)
    name = getattr(application, "__qualname__", type(application).__qualname__)
    return href if isinstance(href, str) else name


class _WSGIInspector(Inspector):
    def _start(self, application: Any) -> None:
        self._inspected = InspectedWSGI(application, self.ring)

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        return self._inspected(environ, start_response)

    def _made(self, again: Replayed, before: Exchange) -> dict[str, Any]:
        return environ_of(again, before)

    def _serve_again(self, exchange: Exchange, made: dict[str, Any], body: bytes) -> None:
        def serve() -> None:
            # What fails is noted in the exchange.
            with contextlib.suppress(Exception):
                blocks = self._inspected.serve(exchange, made, _start_response)
                try:
                    for _ in blocks:
                        pass
                finally:
                    if hasattr(blocks, "close"):
                        blocks.close()

        threading.Thread(target=serve, name="replay", daemon=True).start()


def _start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
    return len


class _ASGIInspector(Inspector, Served):
    def _start(self, application: Any) -> None:
        Served.__init__(self)
        self._inspected = InspectedASGI(application, self.ring)
        self.__dict__["_serving"] = self._inspected._serving

    def _made(self, again: Replayed, before: Exchange) -> dict[str, Any]:
        loop = self._inspected.loop
        if loop is None or loop.is_closed():
            raise BadRequest("nothing has been served yet")
        return {**scope_of(again, before), **self._inspected.shared}

    def _serve_again(self, exchange: Exchange, made: dict[str, Any], body: bytes) -> None:
        loop = self._inspected.loop
        assert loop is not None
        asyncio.run_coroutine_threadsafe(self._served_again(exchange, made, body), loop)

    async def _served_again(self, exchange: Exchange, made: dict[str, Any], body: bytes) -> None:
        is_read = False

        async def receive() -> Message:
            nonlocal is_read
            if is_read:
                await asyncio.get_running_loop().create_future()  # the client stays
            is_read = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None: ...

        # What fails is noted in the exchange.
        with contextlib.suppress(Exception):
            await self._inspected.serve(exchange, made, receive, send)
