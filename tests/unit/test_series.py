"""Which try of which series a task is in: what tells a retry from a clear."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.operators.series import Series, series_of
from tests.kit.simulation import PROPERTY


def task(**fields: Any) -> dict[str, Any]:
    """The context of a task as Airflow gives it."""
    given = {"dag_id": "nightly", "run_id": "manual__1", "task_id": "start", "map_index": -1, **fields}
    return {"ti": SimpleNamespace(**given)}


def series(retries: int | None, *, try_number: int, max_tries: int, **fields: Any) -> Series:
    found = series_of(task(try_number=try_number, max_tries=max_tries, **fields), retries)
    assert found is not None
    return found


class Airflow:
    """Counts tries as Airflow does: on after a clear, whose series has all the retries again."""

    def __init__(self, retries: int) -> None:
        self.retries = retries
        self.try_number = 1
        self.max_tries = retries

    def retry(self) -> None:
        self.try_number += 1

    def clear(self) -> None:
        self.max_tries = self.try_number + self.retries
        self.try_number += 1


@pytest.mark.parametrize(
    ("retries", "try_number", "max_tries", "first_try", "is_retry", "was_cleared"),
    [
        (2, 1, 2, 1, False, False),
        (2, 2, 2, 1, True, False),
        (2, 3, 2, 1, True, False),
        (2, 4, 5, 4, False, True),
        (2, 5, 5, 4, True, True),
        (2, 2, 3, 2, False, True),
        (2, 3, 3, 2, True, True),
        (0, 1, 0, 1, False, False),
        (0, 2, 1, 2, False, True),
        (None, 1, 0, 1, False, False),
    ],
    ids=[
        "first run",
        "first retry",
        "last retry",
        "cleared after all retries",
        "its retry",
        "cleared after the first try",
        "its retry, too",
        "no retries",
        "no retries, cleared",
        "retries not set",
    ],
)
def test_first_try_retry_and_clear(retries, try_number, max_tries, first_try, is_retry, was_cleared):
    found = series(retries, try_number=try_number, max_tries=max_tries)
    assert (found.first_try, found.this_try) == (first_try, try_number)
    assert (found.is_retry, found.was_cleared) == (is_retry, was_cleared)


@PROPERTY
@given(st.integers(0, 10), st.lists(st.sampled_from(["retry", "clear"]), max_size=40))
def test_the_first_try_is_right_after_any_retries_and_clears(retries, events):
    airflow = Airflow(retries)
    first_try, left = 1, retries
    for event in events:
        if event == "clear" or left == 0:
            airflow.clear()
            first_try, left = airflow.try_number, retries
        else:
            airflow.retry()
            left -= 1
        found = series(retries, try_number=airflow.try_number, max_tries=airflow.max_tries)
        assert found.first_try == first_try
        assert found.is_retry == (airflow.try_number != first_try)


@PROPERTY
@given(st.integers(0, 50), st.integers(1, 50), st.integers(0, 50))
def test_retries_that_were_changed_in_the_dag_file_meanwhile_never_lead_out_of_bounds(retries, try_number, max_tries):
    found = series(retries, try_number=try_number, max_tries=max_tries)
    assert 1 <= found.first_try <= found.this_try


def test_whose_series_it_is():
    found = series(0, try_number=1, max_tries=0, map_index=3)
    assert (found.dag_id, found.run_id, found.task_id, found.map_index) == ("nightly", "manual__1", "start", 3)


@pytest.mark.parametrize("map_index", [-1, None])
def test_a_task_that_is_not_mapped(map_index):
    assert series(0, try_number=1, max_tries=0, map_index=map_index).map_index == -1


@pytest.mark.parametrize("context", [None, {}, {"ti": None}, {"params": {}}])
def test_outside_a_dag_run_there_is_no_series(context):
    assert series_of(context, 2) is None
