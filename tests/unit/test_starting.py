"""Starting a build exactly once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mkw_airflow_provider.client.flows.build_marker import BuildMarker
from mkw_airflow_provider.client.flows.start import BuildRequest, create, start
from mkw_airflow_provider.client.request import Request
from mkw_airflow_provider.exceptions import (
    BuildStartUncertainError,
    ConnectionFailedError,
    ForbiddenError,
    NotFoundError,
)
from tests.kit.simulation import World, build, html, lost, ok, says_no, unreachable

ORDER = BuildRequest("DEMO_PROJECT", None, [{"id": 1001}], {"DWH_GROUP": "R1"}, "nightly build")
ME = BuildMarker("nightly", "scheduled__2026-04-02", "start_build", -1, 1)
CLEARED = replace(ME, first_try=3)

LISTED = "GET /builds?project=DEMO_PROJECT&user_id=7"
POSTED = "POST /builds"


class Builds:
    """The builds of a server.

    :param there: what it has from before: id, status and whose.
    :param faults: what happens to each POST: an answer instead of its own, and whether the work is done; and for how
        many seconds the new build is not listed yet.
    """

    def __init__(self, world: World, *there: tuple[int, str, BuildMarker | None], faults: Any = ()) -> None:
        self.world = world
        self.faults = list(faults)
        self.builds = [self._build(number, status, whose) for number, status, whose in there]
        self.next_status = "BUILDING"
        self.listed_after = 0.0
        world.server = self

    @staticmethod
    def _build(number: int, status: str, whose: BuildMarker | None) -> dict[str, Any]:
        return build(number, status, description=whose.describe("nightly build") if whose else "by hand", since=0.0)

    def __call__(self, call: Request[Any]) -> Any:
        assert call.path == "/api/v1/builds"
        if call.method == "GET":
            return ok([shown for shown in self.builds if shown["since"] <= self.world.now])
        answer, done = self.faults.pop(0) if self.faults else (None, True)
        if not done:
            return answer
        number = 1 + max((shown["id"] for shown in self.builds), default=5138)
        new = build(number, self.next_status, **(call.body or {}))
        self.builds.append({**new, "since": self.world.now + self.listed_after, "instances": 1, "releases": []})
        return answer or ok({"build": {"id": number, "status": "BUILDING"}, "warnings": ["no release"]}, 201)


LOST_AFTER_THE_WORK = (lost("read timed out"), True)
LOST_BEFORE_THE_WORK = (lost("connection reset"), False)


def run(world: World, identity: BuildMarker | None = ME, *, is_retry: bool = False, order: BuildRequest = ORDER):
    return world.run(start(world.session, order, identity, is_retry=is_retry))


def test_the_first_try_posts_at_once(world):
    Builds(world)
    created = run(world)
    assert (created.build.id, created.warnings) == (5139, ["no release"])
    assert world.asked == [POSTED]


def test_the_order_is_sent_as_documented_and_marked_in_the_description(world):
    Builds(world)
    run(world)
    assert world.sent[0].call.body == {
        "project": "DEMO_PROJECT",
        "instances": [{"id": 1001}],
        "releases": {"DWH_GROUP": "R1"},
        "description": ME.describe("nightly build"),
    }


@pytest.mark.parametrize("status", ["BUILDING", "FINISHED"])
def test_a_retry_takes_up_the_build_of_the_try_before(world, status):
    Builds(world, (5000, status, ME))
    created = run(world, is_retry=True)
    assert (created.build.id, created.build.status) == (5000, status)
    assert world.asked == [LISTED]
    assert world.logged() == [
        f"Build 5000 was started by an earlier try of this task and is {status}: going on with it."
    ]


@pytest.mark.parametrize("there", [[], [(5000, "FAILED", ME)], [(5000, "CANCELED", ME)], [(5000, "BUILDING", None)]])
def test_a_retry_starts_a_build_where_none_goes_on_or_has_finished(world, there):
    Builds(world, *there)
    created = run(world, is_retry=True)
    assert created.build.id not in (None, 5000)
    assert world.asked == [LISTED, POSTED]
    assert world.logged() == ["No build of an earlier try of this task goes on or has finished: starting one."]


@pytest.mark.parametrize(
    "other",
    [replace(ME, map_index=3), replace(ME, run_id="manual__x"), replace(ME, task_id="other"), CLEARED],
    ids=["map index", "run", "task", "series"],
)
def test_a_retry_leaves_the_builds_of_others_alone(world, other):
    Builds(world, (5000, "BUILDING", other))
    assert run(world, is_retry=True).build.id == 5001


def test_the_look_up_is_narrowed_by_project_id_and_user(world):
    Builds(world)
    run(world, is_retry=True, order=BuildRequest(None, 402, [{"id": 1001}]))
    assert world.asked[0] == "GET /builds?project_id=402&user_id=7"


def test_the_look_up_does_without_the_user_where_the_token_does_not_tell():
    world = World(token="ready")
    Builds(world)
    run(world, is_retry=True)
    assert world.asked[0] == "GET /builds?project=DEMO_PROJECT"


def test_a_look_up_that_is_refused_starts_nothing(world):
    world.script(says_no(403, "You don't have permissions to access this project!"))
    with pytest.raises(ForbiddenError):
        run(world, is_retry=True)
    assert world.asked == [LISTED]


def test_an_outage_during_the_look_up_starts_nothing():
    world = World(outage_tolerance=60.0)
    world.script(forever=unreachable())
    with pytest.raises(ConnectionFailedError):
        run(world, is_retry=True)
    assert set(world.asked) == {LISTED}


@pytest.mark.parametrize("fault", [lost("read timed out"), html(201), says_no(502), says_no(504), says_no(503)])
@pytest.mark.parametrize("is_retry", [False, True])
def test_a_lost_answer_is_cleared_up_by_looking(world, fault, is_retry):
    Builds(world, faults=[(fault, True)])
    assert run(world, is_retry=is_retry).build.id == 5139
    assert world.asked == [LISTED] * is_retry + [POSTED, LISTED]
    assert world.logged("WARNING")[0].startswith("No response to POST /api/v1/builds (")
    assert world.logged("INFO")[-1] == "Build 5139 is the one that the lost answer was about: going on with it."


def test_it_looks_until_the_build_appears(world):
    builds = Builds(world, faults=[LOST_AFTER_THE_WORK])
    builds.listed_after = 200.0
    assert run(world).build.id == 5139
    assert world.asked.count(POSTED) == 1
    assert 200 <= world.now <= 215
    assert max(world.pauses) <= 18.75


def test_it_looks_through_an_outage(world):
    builds = Builds(world, faults=[LOST_AFTER_THE_WORK])
    world.server = lambda call: unreachable() if call.method == "GET" and world.now < 300 else builds(call)
    assert run(world).build.id == 5139
    assert world.asked.count(POSTED) == 1


def test_if_nothing_appears_within_the_tolerance_the_start_is_uncertain():
    world = World(outage_tolerance=120.0)
    Builds(world, faults=[LOST_BEFORE_THE_WORK])
    with pytest.raises(BuildStartUncertainError) as caught:
        run(world)
    assert world.asked.count(POSTED) == 1
    assert world.now == pytest.approx(120.0)
    assert str(caught.value) == (
        "no response to POST /api/v1/builds (POST /api/v1/builds: connection reset), and nothing was found "
        f"within 120 s. A build with {ME.marker} in its description may go on at the server. "
        "The next try of this task looks for it first, and starts one only if there is none"
    )


def test_if_it_cannot_be_looked_up_the_start_is_uncertain_too():
    world = World(outage_tolerance=60.0)
    builds = Builds(world, faults=[LOST_AFTER_THE_WORK])
    world.server = lambda call: unreachable("connection refused") if call.method == "GET" else builds(call)
    with pytest.raises(BuildStartUncertainError, match=r"the search for its effect failed: .* connection refused"):
        run(world)
    assert world.asked.count(POSTED) == 1


def test_without_tolerance_it_looks_once():
    world = World(outage_tolerance=0.0)
    Builds(world, faults=[LOST_BEFORE_THE_WORK])
    with pytest.raises(BuildStartUncertainError):
        run(world)
    assert world.asked == [POSTED, LISTED]


def test_the_next_try_clears_an_uncertain_start_up():
    world = World(outage_tolerance=10.0)
    builds = Builds(world, faults=[LOST_AFTER_THE_WORK])
    builds.listed_after = 60.0
    with pytest.raises(BuildStartUncertainError):
        run(world)
    world.clock.go_on(300)
    assert run(world, is_retry=True).build.id == 5139
    assert world.asked.count(POSTED) == 1


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "CANCELED"])
def test_a_lost_answer_may_be_about_a_build_that_has_ended_meanwhile(world, status):
    builds = Builds(world, faults=[LOST_AFTER_THE_WORK])
    builds.next_status = status
    assert run(world).build.status == status
    assert world.asked == [POSTED, LISTED]


@pytest.mark.parametrize("status", ["FAILED", "CANCELED"])
def test_a_lost_answer_is_not_about_the_build_of_the_try_before(world, status):
    builds = Builds(world, (5000, status, ME), faults=[LOST_AFTER_THE_WORK])
    builds.listed_after = 30.0
    assert run(world, is_retry=True).build.id == 5001
    assert world.asked.count(POSTED) == 1


def test_if_only_the_build_of_the_try_before_is_there_the_start_is_uncertain():
    world = World(outage_tolerance=60.0)
    Builds(world, (5000, "FAILED", ME), faults=[LOST_BEFORE_THE_WORK])
    with pytest.raises(BuildStartUncertainError):
        run(world, is_retry=True)


@pytest.mark.parametrize("answer", [unreachable(), says_no(429), says_no(503, retry_after="5")])
def test_a_post_that_did_nothing_is_sent_again(world, answer):
    Builds(world, faults=[(answer, False), (answer, False)])
    assert run(world).build.id == 5139
    assert world.asked == [POSTED] * 3


def test_what_the_server_refuses_is_final(world):
    world.script(says_no(404, "Instance not found"))
    with pytest.raises(NotFoundError, match="Instance not found"):
        run(world)
    assert world.asked == [POSTED]


@pytest.mark.parametrize(("earlier", "first_try"), [(1, 2), (1, 3), (2, 3)])
def test_a_cleared_task_warns_of_a_build_of_an_earlier_series_that_goes_on(world, earlier, first_try):
    Builds(world, (5000, "BUILDING", replace(ME, first_try=earlier)))
    assert run(world, replace(ME, first_try=first_try)).build.id == 5001
    assert world.asked == [LISTED, POSTED]
    assert world.logged("WARNING") == [
        "Build 5000, started before this task was cleared, still goes on at the server. Starting another one."
    ]


@pytest.mark.parametrize(("status", "whose"), [("FINISHED", ME), ("FAILED", ME), ("BUILDING", None)])
def test_a_cleared_task_warns_of_nothing_else(world, status, whose):
    Builds(world, (5000, status, whose))
    assert run(world, CLEARED).build.id == 5001
    assert world.logged("WARNING") == []


def test_a_retry_after_a_clear_takes_up_the_build_of_its_own_series(world):
    Builds(world, (5000, "FINISHED", ME), (5001, "BUILDING", CLEARED))
    assert run(world, CLEARED, is_retry=True).build.id == 5001


def test_without_an_identity_nothing_is_looked_up_and_nothing_is_left_behind(world):
    Builds(world, (5000, "BUILDING", ME))
    assert run(world, None, is_retry=True).build.id == 5001
    assert world.asked == [POSTED]
    assert (world.sent[0].call.body or {})["description"] == "nightly build"


@pytest.mark.parametrize("flow", [lambda session: start(session, ORDER, None), lambda session: create(session, ORDER)])
def test_without_an_identity_a_lost_answer_is_an_error_at_once(world, flow):
    Builds(world, faults=[LOST_AFTER_THE_WORK])
    with pytest.raises(BuildStartUncertainError, match="It carries no mark to look it up by"):
        world.run(flow(world.session))
    assert (world.asked, world.pauses) == ([POSTED], [])
