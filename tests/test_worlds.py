"""Applications that are called as those of the other world: each error names the right class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

import wsgiproxy
from wsgiproxy.asgi import (
    ASGIForwardProxy,
    ASGIProxyApp,
    ASGIProxyMiddleware,
    ASGIRouter,
    ASGISpawningApplication,
)
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.proxies import HostProxy, Proxy, TransparentProxy
from wsgiproxy.router import Route, Routes
from wsgiproxy.worlds import is_asgi

SCOPE: dict[str, Any] = {"type": "http"}


def wsgi_application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    raise AssertionError


async def asgi_application(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError


async def receive() -> dict[str, Any]:
    raise AssertionError


async def send(message: Any) -> None:
    raise AssertionError


HREF = "http://127.0.0.1:1"
WSGI = {
    "WSGIProxyApp": wsgiproxy.WSGIProxyApp(HREF),
    "WSGIProxyMiddleware": wsgiproxy.WSGIProxyMiddleware(wsgi_application),
    "SpawningApplication": wsgiproxy.SpawningApplication("true {port}"),
    "ForwardProxy": wsgiproxy.ForwardProxy(),
    "Router": wsgiproxy.Router({"/": HREF}),
}
ALONE = {
    "ExactProxy": wsgiproxy.ExactProxy(),
    "proxy_exact_request": wsgiproxy.proxy_exact_request,
    "Proxy": Proxy(),
    "TransparentProxy": TransparentProxy(),
    "HostProxy": HostProxy(HREF),
    "Routes": Routes([Route("", wsgi_application)]),
}
ASGI = {
    "WSGIProxyApp": ASGIProxyApp(HREF),
    "WSGIProxyMiddleware": ASGIProxyMiddleware(asgi_application),
    "SpawningApplication": ASGISpawningApplication("true {port}"),
    "ForwardProxy": ASGIForwardProxy(),
    "Router": ASGIRouter({"/": HREF}),
}
# ASGI 2, and what uvicorn tries, has one argument.
AS_ASGI = [pytest.param((SCOPE,), id="ASGI-2"), pytest.param((SCOPE, receive, send), id="ASGI-3")]


def message(application: Any, arguments: tuple[object, ...]) -> str:
    with pytest.raises(TypeError) as caught:
        application(*arguments)
    return str(caught.value)


@pytest.mark.parametrize("arguments", AS_ASGI)
@pytest.mark.parametrize("name", WSGI)
def test_wsgi_application_in_an_asgi_server_names_its_twin(
    name: str, arguments: tuple[object, ...]
) -> None:
    twin = name.replace("WSGI", "") if name.startswith("WSGI") else name
    assert message(WSGI[name], arguments) == (
        f"{name} is a WSGI application, and was called as one for ASGI: for a server such as"
        f" uvicorn, take wsgiproxy.asgi.ASGI{twin}"
    )


@pytest.mark.parametrize("arguments", AS_ASGI)
@pytest.mark.parametrize("name", ALONE)
def test_wsgi_application_without_a_twin_names_the_nearest_class(
    name: str, arguments: tuple[object, ...]
) -> None:
    assert message(ALONE[name], arguments) == (
        f"{name} is a WSGI application, and was called as one for ASGI, where there is none of its"
        " kind: for a server such as uvicorn, the nearest is wsgiproxy.asgi.ASGIProxyApp, which"
        " sends everything to one address"
    )


@pytest.mark.parametrize("name", ASGI)
def test_asgi_application_in_a_wsgi_server_names_its_twin(name: str) -> None:
    own = type(ASGI[name]).__name__
    assert message(ASGI[name], ({}, wsgi_application)) == (
        f"{own} is an ASGI application, and was called as one for WSGI: for a server such as"
        f" gunicorn or waitress, take wsgiproxy.{name}"
    )


@pytest.mark.parametrize(
    ("arguments", "counted"),
    [
        pytest.param((SCOPE,), "1 argument", id="ASGI-2"),
        pytest.param((SCOPE, receive, send, None), "4 arguments", id="one-too-many"),
    ],
)
@pytest.mark.parametrize("application", ASGI.values(), ids=ASGI)
def test_asgi_application_says_what_it_takes(
    application: object, arguments: tuple[object, ...], counted: str
) -> None:
    assert message(application, arguments) == (
        f"{type(application).__name__} is an application of ASGI 3, and was called with {counted}:"
        " expected scope, receive and send"
    )


@pytest.mark.parametrize("name", [*WSGI, *ALONE])
def test_wsgi_application_says_what_it_takes(name: str) -> None:
    assert message({**WSGI, **ALONE}[name], ({}, wsgi_application, None, None)) == (
        f"{name} is a WSGI application, and was called with 4 arguments: expected environ and"
        " start_response"
    )


def test_class_that_is_derived_from_ours_is_known() -> None:
    class Own(HostProxy):
        """As programs do that come from WSGIProxy2."""

    assert message(Own(HREF), (SCOPE,)).startswith("HostProxy is a WSGI application")


@pytest.mark.parametrize("name", [*WSGI, *ALONE])
def test_wsgi_application_is_refused_by_the_middleware_for_asgi(name: str) -> None:
    application: Any = {**WSGI, **ALONE}[name]
    assert not is_asgi(application)
    with pytest.raises(ConfigurationError, match="a WSGI application is for WSGIProxyMiddleware$"):
        ASGIProxyMiddleware(application)


def test_class_of_another_package_with_one_of_our_names_is_judged_by_its_call() -> None:
    class Proxy:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    assert is_asgi(Proxy())  # type: ignore[arg-type]
    ASGIProxyMiddleware(Proxy())
