"""When a build is polled: the bounds, and delay and requests compared with a poll every 15 seconds."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client.flows.polling import FLOOR, JITTER, next_pause
from mkw_airflow_provider.triggers.watch import FIRST_POLL, SPREAD
from tests.kit.simulation import PROPERTY

ages = st.floats(0, 1e7)
progresses = st.none() | st.integers(-10, 110)
intervals = st.floats(0.01, 3_600)
chances = st.floats(0, 1)


@PROPERTY
@given(ages, progresses, intervals, chances)
def test_pause_has_bounds_and_little_jitter(elapsed, progress, poll_interval, chance):
    def pause(chance: float) -> float:
        return next_pause(elapsed=elapsed, progress=progress, poll_interval=poll_interval, chance=chance)

    assert min(FLOOR, poll_interval) <= pause(chance) <= poll_interval
    assert (1 - JITTER) * pause(0) - 1e-9 <= pause(chance) <= pause(0)


@PROPERTY
@given(ages, st.integers(1, 99), intervals, chances)
def test_more_progress_never_lengthens_pause(elapsed, progress, poll_interval, chance):
    def pause(at: int) -> float:
        return next_pause(elapsed=elapsed, progress=at, poll_interval=poll_interval, chance=chance)

    assert pause(progress + 1) <= pause(progress) + 1e-9


@pytest.mark.parametrize(
    ("elapsed", "progress", "poll_interval", "pause"),
    [
        (0, None, 30, 2),
        (60, None, 30, 18),
        (1_000, None, 30, 30),
        (60, 0, 30, 18),
        (60, 101, 30, 18),
        (60, 50, 30, 30),
        (60, 50, 300, 60),
        (60, 76, 300, 60 / 0.8 - 60 + 18),
        (1_000, 96, 30, 9),
        (1_000, 100, 30, 9),
        (10, 99, 30, 3),
        (10, 2, 30, 10),
    ],
)
def test_pause_can_be_checked_by_hand(elapsed, progress, poll_interval, pause):
    found = next_pause(elapsed=elapsed, progress=progress, poll_interval=poll_interval, chance=0.0)
    assert found == pytest.approx(pause)


# What follows simulates 400 builds of each kind, as `make bench` does more of them.


@dataclass
class Figures:
    """How late ends were noticed, in seconds, and how many requests a build took."""

    delays: list[float]
    requests: float

    @property
    def mean(self) -> float:
        return sum(self.delays) / len(self.delays)

    @property
    def p95(self) -> float:
        return sorted(self.delays)[int(0.95 * len(self.delays))]


Progress = Callable[[float], int | None]


def linear(_: random.Random) -> Progress:
    return lambda share: int(100 * share)


def uneven(dice: random.Random) -> Progress:
    """Up to twice as fast or as slow at first as at the end."""
    power = math.exp(dice.uniform(-0.7, 0.7))
    return lambda share: int(100 * share**power)


def in_leaps(_: random.Random) -> Progress:
    """Quick at first, then nothing for long, then leaps: one large instance among small ones."""
    return lambda share: int(
        100 * (share * 3 if share < 0.1 else 0.3 if share < 0.7 else 0.85 if share < 0.9 else 0.97)
    )


def stuck(dice: random.Random) -> Progress:
    """At 99 percent for up to a tenth of the time."""
    reached = dice.uniform(0.9, 1.0)
    return lambda share: min(99, int(99 * share / reached))


def absent(_: random.Random) -> Progress:
    return lambda share: None


def poll(
    duration: Callable[[random.Random], float],
    progress: Callable[[random.Random], Progress],
    pause: Callable[..., float],
    *,
    deferred: bool,
) -> Figures:
    """Poll 400 builds from their start; for a deferred task, first in the worker, then in the trigger."""
    durations = random.Random(4)
    delays, requests = [], 0
    for number in range(400):
        seconds = duration(durations)
        dice = random.Random(number)
        shown = progress(dice)
        now = FIRST_POLL + SPREAD * dice.random() if deferred else 0.0
        requests += 2 if deferred else 1
        while now < seconds:
            now += pause(elapsed=now, progress=shown(now / seconds), poll_interval=30.0, chance=dice.random())
            requests += 1
        delays.append(now - seconds)
    return Figures(delays, requests / 400)


def every_15_seconds(**_: object) -> float:
    return 15.0


def around(median: float) -> Callable[[random.Random], float]:
    return lambda dice: dice.lognormvariate(math.log(median), 0.8)


def short(dice: random.Random) -> float:
    return dice.uniform(5, 20)


@pytest.mark.parametrize("progress", [linear, uneven, in_leaps, stuck])
@pytest.mark.parametrize("median", [300.0, 3_600.0], ids=["5 min", "1 h"])
def test_long_builds_need_fewer_requests(median, progress):
    """And their ends are noticed earlier than with a fixed interval."""
    fixed = poll(around(median), progress, every_15_seconds, deferred=False)
    ours = poll(around(median), progress, next_pause, deferred=True)
    assert ours.mean <= 0.75 * fixed.mean
    assert ours.requests <= 0.75 * fixed.requests


@pytest.mark.parametrize("progress", [linear, uneven, in_leaps, stuck, absent])
def test_end_of_short_builds_is_noticed_soon(progress):
    assert poll(short, progress, next_pause, deferred=True).p95 <= 5.0


@pytest.mark.parametrize("median", [20.0, 300.0, 3_600.0], ids=["20 s", "5 min", "1 h"])
def test_without_progress_delay_is_bounded(median):
    ours = poll(around(median), absent, next_pause, deferred=True)
    assert max(ours.delays) <= 30.0
