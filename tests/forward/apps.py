"""The browser proxy as an application for the servers; ``OPTIONS`` is its settings as JSON."""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def __getattr__(name: str) -> WSGIApplication:
    if name != "forward":
        raise AttributeError(name)
    from wsgiproxy.forward import ForwardProxy

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return ForwardProxy(**json.loads(os.environ.get("OPTIONS", "{}")))
