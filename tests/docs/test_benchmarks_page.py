"""The page of the benchmarks shows the results of a complete run with the pinned providers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dev.benchmarks import detection
from dev.benchmarks.harness import Plan
from dev.benchmarks.render import RESULTS, filled, markers
from tests.docs.pages import DOCS, ROOT

PAGE = (DOCS / "evidence" / "benchmarks.md").read_text("utf-8")
PINNED = (ROOT / "dev" / "benchmarks" / "requirements.txt").read_text("utf-8").split()


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(RESULTS.read_text("utf-8"))
    return loaded


def test_page_shows_every_result(results: dict[str, Any]) -> None:
    assert filled(PAGE, results) == PAGE
    assert sorted(markers(PAGE)) == sorted(["machine", "targets", *(table["name"] for table in results["tables"])])


def test_results_are_of_a_complete_run(results: dict[str, Any]) -> None:
    assert not results["quick"]
    assert results["rounds"] >= 5
    peers = [f"{name}=={version}" for name, version in results["versions"].items() if "providers" in name]
    assert len(peers) == 4
    assert set(peers) <= set(PINNED)


def test_verdicts_follow_from_the_figures(results: dict[str, Any]) -> None:
    targets = [target for table in results["tables"] for target in table["targets"]]
    assert len(targets) >= 30
    assert [target["reached"] for target in targets] == [target["measured"] <= target["limit"] for target in targets]


def test_simulation_has_the_rows_of_the_page(results: dict[str, Any], tmp_path: Path) -> None:
    """With small sizes: the simulation needs neither a server nor another provider."""
    found = {table.name: table for table in detection.run(Plan(quick=True, seed=1, folder=tmp_path))}
    assert set(found) == {"detection", "poll-interval"}
    for table in results["tables"]:
        if quick := found.get(table["name"]):
            assert list(quick.columns) == table["columns"]
            assert [row[:2] for row in quick.rows] == [row[:2] for row in table["rows"]]
