"""Starting a build: one POST, and what is done where its outcome is unknown."""

from __future__ import annotations

import pytest

from mkw_airflow_provider.client.flows.build_marker import BuildMarker, task_key
from mkw_airflow_provider.client.flows.start import BuildRequest, create, create_marked
from mkw_airflow_provider.client.recovery import may_have_taken_effect
from mkw_airflow_provider.exceptions import BuildStartUncertainError, MetaKraftwerkError, NotFoundError, ServerError
from tests.kit.builds_server import BuildsServer
from tests.kit.simulation import World, html, http_error, lost, unreachable

ORDER = BuildRequest("DEMO_PROJECT", None, [{"id": 1001}], {"DWH_GROUP": "R1"}, "nightly build")
MARKER = BuildMarker(task_key("nightly", "run", "start", -1), 3, "00000001")
ORIGIN = "Started by Airflow: DAG nightly, task start, run run"

LISTED = "GET /builds?project=DEMO_PROJECT&user_id=7"
LISTED_ALL = "GET /builds?project=DEMO_PROJECT"
POSTED = "POST /builds"

LOST_AFTER_THE_WORK = (lost("read timed out"), True)
LOST_BEFORE_THE_WORK = (lost("connection reset"), False)


def run(world: World, order: BuildRequest = ORDER):
    return world.run(create_marked(world.session, order, MARKER, ORIGIN))


def test_request_is_sent_as_documented(world):
    BuildsServer(world)
    created = run(world)
    assert (created.build.id, created.warnings) == (5139, ["no release"])
    assert world.requested == [POSTED]
    assert world.sent[0].call.body == {
        "project": "DEMO_PROJECT",
        "instances": [{"id": 1001}],
        "releases": {"DWH_GROUP": "R1"},
        "description": MARKER.describe("nightly build", ORIGIN),
    }
    assert world.logged() == ["Started build 5139 in project DEMO_PROJECT (1 instance)."]


@pytest.mark.parametrize(
    "fault",
    [
        lost("read timed out"),
        html(201),
        http_error(502),
        http_error(504),
        http_error(503),
        http_error(500),
    ],
)
def test_lost_response_is_found_by_marker(world, fault):
    BuildsServer(world, faults=[(fault, True)])
    assert run(world).build.id == 5139
    assert world.requested == [POSTED, LISTED]
    assert len(world.logged("WARNING")) == 1
    assert world.logged("INFO") == ["Started build 5139 in project DEMO_PROJECT (1 instance)."]


def test_older_build_of_the_same_task_is_ignored():
    """A recreated run, or a second Airflow with the same account: all but the nonce is equal."""
    world = World(outage_tolerance=120.0)
    server = BuildsServer(world, faults=[LOST_BEFORE_THE_WORK])
    server.add(description=BuildMarker.new(MARKER.task, MARKER.max_tries).describe("nightly build", ORIGIN))
    with pytest.raises(BuildStartUncertainError):
        run(world)
    assert world.requested.count(POSTED) == 1


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "CANCELED", None])
def test_lost_response_finds_an_ended_build(world, status):
    server = BuildsServer(world, faults=[LOST_AFTER_THE_WORK])
    server.next_status = status
    assert run(world).build.status == (status or "UNKNOWN")


def test_search_continues_until_the_build_appears(world):
    server = BuildsServer(world, faults=[LOST_AFTER_THE_WORK])
    server.listed_after = 200.0
    assert run(world).build.id == 5139
    assert world.requested.count(POSTED) == 1
    assert 200 <= world.now <= 215


def test_search_outlives_an_outage(world):
    server = BuildsServer(world, faults=[LOST_AFTER_THE_WORK])
    world.server = lambda call: unreachable() if call.method == "GET" and world.now < 300 else server(call)
    assert run(world).build.id == 5139
    assert world.requested.count(POSTED) == 1


def test_rows_that_cannot_be_read_do_not_matter(world):
    server = BuildsServer(world, faults=[LOST_AFTER_THE_WORK])
    server.rows = [None, 7, {"id": "x", "description": str(MARKER)}, {"id": 1, "status": None, "description": None}]
    assert run(world).build.id == 5139


def test_another_user_of_the_account_counts(world):
    """The connection may have got another login meanwhile."""
    server = BuildsServer(world, faults=[LOST_AFTER_THE_WORK])
    server.user_id = 8
    assert run(world).build.id == 5139
    assert world.requested == [POSTED, LISTED, LISTED_ALL]


