"""What Airflow has stored, read from PostgreSQL: hundreds of tasks in one query instead of one request each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

#: All columns, because not every version of Airflow has each; mapped tasks have an index from 0, others -1.
_TASKS = """
    SELECT * FROM task_instance
    WHERE dag_id = :dag_id AND run_id = ANY(:run_ids) ORDER BY run_id, map_index, start_date
"""
_EVENTS = """
    SELECT run_id, task_id, map_index, event, dttm FROM log
    WHERE dag_id = :dag_id AND run_id = ANY(:run_ids) AND task_id IS NOT NULL ORDER BY id
"""
_RESULTS = """
    SELECT run_id, task_id, map_index, value FROM xcom
    WHERE dag_id = :dag_id AND run_id = ANY(:run_ids) AND key = 'return_value'
"""
_WAITS = """
    SELECT job.hostname AS triggerer, count(*) AS waits FROM trigger LEFT JOIN job ON job.id = trigger.triggerer_id
    GROUP BY job.hostname
"""


class Database:
    """Airflow's database.

    :param address: user, host and name, as in a URL.
    """

    def __init__(self, address: str) -> None:
        # No connection is kept: PostgreSQL is restarted meanwhile.
        self._engine = create_engine(f"postgresql+psycopg2://{address}", poolclass=NullPool)

    def tasks(self, dag_id: str, run_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the task instances of runs."""
        return self._rows(_TASKS, dag_id=dag_id, run_ids=list(run_ids))

    def events(self, dag_id: str, run_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return what workers have reported of the tasks of runs, oldest first."""
        return self._rows(_EVENTS, dag_id=dag_id, run_ids=list(run_ids))

    def results(self, dag_id: str, run_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return what the tasks of runs have returned."""
        rows = self._rows(_RESULTS, dag_id=dag_id, run_ids=list(run_ids))
        return [{**row, "value": _json(row["value"])} for row in rows]

    def run_states(self, dag_id: str, run_ids: Sequence[str]) -> dict[str, str]:
        """Return the states of runs."""
        query = "SELECT run_id, state FROM dag_run WHERE dag_id = :dag_id AND run_id = ANY(:run_ids)"
        return {row["run_id"]: row["state"] for row in self._rows(query, dag_id=dag_id, run_ids=list(run_ids))}

    def waits(self) -> dict[str | None, int]:
        """Return how many waits each triggerer has; None: those that no triggerer has taken yet."""
        return {row["triggerer"]: row["waits"] for row in self._rows(_WAITS)}

    def worker(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
        """Return the worker that runs a task."""
        query = """
            SELECT hostname FROM task_instance
            WHERE dag_id = :dag_id AND run_id = :run_id AND task_id = :task_id AND map_index = :map_index
        """
        rows = self._rows(query, dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)
        return str(rows[0]["hostname"])

    def _rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(query), parameters).mappings()]


def _json(value: Any) -> Any:
    """Return a value; Airflow 2 stores its JSON as bytes."""
    return json.loads(bytes(value)) if isinstance(value, memoryview) else value
