"""How an object is an ASGI application that says so when it is called in another way."""

from __future__ import annotations

import weakref
from collections.abc import Coroutine
from typing import Any

from wsgiproxy.asgi.body import Receive, Scope, Send
from wsgiproxy.worlds import wrong_call

__all__ = ["Served"]


class Served:
    """An ASGI application: a class of its own has ``_serving``."""

    def __init__(self) -> None:
        # Servers look at the attribute whether an application is asynchronous; the call itself
        # goes to the method of the class, which can still raise at once. A reference to itself
        # would keep it alive.
        this = weakref.ref(self)

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            application = this()
            assert application is not None
            await application._serving(scope, receive, send)

        self.__dict__["__call__"] = serve

    def __call__(
        self,
        scope: Scope,
        receive: Receive | None = None,
        send: Send | None = None,
        *more: object,
    ) -> Coroutine[Any, Any, None]:
        """Serve one scope.

        :raises TypeError: it was called as a WSGI application, or as one of ASGI 2.
        """
        if receive is None or send is None or more:
            raise wrong_call(self, scope, receive, *(() if send is None else (send, *more)))
        return self._serving(scope, receive, send)

    def _serving(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """What serves one scope; a coroutine around it would cost each request a microsecond."""
        raise NotImplementedError
