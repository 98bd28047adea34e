"""An old site, replaced piece by piece: what is not here yet is answered by the old server.

Each view that you add takes a path away from it. Its redirects, also to its own address, come
back here, and its cookies belong to the one domain that both now have::

    OLD_SITE=http://localhost:3000 waitress-serve --listen 127.0.0.1:8080 legacy_site:app
"""

import os

from flask import Flask

from wsgiproxy import WSGIProxyApp

OLD_SITE = os.environ.get("OLD_SITE", "http://localhost:3000")
COOKIE_DOMAIN = os.environ.get("COOKIE_DOMAIN", "")  # such as example.com; "": this host alone

app = Flask(__name__)
old = WSGIProxyApp(OLD_SITE, preserve_host=True, cookie_domain=COOKIE_DOMAIN)


@app.get("/about")
def about():
    return "This page is new."


@app.errorhandler(404)
@app.errorhandler(405)
def not_here_yet(error):
    return old
