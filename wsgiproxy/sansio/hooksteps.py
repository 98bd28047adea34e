"""What a hook may wait for: the steps that an edge takes for it, one after the other.

They are values without any input or output; what they cause is the edge's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from inspect import iscoroutinefunction, isgenerator
from typing import Any, NamedTuple

__all__ = ["Begin", "Beside", "Call", "Fetch", "InThread", "Read", "Script", "Send", "Wait"]


class Send(NamedTuple):
    """Send the request on; the result is its response."""

    request: Any


class Read(NamedTuple):
    """Read the whole body of a message, in memory; the result is its bytes.

    :param limit: bytes.
    """

    message: Any
    limit: int


class Fetch(NamedTuple):
    """Send a request of the hook's own; the result is its response."""

    request: Any


class Call(NamedTuple):
    """Call a hook that waits by itself: ``hook(request, forward)``; the result is what it returns.

    :param rest: gives the script of the hooks behind it.
    """

    hook: Callable[..., Any]
    request: Any
    rest: Callable[[Any], Script]


class Begin(NamedTuple):
    """Begin a script beside the request; the result is whether it was begun.

    :param name: of the hook that it is of.
    """

    script: Script
    name: str


class Wait:
    """To be yielded: the hook waits. A client that leaves meanwhile ends the request.

    Under WSGI that is noticed within half a second, if the server tells it (waitress, gunicorn,
    Werkzeug, gevent.pywsgi); under ASGI at once, if the request has no body.

    :param seconds: at least 0, and finite.
    :raises ValueError: it is not.

    >>> from wsgiproxy.hooks import Wait
    >>> def slow(request):
    ...     yield Wait(0.5)
    ...     yield request
    """

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        right = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        if not right or not 0 <= seconds < math.inf:
            raise ValueError(f"Wait({seconds!r}): expected a number of seconds, at least 0")
        self.seconds = seconds


class Beside:
    """To be yielded: a generator runs beside the request, which does not wait for it.

    It yields what hooks yield: requests of its own, ``response.read()`` of their responses,
    :class:`Wait` and :class:`InThread`, but neither the request that is served nor another
    ``Beside``. The result of the yield is True if it was begun, and False if as many run already
    as may (32 of each application); the generator is closed then. What it raises is logged with
    the name of the hook. Under WSGI it runs in a daemon thread, under ASGI in a task that is
    cancelled when the application is closed.

    :param script: a generator, which is what a call of a generator function gives.
    :raises TypeError: it is none.

    >>> from wsgiproxy.hooks import Beside, Request
    >>> def tell(path):
    ...     yield Request("POST", "http://localhost:9000/seen", body=path)
    >>> def seen(request):
    ...     yield Beside(tell(request.path))
    ...     yield request
    """

    __slots__ = ("script",)

    def __init__(self, script: Generator[Any, Any, Any]) -> None:
        if not isgenerator(script):
            raise TypeError(f"Beside({script!r}): expected a generator")
        self.script = script


class InThread:
    """To be yielded: call a function that blocks, such as one of a client of Redis.

    The result of the yield is what it returns, and what it raises is raised there. Under WSGI it
    is called in the thread of the request, under ASGI in one of the event loop's own
    (``asyncio.to_thread``); there it goes on when the client leaves.

    :param function: no coroutine function.
    :param arguments: with which it is called.
    :raises TypeError: it is no function that can be called in a thread.

    >>> from pathlib import Path
    >>> from wsgiproxy.hooks import InThread
    >>> def closed(request):
    ...     if (yield InThread(Path("/run/closed").exists)):
    ...         request.raw_path = "/closed.html"
    ...     yield request
    """

    __slots__ = ("arguments", "function")

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        if not callable(function) or iscoroutinefunction(function):
            raise TypeError(f"InThread({function!r}): expected a function that is not async")
        self.function, self.arguments = function, arguments

    def call(self) -> Any:
        """What the function returns.

        :raises RuntimeError: it raises StopIteration, which neither generators nor futures carry.
        """
        try:
            return self.function(*self.arguments)
        except StopIteration as error:
            raise RuntimeError(f"{self.function!r} raises StopIteration") from error


Script = Generator[Send | Read | Fetch | Call | Begin | Wait | InThread, Any, Any]
