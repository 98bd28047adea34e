"""A server to be started by a test: ``python -I json_server.py PORT [WORD...]``.

It answers every path with JSON: the request line, the headers, its words and its environment;
and prints each path that it was asked for.
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

__all__ = ["JSON_SERVER"]

#: The command.
JSON_SERVER = [sys.executable, "-I", str(Path(__file__).resolve()), "{port}"]


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        print("asked for", self.path, flush=True)
        told = {
            "line": self.requestline,
            "headers": self.headers.items(),
            "words": sys.argv[1:],
            "environment": dict(os.environ),
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Say no more."""


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), _Handler).serve_forever()
