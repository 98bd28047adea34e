"""What a hook may be, how it is called, and in which order hooks stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from inspect import (
    Parameter,
    isasyncgenfunction,
    iscoroutinefunction,
    isgeneratorfunction,
    isroutine,
    signature,
)
from typing import Any, NamedTuple

from wsgiproxy.errors import ConfigurationError

__all__ = [
    "CLIENT_EDGE",
    "PROXY",
    "TARGET_EDGE",
    "Hook",
    "Link",
    "checked_hooks",
    "is_portable",
    "links",
    "name_of",
    "with_phase",
]

Hook = Callable[..., Any]

#: Phases: hooks of a lower one stand nearer to the client.
CLIENT_EDGE, PROXY, TARGET_EDGE = 0, 500, 1000


class Link(NamedTuple):
    """A hook of a chain, with what every request asks of it.

    :param is_portable: as of :func:`is_portable`.
    """

    hook: Hook
    name: str
    is_portable: bool


def links(hooks: Iterable[Hook]) -> tuple[Link, ...]:
    """The chain of checked hooks, the first of which is outermost."""
    return tuple(Link(hook, name_of(hook), is_portable(hook)) for hook in hooks)


def is_portable(hook: Hook) -> bool:
    """Whether a hook is a generator function, which runs under WSGI and ASGI."""
    return isgeneratorfunction(_function(hook))


def name_of(hook: Hook) -> str:
    """How a hook is called in messages."""
    while isinstance(hook, partial):
        hook = hook.func
    return getattr(hook, "__qualname__", None) or repr(hook)


def checked_hooks(hooks: Iterable[Hook], *, is_async: bool) -> tuple[Hook, ...]:
    """The hooks in their order, each of a right form: by phase, then as they were given.

    :param is_async: whether they are for ASGI.
    :raises ConfigurationError: naming the one that is not.
    """
    if callable(hooks) or isinstance(hooks, (str, bytes)) or not isinstance(hooks, Iterable):
        raise ConfigurationError(f"hooks={hooks!r}: expected a list of functions")
    found = tuple(hooks)
    for hook in found:
        wrong = _what_is_wrong(hook, is_async)
        if wrong:
            raise ConfigurationError(f"hooks: {name_of(hook)} {wrong}")
    return tuple(sorted(found, key=lambda hook: getattr(hook, "phase", PROXY)))


def with_phase(hook: Hook, phase: int) -> Hook:
    """The same hook in a phase: hooks of a lower one stand before those of a higher one.

    :raises ConfigurationError: the phase is no whole number, or the hook no function.
    """
    if not _is_phase(phase):
        raise ConfigurationError(f"phase={phase!r}: expected a whole number")
    if not callable(hook):
        raise ConfigurationError(f"a hook of type {type(hook).__name__}: expected a function")
    found = partial(hook)
    found.phase = phase  # type: ignore[attr-defined]
    return found


def _is_phase(phase: object) -> bool:
    return isinstance(phase, int) and not isinstance(phase, bool)


def _what_is_wrong(hook: Hook, is_async: bool) -> str:
    if not callable(hook) or isinstance(hook, type):
        return f"is a {type(hook).__name__}: expected a function"
    if not _is_phase(getattr(hook, "phase", PROXY)):
        return "has a phase that is no whole number"
    function = _function(hook)
    count = _parameters(hook)
    if isasyncgenfunction(function):
        return "is an async generator: expected a plain generator, which yields what it waits for"
    if isgeneratorfunction(function):
        return "" if count == 1 else f"takes {count} parameters: a generator takes the request"
    right = "async def hook(request, forward)" if is_async else "def hook(request, forward)"
    if count == 1:
        return f"has no yield: expected a generator function, or {right}"
    if iscoroutinefunction(function) is not is_async:
        return f"is of the other world: expected a generator function, or {right}"
    if count != 2:
        return f"takes {count} parameters: expected the request and forward"
    return ""


def _function(hook: Hook) -> Any:
    """The function that is called: that of an object is a method."""
    while isinstance(hook, partial):
        hook = hook.func
    return hook if isroutine(hook) else getattr(hook, "__call__", hook)  # noqa: B004


def _parameters(hook: Hook) -> int:
    # One that must be given by its name never is.
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    try:
        parameters = signature(hook).parameters.values()
    except (TypeError, ValueError):
        return 0
    return sum(each.kind in kinds and each.default is Parameter.empty for each in parameters)
