"""How late the end of a build is noticed, and after how many polls: the client's own flow and simulated builds."""

from __future__ import annotations

import json
import logging
import math
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pendulum

from dev.benchmarks.clients.probes import percentile
from dev.benchmarks.harness import Plan, Table, Target, progress
from mkw_airflow_provider.client.api.authentication import Token
from mkw_airflow_provider.client.flows import ApiSession, Sleep
from mkw_airflow_provider.client.flows.wait import wait
from mkw_airflow_provider.client.request import Response
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.client.token_cache import TokenCache
from mkw_airflow_provider.triggers.watch import FIRST_POLL, SPREAD

#: Epoch seconds at which every simulated build starts.
START = 1_775_116_800.0
#: Median length of the builds in seconds; lengths are lognormal.
MEDIANS = {"20 s": 20.0, "5 min": 300.0, "1 h": 3600.0}
SIGMA = 0.8
POLL_INTERVAL = 30.0
OURS = "this package"

#: Times of the polls of one build, in seconds after its start; the last one sees its end.
Polls = list[float]
Progress = Callable[[float], float]


def linear(_: random.Random) -> Progress:
    """Progress like a clock."""
    return lambda share: share


def uneven(chance: random.Random) -> Progress:
    """Up to twice as fast or as slow at the beginning as at the end."""
    power = math.exp(chance.uniform(-0.7, 0.7))
    return lambda share: share**power


def in_leaps(_: random.Random) -> Progress:
    """Fast at first, then no progress for long, then leaps: one large instance among small ones."""
    return lambda share: share * 3 if share < 0.1 else 0.3 if share < 0.7 else 0.85 if share < 0.9 else 0.97


def late_stuck(chance: random.Random) -> Progress:
    """At 99 percent for up to the last tenth of the time."""
    reached = chance.uniform(0.9, 1.0)
    return lambda share: min(0.99, 0.99 * share / reached)


def stuck(_: random.Random) -> Progress:
    """Never above 42 percent."""
    return lambda share: min(share, 0.42)


#: Progress that helps to predict the end, and progress that does not.
USEFUL = {"linear": linear, "uneven": uneven, "in leaps": in_leaps, "stuck at 99 %": late_stuck}
USELESS = {"stuck at 42 %": stuck, "absent": None}

#: Polls compared with a fixed 15 s, for builds that take at least this many seconds.
MOST_POLLS, SHORTEST_SAVING = 0.75, 300.0
#: Shape of the progress, and for builds of 5 min its mean delay in seconds and its polls compared with a fixed 15 s.
STRICT = (("linear", 5.0, 0.6), ("uneven", 7.3, 0.75))


@dataclass(frozen=True)
class SimulatedBuild:
    """A simulated build.

    :param length: seconds from start to end.
    :param progress: reported progress after a share of its time; None: not reported.
    """

    length: float
    progress: Progress | None

    def body_at(self, moment: float) -> bytes:
        """Return the response body of the API at a moment."""
        ended = moment >= self.length
        build: dict[str, Any] = {"id": 1, "status": "FINISHED" if ended else "BUILDING", "build_start": _iso(START)}
        if self.progress is not None:
            build["progress"] = 100 if ended else min(99, int(100 * self.progress(moment / self.length)))
        return json.dumps(build).encode()


def ours(build: SimulatedBuild, chance: random.Random, poll_interval: float = POLL_INTERVAL) -> Polls:
    """Run the client's own flow for a build, with a clock that jumps to the end of each pause."""
    clock = 0.0
    token_cache = TokenCache()
    token_cache.store(Token("simulated"), 0.0)
    session = ApiSession(
        Settings("https://simulated"),
        token_cache,
        monotonic=lambda: clock,
        wall=lambda: START + clock,
        random=chance.random,
        log=_SILENT,
    )
    # As in Airflow: the task polls once, then the trigger pauses before its first poll.
    polls = [0.0]
    first = min(FIRST_POLL, poll_interval) + SPREAD * chance.random()
    flow = wait(session, 1, poll_interval=poll_interval, first_pause=first)
    outcome: Any = None
    while True:
        try:
            step = flow.send(outcome)
        except StopIteration:
            return polls
        if isinstance(step, Sleep):
            clock += step.seconds
            outcome = None
        else:
            polls.append(clock)
            outcome = Response(200, {}, build.body_at(clock))


def fixed(build: SimulatedBuild, chance: random.Random, pause: float) -> Polls:
    """Poll a build at a fixed interval, as the other providers do."""
    del chance
    polls = [0.0]
    while polls[-1] < build.length:
        polls.append(polls[-1] + pause)
    return polls


def back_off(build: SimulatedBuild, chance: random.Random) -> Polls:
    """Poll a build with pauses of 1 s that grow by half, up to 60 s."""
    del chance
    polls, pause = [0.0], 1.0
    while polls[-1] < build.length:
        polls.append(polls[-1] + pause)
        pause = min(60.0, pause * 1.5)
    return polls


