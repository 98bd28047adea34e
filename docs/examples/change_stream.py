"""A request that gets a token on its way, and a response that is changed as it streams.

The client knows no token, and does not learn it. Text comes back in capital letters, block by
block, and everything else as it is::

    UPSTREAM=http://localhost:3000 TOKEN=secret \
        uvicorn --no-proxy-headers --port 8080 change_stream:app
"""

import contextlib
import os

from fastapi import FastAPI, Request

from wsgiproxy.asgi import ASGIProxyApp
from wsgiproxy.asgi.starlette import ProxyResponse, proxied

UPSTREAM = os.environ.get("UPSTREAM", "http://localhost:3000")

# A compressed block cannot be changed by itself, nor a part of a file.
proxy = ASGIProxyApp(UPSTREAM, suppress_headers=["Accept-Encoding", "Range"])


class TokenAuth:
    """Changes a request: its token is ours, whatever the client has sent."""

    def __init__(self, token):
        self._field = (b"authorization", f"Bearer {token}".encode())

    def __call__(self, request):
        # A list, and no dict: a name may be there twice.
        others = [field for field in request.scope["headers"] if field[0] != b"authorization"]
        return Request({**request.scope, "headers": [*others, self._field]}, request.receive)


async def in_capitals(blocks):
    async for block in blocks:
        yield block.upper()


@contextlib.asynccontextmanager
async def lifespan(app):
    yield
    proxy.close()


app = FastAPI(lifespan=lifespan)
auth = TokenAuth(os.environ["TOKEN"])


@app.get("/{path:path}")
async def show(request: Request, path: str):
    response = await proxied(auth(request), proxy, path)
    is_text = response.headers.get("Content-Type", "").startswith("text/plain")
    if is_text and isinstance(response, ProxyResponse):  # and no error page of the proxy
        response.body_iterator = in_capitals(response.body_iterator)
        # What was computed from the old body.
        for name in ("Content-Length", "ETag", "Accept-Ranges", "Digest", "Content-Digest"):
            del response.headers[name]
    return response
