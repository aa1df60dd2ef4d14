"""Waiting for a build: how it ends, deadlines, retried 404s, clocks."""

from __future__ import annotations

from email.utils import formatdate

import pendulum
import pytest

from mkw_airflow_provider.client.api.builds import get_build
from mkw_airflow_provider.client.flows.wait import read_build, wait
from mkw_airflow_provider.client.flows.wait_result import Ended, Failed, TimedOut
from mkw_airflow_provider.exceptions import (
    ConfigurationError,
    ConnectionFailedError,
    ForbiddenError,
    NotAuthenticatedError,
    NotFoundError,
    ProtocolError,
)
from tests.kit.simulation import NIGHT, Course, World, build, html, http_error, ok, unreachable


def run(world: World, **options):
    return world.run(wait(world.session, 5139, **{"poll_interval": 30.0, **options}))


def error_of(result) -> Exception:
    assert isinstance(result, Failed)
    return result.error


@pytest.mark.parametrize("ending", ["FINISHED", "FAILED", "CANCELED"])
def test_every_end_is_a_result(world, ending):
    world.server = Course(seconds=100, ending=ending).serve(world)
    assert run(world).build.status == ending


def test_ended_build_takes_one_poll(world):
    world.script(ok(build(status="FAILED")))
    assert run(world).build.status == "FAILED"
    assert (len(world.sent), world.pauses) == (1, [])


@pytest.mark.parametrize("downloads", [[None], [{"name": "x.zip"}], [{"id": 1}, 7], "none", {"id": 1}])
def test_unreadable_downloads_do_not_matter(world, downloads):
    world.script(ok(build(downloads=downloads)), ok(build(status="FINISHED", downloads=downloads)))
    assert run(world).build.status == "FINISHED"


def test_read_build_reads_it_once(world):
    world.script(ok(build(progress=40)))
    assert world.run(read_build(world.session, 5139)).progress == 40
    assert world.requested == ["GET /builds/5139"]


@pytest.mark.parametrize(("status", "is_read"), [("BUILDING", False), ("FINISHED", True)])
def test_running_build_is_read_in_part(status, is_read):
    sent = build(status=status, progress=40, message="Generating mappings")
    shown = get_build(5139, running=("id", "status", "progress")).read(ok(sent))
    assert (shown.id, shown.status, shown.progress) == (5139, status, 40)
    assert shown.message == ("Generating mappings" if is_read else None)
    assert shown.raw == sent


def test_start_is_read_once(world):
    """Later polls leave it out: an earlier start would make the pauses longer."""
    began = pendulum.from_timestamp(world.clock.wall())
    later = build(build_start=str(began.subtract(hours=1)))
    world.script(ok(build(build_start=str(began))), ok(later), ok(later), ok(build(status="FINISHED")))
    assert run(world).build.status == "FINISHED"
    assert max(world.pauses) < 5


def test_outages_within_the_tolerance_are_retried(world):
    course = Course(seconds=4_000).serve(world)
    world.server = lambda call: http_error(502) if world.now % 1_000 > 200 else course(call)
    assert run(world).build.status == "FINISHED"
    assert world.now >= 4_000


def test_after_the_tolerance_the_state_is_unknown():
    world = World(outage_tolerance=60.0)
    world.server = lambda call: ok(build()) if world.now < 10 else unreachable()
    for deadline in (None, NIGHT + 3_600):
        assert isinstance(error_of(run(world, deadline=deadline)), ConnectionFailedError)


def test_refused_read_fails_immediately(world):
    world.script(ok(build()), http_error(403, "You don't have permissions to access this project!"))
    assert isinstance(error_of(run(world)), ForbiddenError)
    assert len(world.sent) == 2


def test_expired_token_is_renewed(world):
    world.script(ok(build()), http_error(401), ok({"accessToken": "new"}, 201), ok(build(status="FINISHED")))
    assert run(world).build.status == "FINISHED"
    assert [sent.call.token for sent in world.sent] == ["first-token", "first-token", None, "new"]


