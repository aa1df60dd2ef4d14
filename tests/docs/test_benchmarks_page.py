"""The page of the benchmarks shows what was measured, all of it, of a whole run with the pinned providers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dev.benchmarks import detection
from dev.benchmarks.harness import Plan
from dev.benchmarks.render import filled, markers
from tests.docs.pages import DOCS, ROOT

PAGE = (DOCS / "benchmarks.md").read_text("utf-8")
PINNED = (ROOT / "dev" / "benchmarks" / "peers" / "requirements.txt").read_text("utf-8").split()


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """What was measured."""
    measured: dict[str, Any] = json.loads((ROOT / "dev" / "benchmarks" / "results.json").read_text("utf-8"))
    return measured


def test_the_page_shows_the_results(results: dict[str, Any]) -> None:
    assert filled(PAGE, results) == PAGE


def test_the_page_has_a_place_for_each_table(results: dict[str, Any]) -> None:
    assert sorted(markers(PAGE)) == sorted(["machine", "targets", *(table["name"] for table in results["tables"])])


def test_all_was_measured_in_at_least_five_rounds(results: dict[str, Any]) -> None:
    assert not results["quick"]
    assert results["rounds"] >= 5
    rounds = [len(v) for table in results["tables"] for figures in table["rounds"].values() for v in figures.values()]
    # Of what is counted, one round is enough.
    assert set(rounds) == {1, results["rounds"]}


def test_the_peers_are_those_that_are_pinned(results: dict[str, Any]) -> None:
    peers = [f"{name}=={version}" for name, version in results["versions"].items() if "providers" in name]
    assert len(peers) == 4
    assert set(peers) <= set(PINNED)


def test_the_verdicts_are_those_of_the_figures(results: dict[str, Any]) -> None:
    targets = [target for table in results["tables"] for target in table["targets"]]
    assert len(targets) >= 30
    assert [target["reached"] for target in targets] == [target["measured"] <= target["limit"] for target in targets]


def test_a_simulation_of_the_schedule_has_the_rows_of_the_page(results: dict[str, Any], tmp_path: Path) -> None:
    """In small: what needs neither a server nor another provider."""
    found = {table.name: table for table in detection.run(Plan(quick=True, seed=1, folder=tmp_path))}
    for table in results["tables"]:
        if table["name"] in found:
            quick = found[table["name"]]
            assert list(quick.columns) == table["columns"]
            assert [row[:2] for row in quick.rows] == [row[:2] for row in table["rows"]]
    assert set(found) == {"detection", "poll-interval"}
