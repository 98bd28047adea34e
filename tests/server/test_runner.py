"""``[server:main] use = egg:wsgiproxy``, as Paste Deploy runs it: with strings."""

from __future__ import annotations

import configparser
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.server.serving import hello
from tests.support.client import RawClient, raw_exchange, request_bytes
from tests.support.daemon import daemon
from tests.support.ports import free_port
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.server import server_runner

PROGRAM = """
import sys
from tests.server.serving import hello
from wsgiproxy.server import server_runner
options = dict(word.split("=") for word in sys.argv[1:])
server_runner(hello, {"here": "/"}, **options)
"""


def test_options_are_strings_of_paste_and_of_ours() -> None:
    port = free_port()
    options = ["host=127.0.0.1", f"port={port}", "head_timeout=0.3", "max_connections=7"]
    options += ["use_threadpool=true", "threadpool_workers=2", "threadpool_spawn_if_under=1"]
    with daemon([sys.executable, "-c", PROGRAM, *options], ("127.0.0.1", port)) as running:
        assert raw_exchange(port, request_bytes("GET /")).body == b"hello"
        with RawClient(port) as half:
            half.send(b"GET / HTTP/1.1\r\n")
            assert half.response().status == 408
        assert "Traceback" not in running.log


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("head_timeout", "soon", id="no-number"),
        pytest.param("head_timeout", "0", id="no-time-at-all"),
        pytest.param("idle_timeout", "-1", id="negative"),
        pytest.param("max_connections", "0", id="no-connections"),
        pytest.param("max_connections", "1.5", id="no-whole-number"),
    ],
)
def test_a_bad_option_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{name}='{value}': expected a"):
        server_runner(hello, {}, **{name: value})


def test_the_entry_point_is_declared() -> None:
    config = configparser.ConfigParser()
    config.read(Path(__file__).resolve().parents[2] / "setup.cfg")
    name, _, path = config["options.entry_points"]["paste.server_runner"].strip().partition(" = ")
    assert name == "main"
    module, _, function = path.partition(":")
    assert getattr(import_module(module), function) is server_runner
