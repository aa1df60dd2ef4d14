"""The short form of chaos, and tests that its checks notice each kind of damage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from dev.chaos import report
from dev.chaos.__main__ import RUNS, SHORT_RUNS
from dev.chaos.environment import Environment
from dev.chaos.evidence import Clear, Evidence, RunEvidence
from dev.chaos.fault_catalog import AFTER_RUN, FAULTS, START_AGAIN
from dev.chaos.invariants import find_violations
from dev.chaos.plan import make_plan
from dev.chaos.report import Outcome
from dev.chaos.runner import run_all

ROOT = Path(__file__).resolve().parents[2]
SEED = 1

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """A few runs with the most important faults, on an Airflow of their own."""
    environment = Environment(tmp_path_factory.mktemp("chaos"), cache=ROOT / ".demo" / "cache")
    try:
        environment.start()
        plans = make_plan(SEED, SHORT_RUNS, short=True)
        yield run_all(environment, plans, _ignore, command="pytest tests/e2e/test_chaos.py", seconds=600)
    finally:
        environment.stop()


@pytest.fixture(scope="module")
def evidence(outcome: Outcome) -> Evidence:
    return outcome.evidence


class TestShortForm:
    def test_no_invariant_is_violated(self, outcome: Outcome) -> None:
        assert outcome.passed, report.text(outcome)
        assert [run.plan.number for run in outcome.runs] == list(range(1, SHORT_RUNS + 1))

    def test_each_kind_of_process_was_killed(self, outcome: Outcome) -> None:
        killed = {fault.kills for fault in outcome.injected if fault.kills}
        assert killed == {"worker", "scheduler", "triggerer", "api-server", "server"}, report.text(outcome)

    def test_cleared_tasks_ran_again(self, outcome: Outcome) -> None:
        cleared = {fault.clears for fault in outcome.injected if fault.clears}
        assert cleared == {"start_build", "download_build", "deploy_build"}, report.text(outcome)
        assert len(outcome.evidence.builds) == SHORT_RUNS + 1

    def test_report_has_fault_counts_and_seed(self, outcome: Outcome) -> None:
        text = report.text(outcome)
        assert outcome.survived == outcome.injected
        assert "worker killed during a file" in text
        assert text.endswith(f"No violations.\nRepeat with: {outcome.command}")


class TestInvariants:
    """The evidence of real runs, damaged: each check notices its damage, and no other check does."""

    def test_second_build_without_a_reason(self, evidence: Evidence) -> None:
        run = next(run for run in evidence.runs if not run.clears_of("start_build"))
        first = next(build for build in evidence.builds if run.run_id in build["description"])
        twin = {**first, "id": 9999, "build_start": first["build_end"]}
        _assert_noticed(replace(evidence, builds=[*evidence.builds, twin]), "was started without a reason")

    def test_second_build_during_a_running_one(self, evidence: Evidence) -> None:
        twin = {**evidence.builds[0], "id": 9999}
        _assert_noticed(replace(evidence, builds=[*evidence.builds, twin]), "was running")

    def test_build_that_no_run_started(self, evidence: Evidence) -> None:
        stray = {**evidence.builds[0], "id": 9999, "description": "somebody else's"}
        _assert_noticed(replace(evidence, builds=[*evidence.builds, stray]), "no run started build 9999")

    def test_missing_build(self, evidence: Evidence) -> None:
        run = evidence.runs[0]
        builds = [build for build in evidence.builds if run.run_id not in build["description"]]
        others = [request for request in evidence.requests if request["path"] != "/api/v1/builds"]
        _assert_noticed(replace(evidence, builds=builds, requests=others), "it has no build")

    def test_clear_without_a_new_build(self, evidence: Evidence) -> None:
        run = evidence.runs[0]
        clear = Clear("start_build", datetime.now(timezone.utc), "success", 1)
        _assert_noticed(_with(evidence, replace(run, clears=[*run.clears, clear])), "did not build again")

    def test_start_that_was_executed_twice(self, evidence: Evidence) -> None:
        post = next(r for r in evidence.requests if r["path"] == "/api/v1/builds" and r["status"] == 201)
        _assert_noticed(
            replace(evidence, requests=[*evidence.requests, {**post, "id": 9999}]), "was executed 2 times with 1"
        )

    def test_second_deployment(self, evidence: Evidence) -> None:
        mine = evidence.runs[0].results["deploy_build"]
        twin = {**next(row for row in evidence.deployments if row["id"] == mine), "id": mine - 1}
        damaged = replace(evidence, deployments=[twin, *evidence.deployments])
        _assert_noticed(damaged, "deploy_build: ")

    def test_failed_run_with_a_finished_build(self, evidence: Evidence) -> None:
        run = evidence.runs[0]
        tasks = {**run.tasks, "wait_for_build": {**run.tasks["wait_for_build"], "state": "failed"}}
        damaged = replace(run, state="failed", tasks=tasks)
        _assert_noticed(
            _with(evidence, damaged), "wait_for_build is failed", "the run is failed, its build is FINISHED"
        )

    def test_build_of_another_run(self, evidence: Evidence) -> None:
        run = evidence.runs[0]
        damaged = replace(run, results={**run.results, "start_build": 9999})
        _assert_noticed(_with(evidence, damaged), "start_build returned 9999")

    def test_file_that_differs_from_the_server(self, evidence: Evidence) -> None:
        damaged = {**evidence.contents, _delivered(evidence): "0" * 64}
        _assert_noticed(replace(evidence, contents=damaged), "is not what the server has")

    def test_file_outside_the_manifest(self, evidence: Evidence) -> None:
        stray = evidence.runs[0].folder / "stray.zip"
        stray.touch()
        try:
            _assert_noticed(evidence, "stray.zip")
        finally:
            stray.unlink()

    def test_needless_transfer(self, evidence: Evidence) -> None:
        path = f"/api/v1/downloads/{_delivered(evidence)}"
        transfer = next(r for r in evidence.requests if r["path"] == path and r["status"] == 200)
        again = [{**transfer, "id": 9999 + n, "fault": None} for n in range(9)]
        _assert_noticed(replace(evidence, requests=[*evidence.requests, *again]), "was transferred in full")

    def test_too_many_logins(self, evidence: Evidence) -> None:
        login = next(r for r in evidence.requests if r["path"] == "/authentication" and r["status"] == 201)
        _assert_noticed(replace(evidence, requests=[*evidence.requests, *[login] * 99]), "logins of")

    def test_secret_in_a_log(self, evidence: Evidence) -> None:
        in_every_log = "start_build"
        secrets = [*evidence.secrets, in_every_log]
        _assert_noticed(replace(evidence, secrets=secrets), "a password or a token is in a file")

    def test_error_that_was_not_injected(self, evidence: Evidence) -> None:
        request = _request(evidence, status=404)
        _assert_noticed(replace(evidence, requests=[*evidence.requests, request]), "404, which was not injected")

    def test_request_without_a_reason(self, evidence: Evidence) -> None:
        request = _request(evidence, method="GET", path="/api/v1/projects")
        damaged = replace(evidence, requests=[*evidence.requests, request])
        _assert_noticed(damaged, "the chain has no reason to send it")


class TestPlan:
    def test_same_seed_gives_same_plan(self) -> None:
        assert make_plan(5, RUNS) == make_plan(5, RUNS) != make_plan(6, RUNS)

    @pytest.mark.parametrize("seed", range(20))
    @pytest.mark.parametrize(("runs", "short"), [(RUNS, False), (SHORT_RUNS, True)])
    def test_every_fault_is_assigned(self, runs: int, short: bool, seed: int) -> None:
        plans = make_plan(seed, runs, short=short)
        assert {fault for plan in plans for fault in plan.faults.values()} == {
            f for f in FAULTS if f.short or not short
        }
        assert not any(plan.start_waits and "wait_for_build" in plan.faults for plan in plans)

    def test_runs_with_a_bad_build_are_cleared(self) -> None:
        plans = make_plan(5, RUNS)
        assert {plan.build_status for plan in plans} == {"FINISHED", "FAILED", "CANCELED"}
        assert {plan.faults[AFTER_RUN] for plan in plans if plan.build_status != "FINISHED"} == {START_AGAIN}


def _assert_noticed(evidence: Evidence, *parts: str) -> None:
    """Assert that the checks notice each damage, known by a part of its text, and nothing else."""
    found = [str(violation) for violation in find_violations(evidence)]
    assert [part for part in parts if not any(part in text for text in found)] == [], found
    assert [text for text in found if not any(part in text for part in parts)] == []


def _with(evidence: Evidence, run: RunEvidence) -> Evidence:
    return replace(evidence, runs=[run, *evidence.runs[1:]])


def _delivered(evidence: Evidence) -> int:
    """Return a download that a run has in its folder; those of a build that a clear replaced may be missing."""
    return int(evidence.runs[0].results["download_build"]["files"][0]["download_id"])


def _request(evidence: Evidence, **change: Any) -> dict[str, Any]:
    request = next(r for r in evidence.requests if r["method"] == "GET" and r["fault"] is None)
    return {**request, "id": 9999, **change}


def _ignore(seconds: float, run_id: str, event: str, details: str) -> None:
    """Report nothing."""
