"""What the fixture ``wsgiproxy_har`` gives a test: one archive, which is recorded or replayed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsgiproxy.errors import ConfigurationError, NotRecorded, ProxyError
from wsgiproxy.exactproxy import ExactProxy
from wsgiproxy.har.application import HarApplication, write_har
from wsgiproxy.har.clients import httpx_transport, mount
from wsgiproxy.har.recorder import HarRecorder, NotRecordable
from wsgiproxy.observe.accesslog import Record
from wsgiproxy.sansio.fields.host import is_host, split_host
from wsgiproxy.sansio.har.match import MATCH
from wsgiproxy.sansio.message import default_port
from wsgiproxy.sansio.secrets import Secrets
from wsgiproxy.wsgi.gateway import error_response

if TYPE_CHECKING:
    import httpx
    import requests
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Cassette", "file_name"]

# Characters of a name; file systems take 255 bytes.
_LONGEST = 150


def file_name(name: str) -> str:
    """A name of a file for a test.

    >>> file_name("TestShop.test_list")
    'TestShop.test_list.har'
    >>> file_name("test_list[a/b]")
    'test_list_a_b_-0f5ae04a.har'
    """
    plain = re.sub(r"[^\w.-]+", "_", name)[:_LONGEST]
    if plain != name:  # another test may become the same
        plain += "-" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{plain}.har"


class Cassette:
    """One archive of a test.

    Called with the name of a file, it gives another one beside it, with settings of its own: those
    of :class:`~wsgiproxy.har.HarApplication`, and of :class:`~wsgiproxy.ExactProxy` such as
    ``ca_file``.

    :param path: of the file.
    :param mode: ``once`` replays a file that is there, and else records it; ``none`` never records;
        ``all`` records anew.
    :param shown: names of fields and of parameters that are no credentials.

    >>> cassette = Cassette(Path("there.har"), mode="none", shown=())
    >>> cassette.is_recording
    False
    """

    def __init__(
        self,
        path: Path,
        *,
        mode: str,
        shown: Sequence[str],
        match: str | Iterable[str] = MATCH,
        repeat: str = "last",
        **options: Any,
    ) -> None:
        self.path = path
        self._mode = mode
        self._shown = shown
        self._match = match
        self._repeat = repeat
        self._options = options
        self._app: WSGIApplication | None = None
        self._proxy: ExactProxy | None = None
        self._recorder: HarRecorder | None = None
        self._misses: list[str] = []
        self._others: list[Cassette] = []
        self.is_recording: bool = mode == "all" or (mode == "once" and not path.exists())

    def __call__(self, name: str, **settings: Any) -> Cassette:
        """Another archive of this test.

        :param name: of the file, from the folder ``cassettes`` on.
        :param settings: those of this class, beside *path*, *mode* and *shown*.
        """
        folder = next(
            (each for each in self.path.parents if each.name == "cassettes"), self.path.parent
        )
        other = Cassette(folder / name, mode=self._mode, shown=self._shown, **settings)
        self._others.append(other)
        return other

    @property
    def app(self) -> WSGIApplication:
        """A WSGI application: the exact proxy, to whatever host a request names, or its archive.

        :raises ConfigurationError: a bad setting, or a bad file.
        """
        if self._app is None:
            self._app = self._record() if self.is_recording else self._replay()
        return self._app

    def mount(self, session: requests.Session) -> requests.Session:
        """Have a session of requests ask :attr:`app`, for ``http://`` and ``https://``."""
        mount(session, self.app)
        return session

    def transport(self) -> httpx.WSGITransport:
        """A transport for ``httpx.Client(transport=...)`` that asks :attr:`app`."""
        return httpx_transport(self.app)

    def close(self, *, save: bool) -> list[str]:
        """End it, and write what was recorded.

        :param save: the test has passed; what it has recorded is whole.
        :returns: the requests that were not in the archive, in words.
        :raises NotRecordable: an answer was not read to its end.
        """
        misses = list(self._misses)
        for other in self._others:
            misses += other.close(save=save)
        if self._proxy is not None:
            self._proxy.close()
        if self._recorder is not None and save:
            entries = self._recorder.entries
            for entry in entries:
                if entry.answer is None or entry.answer.body.is_cut:
                    raise NotRecordable(
                        f"{self.path} is not written: the answer to {entry.method} {entry.url} was"
                        " not read to its end, and closed"
                    )
            if entries:
                write_har(self.path, entries, mask=Secrets.named(shown=self._shown))
        return misses

    def _record(self) -> WSGIApplication:
        self._proxy = ExactProxy(**self._options)
        self._recorder = HarRecorder(self._proxy)
        recorder = self._recorder

        def record(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            return recorder(_to_host(environ), start_response)

        return record

    def _replay(self) -> WSGIApplication:
        if not self.path.exists():
            raise ConfigurationError(f"{self.path}: no such file; --wsgiproxy-har=once records it")
        archive = HarApplication(self.path, match=self._match, repeat=self._repeat)

        def replay(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            try:
                status, headers, body = archive.answer(environ)
            except NotRecorded as error:
                what = f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '')}"
                self._misses.append(f"{what} is not in {self.path}: {error}")
                raise NotRecorded(self._misses[-1]) from None
            except ProxyError as error:
                return error_response(error, environ, start_response, Record(environ))
            start_response(status, headers)
            return [body] if body else []

        return replay


def _to_host(environ: WSGIEnvironment) -> WSGIEnvironment:
    """An environ whose server is the host that is asked for; WebTest may have localhost there."""
    host = environ.get("HTTP_HOST", "")
    if not is_host(host):
        return environ
    name, port = split_host(host)
    scheme = environ.get("wsgi.url_scheme", "http")
    return {**environ, "SERVER_NAME": name, "SERVER_PORT": str(port or default_port(scheme))}
