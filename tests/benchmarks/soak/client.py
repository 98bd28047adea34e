"""A client that says how an answer ended, on connections that it keeps."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

_BLOCK = 65536
_READ = 4096  # bytes of a body that are looked at


class Broken(Exception):
    """The answer broke off."""


class NoAnswer(Broken):
    """The connection ended before the first byte of an answer."""


@dataclass
class Answer:
    """The status of an answer, the bytes of its body, and the first of these."""

    status: int
    length: int = 0
    body: bytes = b""


class Client:
    """Connections to one port; as many as there are requests at a time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._kept: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(
        self, path: str, *, body: bytes = b"", is_chunked: bool = False, leave_after: int = 0
    ) -> Answer:
        """A GET, or a PUT where there is a body.

        :param leave_after: leave when so many bytes of the answer's body have come.
        :raises Broken: the answer broke off.
        """
        request = _request(path, body, is_chunked)
        while self._kept:
            stream = self._kept.pop()
            try:
                return await self._exchange(stream, request, leave_after)
            except NoAnswer:
                continue  # closed in the meantime
        stream = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        return await self._exchange(stream, request, leave_after)

    async def _exchange(
        self,
        stream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        request: bytes,
        leave_after: int,
    ) -> Answer:
        reader, writer = stream
        is_kept = False
        try:
            writer.write(request)
            with contextlib.suppress(ConnectionError):  # an answer may have come all the same
                await writer.drain()
            answer, is_kept = await _read(reader, leave_after)
            return answer
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Broken(str(error)) from error
        finally:
            if is_kept:
                self._kept.append(stream)
            else:
                writer.close()

    def close(self) -> None:
        """Close what is kept."""
        for _, writer in self._kept:
            writer.close()
        self._kept.clear()


def _request(path: str, body: bytes, is_chunked: bool) -> bytes:
    head = f"{'PUT' if body else 'GET'} {path} HTTP/1.1\r\nHost: soak.example\r\n"
    if not body:
        return f"{head}\r\n".encode()
    if not is_chunked:
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    blocks = [body[at : at + _BLOCK] for at in range(0, len(body), _BLOCK)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(block), block) for block in blocks)
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\n\r\n"


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        if getattr(error, "partial", b""):
            raise
        raise NoAnswer("no answer") from error


async def _read(reader: asyncio.StreamReader, leave_after: int) -> tuple[Answer, bool]:
    """The answer, and whether the connection is good for another one."""
    head = await _head(reader)
    lines = head.decode("latin-1").lower().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    answer = Answer(int(lines[0].split()[1]))
    if fields.get("transfer-encoding") == "chunked":
        is_whole = await _read_chunks(reader, answer, leave_after)
    elif "content-length" in fields:
        left = int(fields["content-length"])
        while left:
            block = await reader.read(min(left, _BLOCK))
            if not block:
                raise Broken(f"{left} bytes are missing")
            _take(answer, block)
            left -= len(block)
        is_whole = True
    else:  # as waitress ends streams for HTTP/1.0 alone
        raise Broken(f"an answer without an end: {head!r}")
    return answer, is_whole and fields.get("connection") != "close"


async def _read_chunks(reader: asyncio.StreamReader, answer: Answer, leave_after: int) -> bool:
    while size := int(await _line(reader), 16):
        _take(answer, (await reader.readexactly(size + 2))[:-2])
        if 0 < leave_after <= answer.length:
            return False
    await reader.readexactly(2)
    return True


async def _line(reader: asyncio.StreamReader) -> bytes:
    line = await reader.readline()
    if not line.endswith(b"\r\n"):
        raise Broken("a chunk is missing")
    return line


def _take(answer: Answer, block: bytes) -> None:
    answer.length += len(block)
    answer.body += block[: _READ - len(answer.body)]
