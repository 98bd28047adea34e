"""Two backends with a key each, behind one login of ours: the same hooks under WSGI and ASGI.

``/login`` makes a token, and everything else asks for one. A backend gets its own key, the name
of the user, and the path of the user's own shop; ``shop_backend.py`` is one. Under WSGI, the last
line is ``waitress-serve --listen 127.0.0.1:8080 two_backends:wsgi_app``::

    SHOP=ann PASSWORD=choose-one TRANSACTIONS=http://localhost:3000 TRANSACTIONS_KEY=first \
        INVENTORY=http://localhost:3001 INVENTORY_KEY=second \
        uvicorn --no-proxy-headers --port 8080 two_backends:asgi_app
"""

import json
import os
import secrets
import time
from urllib.parse import quote, urlsplit

import jwt

from wsgiproxy import Router
from wsgiproxy.asgi import ASGIRouter
from wsgiproxy.errors import BadRequest
from wsgiproxy.hooks import Response
from wsgiproxy.hooks.compress import compress
from wsgiproxy.hooks.credentials import header
from wsgiproxy.router import Target

# Several processes need the same one, or each knows only the tokens that it has made itself.
JWT_SECRET = os.environ.get("JWT_SECRET") or secrets.token_hex(32)
JWT_SECONDS = 3600
PASSWORDS = {os.environ["SHOP"]: os.environ["PASSWORD"]}  # ask your directory instead
NO_PASSWORD = secrets.token_hex(32)


# The login
def login(request):
    """A token for a name and its password. It answers by itself: no request is sent on."""
    if request.raw_path or request.method != "POST":
        return Response(405, {"Allow": "POST"}, "POST a user and a password to /login.")
    try:
        given = json.loads((yield request.read(limit=1000)))
        user, password = str(given["user"]), str(given["password"]).encode()
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BadRequest('expected {"user": ..., "password": ...}') from None
    expected = PASSWORDS.get(user, NO_PASSWORD).encode()
    if not secrets.compare_digest(password, expected):
        return Response(401, {"WWW-Authenticate": "Bearer"}, "Wrong user or password.")
    claims = {"sub": user, "exp": int(time.time()) + JWT_SECONDS}
    token = jwt.encode(claims, JWT_SECRET, "HS256")
    fields = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(200, fields, json.dumps({"token": token}))


# The user
def logged_in(request):
    """Leave the user in the state; 401 without a token that is ours and still good."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        required = {"require": ["exp", "sub"]}
        claims = jwt.decode(token.strip(), JWT_SECRET, ["HS256"], required)
    except jwt.InvalidTokenError:
        claims = None
    if claims is None or kind.lower() != "bearer":
        return Response(401, {"WWW-Authenticate": "Bearer"}, "Please log in.")
    request.state["user"] = claims["sub"]
    request.headers.popall("Authorization")  # it is for us, and the backend has a key
    return (yield request)


# The path
def in_own_shop(service):
    """``/5`` is ``/NAME/transactions/5`` at the backend, and ``/5`` again in its Location."""

    def hook(request):
        shop = f"/{quote(request.state['user'], safe='')}/{service}"
        request.raw_path = shop + request.raw_path
        response = yield request
        mount = request.inbound.script_name
        place = urlsplit(response.headers.get("Location", ""))
        is_here = place.netloc in ("", request.inbound.host)
        if is_here and (place.path + "/").startswith(f"{mount}{shop}/"):
            path = place.path.replace(mount + shop, mount, 1)
            response.headers["Location"] = place._replace(path=path).geturl()

    return hook


# The places
def behind_login(href, key, service):
    return Target(
        f"{href}/shops",
        hooks=[
            compress(),
            logged_in,
            in_own_shop(service),
            header("X-API-Key", key),
            header("X-User", lambda request: request.state["user"]),
        ],
    )


PLACES = {
    "/login": Target("http://login.invalid/login", hooks=[login]),  # there is no such host
    "/transactions": behind_login(
        os.environ.get("TRANSACTIONS", "http://localhost:3000"),
        os.environ["TRANSACTIONS_KEY"],
        "transactions",
    ),
    "/inventory": behind_login(
        os.environ.get("INVENTORY", "http://localhost:3001"),
        os.environ["INVENTORY_KEY"],
        "inventory",
    ),
}
wsgi_app = Router(PLACES)
asgi_app = ASGIRouter(PLACES)