def test_refused_login_fails(world):
    world.script(ok(build()), forever=http_error(401, "Invalid login"))
    assert isinstance(error_of(run(world)), NotAuthenticatedError)


def test_bad_build_id_is_a_result(world):
    result = world.run(wait(world.session, "5x", poll_interval=30.0))
    assert isinstance(error_of(result), ConfigurationError)


# A 404 for a build that is known to exist.


@pytest.mark.parametrize("exists", [True, False])
def test_404_of_an_existing_build_is_retried(world, exists):
    """A gateway or a replica may not know it for a moment. Without ``exists`` it was read once before."""
    first = [] if exists else [ok(build())]
    world.script(*first, http_error(404), http_error(404), ok(build()), http_error(404), ok(build(status="FINISHED")))
    assert run(world, exists=exists).build.status == "FINISHED"


def test_404_is_retried_for_a_minute(world):
    world.script(ok(build()), forever=http_error(404, "No record found for id '5139'"))
    assert "No record found for id '5139'" in str(error_of(run(world)))
    assert 60 <= world.now <= 70


def test_404_of_an_unknown_build_is_final(world):
    world.script(http_error(404))
    assert isinstance(error_of(run(world, deadline=NIGHT - 1)), NotFoundError)
    assert len(world.sent) == 1


def test_404_at_the_deadline_is_a_timeout(world):
    world.script(ok(build()), forever=http_error(404, "No record"))
    result = run(world, deadline=NIGHT + 30)
    assert isinstance(result, TimedOut)
    assert "No record" in str(result.cause)


# Statuses that the API does not document.


def test_unknown_status_is_polled_again(world):
    world.script(*[ok(build(status="QUEUED"))] * 3, ok(build(status="FINISHED")))
    assert run(world).build.status == "FINISHED"


@pytest.mark.parametrize(
    "response",
    [
        *(ok(build(status=status)) for status in ("DONE", "finished", "CANCELLED", "SUCCESS", " FINISHED", None, 3)),
        ok({"id": 5139}),
        ok(None),
        html(),
        ok(build(number=4711, status="FINISHED")),
    ],
)
def test_nothing_else_is_an_end(response):
    world = World(outage_tolerance=60.0)
    world.script(forever=response)
    assert isinstance(error_of(run(world)), ProtocolError)
    assert 60 <= world.now <= 90


def test_known_status_restarts_the_tolerance():
    world = World(outage_tolerance=300.0)
    world.server = lambda call: ok(build(status="BUILDING" if 200 < world.now < 260 else "PAUSED"))
    assert "PAUSED" in str(error_of(run(world)))
    assert 260 + 300 - 30 <= world.now <= 260 + 300 + 60


def test_unknown_status_of_an_ended_build_fails(world):
    world.script(ok(build(status="DONE", build_end="2026-04-02T08:14:58.898Z")))
    assert "check it in the web application" in str(error_of(run(world, deadline=NIGHT - 1)))
    assert len(world.sent) == 1


# Deadlines: status first, deadline second.


def test_last_poll_is_at_the_deadline(world):
    world.server = Course(seconds=1_000).serve(world)
    assert isinstance(run(world, deadline=NIGHT + 400), TimedOut)
    assert world.sent[-1].at == pytest.approx(400)


def test_end_just_before_the_deadline_counts(world):
    world.server = Course(seconds=399.9).serve(world)
    assert isinstance(run(world, deadline=NIGHT + 400), Ended)


@pytest.mark.parametrize("ending", ["FINISHED", "FAILED", "CANCELED", "BUILDING"])
def test_passed_deadline_allows_one_poll(world, ending):
    world.script(ok(build(status=ending)))
    result = run(world, deadline=NIGHT - 86_400, first_pause=5.0)
    assert isinstance(result, TimedOut if ending == "BUILDING" else Ended)
    assert world.now == 0


