"""A Bottle application with another web application below ``/portal``.

The wrapper adds a header to what comes back. It need not filter any: what belongs to the
connection alone (hop-by-hop headers) is gone already::

    UPSTREAM=http://localhost:3000 PORT=8080 python bottle_mount.py
"""

import os

from bottle import Bottle

from wsgiproxy import WSGIProxyApp

UPSTREAM = os.environ.get("UPSTREAM", "http://localhost:3000")
PORT = int(os.environ.get("PORT", "8080"))

proxy = WSGIProxyApp(UPSTREAM)
root = Bottle()


def portal(environ, start_response):
    def start(status, headers):
        return start_response(status, [*headers, ("X-Portal", "bottle")])

    # Bottle has decoded the path as UTF-8, but WSGI has bytes in it.
    path = environ["bottle.raw_path"].removeprefix("/portal")
    return proxy({**environ, "PATH_INFO": path}, start)


root.mount("/portal", portal)


@root.get("/")
def home():
    return "This is Bottle."


if __name__ == "__main__":
    root.run(host="127.0.0.1", port=PORT)
