"""Deadlines: status first, deadline second; and what clocks do to them."""

from __future__ import annotations

import pytest

from mkw_airflow_provider.client.flows.polling import JITTER
from mkw_airflow_provider.client.flows.wait import PollHistory, duration, wait
from mkw_airflow_provider.exceptions import BuildTimeoutError, ConnectionFailedError, ProtocolError
from tests.kit.simulation import NIGHT, Course, World, build, html, ok, says_no, unreachable


def watch(world: World, **options):
    return world.run(wait(world.session, 5139, **{"poll_interval": 30.0, **options}))


def test_a_build_that_goes_on_after_the_deadline_is_a_time_out_at_the_deadline(world):
    world.server = Course(seconds=1_000).serve(world)
    with pytest.raises(BuildTimeoutError) as caught:
        watch(world, deadline=NIGHT + 400)
    assert caught.value.build_id == 5139
    assert [sent.at for sent in world.sent][-1] == pytest.approx(400)


def test_the_last_look_is_at_the_deadline_and_what_it_shows_counts(world):
    world.server = Course(seconds=399.9).serve(world)
    assert watch(world, deadline=NIGHT + 400).status == "FINISHED"


@pytest.mark.parametrize("ending", ["FINISHED", "FAILED", "CANCELED"])
def test_a_build_that_ended_is_no_time_out_however_late_it_is_looked_at(world, ending):
    world.script(ok(build(status=ending)))
    assert watch(world, deadline=NIGHT - 86_400, first_pause=5.0).status == ending
    assert world.pauses in ([], [0.0])


def test_a_deadline_that_has_passed_allows_one_look(world):
    world.script(ok(build()))
    with pytest.raises(BuildTimeoutError):
        watch(world, deadline=NIGHT - 1)
    assert len(world.sent) == 1


def test_the_first_pause_does_not_lead_beyond_the_deadline(world):
    world.script(forever=ok(build()))
    with pytest.raises(BuildTimeoutError):
        watch(world, deadline=NIGHT + 1, first_pause=4.0)
    assert world.pauses == [1.0]


def test_the_message_has_the_id_and_the_state_and_says_what_goes_on_and_what_a_retry_does(world):
    world.server = lambda call: ok(build(progress=40))
    with pytest.raises(BuildTimeoutError) as caught:
        watch(world, deadline=NIGHT + 180, after_timeout="A retry goes on waiting for it.")
    assert str(caught.value) == (
        "the time for waiting is over, but build 5139 has not ended "
        "(last seen BUILDING at 40 % after a wait of 3 min 0 s). "
        "It goes on at the server, for the API has no cancel. A retry goes on waiting for it."
    )


def test_the_message_does_without_progress_and_without_a_word_on_retries(world):
    world.script(ok(build()))
    with pytest.raises(BuildTimeoutError) as caught:
        watch(world, deadline=NIGHT)
    assert str(caught.value).endswith(
        "(last seen BUILDING after a wait of 0 s). It goes on at the server, for the API has no cancel."
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (unreachable("connection refused"), "connection refused"),
        (says_no(503, "Wartung"), "503: Wartung"),
        (says_no(429, "Slow down"), "429: Slow down"),
        (says_no(408, "Too slow"), "408: Too slow"),
        (html(), "is not the documented JSON"),
    ],
)
def test_an_outage_at_the_deadline_is_a_time_out_that_says_so(world, answer, words):
    world.server = lambda call: ok(build(progress=70)) if world.now < 100 else answer
    with pytest.raises(BuildTimeoutError) as caught:
        watch(world, deadline=NIGHT + 200)
    text = str(caught.value)
    assert "last seen BUILDING at 70 %" in text
    assert "The server could not be asked at the end: " in text
    assert words in text
    assert world.now == pytest.approx(200)


def test_a_build_never_seen_is_not_said_to_be_in_any_state(world):
    world.script(forever=unreachable())
    with pytest.raises(BuildTimeoutError, match=r"has not ended \(not seen once in 2 min 0 s\)"):
        watch(world, deadline=NIGHT + 120)


def test_a_look_after_the_deadline_may_be_repeated_for_the_connect_time_out(world):
    world.script(unreachable(), unreachable(), ok(build(status="FINISHED")))
    assert watch(world, deadline=NIGHT - 60).status == "FINISHED"
    assert world.now <= world.settings.connect_timeout


