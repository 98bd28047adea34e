"""A proxy in two processes, whose figures are one.

Each worker of gunicorn writes to a folder, and the one that is asked answers for all. The folder
has to be there, and empty, when gunicorn starts; ``--config`` reads ``child_exit`` from this file::

    UPSTREAM=http://localhost:3000 PROMETHEUS_MULTIPROC_DIR=/run/figures \
        gunicorn -w 2 --threads 8 -b 127.0.0.1:8080 \
        -c python:metrics_gunicorn metrics_gunicorn:application
"""

import os

from wsgiproxy import Router
from wsgiproxy.observe.metrics import metrics_app

application = Router(
    {
        # A name that leads here on the inside alone, so that the figures are not for the public.
        "metrics.localhost": metrics_app(),
        "/": os.environ.get("UPSTREAM", "http://localhost:3000"),
    }
)


def child_exit(server, worker):
    """A worker has ended: nothing of it is in flight or open any more."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)
