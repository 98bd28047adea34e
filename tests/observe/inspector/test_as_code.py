"""Requests as code: what it sends is what was sent, and nothing of a request becomes a command."""

from __future__ import annotations

import ast
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webob import Request

from tests.observe.inspector.filled import add
from wsgiproxy.observe.inspector.as_code import KINDS, as_code
from wsgiproxy.observe.inspector.ring import Ring
from wsgiproxy.sansio.secrets import Secrets

SHOWN = Secrets.named(shown=["*"])
JSON = ("Content-Type", "application/json")
NASTY = "'\"`$(){}[];&|<>!\\#@%~*? \n\r\t\0\x1b\x7f\x85\xa0\xe9\u202e\u2028'''\"\"\"a0"
TEXT = st.text(st.sampled_from(NASTY) | st.characters(max_codepoint=0xFF), max_size=30)
BODY = st.binary(max_size=60) | TEXT.map(lambda text: text.encode())
NAMES = st.sampled_from(["X-A", "x-a", "Cookie", "Accept", "X'$(id)`", "@/etc/passwd", "a b\n"])


def exchange_of(target: str, headers: list[tuple[str, str]], body: bytes, method: str = "POST"):
    return add(Ring(), target, headers, body, method=method, answer=(201, [JSON], b""))


def arguments(code: str) -> list[bytes]:
    """What curl would get, and its input."""
    script = "curl() { printf '%s\\0' \"$@\"; [[ \" $* \" == *' @- '* ]] && cat; return 0; }\n"
    script += "set -H\nset -o history\n"
    done = subprocess.run(
        ["bash", "--norc", "--noprofile"],
        input=(script + code).encode("utf-8"),
        capture_output=True,
        check=True,
        env={"PATH": "/nowhere:/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )
    assert done.stderr == b""
    return done.stdout.split(b"\0") if b"@-\0" not in done.stdout else done.stdout.split(b"\0", 99)


@settings(max_examples=60, deadline=None)
@given(TEXT, st.lists(st.tuples(NAMES, TEXT), max_size=4), BODY)
def test_curl_gets_each_value_as_one_word(target, headers, body):
    exchange = exchange_of("/" + target.replace("#", ""), headers, body)
    words = arguments(as_code(exchange, "curl", SHOWN))
    url = f"http://app.example{exchange.request.target}".replace("\0", "")
    assert url.encode("utf-8" if max(url) > "\xff" else "latin-1") in words
    for name, value in headers:
        if name.startswith("X-") or name == "x-a":
            line = (f"{name}: {value}" if value else f"{name};").replace("\0", "")
            assert line.encode("utf-8" if max(line) > "\xff" else "latin-1") in words
    assert not any(b"passwd" in word for word in words)
    if body and b"\0" not in body:
        option = words[words.index(body) - 1]
        assert option == (b"--data-raw" if body.startswith(b"@") else b"--data-binary")
    elif body:
        place = words.index(b"@-")
        assert b"\0".join(words[place + 1 :]) == body


def call_in(code: str, name: str) -> tuple[list[Any], dict[str, Any]]:
    """The literals of the only call of that name; everything else has to be known words."""
    tree = ast.parse(code)
    calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call)]
    (call,) = [each for each in calls if ast.unparse(each.func) == name]
    keywords = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
    return [ast.literal_eval(each) for each in call.args], keywords


@settings(max_examples=100, deadline=None)
@given(TEXT, st.lists(st.tuples(NAMES, TEXT), max_size=4), BODY, st.sampled_from(sorted(KINDS)))
def test_python_has_literals_alone(target, headers, body, kind):
    exchange = exchange_of(f"/{target}", headers, body, "PUT")
    code = as_code(exchange, kind, SHOWN)
    if kind == "curl":
        return
    names = {"webob": "Request.blank", "requests": "requests.request", "pytest": "session.request"}
    positional, named = call_in(code, names[kind])
    assert f"http://app.example/{target}" == positional[-1]
    assert (named["method"] if kind == "webob" else positional[0]) == "PUT"
    assert named.get("body" if kind == "webob" else "data", b"") == body
    sent = {key.lower(): value for key, value in named.get("headers", {}).items()}
    ours = [value for key, value in headers if key.lower() == "x-a"]
    assert sent.get("x-a") == (", ".join(ours) if ours else None)


def test_readable_code_for_an_ordinary_request():
    exchange = exchange_of(
        "/orders?page=1",
        [JSON, ("Cookie", "a=b"), ("Content-Length", "9"), ("Connection", "close")],
        b'{"a": "b"}',
    )
    assert as_code(exchange, "curl", Secrets()) == (
        "# *** stands for what is secret.\n"
        "curl --path-as-is 'http://app.example/orders?page=1' \\\n"
        "  --header 'Content-Type: application/json' \\\n"
        "  --header 'Cookie: a=***' \\\n"
        '  --data-binary \'{"a": "b"}\'\n'
    )
    assert as_code(exchange, "pytest", SHOWN) == (
        "import requests\n\n\n"
        "def test_post_http_app_example_orders(wsgiproxy_har):\n"
        "    session = wsgiproxy_har.mount(requests.Session())\n"
        "    response = session.request(\n"
        "        'POST',\n"
        "        'http://app.example/orders?page=1',\n"
        "        headers={\n"
        "            'Content-Type': 'application/json',\n"
        "            'Cookie': 'a=b',\n"
        "        },\n"
        '        data=b\'{"a": "b"}\',\n'
        "        allow_redirects=False,\n"
        "        timeout=30,\n"
        "    )\n"
        "    assert response.status_code == 201\n"
        '    assert response.headers["Content-Type"].partition(";")[0] == \'application/json\'\n'
    )


@pytest.mark.parametrize(
    ("method", "headers", "body", "part"),
    [
        pytest.param("HEAD", [], b"", "curl --path-as-is --head http", id="head"),
        pytest.param("GET", [], b"", "curl --path-as-is http://app.example/a", id="get"),
        pytest.param("DELETE", [], b"", "--request DELETE", id="delete"),
        pytest.param("POST", [], b"a", "--header 'Content-Type:'", id="no-type"),
        pytest.param("POST", [], b"@/etc/passwd", "--data-raw @/etc/passwd", id="no-file"),
        pytest.param("POST", [], b"\0%s", "printf '\\000\\045s' | curl", id="nul"),
        pytest.param("POST", [], b"a" * 65537, "--data-binary @body.bin", id="long"),
        pytest.param("GET", [("Accept-Encoding", "gzip")], b"", "--compressed", id="coded"),
    ],
)
def test_curl_of_special_requests(method, headers, body, part):
    assert part in as_code(exchange_of("/a", headers, body, method), "curl", SHOWN)


def test_webob_code_runs():
    exchange = exchange_of("/a?b=1", [JSON], b"{}", "PUT")
    code = as_code(exchange, "webob", SHOWN)
    seen: list[Request] = []

    def backend(environ, start_response):
        seen.append(Request(environ))
        start_response("200 OK", [])
        return [b""]

    names: dict[str, Any] = {"ExactProxy": lambda: backend}
    exec(code.replace("from wsgiproxy import ExactProxy", ""), names)
    (request,) = seen
    assert (request.method, request.url, request.body) == (
        "PUT",
        "http://app.example/a?b=1",
        b"{}",
    )
