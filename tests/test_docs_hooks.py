"""The examples of docs/hooks.rst, each run under WSGI and ASGI."""

from __future__ import annotations

import asyncio
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.hooks.both import EDGES
from tests.hooks.edges import held
from tests.support.asgi_calls import Caller, http_scope
from tests.support.messages import answer
from tests.support.upstream import RawUpstream
from tests.test_exactproxy import call, environ_for
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.asgi import ASGIProxyApp
from wsgiproxy.errors import ConnectFailed
from wsgiproxy.hooks import Request, Response

PAGE = (Path(__file__).parents[1] / "docs" / "hooks.rst").read_text()
BLOCK = re.compile(r"^\.\. code-block:: python\n   :name: (\S+)\n\n((?:   .*\n|\n)+)", re.M)
BLOCKS = {name: textwrap.dedent(block) for name, block in BLOCK.findall(PAGE)}
HELLO = answer(200, [("Content-Type", "text/plain")], b"hello")


def hook(block: str, name: str) -> tuple[Any, dict[str, Any]]:
    names: dict[str, Any] = {}
    exec(BLOCKS[block], names)
    return names[name], names


@pytest.fixture(params=["WSGI", "ASGI"])
def ask(request: pytest.FixtureRequest, upstream: RawUpstream) -> Any:
    """The status, the fields and the body of an answer."""

    def by_wsgi(hook: Any, method: str) -> Any:
        app = WSGIProxyApp(upstream.url, hooks=[hook])
        called = call(environ_for(upstream, REQUEST_METHOD=method), app)
        found = called.status, {n.lower(): v for n, v in called.calls[0][1]}, called.read()
        app.close()
        return found

    def by_asgi(hook: Any, method: str) -> Any:
        caller = Caller()

        async def main() -> None:
            app = ASGIProxyApp(upstream.url, hooks=[hook])
            await caller(app, http_scope(method=method))
            app.close()

        asyncio.run(main())
        start, *rest = caller.sent
        fields = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], fields, b"".join(each["body"] for each in rest)

    def asked(hook: Any, method: str = "GET", behaviour: Any = HELLO) -> Any:
        upstream.behaviour = behaviour
        return (by_wsgi if request.param == "WSGI" else by_asgi)(hook, method)

    return asked


def test_the_page_has_what_is_tested_here() -> None:
    assert len(BLOCKS) == 9


def test_api_key(upstream, ask) -> None:
    assert ask(hook("hooks-api-key", "api_key")[0])[1]["x-served-by"] == "proxy"
    assert upstream.requests[-1].values("X-API-Key") == ["secret"]


def test_read_only(upstream, ask) -> None:
    found, _ = hook("hooks-read-only", "read_only")
    assert ask(found)[::2] == (200, b"hello")
    assert ask(found, "DELETE")[0] == 403
    assert len(upstream.requests) == 1


def test_login(upstream, ask) -> None:
    found, names = hook("hooks-login", "login")
    names["LOGINS"] = upstream.url + "/check"
    assert ask(found)[::2] == (200, b"hello")
    assert [each.target.rpartition("/")[2] for each in upstream.requests][0] == "check"
    assert ask(found, behaviour=answer(403))[::2] == (401, b"Please log in.")


def test_shout(ask) -> None:
    assert ask(hook("hooks-shout", "shout")[0])[::2] == (200, b"HELLO")


def test_sorry(ask) -> None:
    status, fields, body = ask(hook("hooks-sorry", "sorry")[0], behaviour=[("read",), ("close",)])
    assert (status, fields["retry-after"]) == (503, "60")
    assert body == b"We are back in a minute."


def test_again() -> None:
    again, _ = hook("hooks-again", "again")
    request, response = Request("POST", "http://a.example"), Response(200)
    script = again(request)
    assert next(script).message is request and script.send(b"") is request
    assert script.throw(ConnectFailed("refused")).seconds == 0.5
    assert script.send(None) is request
    with pytest.raises(StopIteration) as end:
        script.send(response)
    assert end.value.value is response


def test_closed(ask, tmp_path: Path) -> None:
    found, names = hook("hooks-closed", "closed")
    names["CLOSED"] = tmp_path / "closed.html"
    assert ask(found)[::2] == (200, b"hello")
    names["CLOSED"].write_text("We have closed.")
    assert ask(found)[::2] == (503, b"We have closed.")


@pytest.mark.parametrize("edge", EDGES)
def test_audit(edge: str, upstream: RawUpstream) -> None:
    found, names = hook("hooks-audit", "audit")
    with RawUpstream() as seen:
        names["AUDIT"] = f"{seen.url}/seen"
        told = seen.requests
        held(edge, upstream.url, [found], lambda: told and told[0].complete)
        assert (told[0].line, told[0].body) == ("POST /seen HTTP/1.1", b"GET /x 200")


def test_both_forms_that_wait_by_themselves() -> None:
    assert "async def hook" in BLOCKS["hooks-forms"]
    compile(BLOCKS["hooks-forms"], "hooks.rst", "exec")
