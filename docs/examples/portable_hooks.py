"""Hooks that change each request and each response, for WSGI and for ASGI.

The upstream gets a token that the client does not know, text comes back in capital letters as it
streams, and both sides are told times. Under WSGI, the last line is
``waitress-serve --listen 127.0.0.1:8080 portable_hooks:wsgi_app``::

    UPSTREAM=http://localhost:3000 TOKEN=secret \
        uvicorn --no-proxy-headers --port 8080 portable_hooks:asgi_app
"""

import os
import time
from datetime import datetime

from wsgiproxy import WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp

UPSTREAM = os.environ.get("UPSTREAM", "http://localhost:3000")


# An object that changes each request
class TokenAuth:
    def __init__(self, token):
        self._field = f"Bearer {token}"

    def __call__(self, request):
        request.headers["Authorization"] = self._field  # in place of the client's
        yield request


# A response that is changed as it streams
def in_capitals(request):
    for name in ("Accept-Encoding", "Range"):  # no part can be changed, nor what is compressed
        request.headers.popall(name, None)
    response = yield request
    if response.headers.get("Content-Type", "").startswith("text/plain"):
        response.body.map(bytes.upper)


# How long it took
def process_time(request):
    start = time.perf_counter()
    response = yield request
    response.headers["X-Process-Time"] = f"{time.perf_counter() - start:.6f}"


# The same with a parameter, for both sides
def times(namespace):
    def now():
        return datetime.now().isoformat(timespec="seconds")

    def hook(request):
        request.headers[f"{namespace}-Start"] = start = now()
        response = yield request
        response.headers[f"{namespace}-Start"] = start
        response.headers[f"{namespace}-End"] = now()

    return hook


# Both applications
HOOKS = [process_time, times("X-Proxy"), TokenAuth(os.environ["TOKEN"]), in_capitals]
wsgi_app = WSGIProxyApp(UPSTREAM, hooks=HOOKS)
asgi_app = ASGIProxyApp(UPSTREAM, hooks=HOOKS)