@dataclass(frozen=True)
class Outcome:
    """The result of a schedule over many builds: delays in seconds, and polls per build."""

    mean: float
    p95: float
    worst: float
    polls: float


Schedule = Callable[[SimulatedBuild, random.Random], Polls]


def simulate(
    schedule: Schedule, plan: Plan, median: float, shape: Callable[[random.Random], Progress] | None
) -> Outcome:
    """Run a schedule on simulated builds, which are the same for each schedule."""
    lengths, chance = random.Random(f"{plan.seed} {median}"), random.Random(plan.seed)  # noqa: S311  # not a secret
    delays, polls = [], 0
    for _ in range(plan.size(500, 20)):
        build = SimulatedBuild(lengths.lognormvariate(math.log(median), SIGMA), shape and shape(chance))
        seen = schedule(build, chance)
        delays.append(seen[-1] - build.length)
        polls += len(seen)
    return Outcome(statistics.fmean(delays), percentile(delays, 0.95), max(delays), polls / len(delays))


def run(plan: Plan) -> list[Table]:
    """Run the simulation and return the tables."""
    return [_against_others(plan), _by_interval(plan)]


def _against_others(plan: Plan) -> Table:
    progress("detection ...")
    others: dict[str, Schedule] = {
        **{f"fixed {pause:g} s": partial(fixed, pause=pause) for pause in (5.0, 15.0, 30.0, 60.0)},
        "back-off, 1 s to 60 s": back_off,
    }
    found = {
        (schedule, "", name): simulate(others[schedule], plan, median, None)
        for schedule in others
        for name, median in MEDIANS.items()
    } | {
        (OURS, shape, name): simulate(ours, plan, median, make)
        for shape, make in {**USEFUL, **USELESS}.items()
        for name, median in MEDIANS.items()
    }
    progress("")
    targets = []
    for name in MEDIANS:
        peer = found["fixed 15 s", "", name]
        useful = {shape: found[OURS, shape, name] for shape in USEFUL}
        limits = [("mean", "mean delay", 1.0), ("p95", "delay p95", 1.0), ("polls", "polls", MOST_POLLS)]
        # A fixed 15 s polls builds of 20 s three times: there is nothing to save.
        for figure, text, limit in limits[: 2 if MEDIANS[name] < SHORTEST_SAVING else 3]:
            worst = max(useful, key=lambda shape: getattr(useful[shape], figure))
            ratio = getattr(useful[worst], figure) / getattr(peer, figure)
            what = f"builds of {name} with progress: {text} compared with a fixed 15 s (worst: {worst})"
            targets.append(Target(what, limit, ratio))
        for shape, delay, share in STRICT if name == "5 min" else ():
            targets.append(Target(f"builds of {name}, {shape}: mean delay", delay, useful[shape].mean, "s"))
            what = f"builds of {name}, {shape}: polls compared with a fixed 15 s"
            targets.append(Target(what, share, useful[shape].polls / peer.polls))
        latest = max(found[OURS, shape, name].worst for shape in USELESS)
        targets.append(Target(f"builds of {name} without progress: longest delay", POLL_INTERVAL, latest, "s"))
    return Table(
        name="detection",
        title="How late the end of a build is noticed",
        note=f"{plan.size(500, 20)} simulated builds each, of lognormal length (median as given, sigma {SIGMA}); "
        f"`poll_interval` {POLL_INTERVAL:g} s. Delays in seconds. The first poll comes at the start.",
        columns=(
            "schedule",
            "progress",
            *(f"{name}: {what}" for name in MEDIANS for what in ("delay", "p95", "polls")),
        ),
        rows=[
            [schedule, shape, *(cell for name in MEDIANS for cell in _cells(found[schedule, shape, name]))]
            for schedule, shape in dict.fromkeys(key[:2] for key in found)
        ],
        targets=targets,
    )


def _by_interval(plan: Plan) -> Table:
    rows: list[list[str | float | None]] = []
    for name in ("5 min", "1 h"):
        for interval in (15.0, 30.0, 60.0, 120.0, 300.0):
            schedule = partial(ours, poll_interval=interval)
            outcomes = [simulate(schedule, plan, MEDIANS[name], shape) for shape in (linear, None)]
            rows.append([name, f"{interval:g} s", *(cell for outcome in outcomes for cell in _cells(outcome))])
    return Table(
        name="poll-interval",
        title="The effect of poll_interval",
        note="As above, with other values of `poll_interval`.",
        columns=(
            "builds of",
            "poll_interval",
            *(f"{shape}: {what}" for shape in ("linear", "absent") for what in ("delay", "p95", "polls")),
        ),
        rows=rows,
    )


def _cells(outcome: Outcome) -> tuple[float, float, float]:
    return outcome.mean, outcome.p95, outcome.polls


def _iso(epoch: float) -> str:
    return pendulum.from_timestamp(epoch).to_iso8601_string()


_SILENT = logging.getLogger("dev.benchmarks.simulated")
_SILENT.setLevel(logging.CRITICAL)
