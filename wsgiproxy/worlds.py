"""WSGI and ASGI: what tells an object of one world from its twin of the other."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction, isfunction, signature

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.hookforms import is_portable
from wsgiproxy.settings.setting import shown

__all__ = ["check_application", "check_transport", "is_asgi", "wrong_call"]

_TWINS = {
    "WSGIProxyApp": "ASGIProxyApp",
    "WSGIProxyMiddleware": "ASGIProxyMiddleware",
    "SpawningApplication": "ASGISpawningApplication",
    "ForwardProxy": "ASGIForwardProxy",
    "Router": "ASGIRouter",
}
_BACK = {twin: name for name, twin in _TWINS.items()}
#: Those of WSGI that have no twin.
_ALONE = {"ExactProxy", "Proxy", "HostProxy", "TransparentProxy", "Routes", "proxy_exact_request"}
_OURS = {*_TWINS, *_BACK, *_ALONE}


def wrong_call(application: object, first: object, second: object, *more: object) -> TypeError:
    """The error for an application that was called with other arguments than it takes.

    :param first: argument of the call.
    :param second: argument of the call; None if there was none.
    :param more: the others.

    >>> class ForwardProxy: pass
    >>> str(wrong_call(ForwardProxy(), {"type": "http"}, None))  # doctest: +NORMALIZE_WHITESPACE
    'ForwardProxy is a WSGI application, and was called as one for ASGI: for a server such as
    uvicorn, take wsgiproxy.asgi.ASGIForwardProxy'
    """
    count = 1 if second is None else 2 + len(more)
    name = next(iter(_our_names(application)), type(application).__name__)
    if name in _BACK:
        if count == 2:
            return TypeError(
                f"{name} is an ASGI application, and was called as one for WSGI: for a server such"
                f" as gunicorn or waitress, take wsgiproxy.{_BACK[name]}"
            )
        return TypeError(
            f"{name} is an application of ASGI 3, and was called with {_counted(count)}: expected"
            " scope, receive and send"
        )
    if count not in (1, 3):  # of ASGI 2 and of ASGI 3
        return TypeError(
            f"{name} is a WSGI application, and was called with {_counted(count)}: expected"
            " environ and start_response"
        )
    called = f"{name} is a WSGI application, and was called as one for ASGI"
    if name in _TWINS:
        twin = f"wsgiproxy.asgi.{_TWINS[name]}"
        return TypeError(f"{called}: for a server such as uvicorn, take {twin}")
    return TypeError(
        f"{called}, where there is none of its kind: for a server such as uvicorn, the nearest is"
        " wsgiproxy.asgi.ASGIProxyApp, which sends everything to one address"
    )


def _counted(count: int) -> str:
    return "1 argument" if count == 1 else f"{count} arguments"


def _our_names(application: object) -> list[str]:
    """What an application of this package is called; nothing for those of others.

    Ours take any number of arguments, so as to say which is the right class.
    """
    found = [application] if isfunction(application) else type(application).__mro__
    return [
        each.__name__
        for each in found
        if each.__module__.startswith("wsgiproxy.") and each.__name__ in _OURS
    ]


def check_transport(transport: object, *, is_async: bool) -> None:
    """Refuse a transport of the other world.

    :param is_async: whether it is for ASGI.
    :raises ConfigurationError: its ``send`` is not what it has to be.
    """
    send = None if isinstance(transport, type) else getattr(transport, "send", None)
    if callable(send) and iscoroutinefunction(send) is is_async:
        return
    wanted = "AsyncPooledTransport" if is_async else "PooledTransport"
    kind = "a coroutine function send()" if is_async else "a function send() that is no coroutine"
    raise ConfigurationError(
        f"transport={transport!r}: expected a transport with {kind}, such as"
        f" wsgiproxy.transport.{wanted}"
    )


def check_application(name: str, application: object, *, is_async: bool) -> None:
    """Refuse what is no application, and one that is for the middleware of the other world.

    :param name: of the parameter.
    :param is_async: whether an ASGI application is wanted.
    :raises ConfigurationError: it cannot be called, or only in the other world.
    """
    wanted, other = ("an ASGI", "a WSGI") if is_async else ("a WSGI", "an ASGI")
    hint = ""
    if callable(application):
        if is_portable(application) and not _takes(application, 3 if is_async else 2):
            hint = "; a hook is for hooks=[...]"
        elif not _is_of_the_other(application, is_async):
            return
        else:
            twin = "WSGIProxyMiddleware" if is_async else "ASGIProxyMiddleware"
            hint = f"; {other} application is for {twin}"
    elif isinstance(application, str):
        app = "wsgiproxy.asgi.ASGIProxyApp" if is_async else "WSGIProxyApp"
        hint = f"; the address of an upstream is for {app}"
    raise ConfigurationError(f"{name}={shown(application)}: expected {wanted} application{hint}")


def is_asgi(application: Callable[..., object]) -> bool:
    """Whether an application is one of ASGI 3, and not of WSGI: by its call, which is not tried.

    >>> async def asgi(*arguments): ...
    >>> def wsgi(environ, start_response): ...
    >>> is_asgi(asgi), is_asgi(lambda scope, receive, send: asgi()), is_asgi(wsgi)
    (True, True, False)
    """
    call = type(application).__call__
    if iscoroutinefunction(application) or iscoroutinefunction(call):
        return True
    return _is_of_the_other(application, is_async=False)


def _is_of_the_other(application: Callable[..., object], is_async: bool) -> bool:
    names = _our_names(application)
    if names:
        return (names[0] not in _BACK) is is_async
    wanted, other = (3, 2) if is_async else (2, 3)
    return not _takes(application, wanted) and _takes(application, other)


def _takes(application: Callable[..., object], arguments: int) -> bool:
    """Whether a call with so many arguments may succeed."""
    try:
        # What a decorator wraps may be called in another way than the decorator itself.
        signature(application, follow_wrapped=False).bind(*range(arguments))
    except TypeError:
        return False
    except ValueError:  # of some functions in C nothing is known
        return True
    return True
