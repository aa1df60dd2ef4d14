"""What a wait logs, and its result on the way from the triggerer to a worker."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.flows.wait import LONGEST_HISTORY, PollHistory, wait
from mkw_airflow_provider.client.flows.wait_result import (
    Ended,
    Failed,
    TimedOut,
    describe_progress,
    duration,
    from_dict,
)
from mkw_airflow_provider.exceptions import BuildTimeoutError, NotFoundError, WaitInterruptedError
from tests.kit.simulation import PROPERTY, Course, World, build, ok


def run(world: World, **options):
    return world.run(wait(world.session, 5139, **{"poll_interval": 30.0, **options}))


def test_each_change_is_logged_once(world):
    polls = [("BUILDING", 0), ("BUILDING", 4), ("BUILDING", 9), ("BUILDING", 10), ("BUILDING", 19), ("FINISHED", 100)]
    world.script(*(ok(build(status=status, progress=progress)) for status, progress in polls))
    run(world)
    shown = [line.removeprefix("Build 5139 is ").split(" after ")[0] for line in world.logged()]
    assert shown == ["BUILDING, 0 %", "BUILDING, 10 %", "FINISHED, 100 %"]


def test_line_has_age_and_message_in_one_line(world):
    course = Course(seconds=10_000)
    world.server = lambda call: ok({**course.at(world.now), "message": "calculating\r\nERROR forged \ud83d\0 ..."})
    world.clock.advance(7_620)
    flow = wait(world.session, 5139, poll_interval=30.0)
    flow.send(world.do(next(flow)))
    (line,) = world.logged()
    assert line.startswith("Build 5139 is BUILDING after 2 h 7 min (calculating ERROR forged")
    assert line.isprintable()


@pytest.mark.parametrize(
    ("progress", "age", "rest"),
    [
        (50, 90.0, ", about 2 min left"),
        (90, 90.0, ", about 10 s left"),
        (40, 9000.0, ", about 3 h 45 min left"),
        (4, 90.0, ""),
        (None, 90.0, ""),
        (50, None, ""),
        (100, 90.0, ""),
    ],
)
def test_rest_is_estimated_from_progress(progress, age, rest):
    said = "" if progress is None else f", {progress} %"
    after = "" if age is None else f" after {duration(age)}"
    shown = describe_progress(Build.from_json({"id": 7, "status": "BUILDING", "progress": progress}), age)
    assert shown == f"Build 7 is BUILDING{said}{after}{rest}."


def test_history_is_one_line(world):
    history = PollHistory()
    world.server = Course(seconds=100, progress=lambda share: int(100 * share)).serve(world)
    run(world, history=history)
    line = PollHistory.describe(5139, json.loads(json.dumps(history.to_dict())))
    assert line.startswith(
        f"Build 5139: polled {len(world.sent)} times in {duration(world.now)}: BUILDING, 0 % at 0 s;"
    )
    assert line.endswith(f"FINISHED, 100 % at {world.now:.0f} s.")


@pytest.mark.parametrize("odd", [None, {}, [], {"polls": 1}, {"polls": "x", "seconds": 1, "changes": [[1]]}])
def test_odd_history_is_not_an_error(odd):
    assert PollHistory.describe(7, odd) == "Build 7: the triggerer sent no history of its polls."


@PROPERTY
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["BUILDING", "QUEUED", "FINISHED"]), st.none() | st.integers(0, 100), st.floats(0, 1e6)
        ),
        min_size=1,
        max_size=200,
    )
)
def test_history_keeps_the_first_and_last_change(polls):
    history = PollHistory()
    new = [history.add(Build.from_json(build(status=status, progress=p)), seconds) for status, p, seconds in polls]
    assert len(history.changes) <= LONGEST_HISTORY
    assert (history.polls, new[0]) == (len(polls), True)
    assert history.changes[0] == (round(polls[0][2], 1), polls[0][0], polls[0][1])
    last_new = max(index for index, is_new in enumerate(new) if is_new)
    assert history.changes[-1][1:] == polls[last_new][:2]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (303, "5 min 3 s"),
        (3_599.6, "1 h 0 min"),
        (7_620, "2 h 7 min"),
    ],
)
def test_durations_are_readable(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    "result",
    [
        Ended(Build.from_json(build(status="FINISHED", progress=100))),
        TimedOut(5139, "timeout", "BUILDING, 40 %", "unreachable"),
        TimedOut(5139, None, None),
        Failed(5139, NotFoundError(404, "gone", "GET", "/builds/5139")),
    ],
)
def test_result_survives_json(result):
    again = from_dict(json.loads(json.dumps(result.to_dict())), 5139)
    assert (type(again), again.message()) == (type(result), result.message())


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        "FINISHED",
        {"outcome": "success"},
        {"outcome": "ended"},
        {"outcome": "ended", "build": {"id": 5139}},
        {"outcome": "ended", "build": {"id": 5139, "status": "BUILDING"}},
        {"outcome": "ended", "build": {"id": 7, "status": "FINISHED"}},
        {"outcome": "error"},
        {"outcome": "error", "error": {"class": "SystemExit", "arguments": []}},
        {"outcome": "error", "error": {"class": "ErrorOfALaterVersion", "arguments": ["x"]}},
    ],
    ids=repr,
)
def test_unknown_event_is_never_success(event):
    result = from_dict(event, 5139)
    assert isinstance(result, Failed)
    assert isinstance(result.error, WaitInterruptedError)


def test_timeout_of_version_0_1_is_a_timeout():
    error = BuildTimeoutError(5139, "the time for waiting is over.").to_dict()
    result = from_dict({"outcome": "timeout", "build_id": 5139, "error": error}, 5139)
    assert isinstance(result, TimedOut)
