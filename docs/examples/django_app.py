"""A Django project in one file, with other web applications in a view and under a mount.

The view at ``/reports/`` can check who asks, and Django's middleware sees the answer. The mount
at ``/grafana`` is in ``wsgi.py``, in front of Django, and costs the least::

    UPSTREAM=http://localhost:3000 \
        gunicorn --threads 8 --bind 127.0.0.1:8080 django_app:application
"""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt
from webob import Request

from wsgiproxy import WSGIProxyApp

UPSTREAM = os.environ.get("UPSTREAM", "http://localhost:3000")

# What Django keeps in cookies is not for others to use.
proxy = WSGIProxyApp(UPSTREAM, suppress_cookies=["sessionid", "csrftoken"])

# settings.py
settings.configure(
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("SECRET_KEY") or os.urandom(32).hex(),
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
)


# views.py
def below(prefix, environ, path_info):
    """The environ as an application that is mounted at *prefix* should see it."""
    script_name = environ["SCRIPT_NAME"] + prefix
    return {**environ, "SCRIPT_NAME": script_name, "PATH_INFO": path_info.removeprefix(prefix)}


class Answer(StreamingHttpResponse):
    """What a WSGI application answers; of two Set-Cookie lines Django would keep one."""

    def __init__(self, answer):
        super().__init__(answer.app_iter, answer.content_type, answer.status_int)
        self.lines = [line for line in answer.headerlist if line[0].lower() != "content-type"]

    def items(self):
        return [*super().items(), *self.lines]


@csrf_exempt  # it would read the body, and the token in it is the upstream's
def reports(request):
    # @login_required goes here. Django has decoded the path; WSGI has bytes in it.
    environ = below("/reports", request.environ, request.path_info.encode().decode("latin-1"))
    return Answer(Request(environ).get_response(proxy))


def home(request):
    return HttpResponse("This is Django.")


# urls.py
urlpatterns = [path("", home), re_path("^reports/", reports)]

# wsgi.py
django = get_wsgi_application()


def application(environ, start_response):
    path_info = environ["PATH_INFO"]
    if path_info == "/grafana" or path_info.startswith("/grafana/"):
        return proxy(below("/grafana", environ, path_info), start_response)
    return django(environ, start_response)
