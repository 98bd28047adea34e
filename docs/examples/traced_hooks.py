"""A trace that goes on through the proxy, with what OpenTelemetry has for WSGI and ASGI.

The span of each request is a child of the caller's, and the parent of what the upstream makes of
it: a hook writes it in the place of the caller's ``traceparent``. Under WSGI, the last line is
``waitress-serve --listen 127.0.0.1:8080 traced_hooks:wsgi_app``::

    UPSTREAM=http://localhost:3000 \
        uvicorn --no-proxy-headers --port 8080 traced_hooks:asgi_app
"""

import os

from opentelemetry import propagate, trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as TracedASGI
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as TracedWSGI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from wsgiproxy import WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp

UPSTREAM = os.environ.get("UPSTREAM", "http://localhost:3000")

# Yours has a BatchSpanProcessor with the OTLPSpanExporter of opentelemetry-exporter-otlp.
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)


def traced(request):
    """Tell the upstream the span that serves the request."""
    for name in propagate.get_global_textmap().fields:  # traceparent, tracestate, baggage
        request.headers.popall(name, None)
    carrier = {}
    propagate.inject(carrier)
    request.headers.update(carrier)
    yield request


wsgi_app = TracedWSGI(WSGIProxyApp(UPSTREAM, hooks=[traced]))
asgi_app = TracedASGI(ASGIProxyApp(UPSTREAM, hooks=[traced]))
