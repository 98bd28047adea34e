"""Chains of hooks as steps, driven by hand: forms, order, failures, and the end of each."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from wsgiproxy.errors import ConfigurationError, Forbidden, ProxyError, UpstreamLost
from wsgiproxy.sansio import hooks
from wsgiproxy.sansio.hooks import (
    Begin,
    Beside,
    Call,
    Fetch,
    HookFailed,
    InThread,
    Message,
    Read,
    Send,
    Wait,
    checked_hooks,
    run,
)


class Fake(Message):
    def __init__(self, kind: str, wrong: str = "") -> None:
        self.kind = kind
        self.wrong = wrong
        self.owners: list[str] = []

    def what_is_wrong(self) -> str:
        return self.wrong

    def claim(self, hook: str) -> None:
        self.owners.append(hook)


REQUEST = Fake("request")
RESPONSE = Fake("response")


def drive(found: list[Any], *results: Any, request: Any = REQUEST, **more: Any) -> Any:
    """What a chain ends with, each step of which gives the next of *results*."""
    script, given = run(hooks.links(found), request, **more), list(results)
    value: Any = None
    try:
        while True:
            is_error = isinstance(value, Exception)
            step = script.throw(value) if is_error else script.send(value)
            if isinstance(step, Call):
                assert given, f"not expected: {step}"
            value = given.pop(0) if given else RESPONSE
    except StopIteration as end:
        assert not given
        return end.value


def passes(request):
    return (yield request)


def plain(request):
    yield request


# -- forms -----------------------------------------------------------------------------


class Callable_:
    def __call__(self, request):
        yield request


class Method:
    def hook(self, request):
        yield request


def sync(request, forward): ...


async def waiting(request, forward): ...


async def asynchronous(request):
    yield request


def no_yield(request): ...


def two(request, more):
    yield request


def by_name(request, *, more):
    yield request


def optional(request, more=None):
    yield request


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    "hook",
    [
        pytest.param(passes, id="generator function"),
        pytest.param(Callable_(), id="object"),
        pytest.param(Method().hook, id="method"),
        pytest.param(partial(two, more=1), id="partial"),
        pytest.param(optional, id="default"),
    ],
)
def test_a_portable_hook_is_taken_in_both_worlds(hook, is_async):
    assert checked_hooks([hook], is_async=is_async) == (hook,)
    assert drive([hook]) is RESPONSE


@pytest.mark.parametrize(
    ("hook", "is_async", "says"),
    [
        pytest.param(waiting, False, "waiting is of the other world", id="async on WSGI"),
        pytest.param(sync, True, "sync is of the other world", id="sync on ASGI"),
        pytest.param(asynchronous, True, "asynchronous is an async generator", id="async yield"),
        pytest.param(no_yield, False, "no_yield has no yield", id="no yield"),
        pytest.param(no_yield, True, "no_yield has no yield", id="no yield on ASGI"),
        pytest.param(two, False, "two takes 2 parameters", id="two parameters"),
        pytest.param(by_name, False, "by_name takes 2 parameters", id="keyword-only"),
        pytest.param(lambda: None, False, "<lambda> takes 0 parameters", id="none"),
        pytest.param(5, False, "5 is a int", id="no function"),
        pytest.param(Callable_, False, "is a type", id="class"),
        pytest.param(print, False, "print takes", id="built in"),
        pytest.param(max, False, "max takes 0 parameters", id="without a signature"),
    ],
)
def test_a_wrong_form_is_refused_by_name(hook, is_async, says):
    with pytest.raises(ConfigurationError, match=f"hooks: .*{says}"):
        checked_hooks([hook], is_async=is_async)


@pytest.mark.parametrize("given", [passes, "passes", b"", 5, None])
def test_hooks_are_a_list(given):
    with pytest.raises(ConfigurationError, match="expected a list of functions"):
        checked_hooks(given, is_async=False)


def test_phases_sort_and_keep_the_order_within():
    first, second = hooks.with_phase(plain, hooks.CLIENT_EDGE), hooks.with_phase(passes, 1000)
    third = hooks.with_phase(plain, 0)
    assert checked_hooks([second, passes, first, plain, third], is_async=False) == (
        first,
        third,
        passes,
        plain,
        second,
    )
    assert hooks.name_of(first) == "plain"


@pytest.mark.parametrize("phase", [True, "1", None, 1.5])
def test_a_phase_is_a_whole_number(phase):
    with pytest.raises(ConfigurationError, match="phase="):
        hooks.with_phase(plain, phase)
    hook = Callable_()
    hook.phase = phase
    with pytest.raises(ConfigurationError, match="phase"):
        checked_hooks([hook], is_async=False)


def test_what_is_no_function_has_no_phase():
    with pytest.raises(ConfigurationError, match="a hook of type int"):
        hooks.with_phase(5, 1)


# -- what hooks yield and return ---------------------------------------------------------


def test_no_hook_sends_the_request():
    assert next(run(hooks.links([]), REQUEST)) == Send(REQUEST)


def test_the_first_hook_is_outermost():
    seen = []

    def noting(name):
        def hook(request):
            seen.append(f"{name} in")
            yield request
            seen.append(f"{name} out")

        return hook

    assert drive([noting("a"), noting("b")]) is RESPONSE
    assert seen == ["a in", "b in", "b out", "a out"]


def test_each_wish_is_a_step():
    own, other = Fake("own"), Fake("response")

    def hook(request):
        assert (yield Read(request, 5)) == b"body"
        assert (yield own) is other
        assert (yield request) is RESPONSE
        assert (yield request) is RESPONSE
        return other

    script = run(hooks.links([hook]), REQUEST)
    assert script.send(None) == Read(REQUEST, 5)
    assert script.send(b"body") == Fetch(own)
    assert script.send(other) == Send(REQUEST)
    assert script.send(RESPONSE) == Send(REQUEST)
    with pytest.raises(StopIteration) as end:
        script.send(RESPONSE)
    assert end.value.value is other
    assert own.owners == [name := hooks.name_of(hook)] and other.owners == [name]


def test_an_answer_without_the_upstream():
    def answers(request):
        return RESPONSE
        yield

    def never(request):
        raise AssertionError
        yield

    assert drive([answers, never]) is RESPONSE


def yields_nonsense(request):
    while True:
        with suppress(Exception):
            yield 5


def yields_another(request):
    yield Fake("request")


def yields_a_response(request):
    yield Fake("response")


def returns_nonsense(request):
    yield request
    return 5


def returns_the_request(request):
    yield request
    return request


def never_yields(request):
    return
    yield


def raises_before(request):
    raise ValueError("before")
    yield


def raises_after(request):
    yield request
    raise KeyError("after")


def for_ever(request):
    while True:
        with suppress(Exception):
            yield request


def wrong_response(request):
    yield request
    return Fake("response", "status=1000")


def wrong_own(request):
    yield Fake("own", "no host")


@pytest.mark.parametrize(
    ("hook", "says"),
    [
        (yields_nonsense, "yields 5"),
        (yields_another, "yields <"),
        (yields_a_response, "yields <"),
        (returns_nonsense, "returns 5"),
        (returns_the_request, "returns <"),
        (never_yields, "returns nothing, and has not yielded"),
        (raises_before, r"ValueError\('before'\)"),
        (raises_after, r"KeyError\('after'\)"),
        (for_ever, "has yielded 1000 times"),
        (wrong_response, "status=1000"),
        (wrong_own, "no host"),
    ],
)
def test_nonsense_is_a_failure_that_names_the_hook(hook, says):
    for around in [], [passes]:
        with pytest.raises(HookFailed, match=rf"^hook {hook.__name__}: .*{says}") as failed:
            drive([*around, hook])
        assert failed.value.status == 500


def test_a_request_that_cannot_be_sent_is_the_fault_of_the_hook_that_yields_it():
    with pytest.raises(HookFailed, match="hook plain: method"):
        drive([plain, passes], request=Fake("request", "method"))


def test_an_error_of_ours_passes_as_it_is():
    def forbids(request):
        raise Forbidden("not you")
        yield

    with pytest.raises(Forbidden, match="^not you$"):
        drive([passes, forbids])


# -- failures ----------------------------------------------------------------------------


def test_a_failure_is_thrown_in_and_may_become_an_answer():
    error, other = UpstreamLost("gone"), Fake("response")

    def catches(request):
        with pytest.raises(UpstreamLost):
            yield request
        return other

    assert drive([catches, passes], error) is other


def test_a_failure_inside_may_become_an_answer_outside():
    other = Fake("response")

    def catches(request):
        try:
            yield request
        except ProxyError:
            return other

    assert drive([catches, raises_before]) is other
    assert drive([catches, yields_nonsense]) is other


@pytest.mark.parametrize("error", [UpstreamLost("gone"), OSError("odd")])
def test_a_failure_that_no_hook_catches_is_not_theirs(error):
    with pytest.raises(type(error)) as raised:
        drive([passes, plain], error)
    assert raised.value is error


def test_a_failure_of_the_edge_gets_the_name_of_the_innermost():
    with pytest.raises(HookFailed, match="^hook plain: the body has gone"):
        drive([passes, plain], HookFailed("the body has gone"))


def test_a_second_try_after_a_failure():
    def tries(request):
        try:
            return (yield request)
        except UpstreamLost:
            return (yield request)

    assert drive([tries], UpstreamLost(""), RESPONSE) is RESPONSE


# -- the end -----------------------------------------------------------------------------


def test_every_hook_that_was_begun_is_ended():
    ended = []

    def noting(request):
        try:
            yield request
        finally:
            ended.append(1)

    script = run(hooks.links([noting, noting]), REQUEST)
    next(script)
    script.close()
    assert ended == [1, 1]


def swallows(request):
    try:
        yield request
    except GeneratorExit:
        yield request


def fails_at_its_end(request):
    try:
        yield request
    finally:
        raise ValueError("end")


@pytest.mark.parametrize(
    ("hook", "says"), [(swallows, "ignored GeneratorExit"), (fails_at_its_end, "ValueError")]
)
def test_a_hook_that_does_not_end_well_is_reported_and_stops_nothing(hook, says):
    ended, faults = [], []

    def noting(request):
        try:
            yield request
        finally:
            ended.append(1)

    script = run(hooks.links([noting, hook, noting]), REQUEST, faults.append)
    next(script)
    script.close()
    assert ended == [1, 1]
    assert [fault.hook for fault in faults] == [hook.__name__]
    assert says in str(faults[0])
    silent = run(hooks.links([hook]), REQUEST)
    next(silent)
    silent.close()


def test_what_is_no_exception_of_hooks_ends_them_all():
    ended = []

    def noting(request):
        try:
            yield request
        except Exception:
            ended.append("caught")
        finally:
            ended.append("ended")

    script = run(hooks.links([noting, noting]), REQUEST)
    next(script)
    with pytest.raises(KeyboardInterrupt):
        script.throw(KeyboardInterrupt())
    assert ended == ["ended", "ended"]


# -- the form that waits by itself ---------------------------------------------------------


def test_a_hook_that_waits_by_itself_is_called_by_the_edge():
    script = run(hooks.links([sync, passes]), REQUEST)
    step = script.send(None)
    assert isinstance(step, Call) and step.hook is sync and step.request is REQUEST
    inner = step.rest(REQUEST)
    assert inner.send(None) == Send(REQUEST)
    inner.close()
    with pytest.raises(HookFailed, match="hook sync: forward"):
        step.rest(Fake("request"))
    with pytest.raises(StopIteration) as end:
        script.send(RESPONSE)
    assert end.value.value is RESPONSE


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (None, "hook sync: returns nothing"),
        (ValueError("x"), r"hook sync: ValueError\('x'\)"),
        (HookFailed("the body has gone"), "hook sync: the body has gone"),
        (HookFailed("x", "other"), "hook other: x"),
    ],
)
def test_a_failure_of_one_that_waits_by_itself(result, says):
    with pytest.raises(HookFailed, match=says):
        drive([sync], result)


def test_an_error_of_ours_passes_one_that_waits_by_itself():
    with pytest.raises(UpstreamLost):
        drive([sync], UpstreamLost("x"))


def test_a_message_says_itself_what_is_wrong():
    for method in (Message().what_is_wrong, partial(Message().claim, "x")):
        with pytest.raises(NotImplementedError):
            method()


# -- steps that are no message ---------------------------------------------------------


def steps_of(hook: Any, *results: Any) -> tuple[list[Any], Any]:
    """The steps of a hook, each with the next of *results*; and what it ends with."""
    script, steps, given = run(hooks.links([hook]), REQUEST), [], list(results)
    step = next(script)
    try:
        while True:
            steps.append(step)
            value = given.pop(0)
            step = script.throw(value) if isinstance(value, Exception) else script.send(value)
    except StopIteration as end:
        return steps, end.value


def test_steps_reach_the_edge_as_they_are() -> None:
    wait, thread = Wait(1), InThread(int, "5")

    def hook(request):
        assert (yield wait) is None
        assert (yield thread) == 5
        yield request

    assert steps_of(hook, None, thread.call(), RESPONSE) == (
        [wait, thread, Send(REQUEST)],
        RESPONSE,
    )


def test_an_error_of_a_function_is_that_of_the_hook() -> None:
    def hook(request):
        yield InThread(int, "x")

    with pytest.raises(HookFailed, match=r"hook \S+hook: ValueError\('x'\)"):
        steps_of(hook, ValueError("x"))
    with pytest.raises(Forbidden):
        steps_of(hook, Forbidden("x"))


@pytest.mark.parametrize("is_begun", [True, False])
def test_what_is_not_begun_is_closed(is_begun: bool) -> None:
    def beside():
        try:
            yield Wait(1)
            yield Wait(2)
        finally:
            ended.append(True)

    def hook(request):
        generator = beside()
        next(generator)
        assert (yield Beside(generator)) is is_begun
        yield request

    ended: list[bool] = []
    steps, _ = steps_of(hook, is_begun, RESPONSE)
    assert isinstance(steps[0], Begin) and "hook" in steps[0].name
    assert ended == [True] * (not is_begun)
    if is_begun:
        assert next(steps[0].script).seconds == 2
        steps[0].script.close()
    assert ended == [True]


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(REQUEST, id="request"),
        pytest.param(Read(REQUEST, 1), id="read"),
        pytest.param(RESPONSE, id="response"),
        pytest.param(None, id="nothing"),
    ],
)
def test_what_is_not_to_be_had_beside(wanted: Any) -> None:
    def beside():
        yield wanted

    def hook(request):
        yield Beside(beside())
        yield request

    steps, _ = steps_of(hook, True, RESPONSE)
    with pytest.raises(HookFailed, match="beside the request: yields .*: expected a Request of"):
        next(steps[0].script)


def test_what_is_to_be_had_beside() -> None:
    own = Fake("own")

    def beside():
        yield own
        yield Read(RESPONSE, 1)

    def hook(request):
        yield Beside(beside())
        yield request

    (begin, _), _ = steps_of(hook, True, RESPONSE)
    assert next(begin.script) == Fetch(own)
    assert begin.script.send(RESPONSE) == Read(RESPONSE, 1)
    assert own.owners == [begin.name]


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), True, "1", None])
def test_a_wait_is_a_number_of_seconds(seconds: Any) -> None:
    with pytest.raises(ValueError, match=r"^Wait\(.*\): expected a number of seconds"):
        Wait(seconds)


def test_steps_are_made_of_what_they_can_run() -> None:
    for wrong in (5, waiting):
        with pytest.raises(TypeError, match="InThread"):
            InThread(wrong)  # type: ignore[arg-type]
    for wrong in (5, passes, iter([])):
        with pytest.raises(TypeError, match="Beside"):
            Beside(wrong)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="raises StopIteration"):
        InThread(next, iter([])).call()
