"""One example that mounts an upstream below a prefix: running, and read by http.client."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.examples.running import needs, running
from tests.support.connection import Script
from tests.support.echo import CASE_FIELD, by_case
from tests.support.rounds import FULL
from tests.support.upstream import RawUpstream

__all__ = ["ASGI_MOUNTS", "GRANIAN", "HYPERCORN", "MOUNTS", "Answer", "Mount", "Mounted", "mounted"]


_NO_BYTES = "a path that is not UTF-8 is lost in "


@dataclass(frozen=True)
class Mount:
    """An example, where its upstream is, and what its framework and server allow.

    :param streams_upload: the upstream gets the first bytes before the client has sent the last.
    :param greets: the head of an event stream arrives before its first event.
    :param frames: the server frames an answer of unknown length, so that its end is certain.
    :param loses: paths that do not survive, and who is to blame.
    :param login: the form that opens it.
    :param headers: those of each request.
    :param server: another server than that of the example.
    """

    name: str
    prefix: str
    packages: tuple[str, ...]
    streams_upload: bool = True
    greets: bool = True
    frames: bool = True
    loses: Mapping[str, str] = field(default_factory=dict)
    login: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    server: str = ""

    def __str__(self) -> str:
        return self.name + self.prefix.replace("/", ":") + self.server.partition(" ")[0]


MOUNTS = [
    Mount("flask_mount.py", "/grafana", ("flask", "gunicorn")),
    Mount(
        "flask_view.py",
        "/reports",
        ("flask",),
        login={"user": "bob"},
    ),
    Mount(
        "pyramid_app.py",
        "/grafana",
        ("pyramid",),
        streams_upload=False,
        greets=False,
        loses={"/%FF": f"{_NO_BYTES}Pyramid", "/a//b": "Pyramid reads two slashes as one"},
    ),
    Mount("django_app.py", "/grafana", ("django", "gunicorn")),
    Mount(
        "django_app.py",
        "/reports",
        ("django", "gunicorn"),
        loses={"/%FF": f"{_NO_BYTES}a view of Django"},
    ),
    Mount(
        "bottle_mount.py",
        "/portal",
        ("bottle",),
        greets=False,
        frames=False,
        loses={"/a%2Fb": "wsgiref hands over no raw target"},
    ),
]

_BASIC = {"Authorization": "Basic " + base64.b64encode(b"bob:choose-one").decode()}
HYPERCORN = "hypercorn --bind 127.0.0.1:8080"
GRANIAN = "granian --interface asgi --port 8080"

ASGI_MOUNTS = [
    Mount("fastapi_app.py", "/grafana", ("fastapi", "uvicorn")),
    Mount("fastapi_app.py", "/reports", ("fastapi", "uvicorn"), headers=_BASIC),
    Mount("fastapi_app.py", "/files", ("fastapi", "uvicorn")),
    Mount("fastapi_app.py", "/grafana", ("fastapi", "hypercorn"), server=HYPERCORN),
    Mount("starlette_app.py", "/grafana", ("starlette", "granian"), server=GRANIAN),
    Mount("starlette_app.py", "/reports", ("starlette", "uvicorn"), headers=_BASIC),
    Mount("quart_app.py", "/grafana", ("quart", "uvicorn"), login={"user": "bob"}),
    Mount("django_asgi.py", "/grafana", ("django", "uvicorn")),
    Mount("litestar_app.py", "/grafana", ("litestar", "uvicorn"), headers=_BASIC),
    Mount("beside_wsgi.py", "/grafana", ("a2wsgi", "flask", "uvicorn")),
]
if FULL:
    ASGI_MOUNTS += [
        Mount("fastapi_app.py", "/files", ("fastapi", "granian"), server=GRANIAN),
        Mount(
            *("starlette_app.py", "/reports", ("starlette", "hypercorn")),
            headers=_BASIC,
            server=HYPERCORN,
        ),
    ]


@dataclass
class Answer:
    """A response that was read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        """What the upstream says that it received."""
        assert self.status == 200, (self.status, self.body)
        told: dict[str, Any] = json.loads(self.body)
        return told

    def received(self, name: str) -> list[str]:
        """The values of the fields that the upstream received under *name*."""
        return [value for key, value in self.told["headers"] if key.lower() == name.lower()]


@dataclass
class Mounted:
    """A running example and its upstream, which plays the script that a request names."""

    mount: Mount
    port: int
    upstream: RawUpstream
    scripts: dict[str, Script]
    headers: dict[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def connection(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            yield connection
        finally:
            connection.close()

    def get(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: bytes | None = None,
    ) -> Answer:
        """Ask for *path* below the prefix."""
        return self.ask(self.mount.prefix + path, headers, method=method, body=body)

    def ask(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: bytes | None = None,
    ) -> Answer:
        with self.connection() as connection:
            connection.request(method, path, body, {**self.headers, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, response.msg, response.read())

    def play(self, script: Script, path: str = "/", method: str = "GET") -> Answer:
        """Have the upstream play *script* for one request."""
        case = f"case{len(self.scripts)}"
        self.scripts[case] = script
        return self.get(path, {CASE_FIELD: case}, method=method)

    @contextlib.contextmanager
    def stream(self, script: Script) -> Iterator[http.client.HTTPResponse]:
        """The response while it arrives."""
        case = f"case{len(self.scripts)}"
        self.scripts[case] = script
        with self.connection() as connection:
            headers = {**self.headers, CASE_FIELD: case}
            connection.request("GET", f"{self.mount.prefix}/events", headers=headers)
            with contextlib.closing(connection.getresponse()) as response:
                yield response

    def log_in(self, form: Mapping[str, str]) -> None:
        """Send the form of ``/login``, and keep the session."""
        body = "&".join(f"{name}={value}" for name, value in form.items()).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self.ask("/login", kind, method="POST", body=body)
        assert answer.status == 302, answer
        self.headers["Cookie"] = answer.headers["Set-Cookie"].partition(";")[0]


@contextlib.contextmanager
def mounted(mount: Mount) -> Iterator[Mounted]:
    """Start *mount* in front of a fresh upstream."""
    needs(*mount.packages)
    scripts: dict[str, Script] = {}
    with (
        RawUpstream(by_case(scripts)) as upstream,
        running(mount.name, upstream.netloc, server=mount.server) as (port, _),
    ):
        example = Mounted(mount, port, upstream, scripts, dict(mount.headers))
        if mount.login is not None:
            example.log_in(mount.login)
        yield example
        assert upstream.errors == []
