"""This provider's column of the fault table."""

from __future__ import annotations

import pytest

from tests.faults.play import play
from tests.faults.provider import MetaKraftwerk
from tests.faults.rows import ROWS, Row
from tests.faults.stage import Pace
from tests.kit.clock import Clock


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_each_task_ends_right_with_one_build(
    row: Row, pace: Pace, clock: Clock, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    server = request.getfixturevalue("tls_server" if row.tls else "plain_server")
    outcome, tasks = play(row, MetaKraftwerk(), server, pace, clock)
    assert outcome.other_than(row) == []
    said = capfd.readouterr().out + "".join(str(error) for task in tasks for error in task.errors)
    assert row.sign in said, "the fault was not met"
