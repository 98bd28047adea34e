"""A program that echoes WebSocket messages, and answers other requests with its pid.

Its words are its port, and others of the form ``name=value``: it listens when the file ``gate`` is
there, and with ``end=waits`` SIGTERM has it wait for its clients to leave.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


def answer(connection: ServerConnection, request: Request) -> Response | None:
    if "Upgrade" in request.headers:
        return None
    return connection.respond(HTTPStatus.OK, str(os.getpid()))


async def main(port: int, waits: bool) -> None:
    async with serve(echo, "127.0.0.1", port, max_size=None, process_request=answer) as server:
        if waits:
            loop, end = asyncio.get_running_loop(), asyncio.Event()
            loop.add_signal_handler(signal.SIGTERM, end.set)
            await end.wait()
            server.close(close_connections=False)
        await server.wait_closed()


if __name__ == "__main__":
    words = dict(word.split("=", 1) for word in sys.argv[2:])
    while "gate" in words and not os.path.exists(words["gate"]):
        time.sleep(0.01)
    asyncio.run(main(int(sys.argv[1]), words.get("end") == "waits"))
