"""One in-process contender, run by path as a process of its own: it knows one request.

``python contender.py NAME PORT FIELDS`` checks NAME against the upstream at PORT, prints "ready",
and answers every line with a number of requests by the CPU microseconds that each of them took
(``time.process_time_ns`` of this process, one thread). It is run by path, not as a module, so that
PYTHONPATH alone decides which package is called ``wsgiproxy``: ours or that of WSGIProxy2.
"""

from __future__ import annotations

import io
import logging
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

SMALL = 1024
WARM_UP = 200
Get = Callable[[], tuple[int, int]]


def fields(count: int) -> list[tuple[str, str]]:
    """`count` header fields: those of a browser, Host first, and then made up ones."""
    known = [
        ("Host", "localhost"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("Accept-Language", "en-US,en;q=0.5"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Referer", "http://localhost/before?page=1"),
        ("Cookie", "session=0123456789abcdef0123456789abcdef; theme=dark; seen=1"),
        ("Cache-Control", "no-cache"),
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Priority", "u=0, i"),
    ]
    made_up = [(f"X-Field-{i}", f"value of field number {i}") for i in range(count - len(known))]
    return [*known[:count], *made_up]


def raw_socket(port: int, count: int) -> Get:
    """The least that is possible: the same bytes again and again on one connection."""
    lines = ["GET /1k HTTP/1.1", *(f"{name}: {value}" for name, value in fields(count)), "", ""]
    request = "\r\n".join(lines).encode()
    connection = socket.create_connection(("127.0.0.1", port))

    def get() -> tuple[int, int]:
        connection.sendall(request)
        answer = connection.recv(65536)
        head = answer.index(b"\r\n\r\n") + 4
        while len(answer) < head + SMALL:
            answer += connection.recv(65536)
        return int(answer[9:12]), len(answer) - head

    return get


def urlopen(port: int, count: int) -> Get:
    """urllib3 as most programs use it, with the same header fields."""
    import urllib3

    pool = urllib3.HTTPConnectionPool("127.0.0.1", port)
    headers = dict(fields(count))

    def get() -> tuple[int, int]:
        response = pool.urlopen("GET", "/1k", headers=headers)
        return response.status, len(response.data)

    return get


def called(application: Any, port: int, count: int, *, host: str = "localhost") -> Get:
    """A WSGI application, called with a fresh environ as granian or gunicorn would make it."""
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/1k",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "54321",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in fields(count):
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    environ["HTTP_HOST"] = host
    seen = 0

    def start_response(status: str, headers: list[Any], exc_info: object = None) -> Any:
        nonlocal seen
        seen = int(status[:3])
        return len

    def get() -> tuple[int, int]:
        body = application({**environ, "wsgi.input": io.BytesIO()}, start_response)
        try:
            size = sum(map(len, body))
        finally:
            if hasattr(body, "close"):
                body.close()
        return seen, size

    return get


def ours(port: int, count: int) -> Get:
    """`WSGIProxyApp` with its default settings."""
    from wsgiproxy.app import WSGIProxyApp

    return called(WSGIProxyApp(f"http://127.0.0.1:{port}"), port, count)


def exact(port: int, count: int) -> Get:
    """`proxy_exact_request`, which finds the upstream in the environ."""
    from wsgiproxy.exactproxy import proxy_exact_request

    return called(proxy_exact_request, port, count, host=f"127.0.0.1:{port}")


def wsgiproxy2(port: int, count: int, **options: Any) -> Get:
    """HostProxy of WSGIProxy2."""
    from wsgiproxy.proxies import HostProxy

    # It asks urllib3 for verify=False, which warns about https only; nothing is to be printed.
    logging.disable(logging.WARNING)
    return called(HostProxy(f"http://127.0.0.1:{port}", **options), port, count)


def wsgiproxy2_httplib(port: int, count: int) -> Get:
    """HostProxy with its default client, a new connection for every request."""
    return wsgiproxy2(port, count, client="httplib")


def wsgiproxy2_urllib3(port: int, count: int) -> Get:
    """HostProxy with its urllib3 client, which keeps connections."""
    return wsgiproxy2(port, count, client="urllib3")


def wsgiproxy2_requests(port: int, count: int) -> Get:
    """HostProxy with its requests client, and a session: it keeps connections only with one."""
    import requests

    return wsgiproxy2(port, count, client="requests", session=requests.Session())


def werkzeug(port: int, count: int) -> Get:
    """ProxyMiddleware of werkzeug, a new connection for every request."""
    from werkzeug.middleware.http_proxy import ProxyMiddleware

    def nothing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("404 Not Found", [])
        return []

    target = {"target": f"http://127.0.0.1:{port}/", "remove_prefix": True, "host": None}
    proxy = ProxyMiddleware(nothing, {"/peer": target})

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        environ["PATH_INFO"] = "/peer/1k"
        return proxy(environ, start_response)

    return called(application, port, count)


CONTENDERS: dict[str, Callable[[int, int], Get]] = {
    "raw socket": raw_socket,
    "urllib3 urlopen": urlopen,
    "ours, WSGIProxyApp": ours,
    "ours, proxy_exact_request": exact,
    "WSGIProxy2, httplib": wsgiproxy2_httplib,
    "WSGIProxy2, urllib3": wsgiproxy2_urllib3,
    "WSGIProxy2, requests": wsgiproxy2_requests,
    "werkzeug ProxyMiddleware": werkzeug,
}


def main(name: str, port: int, count: int) -> None:
    """Check the contender, then measure it as often as stdin asks for it."""
    get = CONTENDERS[name](port, count)
    for _ in range(WARM_UP):
        if (found := get()) != (200, SMALL):
            sys.exit(f"status and length are {found}")
    print("ready", flush=True)
    for line in sys.stdin:
        requests = range(int(line))
        begun = time.process_time_ns()
        for _ in requests:
            get()
        used = time.process_time_ns() - begun
        print(used / 1000 / len(requests), flush=True)


if __name__ == "__main__":
    del sys.path[0]  # our own folder: load, report and the like are no top-level modules
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
