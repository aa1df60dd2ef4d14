"""A build starts exactly once, end to end: the operator, over a socket, with a task state store and without."""

from __future__ import annotations

import re
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from mkw_airflow_provider.client.flows import start
from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import BuildFailedError, BuildStartUncertainError, ConfigurationError, ServerError
from mkw_airflow_provider.operators import build_record
from mkw_airflow_provider.operators.build import StartBuildOperator
from tests.airflow.conftest import AIRPLANE, Connect, Log
from tests.kit.tasks import Attempts, StateStore, context_of, search_once


@pytest.fixture(autouse=True)
def _builds_that_last(emulator: Emulator, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator.set(build_seconds=60)
    connect(outage_tolerance=0.3, read_timeout=10)
    for module in (build_record, start):
        monkeypatch.setattr(module, "search", search_once)


@pytest.fixture(params=[True, False], ids=["store", "no-store"])
def store(request: pytest.FixtureRequest) -> StateStore | None:
    """The task's state store, or None as before Airflow 3.3."""
    return StateStore() if request.param else None


def _start(**arguments: Any) -> StartBuildOperator:
    return StartBuildOperator(
        **{"task_id": "start", "project": "DEMO_PROJECT", "instances": [AIRPLANE], "retries": 3, **arguments}
    )


def _posts(emulator: Emulator) -> int:
    return len(emulator.requests("POST", "/api/v1/builds"))


class TestRetry:
    @pytest.mark.parametrize("outcome", [None, "FINISHED"])
    def test_adopts_build(self, emulator: Emulator, store: StateStore | None, outcome: str | None, log: Log) -> None:
        attempts = Attempts(_start, store=store)
        first = attempts.run()
        if outcome:
            emulator.end_build(first, outcome)
        assert [attempts.run(), attempts.run()] == [first, first]
        assert _posts(emulator) == 1
        pushed = {"build_id": first, "return_value": first, "warnings": [], "build_url": emulator.url}
        assert attempts.context["ti"].xcom == pushed
        status = outcome or "BUILDING"
        assert f"Build {first}, started by an earlier attempt of this task, is {status}; adopting it." in log.lines

    @pytest.mark.parametrize("outcome", ["FAILED", "CANCELED"])
    def test_builds_after_bad_end(self, emulator: Emulator, store: StateStore | None, outcome: str) -> None:
        attempts = Attempts(_start, store=store)
        first = attempts.run()
        emulator.end_build(first, outcome)
        second = attempts.run()
        assert second != first
        assert attempts.run() == second
        assert _posts(emulator) == 2

    def test_builds_after_failed_wait(self, emulator: Emulator, store: StateStore | None) -> None:
        emulator.set(build_seconds=0)
        emulator.set_instance(1001, outcome="FAILED")
        attempts = Attempts(lambda: _start(wait_for_completion=True), store=store)
        with pytest.raises(BuildFailedError):
            attempts.run()
        emulator.set_instance(1001, outcome="FINISHED")
        assert attempts.run() == 5140

    @pytest.mark.parametrize(("before", "after"), [(3, 1), (3, 0), (0, 3)])
    def test_edited_retries_change_nothing(
        self, emulator: Emulator, store: StateStore | None, before: int, after: int
    ) -> None:
        """The worker's number of retries can differ from what the DAG run was made with."""
        retries = [before, after, after]
        attempts = Attempts(lambda: _start(retries=retries[0]), store=store)
        built = set()
        for _ in range(3):
            built.add(attempts.run())
            retries.pop(0) if len(retries) > 1 else None
        assert len(built) == _posts(emulator) == 1


class TestLostResponse:
    @pytest.mark.parametrize(
        ("action", "arguments"),
        [
            ("reset", {"work": True}),
            ("close", {"work": True}),
            ("truncate", {}),
            ("status", {"status": 500, "work": True}),
            ("status", {"status": 502, "work": True}),
            ("status", {"status": 504, "work": True}),
        ],
    )
    def test_build_is_found(self, emulator: Emulator, action: str, arguments: dict[str, Any], log: Log) -> None:
        emulator.fault(action, method="POST", path="/api/v1/builds", **arguments)
        assert Attempts(_start).run() == 5139
        assert _posts(emulator) == len(emulator.builds()) == 1
        assert "Started build 5139 in project DEMO_PROJECT (1 instance)." in log.lines

    def test_older_build_is_not_adopted(self, emulator: Emulator, store: StateStore | None) -> None:
        """The POST was lost before any work; a recreated run has a build of the same task and attempt."""
        attempts = Attempts(_start, store=store)
        attempts.run()
        attempts.recreate()
        emulator.fault("status", method="POST", path="/api/v1/builds", status=502)
        with pytest.raises(BuildStartUncertainError):
            attempts.run()

    def test_next_attempt_searches(self, emulator: Emulator, store: StateStore | None) -> None:
        emulator.fault("reset", method="POST", path="/api/v1/builds", work=True)
        emulator.fault("status", method="GET", path="/api/v1/builds", status=503, times=None)
        attempts = Attempts(_start, store=store)
        with pytest.raises(BuildStartUncertainError, match="The next attempt of this task searches for it"):
            attempts.run()
        emulator.clear_faults()
        assert attempts.run() == 5139
        assert _posts(emulator) == 1


class TestRecreatedRun:
    """A DAG run that was deleted and created again under its old id counts from the first attempt again."""

    def test_first_attempt_builds(self, emulator: Emulator, store: StateStore | None) -> None:
        attempts = Attempts(_start, store=store)
        first = attempts.run()
        attempts.recreate()
        assert attempts.run() != first
        assert emulator.requests("GET", "/api/v1/builds") == []

    def test_retry_ignores_build_of_old_run(self, emulator: Emulator, store: StateStore | None) -> None:
        attempts = Attempts(_start, store=store)
        first = attempts.run()
        emulator.end_build(first, "FINISHED")
        attempts.recreate()
        emulator.fault("status", method="POST", path="/api/v1/builds", status=500)
        with pytest.raises(ServerError, match="may be running on the server"):
            attempts.run()
        second = attempts.run()
        assert second != first
        emulator.end_build(second, "FINISHED")
        assert attempts.run() == second


class TestCleared:
    @pytest.mark.parametrize("on_clear", ["adopt_running", "rebuild"])
    def test_while_the_build_runs(self, emulator: Emulator, store: StateStore | None, on_clear: str, log: Log) -> None:
        attempts = Attempts(lambda: _start(on_clear=on_clear), store=store)
        first = attempts.run()
        attempts.clear()
        assert (attempts.run() == first) == (on_clear == "adopt_running")
        warned = any(f"Build {first}, started before this task was cleared" in line for line in log.warnings)
        assert warned == (on_clear == "rebuild")

    def test_after_the_build_has_finished(self, emulator: Emulator, store: StateStore | None) -> None:
        attempts = Attempts(_start, store=store)
        first = attempts.run()
        emulator.end_build(first, "FINISHED")
        attempts.clear()
        second = attempts.run()
        assert second != first
        assert attempts.run() == second

    def test_with_lowered_retries(self, emulator: Emulator) -> None:
        """Airflow leaves max_tries as it was then: only the store tells this from a retry."""
        emulator.set(build_seconds=0)
        attempts = Attempts(lambda: _start(retries=1, wait_for_completion=True), store=StateStore())
        first = attempts.run()
        attempts.clear(retries=0)
        assert attempts.run() != first

    def test_unknown_choice_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="`on_clear` must be one of adopt_running, rebuild, not 'ask'"):
            _start(on_clear="ask")


