"""What Airflow tells of the attempt of a task that is running."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Attempt:
    """One attempt of one task instance.

    :param map_index: -1 for a task that is not mapped.
    :param try_number: 1 for the first attempt; it is not reset when the task is cleared.
    :param max_tries: usually changes when the task is cleared.
    :param clear_number: how often tasks of the DAG run were cleared; None: unknown.
    :param run_started: when the DAG run started, in epoch seconds; None: unknown.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    max_tries: int
    clear_number: int | None = None
    run_started: float | None = None

    @classmethod
    def of(cls, context: Any) -> Attempt | None:
        """Return the attempt that a context belongs to; None outside a DAG run, e.g. when execute is called by hand."""
        task_instance = (context or {}).get("ti")
        if task_instance is None:
            return None
        dag_run = context.get("dag_run")
        run_started = getattr(dag_run, "start_date", None)
        return cls(
            dag_id=task_instance.dag_id,
            run_id=task_instance.run_id,
            task_id=task_instance.task_id,
            map_index=-1 if task_instance.map_index is None else task_instance.map_index,
            try_number=task_instance.try_number,
            max_tries=task_instance.max_tries,
            clear_number=getattr(dag_run, "clear_number", None),
            run_started=None if run_started is None else run_started.timestamp(),
        )

    def __str__(self) -> str:
        mapped = f", map index {self.map_index}" if self.map_index >= 0 else ""
        return f"DAG {self.dag_id}, task {self.task_id}{mapped}, run {self.run_id}"
