"""Running a chain of hooks, step by step, for either edge.

A hook says what it waits for; the edge waits. What becomes of what it does, and of a failure, is
decided here, the same for both; what a hook may be, in :mod:`wsgiproxy.sansio.hookforms`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from wsgiproxy.errors import ProxyError
from wsgiproxy.sansio.hookforms import (
    CLIENT_EDGE,
    PROXY,
    TARGET_EDGE,
    Hook,
    Link,
    checked_hooks,
    links,
    name_of,
    with_phase,
)
from wsgiproxy.sansio.hookrun import End, HookFailed, Report, Run, shown
from wsgiproxy.sansio.hooksteps import (
    Begin,
    Beside,
    Call,
    Fetch,
    InThread,
    Read,
    Script,
    Send,
    Wait,
)

__all__ = [
    "CLIENT_EDGE",
    "PROXY",
    "TARGET_EDGE",
    "Begin",
    "Beside",
    "Call",
    "Fetch",
    "Hook",
    "HookFailed",
    "InThread",
    "Link",
    "Message",
    "Read",
    "Script",
    "Send",
    "Wait",
    "checked_hooks",
    "links",
    "name_of",
    "run",
    "with_phase",
]


class Message:
    """What hooks see: a request or a response.

    :ivar kind: ``request``, the one that is served; ``own``, a request of a hook's own; or
        ``response``.
    """

    __slots__ = ()

    kind: str

    def what_is_wrong(self) -> str:
        """What hooks have set and cannot be sent; empty if all is well."""
        raise NotImplementedError

    def claim(self, hook: str) -> None:
        """Note whose fault it is if the body that is set now fails."""
        raise NotImplementedError


def _ignore(fault: HookFailed) -> None:
    """The report of a caller that has no log."""


# In the place of the request, where something runs beside it.
_NONE = object()
_BESIDE = "a Request of its own, response.read(), Wait or InThread"
_WITHIN = f"the request, request.read(), Beside, {_BESIDE}"


def run(links: Sequence[Link], request: Any, report: Report = _ignore) -> Script:
    """The response to *request*: of the first hook, or of the upstream if there are none.

    :param links: of the hooks; the first is outermost.
    :param report: told of failures of hooks at their end, when there is no answer to give.
    """
    return _Chain(links, request, report, []).script()


class _Chain:
    """The hooks of one request, or what one of them runs beside it, from beginning to end.

    It is one flat loop, not a generator for each hook: every request goes through it.

    :param request: the one that is served; _NONE beside it.
    :param begun: the hooks that have begun, the innermost last.
    """

    __slots__ = ("_begun", "_is_mistake", "_links", "_report", "_request")

    def __init__(
        self, links: Sequence[Link], request: Any, report: Report, begun: list[Run]
    ) -> None:
        self._links = links
        self._request = request
        self._report = report
        self._begun = begun
        # Of the innermost hook, which ends by it; all other errors are thrown into that one.
        self._is_mistake = False

    def script(self) -> Script:
        """What the hooks wait for, one step after the other; it ends with the response."""
        request, links, begun = self._request, self._links, self._begun
        wanted = request
        try:
            while True:
                result: Any = None
                error: Exception | None = None
                self._is_mistake = bool(begun)
                try:
                    if type(wanted) is End:
                        result = self._returned(wanted.value)
                    elif wanted is not request:
                        result = yield from self._other(wanted)
                    elif len(begun) < len(links):
                        result = yield from self._next(links[len(begun)])
                    elif request is not _NONE:
                        self._sending()
                        result = self._answered((yield Send(request)))
                except Exception as failure:
                    error = self._named(failure) if wanted is request else failure
                if not begun and error is None:
                    return result
                wanted = self._fed(result, error, type(wanted) is InThread)
        except BaseException:  # also GeneratorExit: nothing more is wanted
            for one in reversed(begun):
                one.end(self._report)
            raise

    def _fed(self, result: Any, error: Exception | None, is_own: bool) -> Any:
        """What the innermost hook wants next, with its result or an error; or its end.

        One that fails is ended, and its failure is thrown into the next one.

        :param is_own: the error comes from a function of the hook's own.
        """
        begun = self._begun
        while begun:
            one = begun[-1]
            try:
                if error is None:
                    return one.send(result)
                if self._is_mistake:  # it might make it again for ever
                    raise error
                return one.throw(error, is_own)
            except Exception as failure:
                one.end(self._report)
                begun.pop()
                error, is_own, self._is_mistake = failure, False, False
        assert error is not None
        raise error

    def _sending(self) -> None:
        """The request goes on, as the innermost hook has left it."""
        if self._begun:
            _check(self._request, self._begun[-1].name)
            self._begun[-1].sent += 1
        self._is_mistake = False

    def _named(self, error: Exception) -> Exception:
        """A failure to send the request: of the hook that has sent it again, if one has."""
        if not isinstance(error, HookFailed) or not self._begun:
            return error
        again = [one.name for one in self._begun if one.sent > 1]
        return error.named(again[-1]) if again else error

    def _answered(self, response: Any) -> Any:
        """The response to the request, for the innermost hook."""
        if self._begun:
            self._begun[-1].response = response
        return response

    def _returned(self, value: Any) -> Any:
        """The response of the innermost hook, which has ended, or what ran beside returns."""
        one = self._begun[-1]
        if self._request is not _NONE:
            value = _response(one.name, value, one.response)
        self._begun.pop()
        return self._answered(value)

    def _next(self, link: Link) -> Script:
        """Begin the next hook, or call it where it waits by itself."""
        self._sending()
        request = self._request
        if link.is_portable:
            self._begun.append(Run(link.hook(request), link.name))
            return None
        rest, name = self._links[len(self._begun) + 1 :], link.name

        def behind(given: Any) -> Script:
            if given is not request:
                raise HookFailed(
                    f"forward({shown(given)}): expected the request that it has got", name
                )
            _check(request, name)
            return run(rest, request, self._report)

        try:
            response = yield Call(link.hook, request, behind)
        except HookFailed as error:
            raise error.named(name) from error.__cause__
        except ProxyError:
            raise
        except Exception as error:
            raise HookFailed(shown(error), name) from error
        return self._answered(_response(name, response, None))

    def _other(self, wanted: Any) -> Script:
        """The result of what the innermost hook wants besides sending the request on.

        :raises HookFailed: it cannot be had.
        """
        name, is_beside = self._begun[-1].name, self._request is _NONE
        if isinstance(wanted, Beside) and not is_beside:
            self._is_mistake = False
            return (yield from self._beside(wanted.script, name))
        if isinstance(wanted, Message) and wanted.kind == "own":
            _check(wanted, name)
            wanted = Fetch(wanted)
        elif not isinstance(wanted, (Wait, InThread)) and not self._may_read(wanted):
            where, expected = ("beside the request: ", _BESIDE) if is_beside else ("", _WITHIN)
            raise HookFailed(f"{where}yields {shown(wanted)}: expected {expected}", name)
        self._is_mistake = False
        return (yield wanted)

    def _may_read(self, wanted: Any) -> bool:
        # The body of a request is read for its own hooks, and by nothing beside it.
        return isinstance(wanted, Read) and (
            wanted.message is self._request or wanted.message.kind != "request"
        )

    def _beside(self, generator: Generator[Any, Any, Any], name: str) -> Script:
        one = Run(generator, name)
        is_begun = False
        try:
            is_begun = yield Begin(_Chain((), _NONE, self._report, [one]).script(), name)
        finally:
            if not is_begun:
                one.end(self._report)
        return is_begun


def _check(message: Any, name: str) -> None:
    wrong = message.what_is_wrong()
    if wrong:
        raise HookFailed(wrong, name)
    message.claim(name)


def _response(name: str, returned: Any, last: Any) -> Any:
    if returned is None:
        returned = last
    if isinstance(returned, Message) and returned.kind == "response":
        _check(returned, name)
        return returned
    what = "nothing, and has not yielded the request" if returned is None else shown(returned)
    raise HookFailed(f"returns {what}: expected a Response", name)
