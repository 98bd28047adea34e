"""An HTTP archive that grows with each exchange; it is a whole one at any time."""

from __future__ import annotations

import json
import logging
import os
import threading
from typing import BinaryIO

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.observe.inspector.archived import entry_of
from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.ring import Ring
from wsgiproxy.sansio.har.write import har_entry, har_text
from wsgiproxy.sansio.secrets import Secrets

__all__ = ["Recorder"]

_log = logging.getLogger("wsgiproxy.inspector")

_SECRETS = Secrets()
# What every archive ends with.
_END = b"\n]}}\n"
# Seconds between two writes, in which changes are gathered, and for which one is waited for.
_PAUSE, _INTERVAL = 0.1, 0.5


class Recorder:
    """Writes the exchanges of a ring to a file, each when it has ended, in a thread of its own.

    :param ring: whose exchanges; they stay in it until they are written, if there is room.
    :param path: of the file, which is new or replaced.
    :param mask: what is masked in fields, forms, addresses and errors.
    :param version: of this package.
    :raises ConfigurationError: the file cannot be written.
    """

    def __init__(self, ring: Ring, path: str, mask: Secrets, version: str) -> None:
        self._ring = ring
        self._mask = mask
        self._path = path
        try:
            # For this user alone: bodies are written as they are.
            number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigurationError(f"record={path!r}: {reason.lower()}") from error
        self._file: BinaryIO = open(number, "r+b", buffering=0)  # noqa: SIM115 - closed by close()
        self._file.write("".join(har_text([], version=version)).encode())
        self._count = 0
        self._written: set[int] = set()
        self._is_over = threading.Event()
        self._process = os.getpid()
        self._changes = ring.listen()
        ring.keep_until = self._is_written
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def _is_written(self, number: int) -> bool:
        return number in self._written

    def _run(self) -> None:
        while not self._is_over.wait(_PAUSE):
            numbers = self._changes.wait(_INTERVAL)
            self._write(numbers)

    def _write(self, numbers: set[int]) -> None:
        for number in sorted(numbers - self._written):
            try:
                exchange = self._ring[number]
            except KeyError:  # it has gone, or is the ring's own
                continue
            if exchange.ended is not None:
                self._written.add(number)
                if not exchange.source:
                    self._append(exchange)
        self._written &= self._ring.numbers()

    def _append(self, exchange: Exchange) -> None:
        try:
            text = json.dumps(har_entry(entry_of(exchange, self._mask), mask=self._mask))
            comma = b",\n" if self._count else b"\n"
            self._put(comma + text.encode() + _END)
        except Exception as error:  # of whatever passed; the next ones are to be recorded
            _log.error("%s: exchange %d is not recorded: %r", self._path, exchange.number, error)
        else:
            self._count += 1

    def _put(self, data: bytes) -> None:
        """Write in place of the end; if the disk is full, the archive stays as it was.

        :raises OSError: it cannot be written.
        """
        at = self._file.seek(-len(_END), os.SEEK_END)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            # There was room for that before.
            self._file.seek(at)
            self._file.write(_END)
            self._file.truncate()
            raise

    def close(self) -> None:
        """Write what has ended by now, and close the file."""
        if self._is_over.is_set() or self._process != os.getpid():
            return
        self._is_over.set()
        self._changes.close()
        self._thread.join()
        self._write(self._ring.numbers())
        self._ring.keep_until = None
        self._file.close()
