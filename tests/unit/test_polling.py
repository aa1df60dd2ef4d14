"""The schedule of looks: its bounds, and what it costs and gains against looking every 15 seconds."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client.flows.polling import FLOOR, JITTER, START, next_pause
from mkw_airflow_provider.triggers.watch import FIRST_LOOK
from tests.kit.simulation import PROPERTY

ages = st.floats(0, 1e7)
progresses = st.none() | st.integers(-10, 110)
intervals = st.floats(0.01, 3_600)
chances = st.floats(0, 1)


@PROPERTY
@given(ages, progresses, intervals, chances)
def test_a_pause_is_from_the_floor_to_poll_interval(elapsed, progress, poll_interval, chance):
    pause = next_pause(elapsed=elapsed, progress=progress, poll_interval=poll_interval, chance=chance)
    assert min(FLOOR, poll_interval) <= pause <= poll_interval


@PROPERTY
@given(ages, st.integers(1, 99), intervals, chances)
def test_more_progress_never_makes_a_pause_longer(elapsed, progress, poll_interval, chance):
    def pause(at: int) -> float:
        return next_pause(elapsed=elapsed, progress=at, poll_interval=poll_interval, chance=chance)

    assert pause(progress + 1) <= pause(progress) + 1e-9


@PROPERTY
@given(ages, st.sampled_from([None, 0, -1, 101]), intervals)
def test_without_progress_a_pause_is_as_long_as_the_build_has_had(elapsed, progress, poll_interval):
    pause = next_pause(elapsed=elapsed, progress=progress, poll_interval=poll_interval, chance=0.0)
    assert pause == min(max(elapsed, START), poll_interval)


@PROPERTY
@given(ages, progresses, st.floats(3, 3_600))
def test_chance_shortens_a_pause_by_no_more_than_the_jitter(elapsed, progress, poll_interval):
    longest, shortest = (
        next_pause(elapsed=elapsed, progress=progress, poll_interval=poll_interval, chance=chance) for chance in (0, 1)
    )
    assert (1 - JITTER) * longest - 1e-9 <= shortest <= longest


def test_at_the_longest_pause_builds_of_one_night_are_not_looked_at_in_step():
    pauses = {next_pause(elapsed=3_600, progress=10, poll_interval=30, chance=n / 10) for n in range(11)}
    assert len(pauses) == 11


@pytest.mark.parametrize(
    ("elapsed", "progress", "pause"),
    [
        (0, None, 5.0),
        (0, 50, 2.0),
        (1, 2, 5.0),
        (6, 99, 2.0),
        (10, 5, 40.0),
        (30, 50, 30 / 0.54**0.65 - 30 + 7.5),
        (1_000, 50, 1_000 / 0.54**0.65 - 1_000 + 14),
        (1_000, 95, 1_000 / 0.99**0.65 - 1_000 + 14),
    ],
    ids=[
        "no age yet",
        "no age yet, but progress",
        "young",
        "never sooner than the floor",
        "never later than four times the age",
        "the earliest end and a quarter of the age",
        "the earliest end and 14 s",
        "close to the end",
    ],
)
def test_a_pause_leads_a_little_beyond_the_earliest_end(elapsed, progress, pause):
    found = next_pause(elapsed=elapsed, progress=progress, poll_interval=3_600, chance=0.0)
    assert found == pytest.approx(pause)


@pytest.mark.parametrize("progress", [96, 99, 100])
def test_near_its_end_a_build_is_looked_at_every_fourteen_seconds_at_the_latest(progress):
    assert next_pause(elapsed=10_000, progress=progress, poll_interval=300, chance=0.0) == 14.0


# What follows simulates 400 builds of each kind, as `make bench` does more of them.


@dataclass
class Figures:
    """How late ends were seen, in seconds, and how many looks a build took."""

    delays: list[float]
    looks: float

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
    """At 99 per cent for up to a tenth of the time."""
    reached = dice.uniform(0.9, 1.0)
    return lambda share: min(99, int(99 * share / reached))


def absent(_: random.Random) -> Progress:
    return lambda share: None


def watch(
    median: float, progress: Callable[[random.Random], Progress], pause: Callable[..., float], first: float
) -> Figures:
    """Look at builds when they begin, ``first`` seconds later, or up to half as long again, and then by a schedule."""
    durations = random.Random(4)
    delays, looks = [], 0
    for number in range(400):
        seconds = durations.lognormvariate(math.log(median), 0.8)
        dice = random.Random(number)
        shown = progress(dice)
        now = first * (1 + 0.5 * dice.random())
        looks += 2 if first else 1
        while now < seconds:
            now += pause(elapsed=now, progress=shown(now / seconds), poll_interval=30.0, chance=dice.random())
            looks += 1
        delays.append(now - seconds)
    return Figures(delays, looks / 400)


def every_15_seconds(**_: object) -> float:
    return 15.0


TWENTY_SECONDS, FIVE_MINUTES, AN_HOUR = 20.0, 300.0, 3_600.0


@pytest.mark.parametrize("progress", [linear, uneven, in_leaps, stuck])
@pytest.mark.parametrize(
    # A build of 20 s takes three fixed looks. Ours are the task's own, one for the progress and one for the end.
    ("median", "share"),
    [(TWENTY_SECONDS, 1.17), (FIVE_MINUTES, 0.6), (AN_HOUR, 0.6)],
    ids=["20 s", "5 min", "1 h"],
)
def test_with_progress_ends_are_seen_no_later_than_every_15_seconds_at_fewer_looks(median, share, progress):
    fixed, ours = (
        watch(median, progress, every_15_seconds, 0.0),
        watch(median, progress, next_pause, FIRST_LOOK * FLOOR),
    )
    assert ours.mean <= fixed.mean
    assert ours.p95 <= fixed.p95
    assert ours.looks <= share * fixed.looks


@pytest.mark.parametrize("median", [TWENTY_SECONDS, FIVE_MINUTES, AN_HOUR], ids=["20 s", "5 min", "1 h"])
def test_without_progress_ends_are_seen_within_poll_interval(median):
    fixed, ours = watch(median, absent, every_15_seconds, 0.0), watch(median, absent, next_pause, FIRST_LOOK * FLOOR)
    assert max(ours.delays) <= 30.0
    assert ours.mean <= 16.0
    assert ours.looks <= 1.3 * fixed.looks