def test_and_no_longer_than_that(world):
    world.script(forever=unreachable())
    with pytest.raises(BuildTimeoutError):
        watch(world, deadline=NIGHT - 60)
    assert world.now == pytest.approx(world.settings.connect_timeout)


def test_an_outage_that_ends_before_the_deadline_is_no_time_out():
    world = World(outage_tolerance=60.0)
    world.server = lambda call: ok(build()) if world.now < 10 else unreachable()
    with pytest.raises(ConnectionFailedError):
        watch(world, deadline=NIGHT + 3_600)


def test_an_unknown_status_at_the_deadline_is_a_time_out(world):
    world.script(forever=ok(build(status="QUEUED")))
    with pytest.raises(BuildTimeoutError, match="last seen QUEUED"):
        watch(world, deadline=NIGHT + 100)


def test_an_unknown_status_that_shows_an_end_is_no_time_out(world):
    world.script(ok(build(status="DONE", build_end="2026-04-02T08:14:58.898Z")))
    with pytest.raises(ProtocolError):
        watch(world, deadline=NIGHT - 1)


@pytest.mark.parametrize("jump", [1.0, 3_600.0, 86_400.0 * 400])
def test_a_jump_forwards_over_the_deadline_allows_a_last_look(world, jump):
    course = Course(seconds=100, ending="FINISHED").serve(world)

    def serve(call):
        if len(world.sent) == 2:
            world.clock.jump(500.0 + jump)
            return ok(build(status="BUILDING"))
        return course(call)

    world.server = serve
    with pytest.raises(BuildTimeoutError):
        watch(world, deadline=NIGHT + 500)
    assert len(world.sent) == 2


@pytest.mark.parametrize("jump", [-3_600.0, -30.0, 30.0, 3_600.0, 86_400.0 * 400])
def test_jumps_of_the_clock_make_no_pause_longer_than_poll_interval(world, jump):
    course = Course(seconds=600, progress=lambda share: int(100 * share)).serve(world)

    def serve(call):
        if len(world.sent) == 5:
            world.clock.jump(jump)
        return course(call)

    world.server = serve
    assert watch(world).status == "FINISHED"
    assert max(world.pauses) <= 30.0
    assert world.now <= 630.0


def test_a_jump_backwards_makes_the_deadline_later_by_no_more_than_the_jump(world):
    def serve(call):
        if len(world.sent) == 3:
            world.clock.jump(-3_600.0)
        return ok(build())

    world.server = serve
    with pytest.raises(BuildTimeoutError):
        watch(world, deadline=NIGHT + 500)
    assert world.now == pytest.approx(4_100.0)


def test_a_jump_backwards_in_an_outage_does_not_stretch_the_tolerance():
    world = World(outage_tolerance=60.0)

    def serve(call):
        if len(world.sent) == 3:
            world.clock.jump(-86_400.0)
        return unreachable()

    world.server = serve
    with pytest.raises(ConnectionFailedError):
        watch(world, deadline=NIGHT + 500)
    assert world.now == 60.0


@pytest.mark.parametrize("skew", [-7_200.0, -60.0, 60.0, 7_200.0, 86_400.0 * 3_650])
def test_a_clock_of_the_server_that_goes_wrong_delays_no_look_beyond_poll_interval(world, skew):
    course = Course(seconds=300, progress=lambda share: int(100 * share)).serve(world)
    world.clock.jump(skew)
    world.server = course
    assert watch(world, deadline=NIGHT + skew + 900).status == "FINISHED"
    assert world.now <= 330.0


def test_the_age_of_the_build_counts_not_that_of_the_wait(world):
    course = Course(seconds=4_000).serve(world)
    world.server = course
    world.clock.advance(3_600)
    watch(world)
    assert world.pauses[0] == pytest.approx(30 * (1 - JITTER))


def test_the_history_of_a_wait_that_timed_out_is_there(world):
    history = PollHistory()
    world.server = Course(seconds=1_000, progress=lambda share: int(100 * share)).serve(world)
    with pytest.raises(BuildTimeoutError):
        watch(world, deadline=NIGHT + 300, history=history)
    assert (history.seconds, history.polls) == (pytest.approx(300), len(world.sent))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (303, "5 min 3 s"),
        (3_599.6, "1 h 0 min"),
        (7_620, "2 h 7 min"),
        (360_000, "100 h 0 min"),
    ],
)
def test_durations_are_for_people(seconds, words):
    assert duration(seconds) == words