@pytest.mark.parametrize(
    ("instances", "query"),
    [
        ([{"pattern": "P", "folder": "/F", "name": name} for name in "AB"], "&user_id=7&pattern=P"),
        ([{"pattern": "P", "folder": "/F", "name": "A"}, {"pattern": "Q", "folder": "/F", "name": "A"}], "&user_id=7"),
        ([{"pattern": "P", "folder": "/F", "name": "A"}, {"id": 1001}], "&user_id=7"),
    ],
    ids=["shared", "two patterns", "by id"],
)
def test_search_is_narrowed_by_a_shared_pattern(world, instances, query):
    BuildsServer(world, faults=[LOST_AFTER_THE_WORK])
    run(world, BuildRequest("DEMO_PROJECT", None, instances))
    assert world.requested == [POSTED, f"GET /builds?project=DEMO_PROJECT{query}"]


def test_search_omits_an_unknown_user():
    world = World(token="ready")
    BuildsServer(world, faults=[LOST_AFTER_THE_WORK])
    run(world, BuildRequest(None, 402, [{"id": 1001}]))
    assert world.requested == [POSTED, "GET /builds?project_id=402"]


def test_uncertain_if_nothing_appears():
    world = World(outage_tolerance=120.0)
    BuildsServer(world, faults=[LOST_BEFORE_THE_WORK])
    with pytest.raises(BuildStartUncertainError) as caught:
        run(world)
    assert world.requested.count(POSTED) == 1
    assert world.now == pytest.approx(120.0)
    assert f"A build with {MARKER} in its description may be running on the server. " in str(caught.value)
    assert may_have_taken_effect(caught.value)


def test_uncertain_if_the_search_fails():
    world = World(outage_tolerance=60.0)
    server = BuildsServer(world, faults=[LOST_AFTER_THE_WORK])
    world.server = lambda call: unreachable("connection refused") if call.method == "GET" else server(call)
    with pytest.raises(BuildStartUncertainError, match="connection refused"):
        run(world)
    assert world.requested.count(POSTED) == 1


def test_search_after_a_500_takes_read_timeout(world):
    BuildsServer(world, faults=[(http_error(500, "Oops"), False)])
    with pytest.raises(ServerError) as caught:
        run(world)
    assert world.requested.count(POSTED) == 1
    assert world.now == pytest.approx(world.settings.read_timeout)
    assert f"a build with {MARKER} may be running on the server" in str(caught.value)
    assert may_have_taken_effect(caught.value)


@pytest.mark.parametrize("response", [unreachable(), http_error(429), http_error(503, retry_after="5")])
def test_post_that_did_nothing_is_resent(world, response):
    BuildsServer(world, faults=[(response, False), (response, False)])
    assert run(world).build.id == 5139
    assert world.requested == [POSTED] * 3


@pytest.mark.parametrize("response", [unreachable(), http_error(429), http_error(503, retry_after="5")])
def test_refused_posts_had_no_effect(response):
    world = World(outage_tolerance=60.0)
    world.script(forever=response)
    with pytest.raises(MetaKraftwerkError) as caught:
        run(world)
    assert set(world.requested) == {POSTED}
    assert not may_have_taken_effect(caught.value)


def test_login_that_fails_starts_nothing():
    world = World(outage_tolerance=60.0)
    world.token_cache = world.session.token_cache = type(world.token_cache)()
    world.script(forever=http_error(500))
    with pytest.raises(ServerError) as caught:
        run(world)
    assert world.requested == []
    assert not may_have_taken_effect(caught.value)


def test_error_response_is_final(world):
    world.script(http_error(404, "Instance not found"))
    with pytest.raises(NotFoundError, match="Instance not found") as caught:
        run(world)
    assert world.requested == [POSTED]
    assert not may_have_taken_effect(caught.value)


def test_without_a_marker_nothing_is_searched(world):
    BuildsServer(world)
    assert world.run(create(world.session, ORDER)).build.id == 5139
    assert (world.sent[0].call.body or {})["description"] == "nightly build"


def test_lost_response_without_marker_is_an_error(world):
    BuildsServer(world, faults=[LOST_AFTER_THE_WORK])
    with pytest.raises(BuildStartUncertainError, match="Its description has no marker to find it by"):
        world.run(create(world.session, ORDER))
    assert (world.requested, world.pauses) == ([POSTED], [])
