"""A build starts exactly once: the decision table, with a task state store and without."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from mkw_airflow_provider.client.flows.build_marker import BuildMarker
from mkw_airflow_provider.exceptions import ForbiddenError, ServerError
from mkw_airflow_provider.operators.attempt import Attempt
from mkw_airflow_provider.operators.build_record import BuildRecord, decide, digest_of
from mkw_airflow_provider.version_compat import TaskStateStore
from tests.kit.builds_server import BUILD_REQUEST, BuildTask
from tests.kit.simulation import NIGHT, build, http_error, lost, unreachable
from tests.kit.tasks import StateStore

POSTED = "POST /builds"
LISTED = ["GET /builds?project=DEMO_PROJECT&user_id=7", "GET /builds?project=DEMO_PROJECT"]
KILLED = (RuntimeError("killed"), True)


@pytest.fixture(params=[True, False], ids=["store", "no-store"])
def task(request, world):
    return BuildTask(world, request.param)


@pytest.fixture
def stored(world):
    return BuildTask(world, True)


@pytest.fixture
def unstored(world):
    return BuildTask(world, False)


@pytest.mark.parametrize(
    ("status", "retry", "cleared", "cleared_rebuild"),
    [
        ("BUILDING", "adopt", "adopt", "rebuild"),
        ("QUEUED", "adopt", "adopt", "rebuild"),
        ("FINISHED", "adopt", "build", "build"),
        ("FAILED", "build", "build", "build"),
        ("CANCELED", "build", "build", "build"),
        (None, "build", "build", "build"),
    ],
)
def test_decision_table(status, retry, cleared, cleared_rebuild):
    assert decide(status, was_cleared=False, on_clear="adopt_running") == retry
    assert decide(status, was_cleared=False, on_clear="rebuild") == retry
    assert decide(status, was_cleared=True, on_clear="adopt_running") == cleared
    assert decide(status, was_cleared=True, on_clear="rebuild") == cleared_rebuild


@pytest.mark.parametrize(
    ("state", "max_tries", "clear_number", "cleared"),
    [
        ("sending", 3, 0, False),
        ("started", 3, 0, False),
        ("started", 3, 1, False),
        ("done", 3, 0, False),
        ("done", 3, 1, True),
        ("sending", 4, 1, True),
        ("started", 4, 1, True),
        ("done", 4, 1, True),
    ],
)
def test_what_counts_as_cleared(state, max_tries, clear_number, cleared):
    """Clearing another task of the run raises clear_number; lowered retries leave max_tries as it was."""
    record = BuildRecord(state=state, marker="", max_tries=3, clear_number=0, digest="")
    attempt = Attempt("nightly", "run", "start", -1, 2, max_tries, clear_number)
    assert record.was_cleared_before(attempt) == cleared


def test_first_attempt_only_posts(task):
    assert task.run() == 5139
    assert task.world.requested == [POSTED]


@pytest.mark.parametrize("status", ["BUILDING", "FINISHED"])
def test_retry_adopts(task, status):
    first = task.run()
    task.server.end(status)
    assert [task.run(), task.run()] == [first, first]
    assert POSTED not in task.world.requested
    assert task.world.logged() == [
        f"Build {first}, started by an earlier attempt of this task, is {status}; adopting it."
    ]


@pytest.mark.parametrize("status", ["FAILED", "CANCELED"])
def test_retry_builds_after_a_bad_end(task, status):
    task.run()
    task.server.end(status)
    second = task.run()
    assert task.server.ids == [5139, second]
    assert task.world.now < 30
    assert task.run() == second


@pytest.mark.parametrize("on_clear", ["adopt_running", "rebuild"])
def test_cleared_while_running(task, on_clear):
    task.on_clear = on_clear
    first = task.run()
    task.clear()
    second = task.run()
    assert (second == first) == (on_clear == "adopt_running")
    assert len(task.server.ids) == (1 if on_clear == "adopt_running" else 2)
    assert any(
        f"Build {first}, started before this task was cleared, is still running" in line for line in task.world.logged()
    )
    assert len(task.world.logged("WARNING")) == (on_clear == "rebuild")
    if task.has_store or on_clear == "rebuild":
        # Without a store nothing tells that the earlier build was adopted.
        task.server.end("FINISHED")
        assert task.run() == second


def test_cleared_after_success_builds_again(task):
    first = task.succeed()
    task.server.end("FINISHED")
    task.clear()
    second = task.succeed()
    assert second != first
    assert task.run() == second


def test_recreated_run_builds_again(task):
    """Its first attempt was refused, so its second attempt searches for a build."""
    first = task.succeed()
    task.server.end("FINISHED")
    task.recreate()
    task.server.faults = [(http_error(403), False)]
    with pytest.raises(ForbiddenError):
        task.run()
    second = task.run()
    assert second != first
    assert task.run() == second


@pytest.mark.parametrize("fault", [(lost(), True), (http_error(500), True), KILLED])
def test_retry_finds_a_build_that_appears_late(task, fault):
    """The response was lost, or the worker was killed, and the list is behind."""
    task.world.session.settings = replace(task.world.settings, outage_tolerance=5.0)
    task.server.faults = [fault]
    task.server.listed_after = 30.0
    with pytest.raises(Exception, match=r"killed|nothing|may be running"):
        task.run()
    assert task.run() == 5139
    assert task.server.ids == [5139]


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "BUILDING"])
def test_retry_after_a_kill_checks_the_builds_end(task, status):
    task.server.faults = [KILLED]
    with pytest.raises(RuntimeError):
        task.run()
    task.server.end(status)
    assert (task.run() == 5139) == (status != "FAILED")


def test_retry_builds_if_the_post_was_never_sent(task):
    task.server.faults = [(RuntimeError("killed"), False)]
    with pytest.raises(RuntimeError):
        task.run()
    assert task.run() == 5139
    assert task.world.now >= task.world.settings.read_timeout


@pytest.mark.parametrize("retries", [0, 1, 9])
def test_cleared_with_edited_retries_builds_again(stored, retries):
    """max_tries may be unchanged then, as with retries=2 here."""
    first = stored.succeed()
    stored.server.end("FINISHED")
    stored.clear(retries)
    assert stored.run() != first


def test_cleared_with_equal_max_tries_builds_again(stored):
    first = stored.succeed()
    stored.server.end("FINISHED")
    stored.clear(retries=2)
    assert stored.attempt.max_tries == 3
    assert stored.run() != first


def test_other_tasks_cleared_is_a_retry(stored):
    first = stored.run()
    stored.server.end("FINISHED")
    stored.attempt = replace(stored.attempt, clear_number=5)
    assert stored.run() == first


def test_death_after_done_is_a_retry(stored):
    first = stored.succeed()
    stored.server.end("FINISHED")
    assert stored.run() == first


@pytest.mark.parametrize("edited", [True, False])
def test_cleared_twice_adopts_the_newest(stored, edited):
    """Adopting writes the new max_tries down, so that the next attempt is a retry."""
    first = stored.run()
    stored.clear(retries=0 if edited else 3)
    assert stored.run() == first
    stored.server.end("FINISHED")
    assert stored.run() == first


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({"instances": [{"id": 1003}]}, False),
        ({"releases": {"DWH_GROUP": "R2"}}, False),
        ({"project": "OTHER"}, False),
        ({"instances": [{"id": 1002}, {"id": 1001}]}, True),
        ({"description": "night 2"}, True),
    ],
    ids=["instances", "releases", "project", "order of instances", "description"],
)
def test_record_of_another_request_is_not_ours(stored, change, is_same):
    """As after a mapping was reordered: map index 3 is another element now."""
    first = stored.run()
    stored.order = replace(BUILD_REQUEST, **change)
    assert (stored.run() == first) == is_same
    assert (digest_of(stored.order) == digest_of(BUILD_REQUEST)) == is_same


def test_deleted_build_is_built_again(stored):
    stored.run()
    stored.server.builds.clear()
    stored.run()
    assert POSTED in stored.world.requested


def test_refused_post_leaves_no_record(stored):
    stored.server.faults = [(http_error(403), False)]
    with pytest.raises(ForbiddenError):
        stored.run()
    assert stored.store.content == {}
    stored.run()
    assert stored.world.requested == [POSTED]


def test_record_is_saved_before_and_after_the_post(stored):
    stored.server.faults = [KILLED]
    with pytest.raises(RuntimeError):
        stored.run()
    sending = stored.store.get(BuildRecord.key)
    assert (sending["state"], sending["build_id"], sending["max_tries"]) == ("sending", None, 3)
    assert BuildMarker.find(stored.server.builds[0]["description"]) == BuildMarker.find(sending["marker"])
    stored.succeed()
    assert stored.store.get(BuildRecord.key) == {**sending, "state": "done", "build_id": 5139}


@pytest.mark.parametrize("odd", ["text", 7, {}, {"state": "started"}, {"version": 2}])
def test_record_that_cannot_be_read_is_no_record(stored, odd):
    stored.store.set(BuildRecord.key, odd)
    assert stored.run() == 5139


def test_with_a_store_no_list_is_read(stored):
    """A list that is huge, behind or broken does not matter once the build's id is known."""
    stored.server.list_limit = 0
    first = stored.run()
    stored.run()
    stored.clear()
    stored.run()
    assert stored.server.ids == [first]
    assert stored.world.requested == [f"GET /builds/{first}"]


