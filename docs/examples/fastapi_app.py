"""A FastAPI application with another one in it: mounted, behind a login, and in an endpoint.

A mount at ``/grafana``, which everybody may see; routes at ``/reports``, which ask for a password
first; and an endpoint at ``/files``, which does something of its own with each answer::

    UPSTREAM=http://localhost:3000 PASSWORD=choose-one \
        uvicorn --no-proxy-headers --no-date-header --no-server-header --port 8080 fastapi_app:app
"""

import contextlib
import os
import secrets
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from wsgiproxy.asgi import ASGIProxyApp
from wsgiproxy.asgi.starlette import api_router, proxied

UPSTREAM = os.environ.get("UPSTREAM", "http://localhost:3000")
PASSWORD = os.environ["PASSWORD"].encode()

# The password is for us, and not for the upstream.
proxy = ASGIProxyApp(UPSTREAM, suppress_headers=["Authorization"])


@contextlib.asynccontextmanager
async def lifespan(app):
    yield
    proxy.close()


app = FastAPI(lifespan=lifespan)


def login(given: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]):
    if not secrets.compare_digest(given.password.encode(), PASSWORD):
        raise HTTPException(401, headers={"WWW-Authenticate": "Basic"})


@app.get("/", response_class=PlainTextResponse)
def home():
    return "This is FastAPI."


app.mount("/grafana", proxy)
app.include_router(api_router(proxy, "/reports", dependencies=[Depends(login)]))


@app.api_route(
    "/files/{path:path}",
    methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
    include_in_schema=False,
)
async def files(request: Request, path: str):
    response = await proxied(request, proxy, path)
    response.headers["X-Served-By"] = "fastapi"
    return response