@pytest.mark.parametrize(("first_pause", "deadline", "pauses"), [(3.0, None, [3.0]), (4.0, NIGHT + 1, [1.0])])
def test_first_pause_ends_at_the_deadline(world, first_pause, deadline, pauses):
    world.script(ok(build(status="FINISHED")))
    run(world, first_pause=first_pause, deadline=deadline)
    assert world.pauses == pauses


def test_timeout_message_has_state_and_limit(world):
    world.server = lambda call: ok(build(progress=40))
    assert run(world, deadline=NIGHT + 180, limit="execution_timeout").message() == (
        "Build 5139 did not end within `execution_timeout` (last seen BUILDING, 40 %). "
        "It is still running: the API cannot cancel builds."
    )


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (unreachable("connection refused"), "connection refused"),
        (http_error(503, "Wartung"), "503: Wartung"),
        (http_error(429, "Slow down"), "429: Slow down"),
        (http_error(408, "Too slow"), "408: Too slow"),
        (html(), "is not the documented JSON"),
    ],
)
def test_outage_at_the_deadline_is_a_timeout(world, response, words):
    world.server = lambda call: ok(build(progress=70)) if world.now < 100 else response
    text = run(world, deadline=NIGHT + 200).message()
    assert "last seen BUILDING, 70 %" in text
    assert "It could not be read at the end: " in text
    assert words in text
    assert "If it has not ended, it is still running" in text
    assert world.now == pytest.approx(200)


def test_late_poll_is_retried_briefly(world):
    """For the connect timeout, and no longer."""
    world.script(unreachable(), unreachable(), ok(build(status="FINISHED")))
    assert isinstance(run(world, deadline=NIGHT - 60), Ended)
    assert world.now <= world.settings.connect_timeout
    late = World()
    late.script(forever=unreachable())
    assert "it could not be read once" in run(late, deadline=NIGHT - 60).message()
    assert late.now == pytest.approx(late.settings.connect_timeout)


# Clocks.


@pytest.mark.parametrize("jump", [-86_400.0, -30.0, 30.0, 3_600.0, 86_400.0 * 400])
def test_clock_jumps_delay_no_poll(world, jump):
    course = Course(seconds=600, progress=lambda share: int(100 * share)).serve(world)

    def serve(call):
        if len(world.sent) == 5:
            world.clock.jump(jump)
        return course(call)

    world.server = serve
    assert isinstance(run(world), Ended)
    assert max(world.pauses) <= 30.0
    assert world.now <= 630.0


def test_clock_jump_allows_a_last_poll(world):
    def serve(call):
        if len(world.sent) == 2:
            world.clock.jump(3_600.0)
        return ok(build())

    world.server = serve
    assert isinstance(run(world, deadline=NIGHT + 500), TimedOut)
    assert len(world.sent) == 2


def test_jump_back_does_not_stretch_the_tolerance():
    world = World(outage_tolerance=60.0)

    def serve(call):
        if len(world.sent) == 3:
            world.clock.jump(-86_400.0)
        return unreachable()

    world.server = serve
    assert isinstance(error_of(run(world, deadline=NIGHT + 500)), ConnectionFailedError)
    assert world.now == pytest.approx(60.0)


@pytest.mark.parametrize("skew", [-7_200.0, -180.0, 0.0, 180.0, 7_200.0, 86_400.0 * 3_650])
@pytest.mark.parametrize("seconds", [10, 20, 300])
def test_server_clock_skew_changes_no_poll(skew, seconds):
    """The age of a build is counted on the server's clock alone."""

    def polls(skew: float) -> list[float]:
        world = World()
        course = Course(seconds=seconds, progress=lambda share: int(100 * share))

        def serve(call):
            shown = course.at(world.now)
            shown["build_start"] = pendulum.from_timestamp(NIGHT + skew).to_iso8601_string()
            return ok(shown, date=formatdate(NIGHT + skew + world.now, usegmt=True))

        world.server = serve
        assert isinstance(run(world, first_pause=2.0), Ended)
        return [sent.at for sent in world.sent]

    assert polls(skew) == polls(0.0)
    assert polls(skew)[-1] <= seconds + 30
