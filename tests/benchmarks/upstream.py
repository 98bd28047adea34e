"""nginx as the upstream of every benchmark, and as one of the proxies that are measured.

The upstream serves ``/1k`` (1 KiB), ``/big`` (256 MiB), takes ``PUT /upload/x`` with its DAV module
(it reads the whole body into a file before it answers, so that no proxy is told to stop early),
and passes ``/events`` on, unbuffered, to a source of events.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.processes import Process, Unavailable, wait_until_ready
from tests.support.ports import free_port

SMALL = 1024
BIG = 256 * 1024 * 1024
_MAIN = """\
{user}daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  default_type application/octet-stream;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
{http}}}
"""
_UPSTREAM = """\
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {dir}/root;
    large_client_header_buffers 8 32k;
    location /upload/ {{ dav_methods PUT; client_body_buffer_size 64k; }}
    location /events {{ proxy_pass http://127.0.0.1:{events}; proxy_buffering off;
                        proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
"""
# What the manual of ngx_http_upstream_module gives for keep-alive; the rest as it comes.
_KEEPALIVE = """\
  upstream backend {{ server 127.0.0.1:{upstream}; keepalive 16; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://backend; proxy_http_version 1.1;
                  proxy_set_header Connection ""; {more} }}
  }}
"""
_DEFAULT = """\
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://127.0.0.1:{upstream}; }}
  }}
"""
# What the manual gives for WebSocket ("WebSocket proxying").
_TUNNEL = """\
  map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://127.0.0.1:{upstream}; proxy_http_version 1.1;
                  proxy_set_header Upgrade $http_upgrade;
                  proxy_set_header Connection $connection_upgrade; {more} }}
  }}
"""


def nginx_path() -> str:
    """Where nginx is; Debian keeps it outside of a user's PATH."""
    path = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise Unavailable("nginx is not installed")
    return path


def nginx_version() -> str:
    """What ``nginx -v`` says, or that there is none."""
    try:
        answer = subprocess.run([nginx_path(), "-v"], capture_output=True, text=True, check=False)
    except Unavailable as error:
        return str(error)
    return answer.stderr.strip().rpartition("/")[2]


def nginx_command(directory: Path, http: str) -> list[str]:
    """The command of an nginx with the `http` blocks, all of its files in `directory`."""
    directory.mkdir()
    # Without a user, a worker of root becomes nobody, who may not enter our directory.
    user = "user root;\n" if os.geteuid() == 0 else ""
    config = directory / "nginx.conf"
    config.write_text(_MAIN.format(dir=directory, http=http, user=user))
    return [nginx_path(), "-p", str(directory), "-c", str(config), "-e", "stderr"]


def start_nginx(directory: Path, http: str) -> Process:
    """The same, started."""
    return Process(nginx_command(directory, http), directory / "log")


def upstream_command(directory: Path, port: int) -> list[str]:
    """The command of the upstream of :func:`running_upstream`, without its big file."""
    command = nginx_command(directory, _UPSTREAM.format(port=port, dir=directory, events=9))
    (directory / "root").mkdir()
    (directory / "root" / "1k").write_bytes(b"x" * SMALL)
    return command


def proxy_config(port: int, upstream: int, *, kind: str) -> str:
    """The http blocks of nginx as a proxy.

    :param kind: ``default``, ``keepalive``, ``unbuffered``, or for WebSocket ``tunnel`` or
        ``tunnel, 64k``, which has larger buffers.
    """
    if kind == "default":
        return _DEFAULT.format(port=port, upstream=upstream)
    if kind.startswith("tunnel"):
        # It reads blocks of 4 KiB, as it comes, each way.
        more = "proxy_buffer_size 64k; proxy_buffers 4 64k;" if kind == "tunnel, 64k" else ""
        return _TUNNEL.format(port=port, upstream=upstream, more=more)
    more = "proxy_buffering off; proxy_request_buffering off;" if kind == "unbuffered" else ""
    return _KEEPALIVE.format(port=port, upstream=upstream, more=more)


def start_both(directory: Path, port: int) -> Process:
    """One nginx whose one worker is the proxy at `port` and its upstream, too."""
    inner = free_port()
    blocks = _UPSTREAM.format(port=inner, dir=directory, events=9)
    blocks += proxy_config(port, inner, kind="keepalive")
    command = nginx_command(directory, blocks)
    (directory / "root").mkdir()
    (directory / "root" / "1k").write_bytes(b"x" * SMALL)
    return Process(command, directory / "log")


@contextmanager
def running_upstream(directory: Path, events: int = 9) -> Iterator[int]:
    """The upstream nginx; its port. `events` is the port of the source behind ``/events``."""
    port = free_port()
    place = directory / "upstream"
    process = start_nginx(place, _UPSTREAM.format(port=port, dir=place, events=events))
    with process:
        root = place / "root"
        (root / "upload").mkdir(parents=True)
        (root / "1k").write_bytes(b"x" * SMALL)
        with (root / "big").open("wb") as big:
            big.truncate(BIG)
        wait_until_ready(process, port, "/1k", SMALL)
        yield port
