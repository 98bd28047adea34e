"""``wsgiproxy doctor [URL]``: asks the backend what arrives there, and explains the answer."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
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
    Asking,
    Installation,
    Observed,
    Question,
    diagnose,
    read_examination,
    verdict,
    write_question,
)
from wsgiproxy.sansio.fields.names import values
from wsgiproxy.sansio.grammar import is_token
from wsgiproxy.sansio.href import Base, parse_href
from wsgiproxy.sansio.keys import Key, base64url
from wsgiproxy.sansio.message import Origin, Request
from wsgiproxy.secretloader import KeyFile
from wsgiproxy.transport import PooledTransport, Reply, Transport
from wsgiproxy.version import __version__

if TYPE_CHECKING:
    from wsgiproxy.cli.serve import Commands

__all__ = ["Doctor", "add_to"]

# The answer is a few KiB; a page of another application is not read to its end.
_LONGEST = 1 << 18

_EPILOG = """\
URL is the address that the clients use. The backend behind it answers to the holder of its
key file alone: WSGIProxyMiddleware(app, secret_file=FILE), or with doctor_file=FILE;
ASGIProxyMiddleware in the same way.
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
    )
    parser.add_argument("url", metavar="URL", nargs="?", help="address that leads to the backend")
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
    target: Asking | None
    if arguments.url is None:
        _refuse_without_url(arguments)
        href, target, observed = "", None, dict[str, Observed]()
    else:
        href = options.read_target(arguments.url, "URL")
        target, observed = _ask(arguments, parse_href(href))
    findings = diagnose(Installation(__version__, tuple(clash())), target, observed)
    status = verdict(findings, observed)
    if arguments.json:
        report = as_json(href, findings, observed, status)
    else:
        report = as_text(href, findings, status, sys.stdout)
    # A path may have letters that this terminal has not.
    encoding = sys.stdout.encoding or "utf-8"
    print(report.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    return status


def _refuse_without_url(arguments: argparse.Namespace) -> None:
    """Refuse the options that say how to ask.

    :raises ConfigurationError: one of them is there.
    """
    rows = tuple(row for _, group in options.TLS for row in group)
    flags = ["--secret-file"] * bool(arguments.secret_file) + ["--header"] * bool(arguments.header)
    for name in [*flags, *options.given_flags(arguments, rows)]:
        raise ConfigurationError(f"{name}: expected a URL beside it")


def _ask(arguments: argparse.Namespace, base: Base) -> tuple[Asking, dict[str, Observed]]:
    """Ask all questions.

    :raises ConfigurationError: an option has an impossible value.
    """
    origin, key = base.origin, _signing_key(arguments.secret_file)
    timeouts = {f"{name}_timeout": arguments.timeout for name in ("connect", "head", "idle")}
    settings: dict[str, Any] = options.given_settings(arguments, options.TLS)
    headers = [read_header(text) for text in arguments.header]
    try:
        transport = PooledTransport(**timeouts, **settings)
    except ConfigurationError as error:
        raise ConfigurationError(str(error).replace("connect_timeout=", "--timeout ")) from error
    with contextlib.closing(transport):
        own = "" if settings.get("parent_proxy") else own_address(origin)
        observed = Doctor(transport, base, key, headers).examine()
    path, keyid = base.location or "/", key.keyid if key else ""
    return Asking(origin.scheme, origin.authority, path, own, keyid), observed


def _signing_key(path: str | None) -> Key | None:
    """The key that signs the questions.

    :raises ConfigurationError: it is a public half.
    """
    if path is None:
        return None
    key = KeyFile(path).keyring().first
    if key.sign is None:
        expected = "a key that can sign; with ed25519 that is the file of the front, without .pub"
        raise ConfigurationError(f"--secret-file {path!r}: expected {expected}")
    return key


def read_header(text: str) -> tuple[str, str]:
    """A field from the command line.

    :raises ConfigurationError: *text* is not a field.

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

    :param key: signs the questions; None to ask without.
    :param headers: fields to send as well.
    :param clock: the time of the doctor, in seconds since 1970.
    """

    def __init__(
        self,
        transport: Transport,
        base: Base,
        key: Key | None,
        headers: Sequence[tuple[str, str]] = (),
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._transport = transport
        self._base = base
        self._key = key
        self._headers = headers
        # Seconds by which the backend's clock is ahead of the doctor's.
        self._ahead = 0.0

    def examine(self) -> dict[str, Observed]:
        """The results of all questions; if no middleware answers the first one, of that alone."""
        base = self._base
        path = base.location or "/"
        observed = {"plain": self._ask(path)}
        if observed["plain"].examination is not None:
            observed["forged"] = self._ask(path, FORGED[base.origin.scheme])
            observed["names"] = self._ask(path, NAMES)
            for name, tail in ODD_PATHS.items():
                observed[name] = self._ask(base.path + tail)
            observed["application"] = self._ask(path, [(INNER, "1")])
        return observed

    def _ask(self, path: str, headers: Sequence[tuple[str, str]] = ()) -> Observed:
        """The result of a question; if it is stale at the backend, asked by the clock there."""
        observed = self._send(path, headers)
        if observed.examination is not None and observed.examination.stale:
            self._ahead = observed.examination.clock - observed.time
            observed = self._send(path, headers)
            if observed.examination is not None and observed.examination.stale:
                return observed._replace(examination=None, fault="its clock is not to be followed")
        return observed

    def _send(self, path: str, headers: Sequence[tuple[str, str]]) -> Observed:
        origin, nonce = self._base.origin, base64url(os.urandom(12))
        agent = f"wsgiproxy-doctor/{__version__}"
        fields = [("Host", origin.authority), ("User-Agent", agent), *self._headers, *headers]
        if self._key is not None:
            question = Question(self._key.keyid, int(self._clock() + self._ahead), nonce)
            fields.append((HEADER, write_question(question, self._key)))
        target = f"{path}?{self._base.query}" if self._base.query else path
        before = self._clock()
        try:
            reply = self._transport.send(origin, Request("GET", target, fields))
            with contextlib.closing(reply):
                body = _beginning(reply)
        except ProxyError as error:
            return Observed(fault=words_of(first_cause(error)), time=before)
        after, examination = self._clock(), None
        with contextlib.suppress(ValueError, RecursionError):
            examination = read_examination(json.loads(body), nonce)
        return Observed(
            examination,
            reply.head.status,
            (before + after) / 2,
            (after - before) / 2,
            location=next(iter(values(reply.head.headers, "Location")), ""),
            server=next(iter(values(reply.head.headers, "Server")), ""),
        )


def _beginning(reply: Reply) -> bytes:
    body = b""
    for block in reply if reply.whole is None else [reply.whole]:
        body += block
        if len(body) >= _LONGEST:
            break
    return body[:_LONGEST]
