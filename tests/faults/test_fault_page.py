"""The page of the fault table, the measurement and the tests agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dev.benchmarks.faults.render import filled
from dev.benchmarks.faults.rows import ROWS, Row
from dev.benchmarks.faults.run_row import Outcome
from dev.benchmarks.faults.setup import Pace

THIS = "mkw-airflow-provider"


@pytest.fixture
def table(repository: Path) -> dict[str, Any]:
    """The measurement."""
    measured: dict[str, Any] = json.loads((repository / "docs" / "evidence" / "fault_table.json").read_text("utf-8"))
    return measured


def test_page_shows_the_measurement(repository: Path, table: dict[str, Any]) -> None:
    page = (repository / "docs" / "evidence" / "fault_table.md").read_text("utf-8")
    assert filled(page, table) == page


def test_measurement_has_the_tested_faults(table: dict[str, Any]) -> None:
    pace = Pace(**table["pace"])
    measured = [(row["id"], row["fault"], row["right"]) for row in table["rows"]]
    assert measured == [(row.id, pace.describe(row.fault), row.right_ending) for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_measured_outcome_is_the_tested_one(row: Row, table: dict[str, Any]) -> None:
    (outcomes,) = [measured["outcomes"] for measured in table["rows"] if measured["id"] == row.id]
    assert Outcome(**outcomes[THIS]).differences(row) == []


def test_other_providers_have_the_pinned_versions(repository: Path, table: dict[str, Any]) -> None:
    pinned = (repository / "dev" / "benchmarks" / "requirements.txt").read_text("utf-8").split()
    peers = [f"{provider['package']}=={provider['version']}" for provider in table["providers"][1:]]
    assert len(peers) == 3
    assert set(peers) <= set(pinned)
