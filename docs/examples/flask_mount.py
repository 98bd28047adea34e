"""A Flask application with another web application below ``/grafana``.

The prefix is announced to it, and its redirects come back below the prefix::

    UPSTREAM=http://localhost:3000 gunicorn --threads 8 --bind 127.0.0.1:8080 flask_mount:app
"""

import os

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from wsgiproxy import WSGIProxyApp

UPSTREAM = os.environ.get("UPSTREAM", "http://localhost:3000")

app = Flask(__name__)
app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/grafana": WSGIProxyApp(UPSTREAM)})


@app.get("/")
def home():
    return "This is Flask."
