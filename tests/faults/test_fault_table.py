"""This provider's column of the fault table."""

from __future__ import annotations

import pytest

from dev.benchmarks.faults.rows import ROWS, Row
from dev.benchmarks.faults.run_row import run_row
from dev.benchmarks.faults.setup import Pace
from dev.benchmarks.faults.this_provider import MetaKraftwerk
from tests.kit.clock import Clock


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_task_ends_right_with_one_build(
    row: Row, pace: Pace, clock: Clock, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    server = request.getfixturevalue("tls_server" if row.tls else "plain_server")
    outcome, tasks = run_row(row, MetaKraftwerk(), server, pace, clock)
    assert outcome.differences(row) == []
    said = capfd.readouterr().out + "".join(str(error) for task in tasks for error in task.errors)
    assert row.sign in said, "the fault did not take place"
