"""The reverse proxy as an application for the servers, which writes its log."""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def __getattr__(name: str) -> WSGIApplication:
    if name != "reverse":
        raise AttributeError(name)
    from wsgiproxy import WSGIProxyApp

    logging.basicConfig(level=logging.INFO, format="ours: %(message)s")
    return WSGIProxyApp(os.environ["UPSTREAM"], **json.loads(os.environ.get("OPTIONS", "{}")))
