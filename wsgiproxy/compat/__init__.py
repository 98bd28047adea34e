"""Any HTTP client as the transport of a gateway: its arguments, and the response it returns.

It decides nothing about a request, and refuses a return value that is no response.
"""

from __future__ import annotations

from wsgiproxy.compat.client import HttpClient
from wsgiproxy.compat.exchange import ClientTransport
from wsgiproxy.compat.named import UnknownClient, client_for
from wsgiproxy.compat.request_body import Input, announce, frame_what_is_here, framed
from wsgiproxy.compat.response_body import CHUNK_SIZE, CompatReply, ResponseBody
from wsgiproxy.compat.unshared import fields_of, unshare

__all__ = [
    "CompatReply",
    "ResponseBody",
    "ClientTransport",
    "HttpClient",
    "Input",
    "UnknownClient",
    "announce",
]
__all__ += ["CHUNK_SIZE", "client_for", "fields_of", "frame_what_is_here", "framed", "unshare"]