@pytest.mark.parametrize("faults", [[], [KILLED]], ids=["started", "sending"])
@pytest.mark.parametrize("failure", [http_error(403), http_error(500), unreachable()])
def test_failed_search_does_not_block_a_rebuild(stored, failure, faults):
    """After a clear with on_clear="rebuild" the search only feeds a warning."""
    stored.on_clear, stored.server.faults = "rebuild", list(faults)
    with suppress(RuntimeError):
        stored.run()
    stored.clear()
    server = stored.server
    stored.world.server = lambda call: failure if call.method == "GET" else server(call)
    assert stored.run() == 5140
    assert len(stored.world.logged("WARNING")) >= 1


def test_search_that_decides_fails_the_attempt(unstored):
    unstored.run()
    unstored.world.server = lambda _: http_error(500)
    with pytest.raises(ServerError):
        unstored.run()
    assert POSTED not in unstored.world.requested


def test_another_users_build_is_adopted(unstored):
    unstored.server.user_id = 8
    first = unstored.run()
    assert unstored.run() == first
    assert unstored.world.requested == LISTED


@pytest.mark.parametrize("skew", [-3600.0, -180.0, 0.0, 180.0, 3600.0])
def test_skewed_clocks_do_not_matter(unstored, skew):
    unstored.server.clock_ahead = skew
    first = unstored.run()
    unstored.server.end("FINISHED")
    assert unstored.run() == first
    unstored.recreate()
    unstored.world.clock.advance(5)
    unstored.server.faults = [(http_error(403), False)]
    with pytest.raises(ForbiddenError):
        unstored.run()
    assert unstored.run() != first


