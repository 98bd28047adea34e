"""The life of a spawned process: every event in every phase, and what holds in any order."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.rounds import together
from wsgiproxy.sansio.process.lifecycle import (
    LONGEST_PAUSE,
    SHORT_PAUSE,
    STABLE,
    STOPPED,
    Action,
    Event,
    Phase,
    State,
    due,
    next_look,
    pause,
    retry_after,
    step,
)

NOW = 1000.0
#: Each phase as it is entered after two failures, ten seconds ago, and far from its end.
IN = {
    Phase.STOPPED: State(Phase.STOPPED, NOW - 10, math.inf, 2),
    Phase.STARTING: State(Phase.STARTING, NOW - 10, NOW + 20, 2),
    Phase.READY: State(Phase.READY, NOW - 10, math.inf, 2),
    Phase.DRAINING: State(Phase.DRAINING, NOW - 10, math.inf, 2),
    Phase.BACKING_OFF: State(Phase.BACKING_OFF, NOW - 10, NOW + 20, 2),
    Phase.FAILED: State(Phase.FAILED, NOW - 10, NOW + 20, 2),
}
BROKEN = IN[Phase.DRAINING]._replace(then=Phase.BACKING_OFF)
STABLY_READY = State(Phase.READY, NOW - STABLE, math.inf, 2)

# Every event in every phase; None where it has come too late, or too early, to change anything.
TABLE: dict[Phase, dict[Event, tuple[Phase, Action] | None]] = {
    Phase.STOPPED: {
        Event.REQUEST: (Phase.STARTING, Action.START),
        Event.READY: None,
        Event.ENDED: None,
        Event.CRASHED: None,
        Event.UNUSABLE: None,
        Event.LATE: None,
        Event.IDLE: None,
        Event.STOP: None,
        Event.GONE: None,
    },
    Phase.STARTING: {
        Event.REQUEST: (Phase.STARTING, Action.WAIT),
        Event.READY: (Phase.READY, Action.NOTHING),
        Event.ENDED: (Phase.DRAINING, Action.NOTHING),
        Event.CRASHED: (Phase.DRAINING, Action.NOTHING),
        Event.UNUSABLE: (Phase.DRAINING, Action.NOTHING),
        Event.LATE: (Phase.DRAINING, Action.END),
        Event.IDLE: None,
        Event.STOP: (Phase.DRAINING, Action.END),
        Event.GONE: (Phase.BACKING_OFF, Action.NOTHING),
    },
    Phase.READY: {
        Event.REQUEST: (Phase.READY, Action.SERVE),
        Event.READY: None,
        Event.ENDED: (Phase.DRAINING, Action.NOTHING),
        Event.CRASHED: (Phase.DRAINING, Action.NOTHING),
        Event.UNUSABLE: None,
        Event.LATE: None,
        Event.IDLE: (Phase.DRAINING, Action.END),
        Event.STOP: (Phase.DRAINING, Action.END),
        Event.GONE: (Phase.BACKING_OFF, Action.NOTHING),
    },
    Phase.DRAINING: {
        Event.REQUEST: (Phase.DRAINING, Action.WAIT),
        Event.READY: None,
        Event.ENDED: None,
        Event.CRASHED: None,
        Event.UNUSABLE: None,
        Event.LATE: None,
        Event.IDLE: None,
        Event.STOP: (Phase.DRAINING, Action.NOTHING),
        Event.GONE: (Phase.STOPPED, Action.NOTHING),
    },
    Phase.BACKING_OFF: {
        Event.REQUEST: (Phase.BACKING_OFF, Action.REFUSE),
        Event.READY: None,
        Event.ENDED: None,
        Event.CRASHED: None,
        Event.UNUSABLE: None,
        Event.LATE: None,
        Event.IDLE: None,
        Event.STOP: (Phase.STOPPED, Action.NOTHING),
        Event.GONE: None,
    },
    Phase.FAILED: {
        Event.REQUEST: (Phase.FAILED, Action.REFUSE),
        Event.READY: None,
        Event.ENDED: None,
        Event.CRASHED: None,
        Event.UNUSABLE: None,
        Event.LATE: None,
        Event.IDLE: None,
        Event.STOP: (Phase.STOPPED, Action.NOTHING),
        Event.GONE: None,
    },
}


def test_no_pair_is_unspecified() -> None:
    pairs = {(phase, event) for phase, events in TABLE.items() for event in events}
    assert pairs == set(itertools.product(Phase, Event))


@together
@pytest.mark.parametrize(
    ("phase", "event"),
    [
        pytest.param(phase, event, id=f"{phase.value}: {event.value}")
        for phase, event in itertools.product(Phase, Event)
    ],
)
def test_every_event_in_every_phase(phase: Phase, event: Event) -> None:
    before, expected = IN[phase], TABLE[phase][event]
    left, action = step(before, event, NOW)
    if expected is None:
        # The very same one: those who wait are woken by another.
        assert left is before
        assert action is Action.NOTHING
    else:
        assert (left.phase, action) == expected


# What counts in a phase


@together
@pytest.mark.parametrize(
    ("before", "event", "left"),
    [
        pytest.param(
            IN[Phase.STOPPED],
            Event.REQUEST,
            State(Phase.STARTING, NOW, NOW + 30, 2),
            id="a-start-has-a-limit-and-remembers-what-failed",
        ),
        pytest.param(
            IN[Phase.STARTING],
            Event.READY,
            State(Phase.READY, NOW, math.inf, 2),
            id="to-answer-once-is-no-proof-of-health",
        ),
        *(
            pytest.param(
                IN[Phase.STARTING],
                event,
                State(Phase.DRAINING, NOW, math.inf, 3, Phase.BACKING_OFF),
                id=f"a-start-fails-when-{event.name}",
            )
            for event in (Event.ENDED, Event.CRASHED, Event.LATE)
        ),
        pytest.param(
            IN[Phase.STARTING],
            Event.STOP,
            State(Phase.DRAINING, NOW, math.inf, 0),
            id="a-start-that-is-called-off-is-no-failure",
        ),
        pytest.param(
            IN[Phase.STARTING],
            Event.UNUSABLE,
            State(Phase.DRAINING, NOW, math.inf, 3, Phase.FAILED),
            id="a-command-that-cannot-be-run-has-failed",
        ),
        pytest.param(
            IN[Phase.DRAINING]._replace(then=Phase.FAILED),
            Event.GONE,
            State(Phase.FAILED, NOW, NOW + LONGEST_PAUSE, 2),
            id="a-command-that-cannot-be-run-is-not-tried-soon",
        ),
        pytest.param(
            BROKEN,
            Event.STOP,
            State(Phase.DRAINING, NOW - 10, math.inf, 0),
            id="a-stop-after-a-bad-end-leaves-no-failure",
        ),
        pytest.param(
            IN[Phase.STARTING],
            Event.GONE,
            State(Phase.BACKING_OFF, NOW, NOW + 4, 3),
            id="to-vanish-is-to-fail-at-the-start",
        ),
        pytest.param(
            IN[Phase.READY],
            Event.ENDED,
            State(Phase.DRAINING, NOW, math.inf, 2),
            id="status-0-after-service-is-no-failure",
        ),
        pytest.param(
            IN[Phase.READY],
            Event.CRASHED,
            State(Phase.DRAINING, NOW, math.inf, 3, Phase.BACKING_OFF),
            id="a-crash-counts",
        ),
        pytest.param(
            STABLY_READY._replace(since=NOW - STABLE + 0.125),
            Event.CRASHED,
            State(Phase.DRAINING, NOW, math.inf, 3, Phase.BACKING_OFF),
            id="a-crash-just-before-STABLE-counts-with-those-before",
        ),
        pytest.param(
            STABLY_READY,
            Event.CRASHED,
            State(Phase.DRAINING, NOW, math.inf, 1, Phase.BACKING_OFF),
            id="a-crash-at-STABLE-is-the-first-one",
        ),
        pytest.param(
            STABLY_READY,
            Event.ENDED,
            State(Phase.DRAINING, NOW, math.inf, 0),
            id="status-0-at-STABLE-leaves-no-failure",
        ),
        pytest.param(
            IN[Phase.READY],
            Event.GONE,
            State(Phase.BACKING_OFF, NOW, NOW + 4, 3),
            id="to-vanish-is-to-crash",
        ),
        pytest.param(
            STABLY_READY,
            Event.GONE,
            State(Phase.BACKING_OFF, NOW, NOW + 1, 1),
            id="to-vanish-at-STABLE-is-the-first-crash",
        ),
        *(
            pytest.param(
                IN[Phase.READY],
                event,
                State(Phase.DRAINING, NOW, math.inf, 0),
                id=f"nothing-is-held-against-it-when-{event.name}",
            )
            for event in (Event.IDLE, Event.STOP)
        ),
        pytest.param(
            IN[Phase.DRAINING],
            Event.GONE,
            State(Phase.STOPPED, NOW, math.inf, 2),
            id="an-end-as-it-should-be-needs-no-pause",
        ),
        pytest.param(
            BROKEN,
            Event.GONE,
            State(Phase.BACKING_OFF, NOW, NOW + 2, 2),
            id="a-bad-end-has-been-counted-and-needs-a-pause",
        ),
        *(
            pytest.param(
                IN[phase],
                Event.STOP,
                State(Phase.STOPPED, NOW, math.inf, 0),
                id=f"a-stop-ends-the-pause-when-{phase.value.replace(' ', '-')}",
            )
            for phase in (Phase.BACKING_OFF, Phase.FAILED)
        ),
        *(
            pytest.param(
                IN[phase]._replace(until=NOW),
                Event.REQUEST,
                State(Phase.STARTING, NOW, NOW + 30, 2),
                id=f"the-pause-is-over-when-{phase.value.replace(' ', '-')}",
            )
            for phase in (Phase.BACKING_OFF, Phase.FAILED)
        ),
    ],
)
def test_states_after_a_transition(before: State, event: Event, left: State) -> None:
    assert step(before, event, NOW)[0] == left


def test_start_timeout_limits_a_start() -> None:
    state, _ = step(STOPPED, Event.REQUEST, NOW, start_timeout=0.5)
    assert state.until == NOW + 0.5


@pytest.mark.parametrize(
    ("phase", "left", "action"),
    [
        pytest.param(Phase.BACKING_OFF, SHORT_PAUSE + 0.125, Action.REFUSE, id="long-pause"),
        pytest.param(Phase.BACKING_OFF, SHORT_PAUSE, Action.WAIT, id="short-pause"),
        pytest.param(Phase.BACKING_OFF, 0.125, Action.WAIT, id="end-of-a-pause"),
        pytest.param(Phase.BACKING_OFF, 0.0, Action.START, id="pause-is-over"),
        pytest.param(Phase.BACKING_OFF, -99.0, Action.START, id="pause-is-long-over"),
        pytest.param(Phase.FAILED, 0.125, Action.REFUSE, id="a-command-that-cannot-be-run"),
        pytest.param(Phase.FAILED, 0.0, Action.START, id="may-have-been-installed"),
    ],
)
def test_a_request_in_a_pause(phase: Phase, left: float, action: Action) -> None:
    """A short pause is waited for, a longer one refuses."""
    before = IN[phase]._replace(until=NOW + left)
    after, found = step(before, Event.REQUEST, NOW)
    assert found is action
    assert (after is before) is (action is not Action.START)


def test_requests_wait_in_the_pause_after_the_first_crash() -> None:
    """Its pause is short enough to be waited for."""
    crashed, _ = step(IN[Phase.READY]._replace(failures=0), Event.CRASHED, NOW)
    pausing, _ = step(crashed, Event.GONE, NOW)
    assert step(pausing, Event.REQUEST, NOW)[1] is Action.WAIT
    assert step(pausing, Event.REQUEST, pausing.until)[1] is Action.START


def test_from_the_second_crash_on_requests_are_refused_until_shortly_before_the_end() -> None:
    pausing = crash(crash(STOPPED, NOW, 0), NOW + 1, 0)
    assert pausing.until == NOW + 3
    assert step(pausing, Event.REQUEST, NOW + 1)[1] is Action.REFUSE
    assert step(pausing, Event.REQUEST, NOW + 2)[1] is Action.WAIT


def after(*events: Event, state: State = STOPPED) -> State:
    """The state after some events, all at once."""
    for event in events:
        state, _ = step(state, event, NOW)
    return state


def test_a_command_that_cannot_be_run_ends_before_another_start() -> None:
    """At most one at a time, even if it is stopped in the moment of a failure."""
    state = after(Event.REQUEST, Event.UNUSABLE, Event.STOP)
    assert step(state, Event.REQUEST, NOW)[1] is Action.WAIT
    assert after(Event.GONE, state=state) == State(Phase.STOPPED, NOW)
    assert after(Event.REQUEST, Event.UNUSABLE, Event.GONE).phase is Phase.FAILED


def test_a_stop_while_draining_clears_the_failures() -> None:
    """As in the pause that would follow: a stop clears the failures."""
    stopped_later = after(Event.GONE, Event.STOP, state=BROKEN)
    assert after(Event.STOP, Event.GONE, state=BROKEN) == stopped_later


def crash(state: State, now: float, served: float) -> State:
    """The pause after one more run that was ready for *served* seconds."""
    for event, at in (
        (Event.REQUEST, now),
        (Event.READY, now),
        (Event.CRASHED, now + served),
        (Event.GONE, now + served),
    ):
        state, _ = step(state, event, at)
    assert state.phase is Phase.BACKING_OFF
    return state


def test_the_pauses_of_a_crash_loop_grow_until_it_serves_for_a_while() -> None:
    """S10."""
    state, now, pauses = STOPPED, NOW, []
    for served in (1, 1, 1, 1, 1, 1, 1, 60, 1):
        state = crash(state, now, served)
        pauses.append(state.until - (now + served))
        now = state.until
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 1, 2]


@given(st.integers(1, 10**9))
def test_pauses_grow_up_to_a_limit(failures: int) -> None:
    """No pause is shorter than the one before it, none is over the limit, and none overflows."""
    assert 1 <= pause(failures) <= pause(failures + 1) <= LONGEST_PAUSE


@pytest.mark.parametrize(
    ("state", "now", "seconds"),
    [
        pytest.param(State(Phase.BACKING_OFF, until=NOW + 7.2), NOW, 8, id="rounded-up"),
        pytest.param(State(Phase.FAILED, until=NOW + 30), NOW, 30, id="whole"),
        pytest.param(State(Phase.BACKING_OFF, until=NOW + 0.1), NOW, 1, id="at-least-one"),
        pytest.param(State(Phase.BACKING_OFF, until=NOW), NOW + 5, 1, id="over"),
        *(
            pytest.param(IN[phase], NOW, 1, id=f"soon-when-{phase.value}")
            for phase in (Phase.STOPPED, Phase.STARTING, Phase.READY, Phase.DRAINING)
        ),
    ],
)
def test_retry_after(state: State, now: float, seconds: int) -> None:
    """RFC 9110, 10.2.3: whole seconds, and not so few that it is refused again."""
    found = retry_after(state, now)
    assert found == seconds
    assert type(found) is int


# What time alone brings


@pytest.mark.parametrize(
    ("state", "idle", "idle_shutdown", "event", "look"),
    [
        pytest.param(IN[Phase.STARTING], 0, None, None, 20, id="start-within-its-limit"),
        pytest.param(
            IN[Phase.STARTING]._replace(until=NOW), 0, None, Event.LATE, 0, id="start-at-its-limit"
        ),
        pytest.param(
            IN[Phase.STARTING]._replace(until=NOW - 5), 0, 60, Event.LATE, 0, id="start-beyond-it"
        ),
        pytest.param(IN[Phase.STARTING], 99, 60, None, 20, id="a-start-is-not-idle"),
        pytest.param(IN[Phase.READY], 99, None, None, None, id="for-ever"),
        pytest.param(IN[Phase.READY], 0, 60, None, 60, id="in-use"),
        pytest.param(IN[Phase.READY], 59, 60, None, 1, id="soon-idle"),
        pytest.param(IN[Phase.READY], 60, 60, Event.IDLE, 0, id="idle"),
        pytest.param(IN[Phase.READY], 99, 60, Event.IDLE, 0, id="idle-for-long"),
        *(
            pytest.param(IN[phase], 99, 60, None, None, id=f"nothing-when-{phase.value}")
            for phase in (Phase.STOPPED, Phase.DRAINING, Phase.BACKING_OFF, Phase.FAILED)
        ),
    ],
)
def test_what_is_due_and_when_to_look_again(
    state: State,
    idle: float,
    idle_shutdown: float | None,
    event: Event | None,
    look: float | None,
) -> None:
    assert due(state, NOW, idle, idle_shutdown) is event
    assert next_look(state, NOW, idle, idle_shutdown) == look


whole = st.integers(0, 10**6).map(float)


@given(st.sampled_from(Phase), whole, whole, whole, st.none() | st.integers(1, 10**6).map(float))
def test_next_look_is_the_time_of_the_next_due_event(
    phase: Phase, now: float, until: float, idle: float, idle_shutdown: float | None
) -> None:
    """At the next look something is due, and never before it."""
    state = State(phase, 0.0, until)
    wait = next_look(state, now, idle, idle_shutdown)
    if wait is None:
        assert due(state, 1e9, 1e9, idle_shutdown) is None
        return
    assert due(state, now + wait, idle + wait, idle_shutdown) is not None
    assert wait == 0 or due(state, now + wait - 0.5, idle + wait - 0.5, idle_shutdown) is None


# Any order of events


_INTERVALS = st.sampled_from([0.0, 0.001, 0.5, 1.0, 5.0, 29.0, 30.0, STABLE, 3600.0])


@given(st.lists(st.tuples(_INTERVALS, st.sampled_from(Event))), st.floats(0.001, 1e6))
def test_any_sequence_of_events(events: list[tuple[float, Event]], start_timeout: float) -> None:
    """Whatever comes, in whatever order: the state makes sense, and actions fit transitions."""
    state, now = STOPPED, NOW
    for interval, event in events:
        now += interval
        before = state
        state, action = step(before, event, now, start_timeout=start_timeout)
        assert state.failures >= 0
        assert state.then is Phase.STOPPED or state.phase is Phase.DRAINING
        assert (action is Action.START) is (
            state.phase is Phase.STARTING and before.phase is not Phase.STARTING
        )
        assert action is not Action.SERVE or before.phase is state.phase is Phase.READY
        assert action is not Action.END or (
            before.phase in (Phase.STARTING, Phase.READY) and state.phase is Phase.DRAINING
        )
        assert (action in (Action.WAIT, Action.REFUSE, Action.SERVE, Action.START)) is (
            event is Event.REQUEST
        )
        if state.phase is before.phase:
            assert state is before or event is Event.STOP
        else:
            assert state.since == now
            has_end = state.phase in (Phase.STARTING, Phase.BACKING_OFF, Phase.FAILED)
            assert state.until > now
            assert (state.until < math.inf) is has_end


#: What requests, owners and its end are.
_OTHERS = {Event.REQUEST, Event.STOP, Event.IDLE, Event.GONE}


class Process(RuleBasedStateMachine):
    """Requests, owners and time as they like; and a process that tells of itself while it is."""

    def __init__(self) -> None:
        super().__init__()
        self.state = STOPPED
        self.now = NOW
        self.is_there = False

    def see(self, event: Event) -> Action:
        self.state, action = step(self.state, event, self.now)
        return action

    @rule(seconds=_INTERVALS)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        event = due(self.state, self.now, idle=0.0, idle_shutdown=None)
        if event is not None:
            self.see(event)

    @rule()
    def a_request_comes(self) -> None:
        action = self.see(Event.REQUEST)
        if action is Action.START:
            assert not self.is_there, "a second one is started beside the first"
            self.is_there = True
        assert action is not Action.SERVE or self.is_there

    @rule()
    def its_owner_stops_it(self) -> None:
        self.see(Event.STOP)

    @rule()
    def without_requests(self) -> None:
        self.see(Event.IDLE)

    @precondition(lambda self: self.is_there)
    @rule(event=st.sampled_from(sorted(set(Event) - _OTHERS, key=str)))
    def it_says(self, event: Event) -> None:
        self.see(event)

    @precondition(lambda self: self.is_there)
    @rule()
    def it_is_gone(self) -> None:
        self.is_there = False
        self.see(Event.GONE)

    @invariant()
    def only_what_is_there_is_started_or_ready(self) -> None:
        if self.state.phase in (Phase.STARTING, Phase.READY, Phase.DRAINING):
            assert self.is_there
        else:
            assert not self.is_there

    @invariant()
    def waiting_requests_are_answered(self) -> None:
        """Time, and the end of what has been ended, lead out of every phase."""
        state, now = self.state, self.now
        for _ in range(4):
            after, action = step(state, Event.REQUEST, now)
            if action is not Action.WAIT:
                return
            assert after is state
            now = max(now, state.until) if state.until < math.inf else now
            event = Event.GONE if state.phase is Phase.DRAINING else due(state, now, 0.0, None)
            if event is not None:
                state, _ = step(state, event, now)
        raise AssertionError(f"a request waits for ever in {self.state}")


class TestProcess(Process.TestCase):  # type: ignore[misc, valid-type]
    """There is never more than one, and no request waits for ever."""
