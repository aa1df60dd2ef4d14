"""A build starts exactly once: a retry finds it again, a cleared task builds again, mapped tasks keep apart."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import BuildFailedError, BuildStartUncertainError
from mkw_airflow_provider.operators.build import StartBuildOperator
from tests.airflow.conftest import AIRPLANE, Connect, Log
from tests.kit.tasks import Tries, context_of


@pytest.fixture(autouse=True)
def _builds_that_last(emulator: Emulator, connect: Connect) -> None:
    emulator.set(build_seconds=60)
    connect(outage_tolerance=0.3)


def _start(**arguments: Any) -> StartBuildOperator:
    return StartBuildOperator(
        **{"task_id": "start", "project": "DEMO_PROJECT", "instances": [AIRPLANE], "retries": 3, **arguments}
    )


def _posts(emulator: Emulator) -> int:
    return len(emulator.requests("POST", "/api/v1/builds"))


class TestRetry:
    def test_finds_the_build_that_goes_on(self, emulator: Emulator, log: Log) -> None:
        tries = Tries(_start)
        first = tries.run(1)
        assert tries.run(2) == first
        assert tries.run(3) == first
        assert _posts(emulator) == 1
        assert (
            f"Build {first} was started by an earlier try of this task and is BUILDING: going on with it." in log.lines
        )

    def test_finds_the_build_that_has_finished(self, emulator: Emulator, log: Log) -> None:
        tries = Tries(_start)
        first = tries.run(1)
        emulator.end_build(first, "FINISHED")
        assert tries.run(2) == first
        assert _posts(emulator) == 1
        assert (
            f"Build {first} was started by an earlier try of this task and is FINISHED: going on with it." in log.lines
        )

    @pytest.mark.parametrize("outcome", ["FAILED", "CANCELED"])
    def test_builds_again_after_a_bad_end(self, emulator: Emulator, log: Log, outcome: str) -> None:
        tries = Tries(_start)
        first = tries.run(1)
        emulator.end_build(first, outcome)
        second = tries.run(2)
        assert second != first
        assert tries.run(3) == second
        assert _posts(emulator) == 2
        assert "No build of an earlier try of this task goes on or has finished: starting one." in log.lines

    def test_after_a_failed_wait_builds_again_and_waits_for_that(self, emulator: Emulator) -> None:
        emulator.set(build_seconds=0)
        emulator.set_instance(1001, outcome="FAILED")
        tries = Tries(lambda: _start(wait_for_completion=True))
        with pytest.raises(BuildFailedError):
            tries.run(1)
        emulator.set_instance(1001, outcome="FINISHED")
        assert tries.run(2) == 5140

    def test_starts_one_if_the_try_before_was_refused(self, emulator: Emulator) -> None:
        emulator.fault("status", status=403, method="POST", path="/api/v1/builds")
        tries = Tries(_start)
        with pytest.raises(Exception, match="403"):
            tries.run(1)
        assert tries.run(2) == 5139

    def test_pushes_the_id_as_the_first_try_did(self, emulator: Emulator) -> None:
        tries = Tries(_start)
        first = tries.run(1)
        tries.run(2)
        assert tries.context["ti"].xcom == {"build_id": first, "warnings": []}

    def test_looks_only_at_this_users_builds_in_this_project(self, emulator: Emulator) -> None:
        tries = Tries(_start)
        tries.run(1)
        tries.run(2)
        (look,) = emulator.requests("GET", "/api/v1/builds")
        assert sorted(look["query"]) == [["project", "DEMO_PROJECT"], ["user_id", "1"]]

    def test_a_persons_build_with_the_same_description_is_not_taken(self, emulator: Emulator) -> None:
        person = emulator.start_build(description="nightly")["id"]
        tries = Tries(lambda: _start(description="nightly"))
        assert tries.run(2) not in (person, None)
        assert _posts(emulator) == 1


class TestLostAnswer:
    """The answer to POST /builds is lost after the server has done the work."""

    @pytest.mark.parametrize(
        ("action", "arguments"),
        [
            ("reset", {"work": True}),
            ("close", {"work": True}),
            ("truncate", {}),
            ("status", {"status": 502, "work": True}),
            ("status", {"status": 504, "work": True}),
        ],
    )
    def test_the_build_is_found_and_not_started_again(
        self, emulator: Emulator, log: Log, action: str, arguments: dict[str, Any]
    ) -> None:
        emulator.fault(action, method="POST", path="/api/v1/builds", **arguments)
        assert Tries(_start).run(1) == 5139
        assert _posts(emulator) == len(emulator.builds()) == 1
        assert "Build 5139 is the one that the lost answer was about: going on with it." in log.lines

    def test_if_it_cannot_be_found_the_next_try_looks_first(self, emulator: Emulator) -> None:
        emulator.fault("reset", method="POST", path="/api/v1/builds", work=True)
        emulator.fault("status", method="GET", path="/api/v1/builds", status=503, times=None)
        tries = Tries(_start)
        with pytest.raises(BuildStartUncertainError, match="The next try of this task looks for it first"):
            tries.run(1)
        emulator.clear_faults()
        assert tries.run(2) == 5139
        assert _posts(emulator) == 1

    def test_without_a_mark_nobody_knows_and_the_error_says_so(self, emulator: Emulator) -> None:
        emulator.fault("reset", method="POST", path="/api/v1/builds", work=True)
        with pytest.raises(BuildStartUncertainError, match="It carries no mark to look it up by"):
            Tries(lambda: _start(reattach=False)).run(1)
        assert _posts(emulator) == 1


class TestClear:
    def test_builds_again_and_warns_of_the_build_that_goes_on(self, emulator: Emulator, log: Log) -> None:
        first = Tries(_start).run(1)
        second = Tries(_start, first_try=2).run(2)
        assert second != first
        assert (
            f"Build {first}, started before this task was cleared, still goes on at the server. Starting another one."
        ) in log.warnings

    @pytest.mark.parametrize("outcome", ["FINISHED", "FAILED"])
    def test_builds_again_in_silence_if_the_earlier_one_has_ended(
        self, emulator: Emulator, log: Log, outcome: str
    ) -> None:
        first = Tries(_start).run(1)
        emulator.end_build(first, outcome)
        assert Tries(_start, first_try=2).run(2) != first
        assert [line for line in log.warnings if "cleared" in line] == []

    def test_a_retry_after_a_clear_finds_the_build_of_its_own_series(self, emulator: Emulator) -> None:
        Tries(_start).run(1)
        cleared = Tries(_start, first_try=3)
        second = cleared.run(3)
        assert cleared.run(4) == second
        assert _posts(emulator) == 2

    def test_a_second_clear_is_a_third_series(self, emulator: Emulator, log: Log) -> None:
        built = [Tries(_start, first_try=number).run(number) for number in (1, 2, 3)]
        assert len(set(built)) == 3
        assert [line.split(",")[0] for line in log.warnings if "cleared" in line] == [
            f"Build {built[0]}",
            f"Build {built[0]}",
            f"Build {built[1]}",
        ]


class TestRunMadeAgain:
    """A DAG run that was deleted and made again under its old run id counts from the first try again."""

    @pytest.mark.parametrize("outcome", [None, "FINISHED"])
    def test_the_first_try_builds_though_the_old_run_has_a_build(self, emulator: Emulator, outcome: str | None) -> None:
        first = Tries(_start).run(1)
        if outcome is not None:
            emulator.end_build(first, outcome)
        assert Tries(_start).run(1) != first
        assert (_posts(emulator), len(emulator.requests("GET", "/api/v1/builds"))) == (2, 0)

    @pytest.mark.parametrize("outcome", [None, "FINISHED"])
    def test_a_retry_takes_the_build_of_the_new_run(self, emulator: Emulator, outcome: str | None) -> None:
        emulator.end_build(Tries(_start).run(1), "FINISHED")
        tries = Tries(_start)
        second = tries.run(1)
        if outcome is not None:
            emulator.end_build(second, outcome)
        assert tries.run(2) == second
        assert _posts(emulator) == 2


class TestIdentity:
    def test_every_mapped_task_has_its_own(self, emulator: Emulator) -> None:
        built = [Tries(_start, map_index=index).run(1) for index in range(3)]
        assert len(set(built)) == 3
        assert [Tries(_start, map_index=index).run(2) for index in range(3)] == built
        assert _posts(emulator) == 3

    @pytest.mark.parametrize("other", [{"dag_id": "another"}, {"run_id": "manual__1"}, {"map_index": 0}])
    def test_other_dags_runs_and_mapped_tasks_are_others(self, emulator: Emulator, other: dict[str, Any]) -> None:
        assert Tries(_start).run(1) != Tries(_start, **other).run(2)

    def test_another_task_is_another(self, emulator: Emulator) -> None:
        assert Tries(_start).run(1) != Tries(lambda: _start(task_id="other")).run(2)

    def test_the_description_tells_people_and_the_next_try(self, emulator: Emulator) -> None:
        task = _start(description="nightly build of 2026-11-22")
        task.execute(context_of(task, map_index=2, run_id="scheduled__2026-11-22"))
        text, line = emulator.builds()[0]["description"].split("\n")
        assert text == "nightly build of 2026-11-22"
        assert re.fullmatch(
            r"Started by Airflow: DAG try_out, task start, map index 2, run scheduled__2026-11-22 "
            r"\[airflow:[0-9a-f]{16}\]",
            line,
        )


class TestWithoutReattach:
    def test_each_try_builds_and_leaves_no_mark(self, emulator: Emulator) -> None:
        tries = Tries(lambda: _start(reattach=False, description="mine"))
        assert tries.run(1) != tries.run(2)
        assert [build["description"] for build in emulator.builds()] == ["mine", "mine"]
        assert emulator.requests("GET", "/api/v1/builds") == []
