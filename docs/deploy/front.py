"""The front: it sends every request on to the backend of its own machine, and signs it.

gunicorn --workers 4 --threads 16 front:application
uvicorn --workers 4 front:asgi
"""

import os

from wsgiproxy import WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp

BACKEND = os.environ.get("BACKEND", "unix:/run/site/backend.sock")
SETTINGS = {
    "secret_file": os.environ.get("SECRET_FILE", "/etc/site/secret.txt"),
    # The HAProxy before this one: what it says about its clients is believed.
    "trusted_proxies": os.environ.get("TRUSTED_PROXIES", "127.0.0.1"),
    "preserve_host": True,
}

application = WSGIProxyApp(BACKEND, **SETTINGS)
asgi = ASGIProxyApp(BACKEND, **SETTINGS)
