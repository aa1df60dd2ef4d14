"""Waiting for a build: how it ends."""

from __future__ import annotations

import pytest

from mkw_airflow_provider.client.flows.wait import look, wait
from mkw_airflow_provider.exceptions import (
    ConnectionFailedError,
    ForbiddenError,
    NotAuthenticatedError,
    NotFoundError,
    ProtocolError,
)
from tests.kit.simulation import Course, World, build, html, ok, says_no, unreachable


def watch(world: World, **options):
    return world.run(wait(world.session, 5139, **{"poll_interval": 30.0, **options}))


@pytest.mark.parametrize("ending", ["FINISHED", "FAILED", "CANCELED"])
def test_it_ends_with_the_build_however_that_ended(world, ending):
    world.server = Course(seconds=100, ending=ending).serve(world)
    assert watch(world).status == ending


def test_a_build_that_has_ended_already_needs_one_look_and_no_pause(world):
    world.script(ok(build(status="FAILED")))
    assert watch(world).status == "FAILED"
    assert (len(world.sent), world.pauses) == (1, [])


@pytest.mark.parametrize("downloads", [[None], [{"name": "x.zip"}], [{"id": 1}, 7], "none", {"id": 1}])
def test_a_download_that_cannot_be_read_does_not_hide_how_the_build_is(world, downloads):
    world.script(ok(build(downloads=downloads)), ok(build(status="FINISHED", downloads=downloads)))
    assert watch(world).status == "FINISHED"
    assert len(world.sent) == 2


def test_a_build_that_was_just_looked_at_is_left_alone_first(world):
    world.script(ok(build(status="FINISHED")))
    watch(world, first_pause=3.0)
    assert world.pauses == [3.0]


def test_looking_reads_the_build_once(world):
    world.script(ok(build(progress=40)))
    assert world.run(look(world.session, 5139)).progress == 40
    assert world.asked == ["GET /builds/5139"]


def test_an_outage_in_the_middle_is_waited_out(world):
    course = Course(seconds=600).serve(world)
    world.server = lambda call: unreachable() if 100 <= world.now < 700 else course(call)
    assert watch(world).status == "FINISHED"
    assert 700 <= world.now <= 730


def test_every_outage_has_the_whole_tolerance(world):
    course = Course(seconds=4_000).serve(world)
    world.server = lambda call: says_no(502) if world.now % 1_000 > 200 else course(call)
    assert watch(world).status == "FINISHED"
    assert world.now >= 4_000


def test_after_the_tolerance_the_state_is_unknown_not_failed():
    world = World(outage_tolerance=60.0)
    world.server = lambda call: ok(build()) if world.now < 10 else unreachable()
    with pytest.raises(ConnectionFailedError, match="the state on the server is unknown"):
        watch(world)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (says_no(404, "No record found for id '5139'"), NotFoundError),
        (says_no(403, "You don't have permissions to access this project!"), ForbiddenError),
    ],
)
def test_a_build_that_vanishes_or_is_hidden_ends_the_wait_at_once(world, answer, kind):
    world.script(ok(build()), answer)
    with pytest.raises(kind) as caught:
        watch(world)
    assert len(world.sent) == 2
    assert answer.json()["message"] in str(caught.value)


def test_a_404_ends_the_wait_as_a_404_even_after_the_deadline(world):
    world.script(says_no(404, "No record found for id '5139'"))
    with pytest.raises(NotFoundError):
        watch(world, deadline=world.clock.wall() - 1)


def test_a_token_that_ends_in_the_middle_is_renewed(world):
    world.script(ok(build()), says_no(401), ok({"accessToken": "new"}, 201), ok(build(status="FINISHED")))
    assert watch(world).status == "FINISHED"
    assert [sent.call.token for sent in world.sent] == ["first-token", "first-token", None, "new"]


def test_a_user_who_may_not_log_in_any_more_ends_the_wait(world):
    world.script(ok(build()), says_no(401), says_no(401, "Invalid login"))
    with pytest.raises(NotAuthenticatedError, match="Invalid login"):
        watch(world)


def test_an_answer_about_another_build_is_no_answer():
    world = World(outage_tolerance=10.0)
    world.script(forever=ok(build(number=4711, status="FINISHED")))
    with pytest.raises(ProtocolError, match="build 5139 was asked for, build 4711 came"):
        watch(world)


def test_an_unknown_status_is_waited_out(world):
    world.script(*[ok(build(status="QUEUED"))] * 3, ok(build(status="FINISHED")))
    assert watch(world).status == "FINISHED"


def test_an_unknown_status_for_longer_than_the_tolerance_is_an_error():
    world = World(outage_tolerance=300.0)
    world.script(forever=ok(build(status="DONE")))
    with pytest.raises(ProtocolError, match="build 5139 has the status 'DONE', which the API does not document"):
        watch(world)
    assert 300 <= world.now <= 330


def test_a_known_status_in_between_begins_that_tolerance_anew():
    world = World(outage_tolerance=300.0)
    world.server = lambda call: ok(build(status="BUILDING" if 200 < world.now < 260 else "PAUSED"))
    with pytest.raises(ProtocolError, match="PAUSED"):
        watch(world)
    assert 260 + 300 - 30 <= world.now <= 260 + 300 + 60


def test_an_unknown_status_with_an_end_is_an_error_at_once(world):
    world.script(ok(build(status="DONE", build_end="2026-04-02T08:14:58.898Z")))
    with pytest.raises(ProtocolError, match="look at it in the web application"):
        watch(world)
    assert len(world.sent) == 1


@pytest.mark.parametrize("status", ["finished", "CANCELLED", "Failed", "SUCCESS", " FINISHED"])
def test_no_other_spelling_passes_for_an_end(status):
    world = World(outage_tolerance=60.0)
    world.script(forever=ok(build(status=status)))
    with pytest.raises(ProtocolError, match=repr(status)):
        watch(world)


@pytest.mark.parametrize("answer", [ok({"id": 5139}), ok(build(status=None)), ok(build(status=3)), ok(None), html()])
def test_an_answer_without_a_status_never_passes_for_an_end(answer):
    world = World(outage_tolerance=60.0)
    world.script(forever=answer)
    with pytest.raises(ProtocolError):
        watch(world)
    assert world.now == 60.0
