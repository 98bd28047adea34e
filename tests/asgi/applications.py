"""Applications for ASGI servers behind the proxy, each behind `ASGIProxyMiddleware`.

``restored`` tells its scope; ``starlette`` and ``django`` what those frameworks make of it. The
keyword arguments of the middleware are in ``OPTIONS`` (JSON).
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from tests.support.backend import REPORT
from wsgiproxy.asgi.middleware import ASGIProxyMiddleware

__all__ = ["told"]


NAMES = ("type", "method", "scheme", "client", "server", "root_path", "path", "raw_path")
NAMES += ("query_string", "headers", "wsgiproxy")


def told(scope: Any, **more: str) -> str:
    """A scope as JSON; bytes as text of one character each."""
    facts = {name: scope[name] for name in NAMES if name in scope}
    return json.dumps({**facts, **more}, default=lambda value: value.decode("latin-1"))


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """The scope as JSON, with ``body_sha256``; for HEAD it is in a field."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": told(scope)})
        await send({"type": "websocket.close"})
        return
    digest, message = hashlib.sha256(), {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        digest.update(message.get("body", b""))
    body = told(scope, body_sha256=digest.hexdigest()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if scope["method"] == "HEAD":
        headers = [(REPORT.encode(), base64.b64encode(body))]
        body = b""
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Mount, Route

    def page(request: Any) -> JSONResponse:
        return JSONResponse(
            {
                "url": str(request.url),
                "client": request.client.host,
                "root_path": request.scope["root_path"],
                "link": str(request.url_for("page", name="other")),
                "name": request.path_params["name"],
                "verified": request.scope["wsgiproxy"].get("verified"),
            }
        )

    routes = [Route("/page/{name:path}", page, name="page")]
    return Starlette(routes=[*routes, Mount("/inner", routes=routes)])


def _django() -> Any:
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import JsonResponse
    from django.urls import re_path, reverse

    def page(request: Any, name: str) -> JsonResponse:
        return JsonResponse(
            {
                "url": request.build_absolute_uri(),
                "client": request.META["REMOTE_ADDR"],
                "root_path": request.META["SCRIPT_NAME"],
                "link": request.build_absolute_uri(reverse(page, args=["other"])),
                "name": name,
                "verified": request.scope["wsgiproxy"].get("verified"),
            }
        )

    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=(re_path("^page/(.*)$", page),))
    django.setup()
    return get_asgi_application()


_MAKERS: dict[str, Callable[[], Any]] = {
    "restored": lambda: echo,
    "starlette": _starlette,
    "django": _django,
}


def __getattr__(name: str) -> Any:
    if name not in _MAKERS:
        raise AttributeError(name)
    logging.basicConfig(stream=sys.stderr)
    options = json.loads(os.environ.get("OPTIONS", "{}"))
    globals()[name] = ASGIProxyMiddleware(_MAKERS[name](), **options)
    return globals()[name]
