"""Middleware of FastAPI around a proxy: a function, a class, plain ASGI, and that as a decorator.

Each adds its own two headers to the request and to the response, as they are: a name that is
there twice stays there twice, no form holds up the event loop, and none meets a scope that is
not for it. ``portable_hooks.py`` has the same in one form for WSGI and ASGI::

    UPSTREAM=http://localhost:3000 uvicorn --no-proxy-headers --port 8080 process_time:app
"""

import asyncio
import contextlib
import os
import time
from datetime import datetime, timedelta

from fastapi import FastAPI, Request, Response
from starlette.datastructures import MutableHeaders
from starlette.middleware.base import BaseHTTPMiddleware

from wsgiproxy.asgi import ASGIProxyApp

UPSTREAM = os.environ.get("UPSTREAM", "http://localhost:3000")
PAUSE = float(os.environ.get("PAUSE", "0"))  # seconds, to watch it

proxy = ASGIProxyApp(UPSTREAM)


def now():
    return datetime.now().isoformat(timespec="seconds")


@contextlib.asynccontextmanager
async def lifespan(app):
    yield
    proxy.close()


app = FastAPI(lifespan=lifespan)


# A function.
@app.middleware("http")
async def add_process_time(request: Request, call_next):
    start = time.perf_counter()
    response = await call_next(request)
    await asyncio.sleep(PAUSE)  # time.sleep would hold up all the other requests, too
    response.headers["X-Process-Time"] = f"{time.perf_counter() - start:.6f}"
    return response


# A class with a parameter.
class ProcessTime(BaseHTTPMiddleware):
    def __init__(self, app, namespace):
        super().__init__(app)
        self._namespace = namespace

    async def dispatch(self, request, call_next):
        start = now()
        field = (f"{self._namespace}-start".encode(), start.encode())
        # A list: a dict of the headers would lose all but one of those with one name.
        request.scope["headers"] = [*request.scope["headers"], field]
        response = await call_next(request)
        response.headers[f"{self._namespace}-start"] = start
        response.headers[f"{self._namespace}-end"] = now()
        return response


# Plain ASGI: no Request and no Response is made, and any framework takes it.
class PlainProcessTime:
    def __init__(self, app, namespace):
        self._app = app
        self._namespace = namespace

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":  # the lifespan and WebSockets have no response
            await self._app(scope, receive, send)
            return
        start = now()
        field = (f"{self._namespace}-start".encode(), start.encode())

        async def send_with_times(message):
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.append(f"{self._namespace}-start", start)
                headers.append(f"{self._namespace}-end", now())
            await send(message)

        below = {**scope, "headers": [*scope["headers"], field]}
        await self._app(below, receive, send_with_times)


# A decorator of an application.
def with_process_time(namespace):
    def decorate(app):
        async def decorated(scope, receive, send):
            await PlainProcessTime(app, namespace)(scope, receive, send)

        return decorated

    return decorate


app.add_middleware(ProcessTime, namespace="x-class")
app.add_middleware(PlainProcessTime, namespace="x-plain")  # the last one is outside


@app.get("/times")
async def times(request: Request, response: Response):
    """A route that reads what a middleware has added to its request."""
    start = datetime.fromisoformat(request.headers["x-class-start"])
    response.headers["X-Router-Start"] = (start + timedelta(hours=1)).isoformat()
    return "test middleware"


app.mount("/", with_process_time("x-decorator")(proxy))
