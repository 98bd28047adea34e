"""One hook with one request: a generator from its first step to its end."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

from wsgiproxy.errors import ProxyError

__all__ = ["End", "HookFailed", "Report", "Run", "shown"]

# A hook that goes on for ever, in spite of all failures, is ended.
_MOST_STEPS = 1000


class HookFailed(ProxyError):
    """A hook has raised something else than an error of ours, or does not do what hooks do.

    :param what: what it has done.
    :param hook: its name; empty if that is not known yet.
    """

    status = 500

    def __init__(self, what: str, hook: str = "") -> None:
        super().__init__(f"hook {hook}: {what}" if hook else what)
        self.what = what
        self.hook = hook

    def named(self, hook: str) -> HookFailed:
        """The same failure with the name of a hook, unless it has one."""
        if self.hook:
            return self
        named = HookFailed(self.what, hook)
        named.__cause__ = self.__cause__
        return named


Report = Callable[[HookFailed], None]


def shown(thing: object) -> str:
    """How a thing of a hook's is called in messages; its own ``repr`` may fail."""
    try:
        return repr(thing)
    except Exception:
        return f"a {type(thing).__name__}"


class Run:
    """One portable hook with one request, or what it runs beside it.

    :ivar response: that of the request, when it has been sent on.
    :ivar sent: how often it has sent the request on.
    """

    __slots__ = ("_generator", "_left", "name", "response", "sent")

    def __init__(self, generator: Generator[Any, Any, Any], name: str) -> None:
        self._generator = generator
        self._left = _MOST_STEPS
        self.name = name
        self.response: Any = None
        self.sent = 0

    def send(self, result: Any) -> Any:
        """What it wants next, or its end; what it raises is its own failure."""
        self._left -= 1
        if self._left < 0:
            raise HookFailed(f"has yielded {_MOST_STEPS} times", self.name)
        try:
            return self._generator.send(result)
        except StopIteration as end:
            return End(end.value)
        except ProxyError:
            raise
        except Exception as error:
            raise HookFailed(shown(error), self.name) from error

    def throw(self, error: Exception, is_own: bool) -> Any:
        """The same with an error instead of a result, which is not its own if it lets it pass.

        :param is_own: it comes from a function of its own, all the same.
        """
        self._left -= 1
        if self._left < 0:
            raise HookFailed(f"has yielded {_MOST_STEPS} times", self.name)
        if isinstance(error, HookFailed):
            error = error.named(self.name)
        try:
            return self._generator.throw(error)
        except StopIteration as end:
            return End(end.value)
        except ProxyError:
            raise
        except Exception as failure:
            if failure is error and not is_own:
                raise
            raise HookFailed(shown(failure), self.name) from failure

    def end(self, report: Report) -> None:
        """End it, and report if it does not end well."""
        try:
            self._generator.close()
        except Exception as error:
            # One that yields instead of ending is asked once more.
            with suppress(Exception):
                self._generator.close()
            fault = HookFailed(f"at its end: {shown(error)}", self.name)
            fault.__cause__ = error
            report(fault)


class End:
    """The end of a hook, with what it returns."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value
