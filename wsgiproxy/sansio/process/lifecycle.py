"""The life of a process that is started on demand: states, events, and what to do.

Time is passed in, and nothing is started or ended here.
"""

from __future__ import annotations

import enum
import math
from typing import NamedTuple

__all__ = [
    "LONGEST_PAUSE",
    "STABLE",
    "SHORT_PAUSE",
    "STOPPED",
    "Action",
    "Event",
    "Phase",
    "State",
    "due",
    "next_look",
    "pause",
    "retry_after",
    "step",
]

#: Seconds of service after which a crash counts as the first one.
STABLE = 60.0
#: The longest pause between two starts, in seconds.
LONGEST_PAUSE = 30.0
#: A pause of at most so many seconds is waited for; a request in a longer one is refused.
SHORT_PAUSE = 1.0


class Phase(enum.Enum):
    """Where a process is in its life."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    BACKING_OFF = "backing off"
    FAILED = "failed"


class Event(enum.Enum):
    """What may happen to it."""

    ASKED = "a request has come"
    ANSWERS = "it is ready to serve"
    ENDED = "its main process has ended by itself, with status 0"
    CRASHED = "its main process has ended in any other way"
    UNUSABLE = "the command cannot be run"
    LATE = "it was not ready in time"
    IDLE = "nobody has used it for long enough"
    STOP = "somebody wants it to end"
    GONE = "nothing is left of it"


class Action(enum.Enum):
    """What is to be done about it."""

    NOTHING = "nothing"
    START = "start it"
    SERVE = "send the request"
    WAIT = "let the request wait"
    REFUSE = "refuse the request"
    END = "end the process and all that it has started"


class State(NamedTuple):
    """A phase, and what counts in it.

    :param phase: the phase.
    :param since: when it began, in seconds of a monotonic clock.
    :param until: when it is over: the limit of a start, the end of a pause; else infinite.
    :param failures: starts and runs in a row that ended badly.
    :param then: the phase after DRAINING.
    """

    phase: Phase
    since: float = 0.0
    until: float = math.inf
    failures: int = 0
    then: Phase = Phase.STOPPED


STOPPED = State(Phase.STOPPED)

# Whatever is not in the table changes nothing: an event may come late, when another has
# decided already.
_TABLE: dict[tuple[Phase, Event], tuple[Phase, Action]] = {
    (Phase.STOPPED, Event.ASKED): (Phase.STARTING, Action.START),
    (Phase.STARTING, Event.ASKED): (Phase.STARTING, Action.WAIT),
    (Phase.STARTING, Event.ANSWERS): (Phase.READY, Action.NOTHING),
    (Phase.STARTING, Event.ENDED): (Phase.DRAINING, Action.NOTHING),
    (Phase.STARTING, Event.CRASHED): (Phase.DRAINING, Action.NOTHING),
    (Phase.STARTING, Event.UNUSABLE): (Phase.DRAINING, Action.NOTHING),
    (Phase.STARTING, Event.LATE): (Phase.DRAINING, Action.END),
    (Phase.STARTING, Event.STOP): (Phase.DRAINING, Action.END),
    (Phase.STARTING, Event.GONE): (Phase.BACKING_OFF, Action.NOTHING),
    (Phase.READY, Event.ASKED): (Phase.READY, Action.SERVE),
    (Phase.READY, Event.ENDED): (Phase.DRAINING, Action.NOTHING),
    (Phase.READY, Event.CRASHED): (Phase.DRAINING, Action.NOTHING),
    (Phase.READY, Event.IDLE): (Phase.DRAINING, Action.END),
    (Phase.READY, Event.STOP): (Phase.DRAINING, Action.END),
    (Phase.READY, Event.GONE): (Phase.BACKING_OFF, Action.NOTHING),
    (Phase.DRAINING, Event.ASKED): (Phase.DRAINING, Action.WAIT),
    (Phase.DRAINING, Event.STOP): (Phase.DRAINING, Action.NOTHING),
    (Phase.DRAINING, Event.GONE): (Phase.STOPPED, Action.NOTHING),
    (Phase.BACKING_OFF, Event.ASKED): (Phase.BACKING_OFF, Action.REFUSE),
    (Phase.BACKING_OFF, Event.STOP): (Phase.STOPPED, Action.NOTHING),
    (Phase.FAILED, Event.ASKED): (Phase.FAILED, Action.REFUSE),
    (Phase.FAILED, Event.STOP): (Phase.STOPPED, Action.NOTHING),
}
_PAUSES = (Phase.BACKING_OFF, Phase.FAILED)
# Events that mean that it ends as it should.
_WANTED = frozenset([Event.STOP, Event.IDLE])


def pause(failures: int) -> float:
    """Seconds until the next start, after so many failures in a row.

    >>> [pause(number) for number in (1, 2, 3, 6, 1000)]
    [1.0, 2.0, 4.0, 30.0, 30.0]
    """
    return min(2.0 ** min(failures - 1, 10), LONGEST_PAUSE)


def step(
    state: State, event: Event, now: float, *, start_timeout: float = 30.0
) -> tuple[State, Action]:
    """The state after *event*, and what to do.

    :param now: seconds of a monotonic clock.
    :param start_timeout: seconds that a start may take.

    >>> state, action = step(STOPPED, Event.ASKED, 5.0)
    >>> state.phase, state.until, action
    (<Phase.STARTING: 'starting'>, 35.0, <Action.START: 'start it'>)
    """
    if event is Event.ASKED and state.phase in _PAUSES:
        if now >= state.until:
            state = state._replace(phase=Phase.STOPPED)
        elif state.phase is Phase.BACKING_OFF and state.until - now <= SHORT_PAUSE:
            return state, Action.WAIT
    phase, action = _TABLE.get((state.phase, event), (state.phase, Action.NOTHING))
    if phase is state.phase is Phase.DRAINING and event is Event.STOP:
        return state._replace(failures=0, then=Phase.STOPPED), action
    if phase is state.phase:
        return state, action
    return _entered(phase, state, event, now, start_timeout), action


def _entered(phase: Phase, state: State, event: Event, now: float, start_timeout: float) -> State:
    failures, then = state.failures, Phase.STOPPED
    if event in _WANTED:
        failures = 0
    elif state.phase in (Phase.STARTING, Phase.READY) and event is not Event.ANSWERS:
        # A start has to lead to service; what ends in service may do so with status 0.
        served = now - state.since if state.phase is Phase.READY else 0.0
        failures = 0 if served >= STABLE else failures
        if state.phase is Phase.STARTING or event is not Event.ENDED:
            failures += 1
            then = Phase.FAILED if event is Event.UNUSABLE else Phase.BACKING_OFF
    if state.phase is Phase.DRAINING:
        phase = state.then
    until = {
        Phase.STARTING: now + start_timeout,
        Phase.BACKING_OFF: now + pause(failures),
        Phase.FAILED: now + LONGEST_PAUSE,
    }
    return State(
        phase,
        now,
        until.get(phase, math.inf),
        failures,
        then if phase is Phase.DRAINING else Phase.STOPPED,
    )


def due(state: State, now: float, idle: float, idle_shutdown: float | None) -> Event | None:
    """The event that time alone brings, if any.

    :param idle: for how many seconds nobody has used it; 0 while somebody does.
    :param idle_shutdown: the seconds after which it is to end; None for never.

    >>> due(State(Phase.READY, 0.0), 99.0, idle=60.0, idle_shutdown=60.0)
    <Event.IDLE: 'nobody has used it for long enough'>
    """
    if state.phase is Phase.STARTING and now >= state.until:
        return Event.LATE
    if state.phase is Phase.READY and idle_shutdown is not None and idle >= idle_shutdown:
        return Event.IDLE
    return None


def next_look(state: State, now: float, idle: float, idle_shutdown: float | None) -> float | None:
    """Seconds until :func:`due` may have something to say; None if not before an event.

    >>> next_look(State(Phase.READY, 0.0), 99.0, idle=20.0, idle_shutdown=60.0)
    40.0
    """
    if state.phase is Phase.STARTING:
        return max(0.0, state.until - now)
    if state.phase is Phase.READY and idle_shutdown is not None:
        return max(0.0, idle_shutdown - idle)
    return None


def retry_after(state: State, now: float) -> int:
    """Whole seconds for ``Retry-After`` (RFC 9110, 10.2.3): at least one.

    >>> retry_after(State(Phase.BACKING_OFF, until=7.2), 5.0)
    3
    """
    if state.phase not in _PAUSES:
        return 1
    return max(1, math.ceil(state.until - now))
