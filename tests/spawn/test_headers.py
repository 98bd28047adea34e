"""What a process is asked: the whole path, the client's Host, and who the client is."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.spawn.children import ask
from tests.spawn.programs import fields, server, told

pytestmark = pytest.mark.in_turns(2, "asked")

IPV6 = pytest.mark.skipif(not os.path.exists("/proc/net/if_inet6"), reason="no IPv6")
MOUNT = {"SCRIPT_NAME": "/app"}


def target_of(answer) -> str:
    return str(told(answer)["line"]).split(" ")[1]


# What 0.2.2 documented


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_forwarding_headers_of_0_2_are_sent(spawn, scheme):
    asked = {"SCRIPT_NAME": "/app", "wsgi.url_scheme": scheme, "REMOTE_ADDR": "2001:db8::9"}
    found = fields(ask(spawn(server()), "/x", **asked))
    assert found["x-script-name"] == "/app"
    assert found["x-forwarded-scheme"] == scheme
    assert found["x-forwarded-for"] == "2001:db8::9"
    assert found["host"] == "front.example"


def test_at_the_root_the_mount_is_empty(spawn):
    assert fields(ask(spawn(server()), "/x")).get("x-script-name", "") == ""


@pytest.mark.parametrize(
    "name",
    ["X_SCRIPT_NAME", "X_FORWARDED_SCHEME", "X_FORWARDED_FOR", "X_FORWARDED_PREFIX"]
    + ["X_FORWARDED_HOST", "X_REAL_IP", "FORWARDED", "SCRIPT_NAME", "REMOTE_USER", "PROXY"]
    + ["X_TRAVERSAL_PATH", "WSGIPROXY", "X_ORIGINAL_URL", "X_FORWARDED_SCRIPT_NAME"],
)
@pytest.mark.parametrize("asked", [{}, MOUNT], ids=["at the root", "mounted"])
def test_forwarding_headers_of_clients_are_removed(spawn, name, asked):
    answer = ask(spawn(server()), "/x", **asked, **{f"HTTP_{name}": "evil"})
    assert [value for _, value in told(answer)["headers"] if "evil" in value] == []


def test_no_other_header_is_added(spawn):
    found = fields(ask(spawn(server(), sign=False), "/x", HTTP_X_OWN="1"))
    ours = {name for name in found if name.startswith("x-forwarded-")}
    assert set(found) - ours == {"host", "accept", "x-own", "via"}


def test_a_trusted_proxy_is_believed(spawn):
    app = spawn(server(), trusted_proxies="192.0.2.0/24")
    asked = {"HTTP_X_FORWARDED_FOR": "203.0.113.7", "HTTP_X_FORWARDED_PROTO": "https"}
    found = fields(ask(app, "/x", **asked))
    assert found["x-forwarded-for"] == "203.0.113.7, 192.0.2.1"
    assert found["x-forwarded-scheme"] == "https"


# The path

PATHS: list[Any] = [
    pytest.param("", "/", "/", "/", id="the root"),
    pytest.param("/app", "/x", "/app/x", "/app/x", id="a mount"),
    pytest.param("/app", "", "/app", "/app", id="the mount alone"),
    pytest.param("/app", "/", "/app/", "/app/", id="the mount and a slash"),
    pytest.param("/app", "/x", "", "/app/x", id="no raw target"),
    pytest.param("/app", "", "", "/app", id="the mount alone, no raw target"),
    pytest.param("/a/b", "/x", "/a%2Fb/x", "/a%2Fb/x", id="%2F in the mount"),
    pytest.param("/app", "/x", "/%61pp/x", "/%61pp/x", id="a mount, oddly encoded"),
    pytest.param("/app", "/a/b", "/app/a%2fb", "/app/a%2fb", id="%2f in the path"),
    pytest.param("/app", "//x", "/app//x", "/app//x", id="two slashes"),
    pytest.param("/app", "/\xc3\xa9", "/app/%c3%a9", "/app/%c3%a9", id="UTF-8, raw"),
    pytest.param("/\xc3\xa9", "/x", "", "/%C3%A9/x", id="UTF-8, rebuilt"),
    pytest.param("/a b", "/x", "", "/a%20b/x", id="a blank, rebuilt"),
    pytest.param("/app", "/x", "/app/x?a=%2F&b", "/app/x?a=%2F&b", id="a query"),
    pytest.param("/app", "/x", "/app/x?", "/app/x?", id="an empty query"),
    pytest.param("/app", "", "/app?a=b", "/app?a=b", id="a query at the mount"),
    pytest.param("", "/app/x", "/app/x", "/app/x", id="no mount"),
    pytest.param("/app", "/app/x", "/app/app/x", "/app/app/x", id="the mount twice"),
]


@pytest.mark.parametrize(("script_name", "path_info", "raw", "target"), PATHS)
def test_the_target_is_the_original_path_with_the_mount(spawn, script_name, path_info, raw, target):
    asked = {"SCRIPT_NAME": script_name, "PATH_INFO": path_info}
    if raw:
        asked |= {"REQUEST_URI": raw, "QUERY_STRING": raw.partition("?")[2]}
    found = told(ask(spawn(server(), sign=False), **asked))
    assert found["line"] == f"GET {target} HTTP/1.1"
    names = {name.lower() for name, _ in found["headers"]}
    # Receivers put these before the path that they see, and it is there already.
    assert not {"x-forwarded-prefix", "x-forwarded-script-name"} & names


@pytest.mark.parametrize(
    ("script_name", "raw", "target", "prefix"),
    [
        pytest.param("/app", "/app/x?a=%2F", "/x?a=%2F", "/app", id="a mount"),
        pytest.param("/a/b", "/a%2Fb/x", "/x", "/a%2Fb", id="%2F in the mount"),
        pytest.param("", "/x", "/x", None, id="no mount"),
    ],
)
def test_the_mount_can_be_stripped(spawn, script_name, raw, target, prefix):
    app = spawn(server(), strip_script_name=True, sign=False)
    query = raw.partition("?")[2]
    asked = {"SCRIPT_NAME": script_name, "PATH_INFO": "/x", "QUERY_STRING": query}
    answer = ask(app, **asked, REQUEST_URI=raw)
    assert target_of(answer) == target
    found = fields(answer)
    assert found.get("x-forwarded-prefix") == prefix
    assert found.get("x-script-name") == prefix


def test_one_process_serves_several_mounts(spawn):
    """The same application, put at two places of one site."""
    app = spawn(server())
    for mount in ("/one", "/two", "", "/one", "/two"):
        answer = ask(app, "/x", SCRIPT_NAME=mount)
        assert target_of(answer) == f"{mount}/x"
        assert fields(answer).get("x-script-name", "") == mount


@pytest.mark.parametrize("target", ["/../x", "/a/%2e%2e/%2e%2e/x", "/..%2fx", "/%252e%252e/x"])
def test_dot_segments_do_not_leave_the_mount(spawn, target):
    from urllib.parse import unquote

    asked = {"SCRIPT_NAME": "/app", "PATH_INFO": unquote(target), "REQUEST_URI": "/app" + target}
    assert ask(spawn(server()), **asked).status == 400


# Host, and addresses in answers


def test_preserve_host_false_sends_the_host_of_the_process(spawn):
    app = spawn(server(url="{port}"), socket="inherit", preserve_host=False)
    answer = ask(app)
    port = told(answer)["words"][0].partition("=")[2]
    assert fields(answer)["host"] == f"127.0.0.1:{port}"
    assert fields(answer)["x-forwarded-host"] == "front.example"


@pytest.mark.parametrize("host", ["Front.Example:8080", "[2001:db8::1]:81", "front.example:80"])
def test_any_host_is_kept_as_it_is(spawn, host):
    assert fields(ask(spawn(server()), HTTP_HOST=host))["host"] == host


def redirected(app, location: str, **asked: Any) -> str:
    """Where the client is sent."""
    answer = ask(app, f"/redirect?{location}", **asked)
    assert answer.status == 302
    return answer.headers["location"]


def port_of(app) -> str:
    words = told(ask(app))["words"]
    return str(dict(word.split("=", 1) for word in words)["port"])


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=IPV6)])
def test_the_process_is_not_shown_to_clients(spawn, host):
    """A server that knows nothing better sends them to where it listens."""
    app = spawn(server(port="{port}", host=host))
    own = f"[{host}]" if ":" in host else host
    inside = f"http://{own}:{port_of(app)}"
    assert redirected(app, f"{inside}/x?a=b") == "http://front.example/x?a=b"
    secure = {"wsgi.url_scheme": "https", "HTTP_HOST": "front.example:8443"}
    assert redirected(app, f"{inside}/x", **secure) == "https://front.example:8443/x"


def test_a_redirect_within_a_mount_stays_there(spawn):
    app = spawn(server(port="{port}"), strip_script_name=True)
    inside = f"http://127.0.0.1:{port_of(app)}"
    assert redirected(app, f"{inside}/x", **MOUNT) == "http://front.example/app/x"
    assert redirected(app, "/x", **MOUNT) == "/app/x"
    assert redirected(app, "/app/x", **MOUNT) == "/app/x"
    assert redirected(app, "x", **MOUNT) == "x"


def test_a_process_that_knows_its_mount_redirects_as_it_likes(spawn):
    app = spawn(server(port="{port}"))
    inside = f"http://127.0.0.1:{port_of(app)}"
    for location, expected in {
        f"{inside}/app/x": "http://front.example/app/x",
        f"{inside}/app": "http://front.example/app",
        "/app/x": "/app/x",
        "/other": "/other",
        "x": "x",
        "http://front.example/app/x": "http://front.example/app/x",
        "https://elsewhere.example/": "https://elsewhere.example/",
        "//elsewhere.example/": "//elsewhere.example/",
    }.items():
        assert redirected(app, location, **MOUNT) == expected


def test_an_address_in_the_process_outside_of_its_mount_is_not_shown(spawn):
    app = spawn(server(port="{port}"))
    port = port_of(app)
    assert port not in redirected(app, f"http://127.0.0.1:{port}/login", **MOUNT)


def test_the_process_may_call_itself_localhost(spawn):
    app = spawn(server(port="{port}"))
    inside = f"http://localhost:{port_of(app)}"
    assert redirected(app, f"{inside}/x") == "http://front.example/x"


def test_rewrite_location_false_leaves_addresses_alone(spawn):
    app = spawn(server(port="{port}"), rewrite_location=False)
    inside = f"http://127.0.0.1:{port_of(app)}/x"
    assert redirected(app, inside) == inside


def test_a_process_at_a_unix_socket_redirects_by_the_host_that_it_is_given(spawn):
    app = spawn(server(socket="{socket}"))
    assert redirected(app, "http://front.example/x") == "http://front.example/x"
    assert redirected(app, "http://localhost/x") == "http://front.example/x"
