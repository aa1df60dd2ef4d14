"""The short form of chaos as a test, and that its checks see what they are there for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dev.chaos import report, session
from dev.chaos.__main__ import BRIEF_RUNS, RUNS
from dev.chaos.evidence import Clear, Evidence, RunEvidence
from dev.chaos.field import Field
from dev.chaos.invariants import violations
from dev.chaos.kinds import AFTERWARDS, KINDS, START_AGAIN
from dev.chaos.report import Outcome
from dev.chaos.schedule import plan

ROOT = Path(__file__).resolve().parents[2]
SEED = 1

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """A few nights with one fault of each kind that matters most, on an Airflow of their own."""
    place = Field(tmp_path_factory.mktemp("chaos"), cache=ROOT / ".demo" / "cache")
    try:
        place.start()
        plans = plan(SEED, BRIEF_RUNS, brief=True)
        yield session.spend(place, plans, _quiet, command="pytest tests/e2e/test_chaos.py", seconds=600)
    finally:
        place.stop()


@pytest.fixture(scope="module")
def evidence(outcome: Outcome) -> Evidence:
    return outcome.evidence


class TestShortChaos:
    def test_nothing_is_lost_and_nothing_is_done_twice(self, outcome: Outcome) -> None:
        assert outcome.good, report.text(outcome)

    def test_all_nights_were_lived_through(self, outcome: Outcome) -> None:
        assert [night.plan.number for night in outcome.nights] == list(range(1, BRIEF_RUNS + 1))

    def test_each_kind_of_process_was_killed(self, outcome: Outcome) -> None:
        killed = {kind.kills for kind in outcome.injected if kind.kills}
        assert killed == {"worker", "scheduler", "triggerer", "api-server", "server"}, report.text(outcome)

    def test_tasks_were_cleared_and_began_new_series(self, outcome: Outcome) -> None:
        cleared = {kind.clears for kind in outcome.injected if kind.clears}
        assert cleared == {"start_build", "download_build", "deploy_build"}, report.text(outcome)
        assert sum(len(run.series["start_build"]) for run in outcome.evidence.runs) == BRIEF_RUNS + 1

    def test_the_report_counts_each_fault_as_survived_and_names_the_seed(self, outcome: Outcome) -> None:
        text = report.text(outcome)
        assert outcome.survived == outcome.injected
        assert "worker killed in the middle of a file" in text
        assert text.endswith(f"Everything holds.\nRepeat with: {outcome.command}")


class TestTheChecks:
    """Each of them sees the damage that it is there for: the evidence of real nights, damaged."""

    def test_two_builds_of_one_series(self, evidence: Evidence) -> None:
        twin = {**evidence.builds[0], "id": 9999}
        _assert_seen(replace(evidence, builds=[*evidence.builds, twin]), "2 builds for the series")

    def test_a_build_that_no_task_asked_for(self, evidence: Evidence) -> None:
        stray = {**evidence.builds[0], "id": 9999, "description": "somebody's"}
        _assert_seen(replace(evidence, builds=[*evidence.builds, stray]), "no task asked for build 9999")

    def test_a_build_that_is_missing(self, evidence: Evidence) -> None:
        others = [request for request in evidence.requests if request["path"] != "/api/v1/builds"]
        _assert_seen(replace(evidence, builds=evidence.builds[1:], requests=others), "0 builds for the series")

    def test_a_clear_that_began_no_series(self, evidence: Evidence) -> None:
        run = evidence.runs[0]
        damaged = replace(run, clears=[*run.clears, Clear("wait_for_build", after_try=7, ran=False)])
        _assert_seen(_with(evidence, damaged), "series of wait_for_build begin with the tries [1]")

    def test_a_series_that_no_clear_began(self, evidence: Evidence) -> None:
        run = evidence.runs[0]
        damaged = replace(run, series={**run.series, "wait_for_build": [1, 2]})
        _assert_seen(_with(evidence, damaged), "series of wait_for_build begin with the tries [1, 2]")

    def test_a_start_that_was_carried_out_twice(self, evidence: Evidence) -> None:
        post = next(r for r in evidence.requests if r["path"] == "/api/v1/builds" and r["status"] == 201)
        _assert_seen(replace(evidence, requests=[*evidence.requests, {**post, "id": 9999}]), "was carried out 2 times")

    def test_a_deployment_that_was_carried_out_twice(self, evidence: Evidence) -> None:
        count = len(evidence.runs[0].series["deploy_build"])
        mine = evidence.runs[0].results["deploy_build"]
        twin = {**next(each for each in evidence.deployments if each["id"] == mine), "id": mine - 1}
        text = f"{count + 1} deployments instead of {count}"
        _assert_seen(replace(evidence, deployments=[twin, *evidence.deployments]), text)

    def test_a_run_that_failed_though_its_build_did_not(self, evidence: Evidence) -> None:
        run = evidence.runs[0]
        tasks = {**run.tasks, "deploy_build": {**run.tasks["deploy_build"], "state": "failed"}}
        damaged = replace(run, state="failed", tasks=tasks)
        _assert_seen(_with(evidence, damaged), "deploy_build is failed", "the run is failed, its build FINISHED")

    def test_a_task_that_went_on_with_the_build_of_another(self, evidence: Evidence) -> None:
        run = evidence.runs[0]
        damaged = replace(run, results={**run.results, "start_build": 9999})
        _assert_seen(_with(evidence, damaged), "start_build returned 9999")

    def test_a_file_that_is_not_what_the_server_has(self, evidence: Evidence) -> None:
        delivered = _delivered(evidence)
        damaged = {**evidence.contents, delivered: "0" * 64}
        _assert_seen(replace(evidence, contents=damaged), "is not what the server has")

    def test_a_file_that_the_manifest_does_not_name(self, evidence: Evidence) -> None:
        stray = evidence.runs[0].folder / "stray.zip"
        stray.touch()
        try:
            _assert_seen(evidence, "stray.zip")
        finally:
            stray.unlink()

    def test_a_file_that_was_fetched_again_without_need(self, evidence: Evidence) -> None:
        path = f"/api/v1/downloads/{_delivered(evidence)}"
        fetched = next(r for r in evidence.requests if r["path"] == path and r["status"] == 200)
        again = [{**fetched, "id": 9999 + n, "fault": None} for n in range(9)]
        _assert_seen(replace(evidence, requests=[*evidence.requests, *again]), "was fetched whole")

    def test_logins_without_end(self, evidence: Evidence) -> None:
        login = next(r for r in evidence.requests if r["path"] == "/authentication" and r["status"] == 201)
        _assert_seen(replace(evidence, requests=[*evidence.requests, *[login] * 99]), "logins of")

    def test_a_secret_in_a_log(self, evidence: Evidence) -> None:
        in_every_log = "start_build"
        secrets = [*evidence.secrets, in_every_log]
        _assert_seen(replace(evidence, secrets=secrets), "the password or a token stands in a file")

    def test_an_error_that_nobody_ordered(self, evidence: Evidence) -> None:
        request = _request(evidence, status=404)
        _assert_seen(replace(evidence, requests=[*evidence.requests, request]), "404, which nobody ordered")

    def test_a_request_without_a_cause(self, evidence: Evidence) -> None:
        request = _request(evidence, method="GET", path="/api/v1/agents")
        _assert_seen(replace(evidence, requests=[*evidence.requests, request]), "the chain has no reason to send it")


class TestPlan:
    def test_a_seed_always_gives_the_same_plan(self) -> None:
        assert plan(5, RUNS) == plan(5, RUNS)
        assert plan(5, RUNS) != plan(6, RUNS)

    @pytest.mark.parametrize("seed", range(20))
    def test_the_long_form_deals_out_every_kind(self, seed: int) -> None:
        assert {kind for night in plan(seed, RUNS) for kind in night.faults.values()} == set(KINDS)

    @pytest.mark.parametrize("seed", range(20))
    def test_the_short_form_deals_out_every_kind_of_its_own(self, seed: int) -> None:
        dealt = {kind for night in plan(seed, BRIEF_RUNS, brief=True) for kind in night.faults.values()}
        assert dealt == {kind for kind in KINDS if kind.brief}

    @pytest.mark.parametrize("seed", range(20))
    def test_who_waits_in_start_build_has_no_fault_in_the_sensor(self, seed: int) -> None:
        assert not any(night.waits and "wait_for_build" in night.faults for night in plan(seed, RUNS))

    def test_after_a_bad_end_a_person_starts_again(self) -> None:
        bad = [night for night in plan(5, RUNS) if night.ending != "FINISHED"]
        assert bad
        assert {night.faults[AFTERWARDS] for night in bad} == {START_AGAIN}

    def test_builds_that_end_badly_are_among_the_nights(self) -> None:
        assert {night.ending for night in plan(5, RUNS)} == {"FINISHED", "FAILED", "CANCELED"}


def _assert_seen(evidence: Evidence, *parts: str) -> None:
    """Assert that the checks see each damage, known by a part of its text, and no other."""
    found = [str(violation) for violation in violations(evidence)]
    assert [part for part in parts if not any(part in text for text in found)] == [], found
    assert [text for text in found if not any(part in text for part in parts)] == []


def _with(evidence: Evidence, run: RunEvidence) -> Evidence:
    return replace(evidence, runs=[run, *evidence.runs[1:]])


def _delivered(evidence: Evidence) -> int:
    """Return a download that a run has in its folder; those of a build that a clear replaced are nobody's."""
    return int(evidence.runs[0].results["download_build"]["files"][0]["download_id"])


def _request(evidence: Evidence, **change: Any) -> dict[str, Any]:
    request = next(r for r in evidence.requests if r["method"] == "GET" and r["fault"] is None)
    return {**request, "id": 9999, **change}


def _quiet(seconds: float, what: str, state: str, meaning: str) -> None:
    """Show nothing."""
