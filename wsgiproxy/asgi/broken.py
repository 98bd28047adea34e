"""How an answer breaks off so that middleware around it does not make it look complete."""

from __future__ import annotations

import contextlib
from typing import NoReturn

from wsgiproxy.asgi.body import Send

__all__ = ["break_off"]


async def break_off(send: Send, error: Exception) -> NoReturn:
    """Raise *error* after an answer has begun, so that no middleware sends an end of it.

    ``BaseHTTPMiddleware`` of Starlette, which is ``@app.middleware("http")`` too, takes note of
    what the application within it raises, sends the last block of the answer, and raises after
    that: half an answer without Content-Length looks complete. After a file by its name (the
    extension ``http.response.pathsend``) it sends no last block; servers refuse one that comes
    after the first block of a body, and break the connection as soon as *error* arrives.
    """
    with contextlib.suppress(Exception):
        await send({"type": "http.response.pathsend", "path": "/"})
    raise error
