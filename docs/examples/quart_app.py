"""A Quart application with another one in front of it, below ``/grafana``, behind its login.

The session is Quart's; its cookie does not go upstream::

    UPSTREAM=http://localhost:3000 \
        uvicorn --no-proxy-headers --no-date-header --no-server-header --port 8080 quart_app:app
"""

import os

from quart import Quart, redirect, request, session
from werkzeug.datastructures import Headers

from wsgiproxy.asgi import ASGIProxyApp

UPSTREAM = os.environ.get("UPSTREAM", "http://localhost:3000")

app = Quart(__name__)
app.secret_key = os.environ.get("SESSION_KEY") or os.urandom(32)
grafana = ASGIProxyApp(UPSTREAM, suppress_cookies=["session"])
quart = app.asgi_app


async def user_of(scope):
    """Who is logged in, by the session of Quart; None without a login."""
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    asked = app.request_class(
        *("GET", scope["scheme"], scope["path"], b"", Headers(pairs), "", "1.1", scope),
        send_push_promise=None,
    )
    opened = await app.session_interface.open_session(app, asked)
    return opened.get("user")


async def asgi_app(scope, receive, send):
    if scope["type"] == "http" and (scope["path"] + "/").startswith("/grafana/"):
        if await user_of(scope):
            below = {**scope, "root_path": scope["root_path"] + "/grafana"}
            return await grafana(below, receive, send)
        scope = {**scope, "path": "/login", "raw_path": b"/login", "method": "GET"}
    return await quart(scope, receive, send)


app.asgi_app = asgi_app


@app.after_serving
async def close():
    grafana.close()


@app.get("/")
async def home():
    return "This is Quart."


@app.route("/login", methods=["GET", "POST"])
async def login():
    if request.method == "POST":
        session["user"] = (await request.form)["user"]  # ask for a password here
        return redirect("/grafana/")
    page = '<form method="post" action="/login"><input name="user"><button>Log in</button></form>'
    return page, 401
