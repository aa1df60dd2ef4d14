"""The pure parts of `make cluster`: its figures, and what its checks notice beyond those of chaos."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from dev.chaos.evidence import Evidence, RunEvidence
from dev.cluster.chains import STEPS, Chain, check
from dev.cluster.figures import PARTS, distribution, parts, slot_seconds

ENDED = datetime(2026, 1, 1, tzinfo=timezone.utc)


def _at(seconds: float) -> datetime:
    return ENDED + timedelta(seconds=seconds)


def _event(event: str, seconds: float) -> dict[str, Any]:
    return {"event": event, "dttm": _at(seconds)}


@pytest.fixture
def chain() -> Chain:
    """A wait whose build ended at 0, and that took a second longer for each part."""
    wait = {"scheduled_dttm": _at(3), "queued_dttm": _at(6), "end_date": _at(15)}
    return Chain(
        "dag",
        "mapped",
        3,
        tasks={STEPS[1]: wait, STEPS[2]: {"queued_dttm": _at(21)}},
        events={
            STEPS[1]: [_event("running", -20), _event("deferred", -18), _event("running", 10), _event("success", 15)],
            STEPS[2]: [_event("running", 28)],
        },
        results={STEPS[0]: 7},
    )


class TestFigures:
    def test_parts_of_the_time_after_a_build(self, chain: Chain) -> None:
        request = {"method": "GET", "path": "/api/v1/builds/7", "status": 200, "seconds": 0.5}
        requests = [{**request, "time": _at(at).isoformat()} for at in (-5, 0.5, 9)]
        found = parts([chain], {chain.name: ENDED}, requests)
        assert [found[part]["p50"] for part in PARTS] == [1, 2, 3, 4, 5, 6, 7]
        assert found["all"]["p50"] == 28

    def test_wait_without_a_deferral_has_no_parts(self, chain: Chain) -> None:
        direct = replace(chain, events={**chain.events, STEPS[1]: chain.events[STEPS[1]][2:]})
        assert parts([direct], {chain.name: ENDED}, []) == {}

    def test_wait_holds_a_slot_while_it_runs(self, chain: Chain) -> None:
        assert slot_seconds(chain) == 2 + 5

    @pytest.mark.parametrize(("count", "p50", "p95"), [(1, 1, 1), (20, 10, 19), (100, 50, 95)])
    def test_percentiles(self, count: int, p50: int, p95: int) -> None:
        assert distribution(range(1, count + 1)) == {"p50": p50, "p95": p95, "n": count}


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    """What one chain with map index 3 leaves."""
    run = RunEvidence(
        dag_id="cluster_mapped",
        run_id="mapped_3",
        state="success",
        tasks={step: {"state": "success", "try_number": 1} for step in STEPS},
        clears=(),
        results={"start_build": 7, "deploy_build": 1},
        folder=tmp_path / "results",
        logs=tmp_path / "logs",
        map_index=3,
    )
    log = run.log("wait_for_build")
    log.mkdir(parents=True)
    (log / "attempt=1.log").write_text("Waiting for build 7 in the triggerer.\nBuild 7: polled 2 times in 20 s.\n")
    times = {"build_start": ENDED.isoformat(), "build_end": _at(20).isoformat()}
    return Evidence(
        runs=[run],
        requests=[],
        builds=[{"id": 7, "status": "FINISHED", "description": "mapped_3", **times}],
        downloads=[],
        deployments=[{"id": 1, "build_id": 7, "agent_group_id": 1, "agent_id": None}],
        triggerers=2,
        rotations=0,
        secrets=[],
        home=tmp_path,
        contents={},
        server_log=tmp_path / "server.log",
    )


class TestChecks:
    def test_good_chain_has_no_violations(self, evidence: Evidence) -> None:
        assert check(evidence) == []

    def test_build_of_another_index_is_a_stray(self, evidence: Evidence) -> None:
        other = {**evidence.builds[0], "id": 8, "description": "mapped_31"}
        (found,) = check(replace(evidence, builds=[*evidence.builds, other]))
        assert "no run started build 8" in str(found)

    def test_wait_without_its_history(self, evidence: Evidence) -> None:
        """What only the triggerer has logged is lost without shared logs."""
        log = evidence.runs[0].log("wait_for_build")
        log.joinpath("attempt=1.log").rename(log / "attempt=1.log.trigger.1.log")
        (log / "attempt=1.log").write_text("Waiting for build 7 in the triggerer.\n")
        (found,) = check(evidence)
        assert "no worker has logged the history" in str(found)
