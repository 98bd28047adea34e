"""A WSGI application and ``ASGIProxyApp`` in one ASGI server, side by side.

The application, here one of Flask, runs in threads by a2wsgi; what is proxied needs none, however
many event streams are open::

    UPSTREAM=http://localhost:3000 \
        uvicorn --no-proxy-headers --no-date-header --no-server-header --port 8080 \
        beside_wsgi:application
"""

import os

from a2wsgi import WSGIMiddleware
from flask import Flask

from wsgiproxy.asgi import ASGIProxyApp

UPSTREAM = os.environ.get("UPSTREAM", "http://localhost:3000")

app = Flask(__name__)


@app.get("/")
def home():
    return "This is Flask."


flask = WSGIMiddleware(app)
grafana = ASGIProxyApp(UPSTREAM)


async def application(scope, receive, send):
    if scope["type"] == "http" and not (scope["path"] + "/").startswith("/grafana/"):
        await flask(scope, receive, send)
    else:  # a lifespan, too, which a2wsgi does not know
        below = {**scope, "root_path": scope.get("root_path", "") + "/grafana"}
        await grafana(below, receive, send)
