"""A Litestar application with another one in it, below ``/grafana``, behind a guard::

    UPSTREAM=http://localhost:3000 PASSWORD=choose-one \
        uvicorn --no-proxy-headers --no-date-header --no-server-header --port 8080 litestar_app:app
"""

import base64
import os
import secrets
from urllib.parse import unquote

from litestar import Litestar, MediaType, asgi, get
from litestar.exceptions import NotAuthorizedException, NotFoundException
from litestar.types import Receive, Scope, Send

from wsgiproxy.asgi import ASGIProxyApp

UPSTREAM = os.environ.get("UPSTREAM", "http://localhost:3000")
LOGIN = b"Basic " + base64.b64encode(b"bob:" + os.environ["PASSWORD"].encode())

proxy = ASGIProxyApp(UPSTREAM, suppress_headers=["Authorization"])


def logged_in(connection, handler):
    given = connection.headers.get("Authorization", "").encode()
    if not secrets.compare_digest(given, LOGIN):
        raise NotAuthorizedException(headers={"WWW-Authenticate": "Basic"})


@get("/", media_type=MediaType.TEXT)
async def home() -> str:
    return "This is Litestar."


@asgi("/grafana", is_mount=True, copy_scope=True, guards=[logged_in])
async def grafana(scope: Scope, receive: Receive, send: Send) -> None:
    # Litestar has cut the path and put a slash at its end; raw_path is as it was sent.
    path = unquote(scope["raw_path"].decode("latin-1"))
    if not (path + "/").startswith("/grafana/"):  # Litestar takes /grafana-of-others, too
        raise NotFoundException
    await proxy({**scope, "path": path, "root_path": "/grafana"}, receive, send)


async def close():
    proxy.close()


app = Litestar([home, grafana], on_shutdown=[close])
