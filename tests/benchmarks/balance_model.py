"""A discrete-event model of many upstreams behind one balancer; `balance` runs and prints it.

A request comes, a :class:`~wsgiproxy.sansio.balance.Balancer` chooses, and the upstream, a queue
with four workers, is asked how it will end. The past and future of each upstream (restarts, times
of slowness, times of errors) are drawn beforehand, the same for each policy, so that the end of a
request is known when it is sent, and one event for each request is enough.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush, heapreplace
from itertools import cycle

from wsgiproxy.sansio.balance import Balancer, Member, Outcome, ways

__all__ = ["Result", "Scene", "simulate"]

#: Seconds of work in a request, on a machine of speed 1.
WORK = 0.1
WORKERS = 4
#: Tries of a request for which there was no connection.
TRIES = 3
#: Clients for each upstream.
CLIENTS = 100
#: How many times longer work takes while a machine is slow.
SLOWNESS = 5
#: Seconds that a refused connection costs.
REFUSED = 0.001
#: Latencies are counted in milliseconds up to this.
LONGEST = 60_000
GOOD, FAILED = Outcome.GOOD, Outcome.FAILED


@dataclass(frozen=True)
class Scene:
    """What is simulated.

    :param policy: the balance policy.
    :param requests: how many.
    :param upstreams: how many.
    :param load: of what all upstreams together can do.
    :param knows_speed: whether an upstream's weight is its nominal speed, else all weigh the same.
    :param trouble: how often there is trouble, 1 for about one restart of each in 300 seconds.
    :param seed: of everything that is drawn.
    """

    policy: str
    requests: int
    upstreams: int = 1000
    load: float = 0.7
    knows_speed: bool = True
    trouble: float = 1.0
    seed: int = 1

    @property
    def name(self) -> str:
        """The policy, and what is special about it."""
        return self.policy if self.knows_speed else f"{self.policy}, equal weights"


@dataclass
class Result:
    """What came out: counts of requests, and a histogram of the latencies of the good ones."""

    scene: Scene
    seconds: float = 0.0
    good: int = 0
    cut: int = 0
    errors: int = 0
    unreached: int = 0
    retried: int = 0
    moved: int = 0
    use: list[float] = field(default_factory=list)
    latencies: list[int] = field(default_factory=lambda: [0] * (LONGEST + 1))

    @property
    def lost(self) -> int:
        """Requests without a good answer."""
        return self.cut + self.errors + self.unreached

    @property
    def jain(self) -> float:
        """Jain's index of the use of the upstreams: 1 if all are used alike.

        The use is the work that came, over what the machine can do while it is not down.
        """
        squares = sum(use * use for use in self.use)
        return sum(self.use) ** 2 / (len(self.use) * squares)

    @property
    def peak(self) -> float:
        """The use of the most used upstream, over the mean."""
        return max(self.use) * len(self.use) / sum(self.use)

    def percentile(self, part: float) -> int:
        """Milliseconds within which that part of the good requests was answered."""
        left = part * self.good
        for milliseconds, count in enumerate(self.latencies):
            left -= count
            if left <= 0:
                return milliseconds
        return LONGEST


class Upstream:
    """A machine with a queue and a fate."""

    __slots__ = ("busy", "down", "end", "fate", "free", "kind", "speed", "start")

    def __init__(self, speed: float, fate: Iterator[tuple[float, float, str]]) -> None:
        self.speed = speed
        self.free = [0.0] * WORKERS
        self.busy = 0.0
        self.down = 0.0
        self.fate = fate
        self.start, self.end, self.kind = next(fate)

    def pass_by(self) -> None:
        """The episode is over."""
        if self.kind == "down":
            self.down += self.end - self.start
            self.free = [self.end] * WORKERS
        self.start, self.end, self.kind = next(self.fate)


def fate(random: random.Random, trouble: float) -> Iterator[tuple[float, float, str]]:
    """Episodes of one upstream: start, end, kind."""
    now = 0.0
    while True:
        now += random.expovariate(trouble / 170) if trouble else float("inf")
        kind = random.choices(("down", "slow", "sick"), (4, 2, 1))[0]
        end = now + random.uniform(5, 20)
        yield now, end, kind
        now = end


def machines(scene: Scene) -> tuple[list[tuple[str, int]], list[Upstream]]:
    """The upstreams, as the balancer knows them and as they are."""
    draw = random.Random(scene.seed)
    members, upstreams = [], []
    for number in range(scene.upstreams):
        nominal = draw.choice((1, 2, 4))
        # Machines of one kind are not alike: other tenants, temperature, age.
        speed = nominal * min(1.5, max(0.67, draw.lognormvariate(0, 0.15)))
        members.append((f"10.0.{number // 256}.{number % 256}:80", nominal))
        own = random.Random(draw.random())
        upstreams.append(Upstream(speed, fate(own, scene.trouble)))
    if not scene.knows_speed:
        members = [(key, 1) for key, _ in members]
    return members, upstreams


def simulate(scene: Scene) -> Result:
    """Run it."""
    gc.disable()  # there are no cycles, and millions of events
    members, upstreams = machines(scene)
    result = Result(scene)
    draw = random.Random(scene.seed + 1)
    rate = scene.load * sum(each.speed for each in upstreams) * WORKERS / WORK
    # Of different lengths without a common divisor, so that their pairs do not come again.
    gaps = cycle([draw.expovariate(rate) for _ in range(100_003)])
    # A lognormal time of work: most are short, one in a hundred is six times the mean.
    works = cycle([WORK * draw.lognormvariate(-0.5, 1.0) for _ in range(99_991)])
    # Clients, of which some send far more than others: a tenth of them a fifth of the requests.
    count = CLIENTS * scene.upstreams
    clients = cycle([int(count * draw.random() ** 1.5) for _ in range(1_000_003)])
    # A choice by hash among so many costs 0.3 ms for a value that is not remembered.
    ways._KNOWN = 2 * count
    balancer = Balancer(scene.policy, members, random=random.Random(scene.seed + 2))
    run(balancer, dict(zip(balancer.members, upstreams, strict=True)), result, gaps, works, clients)
    for upstream in upstreams:
        while result.seconds >= upstream.end:
            upstream.pass_by()
        if result.seconds > upstream.start and upstream.kind == "down":
            upstream.down += result.seconds - upstream.start
        up = result.seconds - upstream.down
        if up > 0:
            result.use.append(upstream.busy / up / WORKERS)
    return result


def run(  # noqa: C901 - a function for each step would take as long as the steps
    balancer: Balancer,
    upstreams: dict[Member, Upstream],
    result: Result,
    gaps: Iterator[float],
    works: Iterator[float],
    clients: Iterator[int],
) -> None:
    """The loop; written for speed, it is passed ten million times."""
    choose, end = balancer.choose, balancer.end
    latencies = result.latencies
    events: list[tuple[float, int, Member, Outcome]] = []
    wants = balancer.wants
    count = CLIENTS * result.scene.upstreams
    values = [f"client {number}" if wants == "client" else "" for number in range(count)]
    sick = cycle([True, True, False])
    good = cut = errors = unreached = retried = moved = 0
    now = 0.0
    for number in range(result.scene.requests):
        now += next(gaps)
        while events and events[0][0] <= now:
            at, _, member, outcome = heappop(events)
            end(member, at, outcome)
        client = next(clients) if wants else 0
        value = values[client] if wants else ""
        chosen = choose(now, value)
        assert chosen is not None
        upstream = upstreams[chosen]
        began = now
        if now >= upstream.start:
            tried: list[Member] = []
            while True:
                while now >= upstream.end:
                    upstream.pass_by()
                if now < upstream.start or upstream.kind != "down":
                    break
                end(chosen, now, FAILED)
                tried.append(chosen)
                if len(tried) == TRIES:
                    unreached += 1
                    break
                retried += 1
                began -= REFUSED
                chosen = choose(now, value, tried)
                assert chosen is not None
                upstream = upstreams[chosen]
            if len(tried) == TRIES:
                continue
        if wants == "sticky" and chosen.key != value:
            moved += value != ""
            values[client] = chosen.key
        took = next(works) / upstream.speed
        upstream.busy += took
        free = upstream.free
        begin = free[0] if free[0] > now else now
        if now >= upstream.start:
            if upstream.kind == "slow":
                if begin < upstream.end:
                    took *= SLOWNESS
            elif next(sick):
                # An error is quick, and that is what makes it dangerous.
                errors += 1
                heappush(events, (now + 0.005, number, chosen, FAILED))
                continue
        done = begin + took
        heapreplace(free, done)
        if done > upstream.start > now and upstream.kind == "down":
            cut += 1
            heappush(events, (upstream.start, number, chosen, FAILED))
            continue
        good += 1
        heappush(events, (done, number, chosen, GOOD))
        spent = int((done - began) * 1000)
        latencies[spent if spent < LONGEST else LONGEST] += 1
    result.seconds = now
    result.good, result.cut, result.errors = good, cut, errors
    result.unreached, result.retried, result.moved = unreached, retried, moved
