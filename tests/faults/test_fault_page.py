"""The page of the fault table, the measurement behind it, and the tests say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dev.benchmarks.peers.render import filled
from tests.faults.play import Outcome
from tests.faults.rows import ROWS, Row
from tests.faults.stage import Pace

THIS = "mkw-airflow-provider"


@pytest.fixture
def table(repository: Path) -> dict[str, Any]:
    """The measurement."""
    measured: dict[str, Any] = json.loads((repository / "docs" / "fault_table.json").read_text("utf-8"))
    return measured


def test_the_page_shows_the_measurement(repository: Path, table: dict[str, Any]) -> None:
    page = (repository / "docs" / "fault_table.md").read_text("utf-8")
    assert filled(page, table) == page


def test_the_measurement_has_the_faults_that_the_tests_have(table: dict[str, Any]) -> None:
    pace = Pace(**table["pace"])
    measured = [(row["id"], row["fault"], row["right"]) for row in table["rows"]]
    assert measured == [(row.id, pace.in_words(row.fault), row.right_ending) for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_this_provider_was_measured_as_the_tests_demand(row: Row, table: dict[str, Any]) -> None:
    (outcomes,) = [measured["outcomes"] for measured in table["rows"] if measured["id"] == row.id]
    assert Outcome(**outcomes[THIS]).other_than(row) == []


def test_the_peers_are_those_that_are_pinned(repository: Path, table: dict[str, Any]) -> None:
    pinned = (repository / "dev" / "benchmarks" / "peers" / "requirements.txt").read_text("utf-8").split()
    peers = [f"{provider['package']}=={provider['version']}" for provider in table["providers"][1:]]
    assert len(peers) == 3
    assert set(peers) <= set(pinned)
