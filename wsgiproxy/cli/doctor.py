"""``wsgiproxy doctor [URL]``: asks the backend what arrived there, and explains the answer."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from wsgiproxy.cli import options
from wsgiproxy.cli.causes import first_cause, words_of
from wsgiproxy.cli.doctor_output import as_json, as_text
from wsgiproxy.doctor.installation import clash
from wsgiproxy.errors import ConfigurationError, ProxyError
from wsgiproxy.sansio.diagnosis import (
    FORGED,
    HEADER,
    INNER,
    NAMES,
    ODD_PATHS,
    Examination,
    Finding,
    Installation,
    Observed,
    Question,
    Target,
    ask,
    diagnose,
    diagnose_installation,
    read_examination,
    verdict,
)
from wsgiproxy.sansio.fields.names import values
from wsgiproxy.sansio.grammar import is_token
from wsgiproxy.sansio.href import Base, parse_href
from wsgiproxy.sansio.keys import Key, base64url
from wsgiproxy.sansio.message import Headers, Origin, Request
from wsgiproxy.secretloader import KeyFile
from wsgiproxy.transport import PooledTransport, Reply, Transport
from wsgiproxy.version import __version__

if TYPE_CHECKING:
    from wsgiproxy.cli.serve import Commands

__all__ = ["Doctor", "add_to"]

# The answer is a few KiB; a page of whoever answers instead is not read to its end.
_LONGEST = 1 << 18

_EPILOG = """\
URL is the address that the clients use. The backend behind it answers to the holder of its
key file alone: WSGIProxyMiddleware(app, secret_file=FILE), or with doctor_file=FILE.
Without URL, only the installation here is looked at: whether WSGIProxy2 lies over it.

examples:
  wsgiproxy doctor
  wsgiproxy doctor https://www.example.com/app/ --secret-file secret.txt
  wsgiproxy doctor :8080 --secret-file secret.txt --json
  wsgiproxy doctor https://www.example.com/ --secret-file secret.txt --header 'Cookie: id=1'

