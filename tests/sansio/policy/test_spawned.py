"""The rules for a process that the proxy has started itself."""

from __future__ import annotations

from wsgiproxy.sansio.environ.inbound import read
from wsgiproxy.sansio.message import Origin
from wsgiproxy.sansio.pipeline import outgoing
from wsgiproxy.sansio.policy.spawned import SpawnPolicy
from wsgiproxy.settings import APP, resolve
from wsgiproxy.settings.parts import PARTS

VALUES = resolve(PARTS["WSGIProxyApp"], {})
OPTIONS = {row.name: VALUES[row.name] for row in APP}
ENVIRON = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "/mount",
    "PATH_INFO": "/a",
    "HTTP_HOST": "front.example",
    "REMOTE_ADDR": "192.0.2.1",
    "HTTP_X_FORWARDED_FOR": "6.6.6.6",
    "HTTP_X_SCRIPT_NAME": "/forged",
    "HTTP_WSGIPROXY": "forged",
}


def policy(*, strips: bool) -> SpawnPolicy:
    return SpawnPolicy(Origin("http", "127.0.0.1", 81), OPTIONS, "me", strips=strips)


def test_what_a_client_says_of_forwarding_is_removed() -> None:
    request = outgoing(read(ENVIRON), policy(strips=False)).request
    said = {name.lower(): value for name, value in request.headers}
    assert said["x-forwarded-for"] == "192.0.2.1"
    assert said["x-script-name"] == "/mount"
    assert "wsgiproxy" not in said
    assert [name.lower() for name, _ in request.headers].count("x-script-name") == 1


def test_the_mount_is_a_part_of_the_path_unless_it_is_stripped() -> None:
    assert outgoing(read(ENVIRON), policy(strips=False)).request.target == "/mount/a"
    assert outgoing(read(ENVIRON), policy(strips=True)).request.target == "/a"
