"""The internal tool behind ``login_in_front.py``: it knows its user, and no other way in.

A request that the login has not signed gets 403, whatever its headers say::

    SECRET_FILE=secret.txt gunicorn --threads 8 --bind 127.0.0.1:3000 internal_tool:app
"""

import os

from flask import Flask, request, url_for
from markupsafe import escape

from wsgiproxy import WSGIProxyMiddleware

SECRET_FILE = os.environ.get("SECRET_FILE", "secret.txt")

app = Flask(__name__)
app.wsgi_app = WSGIProxyMiddleware(
    app.wsgi_app, secret_file=SECRET_FILE, accept_keys=["REMOTE_USER"]
)


@app.get("/")
def home():
    # The address is the one that the browser has used.
    return f"{escape(request.remote_user)} is at {url_for('home', _external=True)}"
