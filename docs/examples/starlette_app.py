"""A Starlette application with another one in it: mounted, and in an endpoint with a password::

    UPSTREAM=http://localhost:3000 PASSWORD=choose-one \
        uvicorn --no-proxy-headers --no-date-header --no-server-header --port 8080 starlette_app:app
"""

import base64
import contextlib
import os
import secrets

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from wsgiproxy.asgi import ASGIProxyApp
from wsgiproxy.asgi.starlette import proxied

UPSTREAM = os.environ.get("UPSTREAM", "http://localhost:3000")
LOGIN = b"Basic " + base64.b64encode(b"bob:" + os.environ["PASSWORD"].encode())

proxy = ASGIProxyApp(UPSTREAM, suppress_headers=["Authorization"])


async def home(request):
    return PlainTextResponse("This is Starlette.")


async def reports(request):
    given = request.headers.get("Authorization", "").encode()
    if not secrets.compare_digest(given, LOGIN):
        return PlainTextResponse("Who are you?", 401, {"WWW-Authenticate": "Basic"})
    return await proxied(request, proxy, request.path_params["path"])


@contextlib.asynccontextmanager
async def lifespan(app):
    yield
    proxy.close()


METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/", home),
        Route("/reports/{path:path}", reports, methods=METHODS),
        Mount("/grafana", proxy),
    ],
)