It ends with status 0 if all is well, with 1 if something is wrong, and with 2 if the backend
could not be asked.
"""


def add_to(commands: Commands) -> None:
    """Add the parser of this command."""
    parser = commands.add_parser(
        "doctor",
        usage="%(prog)s [URL --secret-file FILE] [options]",
        help="ask the backend what arrives there, and say what is wrong",
        description="Ask URL some questions, honest and forged ones. The middleware at the"
        " backend tells what arrived of them, and the doctor says what that means.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "url", metavar="URL", nargs="?", help="an address that leads to the backend"
    )
    parser.add_argument("--secret-file", metavar="FILE", help="a key file that the backend has")
    parser.add_argument("--json", action="store_true", help="write JSON, for machines")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        default="10",
        help="how long to wait for each answer (default: %(default)s)",
    )
    parser.add_argument(
        "--header",
        metavar="'NAME: VALUE'",
        action="append",
        default=[],
        help="send this as well, to pass a login; may be repeated",
    )
    options.add_settings(parser, options.TLS)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    href, heard = "", dict[str, Observed]()
    if arguments.url is None:
        _refuse_without_url(arguments)
        findings = diagnose_installation(_here())
    else:
        href = options.read_target(arguments.url, "URL")
        findings, heard = _asked(arguments, parse_href(href))
    status = verdict(findings, heard)
    write = as_json if arguments.json else as_text
    report = write(href, findings, heard, status, sys.stdout)
    # A path may have letters that this terminal has not.
    encoding = sys.stdout.encoding or "utf-8"
    print(report.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    return status


def _here() -> Installation:
    return Installation(__version__, tuple(clash()))


def _refuse_without_url(arguments: argparse.Namespace) -> None:
    """What says how to ask is a mistake where nobody is asked.

    :raises ConfigurationError: such an option was given.
    """
    rows = tuple(row for _, group in options.TLS for row in group)
    given = ["--secret-file"] * bool(arguments.secret_file) + ["--header"] * bool(arguments.header)
    for name in [*given, *options.given_flags(arguments, rows)]:
        raise ConfigurationError(f"{name}: expected a URL beside it")


def _asked(arguments: argparse.Namespace, base: Base) -> tuple[list[Finding], dict[str, Observed]]:
    """The findings, and the answers that they follow from.

    :raises ConfigurationError: an option that cannot be meant.
    """
    key = _signing_key(arguments.secret_file)
    waits = {f"{name}_timeout": arguments.timeout for name in ("connect", "head", "idle")}
    settings: dict[str, Any] = options.given_settings(arguments, options.TLS)
    headers = [read_header(text) for text in arguments.header]
    try:
        transport = PooledTransport(**waits, **settings)
    except ConfigurationError as error:
        raise ConfigurationError(str(error).replace("connect_timeout=", "--timeout ")) from error
    with contextlib.closing(transport):
        own = "" if settings.get("parent_proxy") else own_address(base.origin)
        heard = Doctor(transport, base, key, headers).examine()
    asked = Target(
        base.origin.scheme,
        base.origin.authority,
        base.location or "/",
        own,
        key.keyid if key else "",
    )
    return diagnose(asked, heard, _here()), heard


def _signing_key(path: str | None) -> Key | None:
    """The key that questions are signed with.

    :raises ConfigurationError: it cannot sign.
    """
    if path is None:
        return None
    key = KeyFile(path).keyring().first
    if key.sign is None:
        raise ConfigurationError(
            f"--secret-file {path!r}: expected a key that can sign; with"
            " ed25519 that is the file of the front, without .pub"
        )
    return key


def read_header(text: str) -> tuple[str, str]:
    """A field as it is typed.

    :raises ConfigurationError: it is none.

    >>> read_header("Cookie: id=1")
    ('Cookie', 'id=1')
    """
    name, colon, value = text.partition(":")
    if not colon or not is_token(name) or not value.isprintable() or not value.isascii():
        raise ConfigurationError(f"--header {text!r}: expected 'Name: value'")
    return name, value.strip()


def own_address(origin: Origin) -> str:
    """The address from which the kernel would connect; nothing is sent."""
    if origin.unix:
        return ""
    with contextlib.suppress(OSError):
        family, kind, protocol, _, address = socket.getaddrinfo(
            origin.host, origin.port, type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind, protocol) as sock:
            sock.connect(address)
            return str(sock.getsockname()[0])
    return ""


class Doctor:
    """Asks one address.

    :param transport: what sends.
    :param base: the address.
    :param key: what the questions are signed with; None to ask without.
    :param headers: fields to send as well.
    :param clock: our own clock.
    """

    def __init__(
        self,
        transport: Transport,
        base: Base,
        key: Key | None,
        headers: Headers | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._transport = transport
        self._base = base
        self._key = key
        self._headers = headers or []
        # By how much the backend's clock is ahead of ours.
        self._ahead = 0.0

    def examine(self) -> dict[str, Observed]:
        """All questions and their answers; if the first one has none, that alone."""
        base = self._base
        path = base.location or "/"
        heard = {"plain": self.ask(path)}
        if heard["plain"].examination is not None:
            heard["forged"] = self.ask(path, FORGED[base.origin.scheme])
            heard["names"] = self.ask(path, NAMES)
            for name, tail in ODD_PATHS.items():
                heard[name] = self.ask(base.path + tail)
            heard["application"] = self.ask(path, [(INNER, "1")])
        return heard

    def ask(self, path: str, headers: Headers | None = None) -> Observed:
        """One question. If it is out of date at the backend, once more by the clock there."""
        heard = self._ask(path, headers or [])
        if heard.examination is not None and heard.examination.stale:
            self._ahead = heard.examination.clock - heard.time
            heard = self._ask(path, headers or [])
            if heard.examination is not None and heard.examination.stale:
                return heard._replace(examination=None, fault="its clock is not to be followed")
        return heard

    def _ask(self, path: str, headers: Headers) -> Observed:
        origin, nonce = self._base.origin, base64url(os.urandom(12))
        lines = [
            ("Host", origin.authority),
            ("User-Agent", f"wsgiproxy-doctor/{__version__}"),
            *self._headers,
            *headers,
        ]
        if self._key is not None:
            created = int(self._clock() + self._ahead)
            lines.append((HEADER, ask(Question(self._key.keyid, created, nonce), self._key)))
        target = f"{path}?{self._base.query}" if self._base.query else path
        before = self._clock()
        try:
            reply = self._transport.send(origin, Request("GET", target, lines))
            with contextlib.closing(reply):
                body = b"".join(_at_most(reply, _LONGEST))
        except ProxyError as error:
            return Observed(fault=words_of(first_cause(error)), time=before)
        after = self._clock()
        location, server = (values(reply.head.headers, name) for name in ("Location", "Server"))
        return Observed(
            _examination(body, nonce),
            reply.head.status,
            (before + after) / 2,
            (after - before) / 2,
            location=location[0] if location else "",
            server=server[0] if server else "",
        )


def _at_most(reply: Reply, limit: int) -> Iterator[bytes]:
    for block in reply if reply.whole is None else [reply.whole]:
        yield block[:limit]
        limit -= len(block)
        if limit <= 0:
            return


def _examination(body: bytes, nonce: str) -> Examination | None:
    try:
        return read_examination(json.loads(body), nonce)
    except (ValueError, RecursionError):
        return None