@pytest.mark.parametrize("other", [{"map_index": 0}, {"run_id": "other"}, {"task_id": "other"}, {"dag_id": "other"}])
def test_builds_of_other_tasks_are_ignored(unstored, other):
    first = unstored.run()
    unstored.attempt = replace(unstored.attempt, **other)
    assert unstored.run() != first


def test_attempt_of_a_context(world):
    assert Attempt.of(None) is Attempt.of({}) is None
    assert Attempt("d", "r", "t", 2, 1, 0, 0, NIGHT).__str__() == "DAG d, task t, map index 2, run r"


def test_build_with_an_id_beyond_64_bits(stored):
    stored.store = TaskStateStore(StateStore())
    stored.server.builds = [build(2**70, "FAILED", user_id=7, since=0.0)]
    first = stored.succeed()
    assert first == 2**70 + 1
    assert stored.run() == first
    assert stored.world.requested == [f"GET /builds/{first}"]


@pytest.mark.parametrize("status", ["BUILDING", "FINISHED"])
def test_deleted_build_is_not_adopted(task, status):
    """Also if its id is not known, because the worker was killed."""
    task.server.faults = [KILLED]
    with pytest.raises(RuntimeError):
        task.run()
    task.server.end(status)
    task.server.builds[0]["deleted"] = 1
    assert task.run() == 5140
    assert not any("adopting" in line for line in task.world.logged())
    assert task.run() == 5140