class TestIdentity:
    def test_every_mapped_task_has_its_own(self, emulator: Emulator, store: StateStore | None) -> None:
        tasks = [Attempts(_start, store=None if store is None else StateStore(), map_index=index) for index in range(3)]
        built = [task.run() for task in tasks]
        assert len(set(built)) == 3
        assert [task.run() for task in tasks] == built
        assert _posts(emulator) == 3

    def test_description(self, emulator: Emulator) -> None:
        task = _start(description="nightly build of 2026-11-22")
        task.execute(context_of(task, map_index=2, run_id="scheduled__2026-11-22"))
        assert re.fullmatch(
            r"\[airflow:[0-9a-f]{16}-3-[0-9a-f]{8}\] nightly build of 2026-11-22\n"
            r"Started by Airflow: DAG test_dag, task start, map index 2, run scheduled__2026-11-22",
            emulator.builds()[0]["description"],
        )

    def test_search_is_narrowed(self, emulator: Emulator) -> None:
        attempts = Attempts(_start)
        attempts.run()
        attempts.run()
        (search,) = emulator.requests("GET", "/api/v1/builds")
        assert sorted(search["query"]) == [["pattern", "CORE_DV_HLS"], ["project", "DEMO_PROJECT"], ["user_id", "1"]]


def test_xcoms_are_pushed_before_the_wait(emulator: Emulator) -> None:
    """So that "mark success" during the wait leaves a usable id."""
    operator = _start(wait_for_completion=True, deferrable=True)
    context = context_of(operator)
    with pytest.raises(TaskDeferred):
        operator.execute(context)
    assert (context["ti"].xcom["build_id"], context["ti"].xcom["return_value"]) == (5139, 5139)


class TestWithoutReattach:
    def test_each_attempt_builds_unmarked(self, emulator: Emulator, store: StateStore | None) -> None:
        attempts = Attempts(lambda: _start(reattach=False, description="mine"), store=store)
        assert attempts.run() != attempts.run()
        assert [build["description"] for build in emulator.builds()] == ["mine", "mine"]
        assert emulator.requests("GET", "/api/v1/builds") == []
        assert store is None or store.content == {}

    def test_lost_response_is_an_error(self, emulator: Emulator) -> None:
        emulator.fault("reset", method="POST", path="/api/v1/builds", work=True)
        with pytest.raises(BuildStartUncertainError, match="Its description has no marker to find it by"):
            Attempts(lambda: _start(reattach=False)).run()
        assert _posts(emulator) == 1
