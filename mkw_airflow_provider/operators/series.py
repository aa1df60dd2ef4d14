"""Which try of which series a task is in: a retry goes on with what the one before began, a clear begins anew."""

from __future__ import annotations

from typing import Any, NamedTuple


class Series(NamedTuple):
    """The tries of one task from its start, or from its clearing, to its end.

    :param first_try: number of the series' first try; above 1, the task was cleared before.
    :param this_try: number of the try that runs.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    first_try: int
    this_try: int

    @property
    def is_retry(self) -> bool:
        """Whether an earlier try of the same series may have done something already."""
        return self.this_try > self.first_try

    @property
    def was_cleared(self) -> bool:
        """Whether there were earlier series of the task in the same DAG run."""
        return self.first_try > 1


def series_of(context: Any, retries: int | None) -> Series | None:
    """Return the series that a task runs in; None outside a DAG run, e.g. when an operator is tried out by hand.

    Airflow counts tries on after a clear and raises ``max_tries`` by the retries, so the difference is the first try.

    :param retries: of the operator.
    """
    task_instance = (context or {}).get("ti")
    if task_instance is None:
        return None
    this_try = task_instance.try_number
    return Series(
        dag_id=task_instance.dag_id,
        run_id=task_instance.run_id,
        task_id=task_instance.task_id,
        map_index=-1 if task_instance.map_index is None else task_instance.map_index,
        first_try=min(max(task_instance.max_tries - (retries or 0) + 1, 1), this_try),
        this_try=this_try,
    )
