"""``wsgiproxy keygen FILE``: makes a key file, and changes its keys."""

from __future__ import annotations

import argparse
import os
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from wsgiproxy.cli import keyfile
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.keys import ED25519, HMAC, KEYID, base64url, ed25519_halves
from wsgiproxy.secretloader import KeyFile, new_key

if TYPE_CHECKING:
    from wsgiproxy.cli.serve import Commands

__all__ = ["add_to"]

_EPILOG = """\
FILE is written with mode 0600, and never over another file.

A change of keys, without a request refused:
  wsgiproxy keygen --rotate FILE           adds a key, which verifies; copy FILE everywhere
  wsgiproxy keygen --promote KEYID FILE    that key signs now; copy FILE to the front
  wsgiproxy keygen --remove KEYID FILE     a minute later, the old one goes; everywhere

Running processes read the file again by themselves. With ed25519, FILE can sign, and stays at
the front; FILE.pub can only verify, and is for the backends.
"""


class _New(NamedTuple):
    """A new key as a line of the file, and as one of the file of public halves, if any."""

    keyid: str
    line: str
    public: str = ""


def add_to(commands: Commands) -> None:
    """Add the parser of this command."""
    parser = commands.add_parser(
        "keygen",
        help="make a key file for a proxy and its backend",
        description="Make a key file for a proxy and its backend, with one new key.",
        epilog=_EPILOG,
    )
    parser.add_argument("file", metavar="FILE", help="where to write it")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--rotate", action="store_true", help="add a key to FILE, as the second")
    what.add_argument("--promote", metavar="KEYID", help="make this key of FILE the first")
    what.add_argument("--remove", metavar="KEYID", help="remove this key from FILE")
    parser.add_argument("--keyid", metavar="NAME", help="name of the key (default: a new one)")
    parser.add_argument(
        "--algorithm",
        choices=[HMAC, ED25519],
        help=f"what to sign with (default: {HMAC}, or as the first key of FILE)",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    path = os.path.abspath(arguments.file)
    if arguments.promote or arguments.remove:
        for flag in ("keyid", "algorithm"):
            if getattr(arguments, flag):
                raise ConfigurationError(f"--{flag}: expected for a new key alone")
    if arguments.promote:
        return _promote(path, arguments.promote)
    if arguments.remove:
        return _remove(path, arguments.remove)
    if arguments.rotate:
        algorithm = KeyFile(path, "FILE").keyring().first.algorithm
        if arguments.algorithm not in (None, algorithm):
            raise ConfigurationError(
                f"--algorithm {arguments.algorithm!r}: expected {algorithm}, as the first key of"
                " FILE has it; for another one make another file"
            )
        return _rotate(path, _new(arguments, algorithm))
    return _create(path, _new(arguments, arguments.algorithm or HMAC))


def _today() -> str:
    return time.strftime("%Y%m%d", time.gmtime())


def _new(arguments: argparse.Namespace, algorithm: str) -> _New:
    keyid = arguments.keyid or f"{_today()}-{secrets.token_hex(4)}"
    if not KEYID.fullmatch(keyid):
        raise ConfigurationError(f"--keyid {keyid!r}: expected up to 64 of A-Z a-z 0-9 . _ -")
    if algorithm == HMAC:
        return _New(keyid, new_key(keyid))
    private, public = (
        f"{keyid}:{ED25519}:{base64url(half)}" for half in ed25519_halves(secrets.token_bytes(32))
    )
    return _New(keyid, private, public)


_SECRET_HEAD = """\
# wsgiproxy keygen, {date}. Whoever reads this can speak for the proxy: keep it to yourself.
# The first key signs, all of them verify. ASGIProxyApp or WSGIProxyApp(..., secret_file={path!r})
"""
_PUBLIC_HEAD = """\
# wsgiproxy keygen, {date}. Public halves: they verify what {name!r} signs.
# ASGIProxyMiddleware or WSGIProxyMiddleware(app, secret_file={path!r},
# authorities=["HOST:PORT of that href"])
"""


def _content(head: str, path: str, line: str) -> bytes:
    date = time.strftime("%Y-%m-%d", time.gmtime())
    name = os.path.basename(path).removesuffix(".pub")
    comment = head.format(date=date, path=os.path.basename(path), name=name)
    return f"{comment}{line}\n".encode("utf-8", "surrogateescape")


def _create(path: str, new: _New) -> int:
    public = f"{path}.pub"
    if new.public:
        keyfile.create(public, _content(_PUBLIC_HEAD, public, new.public), shared=True)
    try:
        keyfile.create(path, _content(_SECRET_HEAD, path, new.line))
    except BaseException:
        if new.public:
            os.unlink(public)
        raise
    backend = public if new.public else path
    print(f"Wrote {path} with the key {new.keyid}", end="")
    print(f", and {public} with its public half." if new.public else ".")
    print("At the front (ASGIProxyApp in the same way):")
    print(f'  WSGIProxyApp("http://...", secret_file={path!r})')
    copied = "FILE.pub" if new.public else "the file"
    print(f"At the backend, with a copy of {copied} (ASGIProxyMiddleware in the same way):")
    more = ', authorities=["HOST:PORT of that href"]' if new.public else ""
    print(f"  app = WSGIProxyMiddleware(app, secret_file={backend!r}{more})")
    return 0


def _rotate(path: str, new: _New) -> int:
    if KeyFile(path, "FILE").keyring().first.sign is None:
        raise ConfigurationError(
            f"{path}: these are public halves; --rotate the private file, at the front, and copy"
            " its FILE.pub here"
        )
    keyfile.change(path, partial(keyfile.added, line=new.line))
    changed = [path]
    public = f"{path}.pub"
    if new.public and os.path.exists(public):
        keyfile.change(public, partial(keyfile.added, line=new.public))
        changed.append(public)
    print(f"Added the key {new.keyid} to {' and '.join(changed)}. It verifies, and does not sign.")
    if new.public and public not in changed:
        print("There is no FILE.pub here. Its public half, for the file of the backends:")
        print(f"  {new.public}")
    print("Copy that to every machine that has the old one (FILE.pub, where that is FILE.pub).")
    print("When all have it:")
    print(f"  wsgiproxy keygen --promote {new.keyid} {path}")
    return 0


def _promote(path: str, keyid: str) -> int:
    old = KeyFile(path, "FILE").keyring().first.keyid
    keyfile.change(path, partial(keyfile.promoted, keyid=keyid))
    signs = KeyFile(path, "FILE").keyring().first.sign is not None
    print(f"The key {keyid} is the first of {path}{', and signs' if signs else ''}.")
    if old != keyid:
        print("Copy that to the front. A minute later, everywhere:")
        print(f"  wsgiproxy keygen --remove {old} {path}")
    return 0


def _remove(path: str, keyid: str) -> int:
    keyfile.change(path, partial(keyfile.removed, keyid=keyid))
    changed = [path]
    public = f"{path}.pub"
    if os.path.exists(public) and keyid in KeyFile(public, "FILE.pub").keyring().keys:
        keyfile.change(public, partial(keyfile.removed, keyid=keyid))
        changed.append(public)
    print(f"Removed the key {keyid} from {' and '.join(changed)}.")
    return 0
