"""A Django project under ASGI, with another web application in front of it, below ``/grafana``.

Django reads each request body whole before a view is called, and is not asked about those of the
mount at all: what is uploaded to it passes as it arrives::

    UPSTREAM=http://localhost:3000 \
        uvicorn --no-proxy-headers --no-date-header --no-server-header --port 8080 \
        django_asgi:application
"""

import os

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path

from wsgiproxy.asgi import ASGIProxyApp

UPSTREAM = os.environ.get("UPSTREAM", "http://localhost:3000")

# settings.py
settings.configure(
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("SECRET_KEY") or os.urandom(32).hex(),
)


# views.py and urls.py
async def home(request):
    return HttpResponse("This is Django.")


urlpatterns = [path("", home)]

# asgi.py
django = get_asgi_application()
# What Django keeps in cookies is not for others to use.
grafana = ASGIProxyApp(UPSTREAM, suppress_cookies=["sessionid", "csrftoken"])


async def application(scope, receive, send):
    if scope["type"] == "lifespan":  # which Django does not know
        await grafana(scope, receive, send)
    elif scope["type"] == "http" and (scope["path"] + "/").startswith("/grafana/"):
        below = {**scope, "root_path": scope["root_path"] + "/grafana"}
        await grafana(below, receive, send)
    else:
        await django(scope, receive, send)
