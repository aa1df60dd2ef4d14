"""What a wait tells: a line for each change, and one line in the end."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.flows.wait import LONGEST_HISTORY, PollHistory, wait
from tests.kit.simulation import PROPERTY, Course, World, build, ok


def watch(world: World, **options):
    return world.run(wait(world.session, 5139, **{"poll_interval": 30.0, **options}))


def test_a_line_for_each_change_of_status_or_progress_step(world):
    looks = [("BUILDING", 0), ("BUILDING", 4), ("BUILDING", 9), ("BUILDING", 10), ("BUILDING", 19), ("FINISHED", 100)]
    world.script(*(ok(build(status=status, progress=progress)) for status, progress in looks))
    watch(world)
    shown = [line.removeprefix("Build 5139 is ").split(" after ")[0] for line in world.logged()]
    assert shown == ["BUILDING, 0 %", "BUILDING, 10 %", "FINISHED, 100 %"]


def test_a_line_has_the_age_of_the_build_and_the_words_of_the_server(world):
    course = Course(seconds=10_000)
    world.server = lambda call: ok({**course.at(world.now), "message": "calculating deliveries ..."})
    world.clock.advance(7_620)
    flow = wait(world.session, 5139, poll_interval=30.0)
    flow.send(world.do(next(flow)))
    assert world.logged() == ["Build 5139 is BUILDING after 2 h 7 min (calculating deliveries ...)."]


def test_the_last_line_leaves_the_message_out_for_it_may_be_an_old_one(world):
    world.script(ok(build(status="FINISHED", progress=100, message="calculating deliveries ...")))
    watch(world)
    assert world.logged() == ["Build 5139 is FINISHED, 100 % after 0 s."]


def test_nothing_changes_nothing_is_logged(world):
    world.server = Course(seconds=3_000).serve(world)
    watch(world)
    assert [line.split(" after ")[0] for line in world.logged()] == ["Build 5139 is BUILDING", "Build 5139 is FINISHED"]


def test_the_history_is_one_line(world):
    history = PollHistory()
    world.server = Course(seconds=100, progress=lambda share: int(100 * share)).serve(world)
    watch(world, history=history)
    assert PollHistory.describe(5139, history.to_dict()) == (
        f"Build 5139 was watched for {world.now:.0f} s in {len(world.sent)} polls: "
        + ", ".join(f"{status} {progress} % at {seconds:.0f} s" for seconds, status, progress in history.changes)
        + "."
    )
    assert history.changes[0] == (0.0, "BUILDING", 0)
    assert history.changes[-1] == (pytest.approx(world.now, abs=0.06), "FINISHED", 100)


def test_a_wait_without_any_answer_has_a_history_too():
    assert PollHistory.describe(5139, PollHistory().to_dict()) == "Build 5139 was watched for 0 s in 0 polls."
    assert PollHistory.describe(5139, {}) == "Build 5139 was watched for 0 s in 0 polls."


def test_progress_that_is_not_given_is_not_made_up():
    history = PollHistory()
    history.see(Build.from_json(build()), 3.0)
    assert (
        PollHistory.describe(5139, history.to_dict()) == "Build 5139 was watched for 3 s in 1 polls: BUILDING at 3 s."
    )


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
def test_a_history_is_bounded_and_keeps_the_first_and_the_last_change(looks):
    history = PollHistory()
    new = [history.see(Build.from_json(build(status=status, progress=p)), seconds) for status, p, seconds in looks]
    assert len(history.changes) <= LONGEST_HISTORY
    assert history.polls == len(looks)
    assert new[0] is True
    assert history.changes[0] == (round(looks[0][2], 1), looks[0][0], looks[0][1])
    last_new = max(index for index, is_new in enumerate(new) if is_new)
    assert history.changes[-1][1:] == looks[last_new][:2]
    line = PollHistory.describe(5139, json.loads(json.dumps(history.to_dict())))
    assert "\n" not in line
    assert len(line) < 1_000
