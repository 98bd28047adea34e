"""A Pyramid application with another web application below ``/grafana``.

``wsgiapp2`` moves the prefix to ``SCRIPT_NAME``. It reads an upload to its end, into a temporary
file, before the upstream gets any of it; answers stream::

    UPSTREAM=http://localhost:3000 waitress-serve --listen 127.0.0.1:8080 pyramid_app:app
"""

import os

from pyramid.config import Configurator
from pyramid.response import Response
from pyramid.wsgi import wsgiapp2

from wsgiproxy import WSGIProxyApp

UPSTREAM = os.environ.get("UPSTREAM", "http://localhost:3000")


def home(request):
    return Response("This is Pyramid.")


with Configurator() as config:
    config.add_route("home", "/")
    config.add_view(home, route_name="home")
    # With the slash: without it, "/grafana*subpath" is "/grafana-of-others", too.
    config.add_route("grafana", "/grafana/*subpath")
    config.add_view(wsgiapp2(WSGIProxyApp(UPSTREAM)), route_name="grafana")

app = config.make_wsgi_app()
