"""Properties of every wait, for any build, jitter and clocks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client.flows.polling import FLOOR
from mkw_airflow_provider.client.flows.wait import wait
from mkw_airflow_provider.exceptions import BuildTimeoutError
from tests.kit.simulation import NIGHT, PROPERTY, Course, World, http_error, unreachable

#: Progress by the elapsed share of a build's time.
SHAPES = {
    "linear": lambda share: int(100 * share),
    "fast at first": lambda share: int(100 * share**0.3),
    "slow at first": lambda share: int(100 * share**4),
    "stuck at 99": lambda share: min(99, int(150 * share)),
    "at 100 too early": lambda share: min(100, int(150 * share)),
    "backwards": lambda share: int(100 * (1 - share)),
    "always 0": lambda share: 0,
    "none": None,
}

chances = st.floats(0, 1)


def courses(longest: float) -> st.SearchStrategy[Course]:
    """Builds that take up to the given number of seconds."""
    return st.builds(
        Course,
        seconds=st.floats(0.01, longest),
        ending=st.sampled_from(["FINISHED", "FAILED", "CANCELED"]),
        progress=st.sampled_from(list(SHAPES)).map(SHAPES.get),
        shows_start=st.booleans(),
    )


#: A poll interval, and a build that does not need thousands of polls.
intervals_and_courses = st.floats(0.1, 300).flatmap(
    lambda interval: st.tuples(st.just(interval), courses(120 * interval))
)


def chancy(chance: float) -> World:
    world = World()
    world.chance = chance
    return world


@PROPERTY
@given(intervals_and_courses, chances)
def test_end_is_noticed_within_poll_interval(case, chance):
    """And no two polls are closer than the floor."""
    poll_interval, course = case
    world = chancy(chance)
    world.server = course.serve(world)
    build = world.run(wait(world.session, 5139, poll_interval=poll_interval)).require_ended()
    assert build.status == course.ending
    assert course.seconds <= world.now <= course.seconds + poll_interval + 1e-6
    assert all(min(FLOOR, poll_interval) <= pause <= poll_interval for pause in world.pauses)


@PROPERTY
@given(courses(5_000), st.floats(2, 300), chances, st.floats(-100, 5_000), st.floats(0, 10))
def test_wait_ends_at_the_deadline_or_build_end(course, poll_interval, chance, seconds, first_pause):
    world = chancy(chance)
    world.server = course.serve(world)
    deadline = NIGHT + seconds
    try:
        build = world.run(
            wait(world.session, 5139, poll_interval=poll_interval, deadline=deadline, first_pause=first_pause)
        ).require_ended()
        ended = build.status
    except BuildTimeoutError:
        ended = None
    assert world.clock.wall() <= max(NIGHT, deadline) + 1e-3
    assert ended == (course.ending if course.seconds <= world.now else None)
    assert len(world.sent) >= 1


@PROPERTY
@given(
    courses(5_000),
    chances,
    st.floats(0, 3_000),
    st.floats(0, 850),
    st.sampled_from([unreachable(), http_error(502), http_error(429, retry_after="20")]),
)
def test_tolerated_outage_does_not_change_the_end(course, chance, begins, lasts, response):
    world = chancy(chance)
    serve = course.serve(world)
    world.server = lambda call: response if begins <= world.now < begins + lasts else serve(call)
    build = world.run(wait(world.session, 5139, poll_interval=30.0)).require_ended()
    assert build.status == course.ending
    assert world.now <= max(course.seconds, begins + lasts) + 30.0 + 30.0


@PROPERTY
@given(courses(5_000), chances, st.lists(st.floats(-1e6, 1e6), max_size=20))
def test_clock_jumps_only_matter_with_a_deadline(course, chance, jumps):
    world = chancy(chance)
    serve = course.serve(world)

    def jumping(call):
        if jumps:
            world.clock.jump(jumps.pop())
        return serve(call)

    world.server = jumping
    build = world.run(wait(world.session, 5139, poll_interval=30.0)).require_ended()
    assert build.status == course.ending
    assert course.seconds <= world.now <= course.seconds + 30.0 + 1e-6
