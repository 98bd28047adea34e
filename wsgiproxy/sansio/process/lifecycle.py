"""The lifecycle of a process that is started on demand: a state machine.

The time is a parameter; nothing is started or ended here.
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
#: Seconds of the longest pause whose end a request waits for; in a longer one it is refused.
SHORT_PAUSE = 1.0


class Phase(enum.Enum):
    """A phase of the lifecycle."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    BACKING_OFF = "backing off"
    FAILED = "failed"


class Event(enum.Enum):
    """An event that may change the state."""

    REQUEST = "a request needs it"
    READY = "it is ready to serve"
    ENDED = "its main process has ended by itself, with status 0"
    CRASHED = "its main process has ended in any other way"
    UNUSABLE = "the command cannot be run"
    LATE = "it was not ready in time"
    IDLE = "it was without a request for long enough"
    STOP = "it is to be stopped"
    GONE = "all its processes have ended"


class Action(enum.Enum):
    """The action that follows from an event."""

    NOTHING = "nothing"
    START = "start it"
    SERVE = "send the request"
    WAIT = "let the request wait"
    REFUSE = "refuse the request"
    END = "end the process and its descendants"


class State(NamedTuple):
    """A phase with its times.

    :param phase: the phase.
    :param since: when it began, in seconds of a monotonic clock.
    :param until: when it ends: the limit of a start, the end of a pause; else infinite.
    :param failures: how many times in a row the process has failed.
    :param then: the phase after DRAINING.
    """

    phase: Phase
    since: float = 0.0
    until: float = math.inf
    failures: int = 0
    then: Phase = Phase.STOPPED


STOPPED = State(Phase.STOPPED)

# An event that is not in the table changes nothing: it may come late, after another one.
_TABLE: dict[tuple[Phase, Event], tuple[Phase, Action]] = {
    (Phase.STOPPED, Event.REQUEST): (Phase.STARTING, Action.START),
    (Phase.STARTING, Event.REQUEST): (Phase.STARTING, Action.WAIT),
    (Phase.STARTING, Event.READY): (Phase.READY, Action.NOTHING),
    (Phase.STARTING, Event.ENDED): (Phase.DRAINING, Action.NOTHING),
    (Phase.STARTING, Event.CRASHED): (Phase.DRAINING, Action.NOTHING),
    (Phase.STARTING, Event.UNUSABLE): (Phase.DRAINING, Action.NOTHING),
    (Phase.STARTING, Event.LATE): (Phase.DRAINING, Action.END),
    (Phase.STARTING, Event.STOP): (Phase.DRAINING, Action.END),
    (Phase.STARTING, Event.GONE): (Phase.BACKING_OFF, Action.NOTHING),
    (Phase.READY, Event.REQUEST): (Phase.READY, Action.SERVE),
    (Phase.READY, Event.ENDED): (Phase.DRAINING, Action.NOTHING),
    (Phase.READY, Event.CRASHED): (Phase.DRAINING, Action.NOTHING),
    (Phase.READY, Event.IDLE): (Phase.DRAINING, Action.END),
    (Phase.READY, Event.STOP): (Phase.DRAINING, Action.END),
    (Phase.READY, Event.GONE): (Phase.BACKING_OFF, Action.NOTHING),
    (Phase.DRAINING, Event.REQUEST): (Phase.DRAINING, Action.WAIT),
    (Phase.DRAINING, Event.GONE): (Phase.STOPPED, Action.NOTHING),
    (Phase.BACKING_OFF, Event.REQUEST): (Phase.BACKING_OFF, Action.REFUSE),
    (Phase.BACKING_OFF, Event.STOP): (Phase.STOPPED, Action.NOTHING),
    (Phase.FAILED, Event.REQUEST): (Phase.FAILED, Action.REFUSE),
    (Phase.FAILED, Event.STOP): (Phase.STOPPED, Action.NOTHING),
}
_PAUSES = (Phase.BACKING_OFF, Phase.FAILED)
# Events after which the end of the process is no failure.
_WANTED = frozenset([Event.STOP, Event.IDLE])


def pause(failures: int) -> float:
    """Seconds from the last of *failures* in a row until the next start.

    >>> [pause(number) for number in (1, 2, 3, 6, 1000)]
    [1.0, 2.0, 4.0, 30.0, 30.0]
    """
    return min(2.0 ** min(failures - 1, 10), LONGEST_PAUSE)


def step(
    state: State, event: Event, now: float, *, start_timeout: float = 30.0
) -> tuple[State, Action]:
    """The state after *event*, and the action.

    :param now: seconds of a monotonic clock.
    :param start_timeout: seconds that a start may take.

    >>> state, action = step(STOPPED, Event.REQUEST, 5.0)
    >>> state.phase, state.until, action
    (<Phase.STARTING: 'starting'>, 35.0, <Action.START: 'start it'>)
    """
    if event is Event.REQUEST and state.phase in _PAUSES:
        if now >= state.until:
            state = state._replace(phase=Phase.STOPPED)
        elif state.phase is Phase.BACKING_OFF and state.until - now <= SHORT_PAUSE:
            return state, Action.WAIT
    phase, action = _TABLE.get((state.phase, event), (state.phase, Action.NOTHING))
    if state.phase is Phase.DRAINING and event is Event.STOP:
        return state._replace(failures=0, then=Phase.STOPPED), action
    if phase is state.phase:
        return state, action
    return _entered(phase, state, event, now, start_timeout), action


def _entered(phase: Phase, state: State, event: Event, now: float, start_timeout: float) -> State:
    failures, then = state.failures, Phase.STOPPED
    if event in _WANTED:
        failures = 0
    elif state.phase in (Phase.STARTING, Phase.READY) and event is not Event.READY:
        # A process that ends before it is ready has failed, whatever its exit status.
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
    """The event that is due now, if any: LATE or IDLE.

    :param idle: seconds without a request.
    :param idle_shutdown: seconds without a request after which it is to end; None for never.

    >>> due(State(Phase.READY, 0.0), 99.0, idle=60.0, idle_shutdown=60.0)
    <Event.IDLE: 'it was without a request for long enough'>
    """
    if state.phase is Phase.STARTING and now >= state.until:
        return Event.LATE
    if state.phase is Phase.READY and idle_shutdown is not None and idle >= idle_shutdown:
        return Event.IDLE
    return None


def next_look(state: State, now: float, idle: float, idle_shutdown: float | None) -> float | None:
    """Seconds until :func:`due` may return an event; None if another event has to come first.

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
